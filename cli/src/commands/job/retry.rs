//! `pv job retry`

use answers::named::find_job;
use engine::apply;
use specs::{Glob, JobRef};

use crate::author;
use crate::commands::views::caused;
use crate::context::Context;
use crate::error::Result;

/// Retry the newest job of a pipeline, and all downstream jobs
///
/// This starts a new run on the newest inputs.
///
/// With `--skip-failed`, failed datums are not executed again. The new job records them as `recovered`, with who decided it and why.
///
/// With `--input`, only failed datums that read these files are executed again, and the others stay failed. With both, only these are
/// skipped, and the others are executed again.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Newest job of its pipeline
    #[arg(value_name = "JOB")]
    job: JobRef,
    /// Retry, or skip, only failed datums that read these files
    #[arg(long, value_name = "GLOB")]
    input: Option<Glob>,
    /// Continue without the failed datums, and record that
    #[arg(long, requires = "message")]
    skip_failed: bool,
    /// Reason for skipping them
    #[arg(short, long, value_name = "WHY", requires = "skip_failed")]
    message: Option<String>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let job = find_job(store, &args.job)?;
    let run = apply::retry(store, &job, args.input.as_ref(), &author::by(cx, None), args.message.as_deref())?;
    caused(cx, &run)
}
