//! `pv watch pause` and `pv watch resume`

use ::watch::standing;
use answers::watch::Wish;
use serde_json::json;
use specs::WatchName;

use crate::context::Context;
use crate::error::Result;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Watch
    name: WatchName,
}

pub(super) fn run(cx: &Context, args: &Args, wish: Wish) -> Result<()> {
    let name = &args.name;
    let is_changed = standing::set(cx.store()?, name, wish)?;
    let (done, already) = match wish {
        Wish::Pause => ("is paused", "was paused already"),
        Wish::Resume => ("goes on", "was not paused"),
    };
    cx.done(
        &format!("watch `{name}` {}", if is_changed { done } else { already }),
        &json!({ "watch": name, "wish": wish }),
    )
}
