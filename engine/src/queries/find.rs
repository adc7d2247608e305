//! References to jobs and datums, resolved.

use std::collections::BTreeSet;

use repos::documents::ResultDocument;
use repos::tree::{KeyRange, Map};
use repos::{JobRow, RepoError, Store};
use specs::reference::{DatumRef, IdPrefix, JobRef, Reference};
use specs::{DatumId, Digest, FilePath};

use super::datum::{DatumFilter, DatumView, datum_view, datums, result_in};
use super::job::job_id;
use crate::datums::prefix;
use crate::error::{EngineError, Result};
use crate::plan::DatumMap;

/// Ids listed when a prefix fits several.
const CANDIDATES: usize = 10;

/// A datum in a job.
#[derive(Debug, Clone)]
pub struct FoundDatum {
    /// The job that the reference names; else the one that executed it.
    pub job: JobRow,
    /// The datum, seen from that job.
    pub view: DatumView,
    /// Its result.
    pub result: ResultDocument,
}

/// The jobs that a reference names: one, or all of a run in the order in which data flows.
pub fn find_jobs(store: &Store, job: &JobRef) -> Result<Vec<JobRow>> {
    let (pipeline, run) = match job {
        JobRef::Newest(pipeline) => {
            if let Some(job) = store.newest_job(pipeline)? {
                return Ok(vec![job]);
            }
            store.pipeline(pipeline)?;
            return Err(EngineError::NotFound {
                what: format!("pipeline `{pipeline}` has no job yet"),
                hint: Some(format!("pv plan {pipeline} shows what it waits for")),
            });
        }
        JobRef::InRun { pipeline, run } => (Some(pipeline), run),
        JobRef::Run(run) => (None, &run.0),
    };
    let run = store.run(&store.run_by_prefix(run)?)?;
    let mut jobs = Vec::new();
    for seed in run.jobs.iter().filter(|seed| pipeline.is_none_or(|pipeline| seed.pipeline == *pipeline)) {
        jobs.extend(store.job(run.order, &seed.pipeline)?);
    }
    match pipeline {
        Some(pipeline) if jobs.is_empty() => Err(EngineError::JobNotFound { job: job_id(pipeline, &run.run) }),
        _ => Ok(jobs),
    }
}

/// The one job that a reference names.
pub fn find_job(store: &Store, job: &JobRef) -> Result<JobRow> {
    let mut jobs = find_jobs(store, job)?;
    match (jobs.pop(), jobs.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(EngineError::NotFound { what: format!("run `{job}` caused no job"), hint: None }),
        (Some(last), false) => {
            jobs.push(last);
            let names: Vec<String> = jobs.iter().map(|job| format!("{}@{}", job.pipeline, job.run.short(8))).collect();
            let what = format!("`{job}` names {} jobs: {}", names.len(), names.join(", "));
            Err(EngineError::Usage { what, hint: Some(format!("name one, such as {}", names[0])) })
        }
    }
}

/// The datum that a reference names, with its newest result, the one in the named job, or the one that wrote the named file.
pub fn find_datum(store: &Store, datum: &DatumRef) -> Result<FoundDatum> {
    match datum {
        DatumRef::Id(prefix) => {
            let id = unique(prefix, store.datums_by_prefix(prefix.as_str(), CANDIDATES)?)?;
            let newest = store.results(&id)?.into_iter().next();
            let (result, ..) = newest.ok_or_else(|| not_found(prefix, ""))?;
            of_result(store, &result)
        }
        DatumRef::InJob { job, id } => in_job(store, &find_job(store, job)?, id),
        DatumRef::Writer(reference) => writer_of(store, reference),
    }
}

/// The datums of a job that saw a file, itself or in a directory.
pub fn find_datums_of_input(store: &Store, job: &JobRow, path: &FilePath) -> Result<Vec<FoundDatum>> {
    let filter = DatumFilter { input: Some(path.clone()), ..DatumFilter::default() };
    let found: Vec<FoundDatum> =
        datums(store, job, filter)?.map(|view| with_result(store, job, view?)).collect::<Result<_>>()?;
    if found.is_empty() {
        let job = format!("{}@{}", job.pipeline, job.run.short(8));
        let hint = Some(format!("pv datum list {job} shows what its datums read"));
        return Err(EngineError::NotFound { what: format!("no datum of job `{job}` read `{path}`"), hint });
    }
    Ok(found)
}

fn with_result(store: &Store, job: &JobRow, view: DatumView) -> Result<FoundDatum> {
    let result = view.result.map(|digest| store.document(&digest)).transpose()?;
    let result = result
        .ok_or_else(|| EngineError::NotFound { what: format!("datum `{}` has no result yet", view.id), hint: None })?;
    Ok(FoundDatum { job: job.clone(), view, result })
}

/// A result in the job that executed it.
fn of_result(store: &Store, digest: &Digest) -> Result<FoundDatum> {
    let result: ResultDocument = store.document(digest)?;
    let order = store.run_order(&result.run)?;
    let job = order.map(|order| store.job(order, &result.pipeline)).transpose()?.flatten();
    let job = job.ok_or_else(|| EngineError::JobNotFound { job: job_id(&result.pipeline, &result.run) })?;
    let view = datum_view(store, Some(&job), digest, None)?;
    Ok(FoundDatum { job, view, result })
}

fn in_job(store: &Store, job: &JobRow, id: &IdPrefix) -> Result<FoundDatum> {
    /// Datums of the store with this prefix that are looked up; with more, those of the job are read instead.
    const MOST: usize = 255;
    let mut known = BTreeSet::new();
    let candidates = store.datums_by_prefix(id.as_str(), MOST)?;
    let all_known = candidates.len() < MOST;
    for candidate in candidates {
        known.extend(store.results(&candidate)?.into_iter().map(|(result, ..)| result));
    }
    let commit = job.commit.map(|commit| store.commit(&commit)).transpose()?;
    let map = commit.and_then(|commit| commit.datums).map_or(DatumMap::empty(), DatumMap::at);
    // The map is by inputs, not by ids: a scan, but one that reads no documents unless the prefix says next to nothing.
    let mut results = BTreeSet::new();
    for entry in map.range(store, KeyRange::prefix([prefix::DATUM]))? {
        let Some(result) = result_in(&entry?.1) else { continue };
        let is_meant = if all_known {
            known.contains(&result)
        } else {
            store.document::<ResultDocument>(&result)?.recipe.to_string().starts_with(id.as_str())
        };
        results.extend(is_meant.then_some(result));
    }
    let views = results.iter().map(|result| datum_view(store, Some(job), result, None));
    let views: Vec<DatumView> = views.collect::<Result<_, RepoError>>()?;
    let place = format!(" in job `{}@{}`", job.pipeline, job.run.short(8));
    unique(id, views.iter().map(|view| view.id).collect())?;
    let view = views.into_iter().next().ok_or_else(|| not_found(id, &place))?;
    with_result(store, job, view)
}

/// The datum that wrote a file of an output commit.
fn writer_of(store: &Store, reference: &Reference) -> Result<FoundDatum> {
    let resolved = store.resolve(reference)?;
    let lineage = resolved.commit.lineage.map_or(Map::<Digest>::empty(), Map::at);
    if let Some(result) = lineage.get(store, resolved.path.as_str().as_bytes())? {
        return of_result(store, &result);
    }
    let place = resolved.place();
    match repos::files::kind_at(store, resolved.tree(), &place, &resolved.path)? {
        repos::tree::PathKind::Directory { .. } => Err(RepoError::IsDirectory { path: resolved.path, place }.into()),
        repos::tree::PathKind::File(_) => Err(EngineError::NotFound {
            what: format!("no datum wrote `{}` in {place}: {} committed it", resolved.path, resolved.commit.author),
            hint: Some(format!("pv log {}@{}:{}", resolved.commit.repo, resolved.id.short(8), resolved.path)),
        }),
    }
}

fn unique(prefix: &IdPrefix, mut ids: Vec<DatumId>) -> Result<DatumId> {
    ids.dedup();
    match ids.as_slice() {
        [] => Err(not_found(prefix, "")),
        [one] => Ok(*one),
        several => {
            let candidates = several.iter().take(CANDIDATES).map(|id| format!("datum {}", id.short(16))).collect();
            Err(RepoError::AmbiguousId { prefix: prefix.to_string(), candidates }.into())
        }
    }
}

fn not_found(prefix: &IdPrefix, place: &str) -> EngineError {
    let hint = Some("pv datum list JOB shows a job's datums".to_owned());
    EngineError::NotFound { what: format!("datum `{prefix}` not found{place}"), hint }
}
