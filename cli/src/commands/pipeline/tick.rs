//! `pv pipeline tick`

use engine::time;
use specs::PipelineName;

use crate::author;
use crate::commands::views::caused;
use crate::context::Context;
use crate::error::Result;

/// Trigger the cron inputs of a pipeline now
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipeline
    name: PipelineName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let run = time::tick(cx.store()?, &args.name, &author::by(cx, None))?;
    caused(cx, &run)
}
