//! `pv job list`

use answers::job::{job_view, jobs};
use specs::JobRef;

use crate::commands::jobs::live_job;
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
    let (store, window) = (cx.store()?, &args.window);
    // One more than is shown, to detect that there are more.
    let most = window.limit(cx).map_or(usize::MAX, |limit| limit.saturating_add(1));
    let jobs = jobs(store, args.of.as_ref(), window.start(cx), most)?;
    cx.list(window.limit(cx), jobs.iter().map(|job| Ok(job_view(store, job, live_job(cx, job).as_ref())?)))
}
