//! `pv job stop`

use engine::live::JobKey;
use engine::{apply, queries};
use repos::JobRow;
use serde_json::json;
use specs::{ErrorKind, JobRef};

use crate::author;
use crate::commands::jobs::short_job;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Stop a job, or all jobs of a run: they end as killed, and what they finished stays in the cache
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The job, or a run
    #[arg(value_name = "JOB|@RUN")]
    job: JobRef,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let mut jobs = queries::find_jobs(store, &args.job)?;
    let ended = jobs.iter().filter(|job| job.sealed.is_some()).count();
    if ended == jobs.len() {
        return Err(has_ended(cx, &jobs)?);
    }
    jobs.retain(|job| job.sealed.is_none());
    // Those that wait come first: the end of another would make them unrunnable.
    jobs.sort_by_key(|job| {
        cx.engine().is_some_and(|engine| engine.live().job(&key_of(job)).is_some_and(|live| live.started_at.is_some()))
    });
    for job in &jobs {
        let name = short_job(store, job)?;
        stop(cx, job)?;
        let id = queries::job_id(&job.pipeline, &job.run);
        cx.done(&format!("stopped {name}"), &json!({ "stopped": id }))?;
    }
    Ok(())
}

fn key_of(job: &JobRow) -> JobKey {
    JobKey { order: job.order, pipeline: job.pipeline.clone() }
}

fn stop(cx: &Context, job: &JobRow) -> Result<()> {
    let by = author::by(cx, None);
    let why = format!("stopped by {}", by.author);
    let is_running = cx.engine().is_some_and(|engine| engine.stop_job(&key_of(job), &why));
    if is_running { Ok(()) } else { Ok(apply::stop_job(cx.store()?, job, &by)?) }
}

fn has_ended(cx: &Context, jobs: &[JobRow]) -> Result<CliError> {
    let store = cx.store()?;
    Ok(match jobs {
        [job] => {
            let name = short_job(store, job)?;
            let error = CliError::new(ErrorKind::Conflict, format!("job `{name}` has already ended"));
            error.hint(format!("pv job show {name}"))
        }
        _ => CliError::new(ErrorKind::Conflict, "all jobs of the run have already ended").hint("pv job list shows all"),
    })
}
