//! `pv config unset`

use serde_json::json;

use super::settings::Key;
use crate::context::Context;
use crate::error::Result;

/// Give a setting its default again
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Its name
    key: Key,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let setting = args.key.0;
    cx.store()?.set_setting(setting, None)?;
    let words = format!("{} has its default again; that counts {}", setting.name, setting.counts);
    cx.done(&words, &json!({ "key": setting.name, "value": null, "counts": setting.counts }))
}
