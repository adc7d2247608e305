//! Resolves references to datums.

use std::collections::{BTreeMap, BTreeSet};

use repos::documents::ResultDocument;
use repos::tree::Map;
use repos::{JobRow, RepoError, Store};
use specs::reference::{DatumRef, IdPrefix, Reference};
use specs::{DatumId, Digest, FilePath};

use super::known::Known;
use super::view::{DatumFilter, DatumView, datum_view, datums};
use crate::named::find_job;
use engine::live::Live;
use engine::live::job_id;
use engine::{EngineError, Result};

/// Maximum number of ids with a prefix that are looked up; beyond that the documents of a job's results are read.
const LOOKED_UP: usize = 256;
/// Maximum number of ids listed for an ambiguous prefix.
const CANDIDATES: usize = 10;

/// A datum in a job.
#[derive(Debug, Clone)]
pub struct FoundDatum {
    /// The job named in the reference, or else the one that executed the datum.
    pub job: JobRow,
    /// The datum, as seen from that job.
    pub view: DatumView,
    /// Its result.
    pub result: ResultDocument,
}

/// The datum that a reference names, with its newest result, its result in the named job, or the one that wrote the named file. `live` is
/// the activity of this process.
pub fn find_datum(store: &Store, live: Option<&Live>, datum: &DatumRef) -> Result<FoundDatum> {
    match datum {
        DatumRef::Id(prefix) => {
            let id = unique(prefix, store.datums_by_prefix(prefix.as_str(), CANDIDATES)?)?;
            let newest = store.results(&id)?.into_iter().next();
            let (result, ..) = newest.ok_or_else(|| not_found(prefix, ""))?;
            of_result(store, &result)
        }
        DatumRef::InJob { job, id } => in_job(store, live, &find_job(store, job)?, id),
        DatumRef::Writer(reference) => writer_of(store, reference),
    }
}

/// The datums of a job that read a file, directly or in a directory.
pub fn find_datums_of_input(
    store: &Store,
    live: Option<&Live>,
    job: &JobRow,
    path: &FilePath,
) -> Result<Vec<FoundDatum>> {
    let filter = DatumFilter { input: Some(path.clone()), ..DatumFilter::default() };
    let found: Vec<FoundDatum> =
        datums(store, live, job, filter)?.map(|view| with_result(store, job, view?)).collect::<Result<_>>()?;
    if found.is_empty() {
        let job = format!("{}@{}", job.pipeline, job.run.short(8));
        let hint = Some(format!("pv datum list {job} lists the inputs of its datums"));
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

fn in_job(store: &Store, live: Option<&Live>, job: &JobRow, id: &IdPrefix) -> Result<FoundDatum> {
    let candidates = store.datums_by_prefix(id.as_str(), LOOKED_UP)?;
    // The map is keyed by inputs, not by ids: this is a scan, but it reads no documents unless the prefix is very short.
    let mut meant = (candidates.len() < LOOKED_UP).then(BTreeSet::new);
    if let Some(meant) = &mut meant {
        for candidate in &candidates {
            meant.extend(store.results(candidate)?.into_iter().map(|(result, ..)| result));
        }
    }
    let known = Known::of(store, live, job)?;
    let mut views = BTreeMap::new();
    for entry in known.entries(store)? {
        let (key, result) = entry?;
        let is_meant = match &meant {
            Some(meant) => meant.contains(&result),
            None => store.document::<ResultDocument>(&result)?.recipe.to_string().starts_with(id.as_str()),
        };
        if is_meant && !views.contains_key(&result) {
            let recovered = key.map(|key| known.recovered(store, &key)).transpose()?.flatten();
            views.insert(result, datum_view(store, Some(job), &result, recovered)?);
        }
    }
    let place = format!(" in job `{}@{}`", job.pipeline, job.run.short(8));
    let views: Vec<DatumView> = views.into_values().collect();
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
    ids.sort_unstable();
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
    let hint = Some("pv datum list JOB lists a job's datums".to_owned());
    EngineError::NotFound { what: format!("datum `{prefix}` not found{place}"), hint }
}
