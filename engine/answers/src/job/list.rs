//! Jobs of the store, of a pipeline or of a run, newest first.

use std::ops::ControlFlow;

use engine::Result;
use repos::{JobRow, Store, Timestamp};
use specs::{JobRef, PipelineName};

use crate::named::find_jobs;

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
