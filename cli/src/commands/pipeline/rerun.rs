//! `pv pipeline rerun`

use engine::apply;
use specs::{Glob, PipelineName};

use crate::author;
use crate::commands::views::caused;
use crate::context::Context;
use crate::error::Result;

/// Execute all of a pipeline again, whatever the cache holds, and what follows from it below
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Its name
    name: PipelineName,
    /// Only the datums that read these files; the others are kept
    #[arg(long, value_name = "GLOB")]
    input: Option<Glob>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let run = apply::rerun(cx.store()?, &args.name, args.input.as_ref(), &author::by(cx, None))?;
    caused(cx, &run)
}
