//! `pv config unset`

use serde_json::json;

use super::settings::Key;
use crate::context::Context;
use crate::error::Result;

/// Reset a setting to its default
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Setting
    key: Key,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let setting = args.key.0;
    cx.store()?.set_setting(setting, None)?;
    let words = format!("{} has its default value again; this takes effect {}", setting.name, setting.counts);
    cx.done(&words, &json!({ "key": setting.name, "value": null, "counts": setting.counts }))
}
