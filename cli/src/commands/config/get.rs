//! `pv config get`

use answers::setting::setting_view;

use super::settings::Key;
use crate::context::Context;
use crate::error::Result;

/// Print a setting
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Setting
    key: Key,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let view = setting_view(cx.store()?, args.key.0)?;
    if cx.out().is_json() { cx.out().json(&view) } else { cx.out().line(view.value.as_deref().unwrap_or_default()) }
}
