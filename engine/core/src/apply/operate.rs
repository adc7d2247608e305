//! Operations on existing pipelines and jobs.

use std::collections::BTreeSet;

use repos::files::glob_hint;
use repos::journal::{Cause, CauseKind, Entry, SealedState};
use repos::tree::Tree;
use repos::{Change, JobRow, Store};
use specs::{Glob, PipelineName, RepoName, RunId};

use super::publish::{killed, trigger_branches};
use crate::changes::run_entries;
use crate::datums;
use crate::error::{EngineError, Result};
use crate::execution::failed_results;
use crate::graph::{Graph, Pipeline, users_in_words};
use crate::live::JobKey;
use crate::run::{Actor, cause, new_run, retry_on_conflict};
use crate::scheduler::Engine;
use crate::triggers;

/// What happens to a pipeline's data when it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// Its output repository stays and becomes a user repository; its ticks stay unchanged.
    Stays,
    /// Its output repository is deleted, and so are its ticks if nothing else reads them.
    Goes,
}

/// A pipeline that can be deleted, and what ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletablePipeline {
    /// Its version.
    pub version: u32,
    /// How many of its jobs have not ended; they are killed.
    pub open_jobs: u64,
}

/// Checks whether a pipeline can be deleted; `InUse` if others read its output.
pub fn deletable_pipeline(store: &Store, name: &PipelineName) -> Result<DeletablePipeline> {
    let version = store.pipeline(name)?.version;
    ensure_unread(store, &*Graph::whole(store)?, name)?;
    let open = store.open_jobs()?.into_iter().filter(|job| job.pipeline == *name);
    Ok(DeletablePipeline { version, open_jobs: open.count() as u64 })
}

fn ensure_unread(store: &Store, graph: &Graph, name: &PipelineName) -> Result<()> {
    let readers = readers(graph, name, &name.output_repo());
    if readers.is_empty() {
        return Ok(());
    }
    let readers = users_in_words(store, &readers, "reads its output");
    Err(EngineError::InUse { what: format!("pipeline `{name}`"), by: readers.join(", ") })
}

/// Deletes a pipeline whose output no other pipeline reads. Its open jobs are killed.
pub fn delete_pipeline(store: &Store, name: &PipelineName, data: Data, by: &Actor) -> Result<()> {
    retry_on_conflict(store, || {
        store.pipeline(name)?;
        let graph = Graph::whole(store)?;
        let repo = name.output_repo();
        ensure_unread(store, &graph, name)?;
        let pipeline = &graph.pipelines[name];
        let mut entries = kill_all(store, name, &format!("pipeline was deleted by {}", by.author))?;
        entries.extend(trigger_branches(store, pipeline, &BTreeSet::new())?);
        entries.push(Entry::PipelineDelete { pipeline: name.clone() });
        if data == Data::Goes {
            let ticks: BTreeSet<&RepoName> =
                pipeline.spec.input.crons().into_iter().map(|cron| &cron.ticks.repo).collect();
            let unread = ticks.into_iter().filter(|repo| readers(&graph, name, repo).is_empty());
            entries.extend(unread.chain([&repo]).map(|repo| Entry::RepoDelete { repo: repo.clone() }));
        }
        Ok(store.publish(&Change { entries, graph: Some(graph.number) })?)
    })
}

/// The other pipelines that read a repository.
fn readers(graph: &Graph, name: &PipelineName, repo: &RepoName) -> Vec<PipelineName> {
    let others = graph.pipelines.values().filter(|pipeline| pipeline.name() != name);
    let readers = others.filter(|pipeline| pipeline.input_branches().iter().any(|(read, _)| read == repo));
    readers.map(|pipeline| pipeline.name().clone()).collect()
}

/// The entries that end all open jobs of a pipeline.
fn kill_all(store: &Store, name: &PipelineName, reason: &str) -> Result<Vec<Entry>> {
    let open = store.open_jobs()?.into_iter().filter(|job| job.pipeline == *name);
    open.map(|job| killed(store, &job, reason.to_owned())).collect()
}

/// Stops a pipeline: it gets no jobs until it is started, and its open jobs are killed. Returns their number; `None` if it is already
/// stopped.
pub fn stop_pipeline(store: &Store, name: &PipelineName, by: &Actor) -> Result<Option<u64>> {
    retry_on_conflict(store, || {
        if store.pipeline(name)?.is_stopped() {
            return Ok(None);
        }
        let number = store.graph()?;
        let mut entries = kill_all(store, name, &format!("pipeline was stopped by {}", by.author))?;
        let killed = entries.len() as u64;
        entries.push(Entry::PipelineStop { pipeline: name.clone() });
        store.publish(&Change { entries, graph: Some(number) })?;
        Ok(Some(killed))
    })
}

/// Starts a stopped pipeline: one run on the newest heads catches up. `None` if it is not stopped.
pub fn start_pipeline(store: &Store, name: &PipelineName, by: &Actor) -> Result<Option<RunId>> {
    let run = new_run();
    retry_on_conflict(store, || {
        if !store.pipeline(name)?.is_stopped() {
            return Ok(None);
        }
        let mut graph = Graph::clone(&*Graph::whole(store)?);
        graph.stopped.remove(name);
        let moves = triggers::first_heads(&store.whole(), &graph.pipelines[name], store.clock().now())?;
        let cause = cause(store, CauseKind::Start, by, vec![name.to_string()]);
        let mut entries = vec![Entry::PipelineStart { pipeline: name.clone() }];
        entries.extend(run_entries(store, &graph, run, cause, moves, &BTreeSet::from([name.clone()]))?);
        store.publish(&Change { entries, graph: Some(graph.number) })?;
        Ok(Some(run))
    })
}

/// Runs a pipeline and everything downstream again on the current data. The run's refs name the pipeline, and its newest job's run if there
/// is one.
///
/// With `input`, only the datums that read a path matching it are executed again, and the refs name it as `PIPELINE:GLOB`; `NotFound` if it
/// matches nothing at the current heads.
pub fn rerun(store: &Store, name: &PipelineName, input: Option<&Glob>, by: &Actor) -> Result<RunId> {
    let pipeline = Pipeline::load(store, &store.pipeline(name)?)?;
    let before = store.newest_job(name)?;
    let Some(glob) = input else {
        return again(store, name, name.to_string(), by, CauseKind::Rerun, before.as_ref(), None);
    };
    let mut is_there = false;
    for (repo, branch) in pipeline.input_branches() {
        let head = store.find_branch(&repo, &branch)?.and_then(|row| row.commit);
        let tree = head.map(|head| store.commit(&head)).transpose()?.map_or(Tree::empty(), |head| Tree::at(head.tree));
        is_there = is_there || datums::count_matches(store, tree, glob)? > 0;
    }
    if !is_there {
        let what = format!("no input of pipeline `{name}` has a path that matches `{glob}`");
        let reads: Vec<String> = pipeline
            .input_branches()
            .iter()
            .filter(|(repo, _)| store.sees(repo))
            .map(|(repo, branch)| format!("pv ls {repo}@{branch}"))
            .collect();
        let hint = glob_hint(glob.as_str()).unwrap_or_else(|| reads.join("; "));
        return Err(EngineError::NotFound { what, hint: Some(hint) });
    }
    again(store, name, format!("{name}:{glob}"), by, CauseKind::Rerun, before.as_ref(), None)
}

/// Retries a pipeline's newest job, and everything downstream: a new run that names the old one and uses the newest inputs. `skip_failed`
/// is the reason why it continues without the datums that failed in the old job: in the new job they count as recovered.
///
/// With `input`, both are about the failed datums that read a path matching it, and the refs name it as `PIPELINE:GLOB`: only these are
/// executed again, and the others stay failed; or only these are skipped, and the others are executed again. `NotFound` if there is none.
pub fn retry(
    store: &Store,
    job: &JobRow,
    input: Option<&Glob>,
    by: &Actor,
    skip_failed: Option<&str>,
) -> Result<RunId> {
    find_retry(store, job)?;
    if input.is_some() || skip_failed.is_some() {
        ensure_failed(store, job, input)?;
    }
    let name = &job.pipeline;
    let what = input.map_or_else(|| name.to_string(), |glob| format!("{name}:{glob}"));
    again(store, name, what, by, CauseKind::Retry, Some(job), skip_failed)
}

/// Refuses a retry of failed datums if there is none of them.
fn ensure_failed(store: &Store, job: &JobRow, input: Option<&Glob>) -> Result<()> {
    if !failed_results(store, job, input)?.is_empty() {
        return Ok(());
    }
    let id = format!("{}@{}", job.pipeline, job.run.short(8));
    let Some(glob) = input else {
        let hint = Some(format!("pv job retry {}", job.pipeline));
        return Err(EngineError::Conflict { what: format!("no datum of job `{id}` failed"), hint });
    };
    let what = format!("no failed datum of job `{id}` reads a path that matches `{glob}`");
    let hint = glob_hint(glob.as_str()).unwrap_or_else(|| format!("pv datum list {id} --state failed"));
    Err(EngineError::NotFound { what, hint: Some(hint) })
}

/// Refuses a retry of any but the pipeline's newest job, and of an open one.
pub fn find_retry(store: &Store, job: &JobRow) -> Result<()> {
    let pipeline = &job.pipeline;
    store.pipeline(pipeline)?;
    let id = format!("{pipeline}@{}", job.run.short(8));
    let hint = Some(format!("pv job retry {pipeline}"));
    match store.newest_job(pipeline)? {
        Some(newest) if newest.order != job.order => Err(EngineError::Conflict {
            what: format!("job `{id}` is not the newest of its pipeline: that is `{pipeline}@{}`", newest.run.short(8)),
            hint,
        }),
        Some(newest) if newest.sealed.is_none() => {
            let hint = Some(format!("pv wait {id}"));
            Err(EngineError::Conflict { what: format!("job `{id}` has not ended"), hint })
        }
        _ => Ok(()),
    }
}

fn again(
    store: &Store,
    name: &PipelineName,
    what: String,
    by: &Actor,
    kind: CauseKind,
    before: Option<&JobRow>,
    message: Option<&str>,
) -> Result<RunId> {
    let run = new_run();
    let mut refs = vec![what];
    refs.extend(before.map(|job| format!("@{}", job.run)));
    retry_on_conflict(store, || {
        store.pipeline(name)?;
        let graph = Graph::whole(store)?;
        if graph.stopped.contains(name) {
            return Err(EngineError::PipelineStopped { pipeline: name.clone() });
        }
        let jobs = graph.jobs_after(&store.whole(), &[], &BTreeSet::from([name.clone()]))?;
        if jobs.is_empty() {
            return Err(EngineError::Conflict { what: format!("pipeline `{name}` has no data to run on"), hint: None });
        }
        let cause = Cause { message: message.map(str::to_owned), ..cause(store, kind, by, refs.clone()) };
        let entry = Entry::Run { run, cause, moves: Vec::new(), jobs };
        store.publish(&Change { entries: vec![entry], graph: Some(graph.number) })?;
        Ok(run)
    })
}

/// Stops jobs, those of `engine` in this process and the others in the store: each is killed, and records by whom and `why`. `jobs` are in
/// the order of the data flow. Jobs of `engine` end a little later.
pub fn stop_jobs(store: &Store, engine: Option<&Engine>, jobs: &[JobRow], by: &Actor, why: Option<&str>) -> Result<()> {
    let reason = match why {
        Some(why) => format!("stopped by {}: {why}", by.author),
        None => format!("stopped by {}", by.author),
    };
    // An engine ends its jobs with its own rights.
    let ends = |job: &JobRow| Entry::Job {
        pipeline: job.pipeline.clone(),
        run: job.run,
        state: SealedState::Killed,
        commit: None,
        document: None,
        moved: None,
    };
    store.ensure_may_publish(&Change::of(jobs.iter().map(ends).collect()))?;
    // Downstream jobs first, so that none of them starts when its upstream job ends.
    for job in jobs.iter().rev() {
        let key = JobKey { order: job.order, pipeline: job.pipeline.clone() };
        if !engine.is_some_and(|engine| engine.stop_job(&key, &reason)) {
            stop_job(store, job, &reason)?;
        }
    }
    Ok(())
}

/// Ends a job that no live engine runs, as killed for this reason; false if it has already ended. A running job must be stopped by its
/// engine.
pub fn stop_job(store: &Store, job: &JobRow, reason: &str) -> Result<bool> {
    retry_on_conflict(store, || {
        if store.job(job.order, &job.pipeline)?.is_none_or(|now| now.sealed.is_some()) {
            return Ok(false);
        }
        store.publish(&Change::of(vec![killed(store, job, reason.to_owned())?]))?;
        Ok(true)
    })
}
