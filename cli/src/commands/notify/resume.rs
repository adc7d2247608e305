//! `pv notify resume`

use serde_json::json;
use specs::NotificationName;
use specs::words::plural;

use super::note_unsent;
use crate::context::Context;
use crate::error::Result;

/// Resume a notification that was paused, or whose target had ended it
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Notification
    name: NotificationName,
    /// Do not tell what happened meanwhile
    #[arg(long)]
    skip: bool,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let view = notifications::resume(cx.store()?, &args.name, args.skip)?;
    let name = &view.name;
    let behind = if view.behind == 0 {
        String::new()
    } else {
        format!("; {} to look at", plural(view.behind, "record", "records"))
    };
    cx.done(&format!("notification `{name}` goes on{behind}"), &json!({ "resumed": name, "behind": view.behind }))?;
    if !cx.out().is_json() {
        note_unsent(cx);
    }
    Ok(())
}
