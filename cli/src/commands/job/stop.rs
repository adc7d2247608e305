//! `pv job stop`

use engine::live::JobKey;
use engine::{apply, queries};
use serde_json::json;
use specs::{ErrorKind, JobRef};

use crate::author;
use crate::commands::jobs::short_job;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Stop a job: it ends as killed, and what it finished stays in the cache
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The job
    #[arg(value_name = "JOB")]
    job: JobRef,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let job = queries::find_job(store, &args.job)?;
    let name = short_job(store, &job)?;
    if job.sealed.is_some() {
        let error = CliError::new(ErrorKind::Conflict, format!("job `{name}` has already ended"));
        return Err(error.hint(format!("pv job show {name}")));
    }
    let by = author::by(cx, None);
    let key = JobKey { order: job.order, pipeline: job.pipeline.clone() };
    let is_running = cx.engine().is_some_and(|engine| engine.stop_job(&key, &format!("stopped by {}", by.author)));
    if !is_running {
        apply::stop_job(store, &job, &by)?;
    }
    let id = queries::job_id(&job.pipeline, &job.run);
    cx.done(&format!("stopped {name}"), &json!({ "stopped": id }))
}
