//! `pv pipeline tick`

use engine::time;
use specs::PipelineName;

use crate::author;
use crate::commands::views::caused;
use crate::context::Context;
use crate::error::Result;

/// Have the clocks of a pipeline tick now, whatever their schedules say
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Its name
    name: PipelineName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let run = time::tick(cx.store()?, &args.name, &author::by(cx, None))?;
    caused(cx, &run)
}
