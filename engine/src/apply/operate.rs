//! What people do to pipelines and jobs that are there.

use std::collections::BTreeSet;

use repos::journal::{Cause, CauseKind, Entry};
use repos::{Change, JobRow, Store};
use specs::{PipelineName, RunId};

use super::publish::killed;
use crate::changes::{By, cause, new_run, until_first};
use crate::error::{EngineError, Result};
use crate::execution::failed_results;
use crate::graph::Graph;

/// Deletes a pipeline that no other reads. Its open jobs are killed; its output repository stays, as a user's.
pub fn delete_pipeline(store: &Store, name: &PipelineName, by: &By) -> Result<()> {
    until_first(store, || {
        store.pipeline(name)?;
        let graph = Graph::load(store)?;
        let repo = name.output_repo();
        let readers = graph.pipelines.values().filter(|pipeline| pipeline.name() != name);
        let readers = readers.filter(|pipeline| pipeline.input_branches().iter().any(|(read, _)| *read == repo));
        let readers: Vec<String> =
            readers.map(|pipeline| format!("pipeline `{}` reads its output", pipeline.name())).collect();
        if !readers.is_empty() {
            return Err(EngineError::InUse { what: format!("pipeline `{name}`"), by: readers.join(", ") });
        }
        let open = store.open_jobs()?.into_iter().filter(|job| job.pipeline == *name);
        let reason = format!("pipeline was deleted by {}", by.author);
        let mut entries: Vec<Entry> = open.map(|job| killed(store, &job, reason.clone())).collect::<Result<_>>()?;
        entries.push(Entry::PipelineDelete { pipeline: name.clone() });
        Ok(store.publish(&Change { entries, graph: Some(graph.number) })?)
    })
}

/// Runs a pipeline and all below it again on the data that there is. Its refs name the pipeline, and its newest job's run if any.
pub fn rerun(store: &Store, name: &PipelineName, by: &By) -> Result<RunId> {
    store.pipeline(name)?;
    let before = store.newest_job(name)?;
    again(store, name, by, CauseKind::Rerun, before.as_ref(), None)
}

/// Tries a pipeline's newest job again, and all below it: a new run that names the old one and takes the newest inputs. `skip_failed`
/// says why it goes on without the datums that failed in the old job: in that one job they are recovered.
pub fn retry(store: &Store, job: &JobRow, by: &By, skip_failed: Option<&str>) -> Result<RunId> {
    find_retry(store, job)?;
    if skip_failed.is_some() && failed_results(store, job)?.is_empty() {
        let id = format!("{}@{}", job.pipeline, job.run.short(8));
        let hint = Some(format!("pv job retry {}", job.pipeline));
        return Err(EngineError::Conflict { what: format!("no datum of job `{id}` failed"), hint });
    }
    again(store, &job.pipeline, by, CauseKind::Retry, Some(job), skip_failed)
}

/// Refuses a retry of any but the pipeline's newest job, and of one that has not ended.
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
    by: &By,
    kind: CauseKind,
    before: Option<&JobRow>,
    message: Option<&str>,
) -> Result<RunId> {
    let run = new_run();
    let mut refs = vec![name.to_string()];
    refs.extend(before.map(|job| format!("@{}", job.run)));
    until_first(store, || {
        let graph = Graph::load(store)?;
        let jobs = graph.jobs_after(store, &[], &BTreeSet::from([name.clone()]))?;
        if jobs.is_empty() {
            return Err(EngineError::Conflict { what: format!("pipeline `{name}` has no data to run on"), hint: None });
        }
        let cause = Cause { message: message.map(str::to_owned), ..cause(store, kind, by, refs.clone()) };
        let entry = Entry::Run { run, cause, moves: Vec::new(), jobs };
        store.publish(&Change { entries: vec![entry], graph: Some(graph.number) })?;
        Ok(run)
    })
}

/// Ends a job that no living engine runs, as killed for this reason. A running one is the engine's to stop.
pub fn stop_job(store: &Store, job: &JobRow, reason: &str) -> Result<()> {
    until_first(store, || Ok(store.publish(&Change::of(vec![killed(store, job, reason.to_owned())?]))?))
}
