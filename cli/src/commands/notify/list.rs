//! `pv notify list`

use notifications::NotificationState;

use super::note_unsent;
use crate::context::Context;
use crate::error::Result;

/// List notifications: what each tells to whom, and whether it arrives
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let views = notifications::list(cx.store()?)?;
    let is_any_active = views.iter().any(|view| view.state == NotificationState::Active);
    cx.list(None, views.into_iter().map(Ok))?;
    cx.out().flush()?;
    if is_any_active {
        note_unsent(cx);
    }
    Ok(())
}
