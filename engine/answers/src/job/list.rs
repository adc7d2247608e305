//! Jobs of the store, of a pipeline or of a run, newest first.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use engine::{EngineError, Result};
use repos::{JobRow, Store, Timestamp};
use specs::{JobRef, PipelineName, RunId};

use crate::named::find_jobs;
use crate::run::rows_from;

/// The jobs of a store, a pipeline or a run since a time, newest first, at most `most`.
pub fn jobs(store: &Store, of: Option<&JobRef>, since: Option<Timestamp>, most: usize) -> Result<Vec<JobRow>> {
    let is_since = |time: Timestamp| since.is_none_or(|since| time >= since);
    let mut jobs = match of {
        None => of_all(store, is_since, most)?,
        Some(JobRef::Newest(pipeline)) => of_pipeline(store, pipeline, is_since, most)?,
        Some(job) => find_jobs(store, job)?,
    };
    jobs.retain(|job| is_since(job.created_at));
    Ok(jobs)
}

/// Rows that are read at a time.
const AT_A_TIME: usize = 64;

/// Jobs, read lazily.
pub type Jobs<'s> = Box<dyn Iterator<Item = Result<JobRow>> + 's>;

/// Like [`jobs`]: those that come after the job of a pipeline in a run; without it, all. What is not taken is not read, and neither is what
/// comes before, but for the other jobs of that run.
pub fn jobs_after<'s>(
    store: &'s Store,
    of: Option<&JobRef>,
    after: Option<(&PipelineName, &RunId)>,
) -> Result<Jobs<'s>> {
    let last =
        after.map(|(pipeline, run)| Ok::<_, EngineError>((store.run(run)?.order, pipeline.clone()))).transpose()?;
    let mut is_before = last.is_some();
    let passed = {
        let last = last.clone();
        move |order: u64, pipeline: &PipelineName| {
            let Some((of_last, named)) = last.as_ref().filter(|_| is_before) else { return false };
            is_before = order == *of_last && pipeline != named;
            order == *of_last
        }
    };
    let from = last.as_ref().map_or(u64::MAX, |(order, _)| *order);
    match of {
        None => Ok(all_from(store, from, passed)),
        Some(JobRef::Newest(pipeline)) => {
            if last.is_none() && store.newest_job(pipeline)?.is_none() {
                store.pipeline(pipeline)?;
            }
            let from = if last.is_some() { from.checked_sub(1) } else { Some(from) };
            Ok(pipelines_from(store, pipeline.clone(), from))
        }
        Some(job) => {
            let mut passed = passed;
            let jobs = find_jobs(store, job)?.into_iter();
            Ok(Box::new(jobs.filter(move |job| !passed(job.order, &job.pipeline)).map(Ok)))
        }
    }
}

/// The jobs of all runs from this order backwards, but for those that were passed.
fn all_from<'s>(store: &'s Store, from: u64, mut passed: impl FnMut(u64, &PipelineName) -> bool + 's) -> Jobs<'s> {
    let mut ready: VecDeque<(u64, PipelineName)> = VecDeque::new();
    let mut runs = rows_from(store, Some(from));
    Box::new(std::iter::from_fn(move || {
        loop {
            if let Some((order, pipeline)) = ready.pop_front() {
                match store.job(order, &pipeline) {
                    Ok(None) => continue,
                    Ok(Some(job)) => return Some(Ok(job)),
                    Err(error) => return Some(Err(error.into())),
                }
            }
            let run = match runs.next()? {
                Ok(run) => run,
                Err(error) => return Some(Err(error)),
            };
            let seeds = run.jobs.into_iter().rev().map(|seed| (run.order, seed.pipeline));
            ready.extend(seeds.filter(|(order, pipeline)| !passed(*order, pipeline)));
        }
    }))
}

/// The jobs of a pipeline from this order backwards, a few at a time.
fn pipelines_from(store: &Store, pipeline: PipelineName, from: Option<u64>) -> Jobs<'_> {
    let (mut from, mut ready) = (from, VecDeque::new());
    Box::new(std::iter::from_fn(move || {
        if ready.is_empty() {
            let read = store.visit_jobs(&pipeline, from.take()?, |job| {
                ready.push_back(job);
                if ready.len() < AT_A_TIME { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            if let Err(error) = read {
                return Some(Err(error.into()));
            }
            from = ready.get(AT_A_TIME - 1).and_then(|last: &JobRow| last.order.checked_sub(1));
        }
        ready.pop_front().map(Ok)
    }))
}

fn of_pipeline(
    store: &Store,
    pipeline: &PipelineName,
    is_since: impl Fn(Timestamp) -> bool,
    most: usize,
) -> Result<Vec<JobRow>> {
    let mut jobs = Vec::new();
    store.visit_jobs(pipeline, u64::MAX, |job| {
        if jobs.len() >= most || !is_since(job.created_at) {
            return ControlFlow::Break(());
        }
        jobs.push(job);
        ControlFlow::Continue(())
    })?;
    if jobs.is_empty() {
        store.pipeline(pipeline)?;
    }
    Ok(jobs)
}

/// The newest run first; within a run in reverse order of the data flow.
fn of_all(store: &Store, is_since: impl Fn(Timestamp) -> bool, most: usize) -> Result<Vec<JobRow>> {
    let mut seeds = Vec::new();
    store.visit_runs(|run| {
        if seeds.len() >= most || !is_since(run.created_at) {
            return ControlFlow::Break(());
        }
        seeds.extend(run.jobs.into_iter().rev().map(|seed| (run.order, seed.pipeline)));
        ControlFlow::Continue(())
    })?;
    let mut jobs = Vec::new();
    for (order, pipeline) in seeds.into_iter().take(most) {
        jobs.extend(store.job(order, &pipeline)?);
    }
    Ok(jobs)
}
