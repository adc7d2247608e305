//! `pv job list`

use std::ops::ControlFlow;

use answers::named::find_jobs;
use repos::{JobRow, Store};
use specs::{JobRef, PipelineName};

use crate::commands::jobs::JobLine;
use crate::context::Context;
use crate::error::Result;
use crate::output::Window;

/// List jobs, newest first
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// List only jobs of this pipeline or run
    #[arg(value_name = "PIPELINE|@RUN")]
    of: Option<JobRef>,
    #[command(flatten)]
    window: Window,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    // One more than is shown: so it is known that there are more.
    let most = args.window.limit(cx).map_or(usize::MAX, |limit| limit.saturating_add(1));
    let mut jobs = match &args.of {
        None => of_all(cx, store, &args.window, most)?,
        Some(JobRef::Newest(pipeline)) => of_pipeline(cx, store, pipeline, &args.window, most)?,
        Some(job) => find_jobs(store, job)?,
    };
    jobs.retain(|job| args.window.includes(cx, job.created_at));
    cx.list(args.window.limit(cx), jobs.iter().map(|job| JobLine::new(cx, job)))
}

fn of_pipeline(
    cx: &Context,
    store: &Store,
    pipeline: &PipelineName,
    window: &Window,
    most: usize,
) -> Result<Vec<JobRow>> {
    let mut jobs = Vec::new();
    store.visit_jobs(pipeline, u64::MAX, |job| {
        if jobs.len() >= most || !window.includes(cx, job.created_at) {
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

/// The newest run first; within it the jobs in the order in which data flows, the last one first.
fn of_all(cx: &Context, store: &Store, window: &Window, most: usize) -> Result<Vec<JobRow>> {
    let mut seeds = Vec::new();
    store.visit_runs(|run| {
        if seeds.len() >= most || !window.includes(cx, run.created_at) {
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
