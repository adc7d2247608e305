//! `pv job retry`

use answers::queries;
use engine::apply;
use specs::JobRef;

use crate::author;
use crate::commands::views::caused;
use crate::context::Context;
use crate::error::Result;

/// Try a pipeline's newest job again, and all below it: a new run that takes the newest inputs
///
/// With `--skip-failed` the datums that failed are not executed again: in the new job they are `recovered`, with who decided it and why.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The newest job of its pipeline
    #[arg(value_name = "JOB")]
    job: JobRef,
    /// Go on without the datums that failed, on record
    #[arg(long, requires = "message")]
    skip_failed: bool,
    /// Why they are skipped
    #[arg(short, long, value_name = "WHY", requires = "skip_failed")]
    message: Option<String>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let job = queries::find_job(store, &args.job)?;
    let run = apply::retry(store, &job, &author::by(cx, None), args.message.as_deref())?;
    caused(cx, &run)
}
