//! `pv job retry`

use engine::{apply, queries};
use specs::JobRef;

use crate::author;
use crate::commands::views::caused;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Try a pipeline's newest job again, and all below it: a new run that takes the newest inputs
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The newest job of its pipeline
    #[arg(value_name = "JOB")]
    job: JobRef,
    /// Go on without the datums that failed, on record
    #[arg(long, hide = true)]
    skip_failed: bool,
    /// Why they are skipped
    #[arg(short, value_name = "WHY", hide = true)]
    message: Option<String>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    if args.skip_failed || args.message.is_some() {
        return Err(CliError::not_in_this_version("job retry --skip-failed"));
    }
    let store = cx.store()?;
    let job = queries::find_job(store, &args.job)?;
    let run = apply::retry(store, &job, &author::by(cx, None))?;
    caused(cx, &run)
}
