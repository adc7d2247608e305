//! `pv config get`

use super::settings::{Key, SettingView};
use crate::context::Context;
use crate::error::Result;

/// Print a setting
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Setting
    key: Key,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let view = SettingView::new(cx.store()?, args.key.0)?;
    if cx.out().is_json() { cx.out().json(&view) } else { cx.out().line(view.value()) }
}
