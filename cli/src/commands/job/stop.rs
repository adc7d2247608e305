//! `pv job stop`

use engine::live::JobKey;
use engine::{apply, queries};
use repos::{JobRow, Store};
use serde_json::json;
use specs::{ErrorKind, JobRef};

use crate::author;
use crate::commands::jobs::short_job;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Stop a job: it ends as killed, and what it finished stays in the cache
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The job, or with `@RUN` all jobs of that run that have not ended
    #[arg(value_name = "JOB")]
    job: JobRef,
    /// Why
    #[arg(short, long, value_name = "WHY")]
    message: Option<String>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let author = author::by(cx, None).author;
    let reason = match &args.message {
        Some(why) => format!("stopped by {author}: {why}"),
        None => format!("stopped by {author}"),
    };
    let mut jobs = match &args.job {
        run @ JobRef::Run(_) => queries::find_jobs(store, run)?,
        job => vec![queries::find_job(store, job)?],
    };
    let ended: Vec<JobRow> = jobs.extract_if(.., |job| job.sealed.is_some()).collect();
    if jobs.is_empty() {
        let (message, name) = match ended.as_slice() {
            [job] => (format!("job `{}` has already ended", short_job(store, job)?), short_job(store, job)?),
            _ => (format!("no job of run `{}` is open", args.job), args.job.to_string()),
        };
        return Err(CliError::new(ErrorKind::Conflict, message).hint(format!("pv job show {name}")));
    }
    // Downstream jobs first: none of them starts because one above it has ended.
    jobs.iter().rev().try_for_each(|job| stop(cx, store, job, &reason))
}

fn stop(cx: &Context, store: &Store, job: &JobRow, reason: &str) -> Result<()> {
    let key = JobKey { order: job.order, pipeline: job.pipeline.clone() };
    if !cx.engine().is_some_and(|engine| engine.stop_job(&key, reason)) {
        apply::stop_job(store, job, reason)?;
    }
    let id = queries::job_id(&job.pipeline, &job.run);
    cx.done(&format!("stopped {}", short_job(store, job)?), &json!({ "stopped": id }))
}
