//! `pv notify show`

use specs::NotificationName;

use super::note_unsent;
use super::print::details;
use crate::context::Context;
use crate::error::Result;

/// Show a notification: what it tells to whom, what waits, and why
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Notification
    name: NotificationName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let view = notifications::show(cx.store()?, &args.name)?;
    if cx.out().is_json() {
        return cx.out().json(&view);
    }
    let lines = details(&view, &cx.human());
    cx.table(&[], lines.into_iter().map(Vec::from).collect())?;
    cx.out().flush()?;
    note_unsent(cx);
    Ok(())
}
