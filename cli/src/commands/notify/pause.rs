//! `pv notify pause`

use serde_json::json;
use specs::NotificationName;

use crate::context::Context;
use crate::error::Result;

/// Pause a notification: what happens meanwhile is told when it is resumed
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Notification
    name: NotificationName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let name = notifications::pause(cx.store()?, &args.name)?.name;
    cx.done(&format!("notification `{name}` is paused; pv notify resume {name} goes on"), &json!({ "paused": name }))
}
