//! `pv pipeline rerun`

use engine::apply;
use specs::{Glob, PipelineName};

use crate::author;
use crate::commands::views::caused;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Execute all of a pipeline again, whatever the cache holds, and what follows from it below
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Its name
    name: PipelineName,
    /// Only the datums that read these files
    #[arg(long, value_name = "GLOB", hide = true)]
    input: Option<Glob>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    if args.input.is_some() {
        return Err(CliError::not_in_this_version("rerun --input"));
    }
    let run = apply::rerun(cx.store()?, &args.name, &author::by(cx, None))?;
    caused(cx, &run)
}
