//! The last step of an apply: new versions, killed jobs and the run, in one change.

use std::collections::BTreeSet;
use std::sync::Arc;

use repos::documents::{ExecutorStamp, JobDocument, VersionDocument};
use repos::journal::{Cause, CauseKind, Entry, Move, RepoKind, SealedState};
use repos::{Change, JobRow, Store};
use specs::PipelineName;

use super::branches;
use super::versions::Prepared;
use super::{Applied, AppliedPipeline, AppliedState};
use crate::changes::run_entries;
use crate::error::Result;
use crate::graph::{BranchOf, Graph, Pipeline};
use crate::live::job_id;
use crate::run::{Actor, cause, new_run, retry_on_conflict};
use crate::triggers;

/// Why and by whom.
pub(super) struct Why<'a> {
    pub(super) kind: CauseKind,
    pub(super) by: &'a Actor,
    pub(super) dry: bool,
    /// The reason as text, if any.
    pub(super) message: Option<String>,
}

/// Publishes the prepared pipelines. `recheck` checks the graph on which the change is made.
pub(super) fn publish(
    store: &Store,
    prepared: &[Prepared],
    why: &Why<'_>,
    recheck: impl Fn(&Graph) -> Result<()>,
) -> Result<Applied> {
    let run = new_run();
    retry_on_conflict(store, || {
        let before = Graph::whole(store)?;
        recheck(&before)?;
        let mut graph = Graph::clone(&before);
        let pipelines = number_versions(store, &mut graph, prepared)?;
        let changed: BTreeSet<PipelineName> = pipelines
            .iter()
            .filter(|pipeline| pipeline.state != AppliedState::Unchanged)
            .map(|pipeline| pipeline.name.clone())
            .collect();
        let mut moves = branches(store, &graph, &changed)?;
        let needed = branches::needed(store, &graph, &changed, &moves)?;
        let made = needed.iter().map(|made| format!("{}@{}", made.repo, made.branch)).collect();
        moves.extend(needed);
        let jobs = graph.jobs_after(&store.whole(), &moves, &changed)?;
        let killed: Vec<JobRow> =
            store.open_jobs()?.into_iter().filter(|job| changed.contains(&job.pipeline)).collect();
        let mut applied = Applied {
            run: None,
            pipelines,
            jobs: jobs.into_iter().map(|seed| seed.pipeline).filter(|name| store.sees_pipeline(name)).collect(),
            branches: made,
            kills: killed.iter().map(|job| job_id(&job.pipeline, &job.run)).collect(),
            warnings: Vec::new(),
            graph: graph.clone().seen_through(store),
        };
        if changed.is_empty() || why.dry {
            return Ok(applied);
        }
        let mut entries = versions(store, &graph, &changed)?;
        for job in &killed {
            let version = graph.pipelines[&job.pipeline].version.version;
            entries.push(self::killed(store, job, format!("replaced by version {version}"))?);
        }
        entries.extend(given_up(store, &before, &graph, &changed)?);
        let refs = changed.iter().map(ToString::to_string).collect();
        let cause = Cause { message: why.message.clone(), ..cause(store, why.kind, why.by, refs) };
        entries.extend(run_entries(store, &graph, run, cause, moves, &changed)?);
        store.publish(&Change { entries, graph: Some(before.number) })?;
        applied.run = Some(run);
        Ok(applied)
    })
}

/// Adds the new versions to the graph, and reports which are new.
fn number_versions(store: &Store, graph: &mut Graph, prepared: &[Prepared]) -> Result<Vec<AppliedPipeline>> {
    let mut pipelines = Vec::with_capacity(prepared.len());
    for new in prepared {
        let name = new.spec.name.clone();
        let present = graph.pipelines.get(&name);
        let why = present.map(|present| new.differences(store, present)).transpose()?;
        if let (Some(present), Some([])) = (present, why.as_deref()) {
            let version = present.version.version;
            pipelines.push(AppliedPipeline { name, version, state: AppliedState::Unchanged, why: Vec::new() });
            continue;
        }
        let known = store.pipeline_versions(&name)?;
        // Numbers continue after a delete: a version number never means two different versions. A tried version keeps its number.
        let next = known.last().map_or(0, |row| row.version) + 1;
        let newest = present.map_or(u32::MAX, |present| present.version.version);
        let mut version = next;
        for row in known.iter().filter(|row| row.version > newest) {
            if store.document::<VersionDocument>(&row.document)? == new.document(row.version) {
                version = row.version;
            }
        }
        let document: VersionDocument = new.document(version);
        let pipeline = Pipeline { document: store.put_document(&document)?, version: document, spec: new.spec.clone() };
        graph.pipelines.insert(name.clone(), Arc::new(pipeline));
        let state = if why.is_some() { AppliedState::Updated } else { AppliedState::Created };
        pipelines.push(AppliedPipeline { name, version, state, why: why.unwrap_or_default() });
    }
    Ok(pipelines)
}

/// The entries for the new versions, with the repositories that they need.
fn versions(store: &Store, graph: &Graph, changed: &BTreeSet<PipelineName>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for name in changed {
        let pipeline = &graph.pipelines[name];
        let clocks = pipeline.spec.input.crons().into_iter().map(|cron| (cron.ticks.repo.clone(), RepoKind::Cron));
        for (repo, repo_kind) in clocks.chain([(name.output_repo(), RepoKind::Output)]) {
            if !store.has_repo(&repo)? {
                entries.push(Entry::RepoCreate { repo, repo_kind });
            }
        }
        let version = pipeline.version.version;
        entries.push(Entry::PipelineApply { pipeline: name.clone(), version, document: pipeline.document });
    }
    Ok(entries)
}

/// Deletions of trigger branches that the new versions no longer have.
fn given_up(store: &Store, before: &Graph, graph: &Graph, changed: &BTreeSet<PipelineName>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for old in changed.iter().filter_map(|name| before.pipelines.get(name)) {
        let kept: BTreeSet<_> = graph.pipelines[old.name()].input_branches();
        entries.extend(trigger_branches(store, old, &kept)?);
    }
    Ok(entries)
}

/// The entries that delete the branches of a pipeline's triggers, except those in `kept`.
pub(super) fn trigger_branches(store: &Store, pipeline: &Pipeline, kept: &BTreeSet<BranchOf>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (repo, branch) in pipeline.triggers().into_iter().map(|trigger| trigger.branch) {
        if !kept.contains(&(repo.clone(), branch.clone())) && store.find_branch(&repo, &branch)?.is_some() {
            entries.push(Entry::BranchDelete { repo, branch });
        }
    }
    Ok(entries)
}

/// The branches of outputs, cron inputs and triggers: those that do not exist yet, and those that triggers move immediately.
fn branches(store: &Store, graph: &Graph, changed: &BTreeSet<PipelineName>) -> Result<Vec<Move>> {
    let mut moves = Vec::new();
    for name in changed {
        let pipeline = &graph.pipelines[name];
        let clocks = pipeline.spec.input.crons().into_iter().map(|cron| pipeline.input_branch(&cron.ticks));
        for (repo, branch) in clocks.chain([pipeline.output_branch()]) {
            if store.find_branch(&repo, &branch)?.is_none() {
                moves.push(Move { repo, branch, from: None, to: None });
            }
        }
        let triggers = triggers::first_heads(store, pipeline, store.clock().now())?;
        let stopped = graph.stopped.contains(name);
        // A stopped pipeline reads nothing; its branches are created for when it starts.
        moves.extend(triggers.into_iter().filter_map(|moved| match (stopped, moved.from) {
            (false, _) => Some(moved),
            (true, None) => Some(Move { to: None, ..moved }),
            (true, Some(_)) => None,
        }));
    }
    Ok(moves)
}

/// The entry that ends a job which no engine runs.
pub(super) fn killed(store: &Store, job: &JobRow, reason: String) -> Result<Entry> {
    let version = store.pipeline_version(&job.pipeline, job.version)?;
    let version: Option<VersionDocument> = version.map(|row| store.document(&row.document)).transpose()?;
    let kind = version.map_or(repos::documents::ExecutorKind::Process, |version| version.executor);
    let document = store.put_document(&JobDocument {
        pipeline: job.pipeline.clone(),
        run: job.run,
        version: job.version,
        executor: ExecutorStamp { kind, version: String::new(), host: String::new() },
        reason: Some(reason),
        created_at: job.created_at,
        started_at: None,
        finished_at: store.clock().now(),
        datums_total: 0,
        datums_processed: 0,
        datums_cached: 0,
        datums_failed: 0,
        datums_recovered: 0,
    })?;
    Ok(Entry::Job {
        pipeline: job.pipeline.clone(),
        run: job.run,
        state: SealedState::Killed,
        commit: None,
        document: Some(document),
        moved: None,
    })
}
