//! `pv pipeline start`

use engine::apply;
use serde_json::json;
use specs::PipelineName;

use crate::author;
use crate::commands::views::caused;
use crate::context::Context;
use crate::error::Result;

/// Start a stopped pipeline; one run on the newest heads catches up
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipeline
    name: PipelineName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let name = &args.name;
    match apply::start_pipeline(cx.store()?, name, &author::by(cx, None))? {
        Some(run) => caused(cx, &run),
        None => cx.done(&format!("pipeline `{name}` is not stopped"), &json!({ "started": null })),
    }
}
