//! The jobs that `pv wait` waits for.

use std::collections::BTreeSet;

use engine::live::{JobState, Live};
use engine::{EngineError, Result, Selection};
use repos::{JobRow, Store};
use schemars::JsonSchema;
use serde::Serialize;
use specs::{JobRef, PipelineName, Reference, RunId, RunRef, Target};

use super::view::{JobView, job_view, live_job, newest_of_version};

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

/// Jobs that have ended, or were waited for.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct EndedView {
    /// Whether all of them succeeded.
    pub succeeded: bool,
    /// The jobs.
    pub jobs: Vec<JobView>,
}

/// These jobs as they are now.
pub fn ended_view(store: &Store, jobs: &[JobRow], live: Option<&Live>) -> Result<EndedView> {
    let mut views = Vec::new();
    for job in jobs {
        let now = job_now(store, job)?.unwrap_or_else(|| job.clone());
        views.push(job_view(store, &now, live_job(live, &now).as_ref())?);
    }
    Ok(EndedView { succeeded: views.iter().all(|view| view.state == JobState::Success), jobs: views })
}

/// Which jobs `pv run` brings to their end.
#[derive(Debug, Clone)]
pub struct Selected {
    /// What the engine is asked for.
    pub selection: Selection,
    /// The pipelines whose newest jobs decide success.
    pub names: BTreeSet<PipelineName>,
}

impl Selected {
    /// The jobs of a run.
    pub fn of_run(store: &Store, run: &RunRef) -> Result<Self> {
        let run = store.run(&store.run_by_prefix(&run.0)?)?;
        let names = run.jobs.into_iter().map(|job| job.pipeline).collect();
        Ok(Self { selection: Selection::Run(run.run), names })
    }

    /// The jobs of these pipelines; of all that are not stopped, if none is named.
    ///
    /// `PipelineStopped` if one of them is.
    pub fn of_pipelines(store: &Store, names: BTreeSet<PipelineName>) -> Result<Self> {
        if names.is_empty() {
            // A stopped pipeline does not count: it is stopped on purpose.
            let at_work = store.pipelines()?.into_iter().filter(|(_, row)| !row.is_stopped());
            let names: BTreeSet<PipelineName> = at_work.map(|(name, _)| name).collect();
            // What is not visible is not run either.
            let selection = if store.is_limited() { Selection::Pipelines(names.clone()) } else { Selection::All };
            return Ok(Self { selection, names });
        }
        for name in &names {
            if store.pipeline(name)?.is_stopped() {
                return Err(EngineError::PipelineStopped { pipeline: name.clone() });
            }
        }
        Ok(Self { selection: Selection::Pipelines(names.clone()), names })
    }

    /// The jobs that decide success: those of the run, else the newest of each pipeline.
    pub fn newest(&self, store: &Store) -> Result<Vec<JobRow>> {
        let jobs: Result<Vec<_>> = match &self.selection {
            Selection::Run(run) => return Ok(store.jobs_of_run(store.run(run)?.order)?),
            Selection::All | Selection::Pipelines(_) => {
                self.names.iter().map(|name| newest_of_version(store, name)).collect()
            }
        };
        Ok(jobs?.into_iter().flatten().collect())
    }
}

/// A job as it is now; `None` when it does not exist any more.
pub fn job_now(store: &Store, job: &JobRow) -> Result<Option<JobRow>> {
    Ok(store.job(job.order, &job.pipeline)?)
}
