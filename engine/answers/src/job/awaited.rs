//! The jobs that `pv wait` waits for.

use std::collections::BTreeSet;

use engine::Result;
use repos::{JobRow, Store};
use specs::{JobRef, PipelineName, Reference, RunId, Target};

use crate::named::{find_job, is_pipelines, not_a_reference};

/// Jobs of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    run: RunId,
    /// `None` for all of the run.
    pipelines: Option<BTreeSet<PipelineName>>,
}

/// The jobs that a word means: those of a run, of the run that made a commit, or one of a pipeline.
pub fn awaited(store: &Store, target: &Target) -> Result<Awaited> {
    let all = |run: RunId| Awaited { run, pipelines: None };
    let of_commit = |reference: &Reference| Ok(all(store.resolve(reference)?.commit.run));
    match target {
        Target::Run(run) => Ok(all(store.run_by_prefix(&run.0)?)),
        Target::File(reference) => of_commit(reference),
        Target::Word(word) => match word.parse::<JobRef>() {
            Ok(job @ (JobRef::Newest(_) | JobRef::InRun { .. })) if is_pipelines(store, &job)? => {
                let job = find_job(store, &job)?;
                Ok(Awaited { run: job.run, pipelines: Some(BTreeSet::from([job.pipeline])) })
            }
            _ => of_commit(&word.parse().map_err(|error| not_a_reference(&error))?),
        },
    }
}

/// The current state of these jobs.
pub fn awaited_jobs(store: &Store, awaited: &Awaited) -> Result<Vec<JobRow>> {
    let mut jobs = store.jobs_of_run(store.run(&awaited.run)?.order)?;
    jobs.retain(|job| awaited.pipelines.as_ref().is_none_or(|names| names.contains(&job.pipeline)));
    Ok(jobs)
}

/// A job as it is now; `None` when it does not exist any more.
pub fn job_now(store: &Store, job: &JobRow) -> Result<Option<JobRow>> {
    Ok(store.job(job.order, &job.pipeline)?)
}
