//! `pv notify deliveries`

use specs::NotificationName;

use crate::context::Context;
use crate::error::Result;
use crate::output::Window;

/// List the messages of a notification, newest first: what became of each, and why
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Notification
    name: NotificationName,
    #[command(flatten)]
    window: Window,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let deliveries = notifications::deliveries(cx.store()?, &args.name)?;
    let start = args.window.start(cx);
    let since = deliveries.into_iter().filter(|one| start.is_none_or(|start| one.queued_at >= start));
    cx.list(args.window.limit(cx), since.map(Ok))
}
