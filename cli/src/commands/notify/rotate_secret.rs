//! `pv notify rotate-secret`

use specs::NotificationName;

use crate::context::Context;
use crate::error::Result;

/// Give a webhook a new secret, printed once; for 24 hours messages are signed with both
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Notification
    name: NotificationName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let rotated = notifications::rotate_secret(cx.store()?, &args.name)?;
    if cx.out().is_json() {
        return cx.out().json(&rotated);
    }
    let until = rotated.view.old_secret_until.map_or_else(String::new, |at| cx.human().local(at));
    cx.notes().line(format!("messages of `{}` are signed with the old secret too until {until}", args.name));
    cx.notes().line("keep the new secret: it is not shown again");
    if let Some(secret) = &rotated.secret {
        cx.out().line(secret)?;
    }
    Ok(())
}
