//! `pv pipeline stop`

use engine::apply;
use serde_json::json;
use specs::PipelineName;

use crate::author;
use crate::context::Context;
use crate::error::Result;
use crate::output::plural;

/// Stop a pipeline: its jobs are killed, and it gets none until it is started
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Its name
    name: PipelineName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let name = &args.name;
    let open = store.open_jobs()?.iter().filter(|job| job.pipeline == *name).count() as u64;
    let done = if apply::stop_pipeline(store, name, &author::by(cx, None))? {
        let killed = if open == 0 { String::new() } else { format!(", {} killed", plural(open, "job", "jobs")) };
        format!("stopped pipeline `{name}`{killed}; pv pipeline start {name} catches up")
    } else {
        format!("pipeline `{name}` is stopped already")
    };
    cx.done(&done, &json!({ "stopped": name }))
}
