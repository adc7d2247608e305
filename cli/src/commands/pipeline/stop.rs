//! `pv pipeline stop`

use engine::apply;
use serde_json::json;
use specs::PipelineName;

use crate::author;
use crate::context::Context;
use crate::error::Result;
use crate::output::plural;

/// Stop a pipeline: kill its jobs, and create none until it is started
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipeline
    name: PipelineName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let name = &args.name;
    let done = match apply::stop_pipeline(store, name, &author::by(cx, None))? {
        Some(killed) => {
            let killed =
                if killed == 0 { String::new() } else { format!(", {} killed", plural(killed, "job", "jobs")) };
            format!("stopped pipeline `{name}`{killed}; pv pipeline start {name} catches up")
        }
        None => format!("pipeline `{name}` is already stopped"),
    };
    cx.done(&done, &json!({ "stopped": name }))
}
