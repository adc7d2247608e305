//! `pv pipeline list`

use answers::pipeline::{pipeline_lines, pipelines};

use crate::commands::jobs::live;
use crate::context::Context;
use crate::error::Result;

/// List the pipelines and their states
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let (store, live) = (cx.store()?, live(cx));
    let pipelines = pipelines(store, live)?;
    if pipelines.is_empty() {
        cx.notes().line(cx.none_of("pipelines", "no pipelines yet: pv pipeline apply -f FILE")?);
    }
    cx.list(None, pipeline_lines(store, live, pipelines).map(|line| Ok(line?)))
}
