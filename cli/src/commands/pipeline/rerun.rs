//! `pv pipeline rerun`

use engine::apply;
use specs::{Glob, PipelineName};

use crate::author;
use crate::commands::views::caused;
use crate::context::Context;
use crate::error::Result;

/// Run all datums of a pipeline again without the cache, then all downstream jobs
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipeline
    name: PipelineName,
    /// Run only datums that read these files; keep the results of others
    #[arg(long, value_name = "GLOB")]
    input: Option<Glob>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let run = apply::rerun(cx.store()?, &args.name, args.input.as_ref(), &author::by(cx, None))?;
    caused(cx, &run)
}
