//! `pv job stop`

use std::time::{Duration, Instant};

use answers::job::{JobRow, SealedState, job_id, job_now, short_job};
use answers::named::{find_job, find_jobs};
use engine::live::EngineEvent;
use engine::{Engine, Phase, apply};
use serde_json::json;
use specs::{ErrorKind, JobRef};
use tokio::sync::broadcast::Receiver;

use crate::author;
use crate::commands::jobs::end_word;
use crate::commands::run::news;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};

/// How long a running job may take to end.
const TO_END: Duration = Duration::from_secs(30);

/// Stop a job: its state becomes killed; finished datums stay in the cache
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Job, or `@RUN` for all jobs of that run that have not ended
    #[arg(value_name = "JOB")]
    job: JobRef,
    /// Reason
    #[arg(short, long, value_name = "WHY")]
    message: Option<String>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let mut jobs = match &args.job {
        run @ JobRef::Run(_) => find_jobs(store, run)?,
        job => vec![find_job(store, job)?],
    };
    let ended: Vec<JobRow> = jobs.extract_if(.., |job| job.sealed.is_some()).collect();
    if jobs.is_empty() {
        let (message, name) = match ended.as_slice() {
            [job] => (format!("job `{}` has already ended", short_job(store, job)?), short_job(store, job)?),
            _ => (format!("no job of run `{}` is open", args.job), args.job.to_string()),
        };
        return Err(CliError::new(ErrorKind::Conflict, message).hint(format!("pv job show {name}")));
    }
    let deadline = Instant::now() + TO_END;
    // Subscribe before stopping, so that no end is missed.
    let feed = cx.engine().map(|engine| engine.live().listen());
    apply::stop_jobs(store, cx.engine(), &jobs, &author::by(cx, None), args.message.as_deref())?;
    if let (Some(engine), Some(feed)) = (cx.engine(), feed) {
        cx.block_on(until_ended(cx, engine, feed, &jobs, deadline))??;
    }
    let said: Vec<Result<()>> = jobs.iter().rev().map(|job| say(cx, store, job)).collect();
    said.into_iter().collect()
}

fn is_open(store: &Store, job: &JobRow) -> Result<bool> {
    Ok(job_now(store, job)?.is_some_and(|now| now.sealed.is_none()))
}

/// Waits until all these jobs have ended, or until the deadline.
async fn until_ended(
    cx: &Context,
    engine: &Engine,
    mut feed: Receiver<EngineEvent>,
    jobs: &[JobRow],
    deadline: Instant,
) -> Result<()> {
    while jobs.iter().map(|job| is_open(engine.store(), job)).collect::<Result<Vec<_>>>()?.contains(&true) {
        if engine.phase() == Phase::Ended {
            // No engine runs them any more: the caller ends them.
            return Err(CliError::OwnerEnds);
        }
        tokio::select! {
            _ = news(&mut feed) => {}
            () = cx.cancel().asked(1) => return Err(CliError::Cancelled),
            () = tokio::time::sleep_until(deadline.into()) => return Ok(()),
        }
    }
    Ok(())
}

/// Reports how a stopped job ended.
fn say(cx: &Context, store: &Store, job: &JobRow) -> Result<()> {
    let name = short_job(store, job)?;
    match job_now(store, job)?.and_then(|now| now.sealed) {
        Some(SealedState::Killed) => {
            cx.done(&format!("stopped {name}"), &json!({ "stopped": job_id(&job.pipeline, &job.run) }))
        }
        Some(state) => {
            let state = end_word(state);
            let error =
                CliError::new(ErrorKind::Conflict, format!("job `{name}` ended before it was stopped: {state}"));
            Err(error.hint(format!("pv job show {name}")))
        }
        None => {
            let error = CliError::new(
                ErrorKind::TimedOut,
                format!("job `{name}` was asked to stop but did not end within {} seconds", TO_END.as_secs()),
            );
            Err(error.hint(format!("pv wait {name}")).done("it ends as soon as its running datums end"))
        }
    }
}
