//! `pv notify delete`

use serde_json::json;
use specs::NotificationName;
use specs::words::plural;

use crate::context::Context;
use crate::error::Result;

/// Delete a notification with the list of its deliveries
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Notification
    name: NotificationName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let (store, name) = (cx.store()?, &args.name);
    let view = notifications::show(store, name)?;
    let waiting = if view.waiting == 0 {
        String::new()
    } else {
        format!("; {} will not be sent", plural(view.waiting, "message that waits", "messages that wait"))
    };
    let goes = format!("notification `{name}` to {} will be deleted{waiting}", view.to);
    cx.confirm(&goes, &format!("notification `{name}` was not deleted"))?;
    notifications::delete(store, name)?;
    cx.done(&format!("notification `{name}` is deleted"), &json!({ "deleted": name }))
}
