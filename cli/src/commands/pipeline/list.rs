//! `pv pipeline list`

use answers::pipeline::pipelines;

use crate::commands::jobs::live;
use crate::context::Context;
use crate::error::Result;

/// List the pipelines and their states
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let lines = pipelines(cx.store()?, live(cx))?;
    if lines.is_empty() {
        cx.notes().line(cx.none_of("pipelines", "no pipelines yet: pv pipeline apply -f FILE")?);
    }
    cx.list(None, lines.into_iter().map(Ok))
}
