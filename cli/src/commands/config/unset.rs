//! `pv config unset`

use engine::changes;
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
    let key = args.key.0.key;
    changes::set_setting(cx.store()?, key, None)?;
    if cx.out().is_json() { cx.out().json(&json!({ "key": key, "value": null })) } else { Ok(()) }
}
