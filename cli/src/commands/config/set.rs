//! `pv config set`

use serde_json::json;

use super::settings::Key;
use crate::context::Context;
use crate::error::Result;

/// Change a setting
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Setting
    key: Key,
    /// New value
    value: String,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let setting = args.key.0;
    cx.store()?.set_setting(setting, Some(&args.value))?;
    let words = format!("{} is now {}; this takes effect {}", setting.name, args.value, setting.counts);
    cx.done(&words, &json!({ "key": setting.name, "value": args.value, "counts": setting.counts }))
}
