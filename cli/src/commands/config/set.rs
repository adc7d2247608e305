//! `pv config set`

use engine::changes;
use serde_json::json;

use super::settings::Key;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Change a setting
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Its name
    key: Key,
    /// Its new value
    value: String,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let setting = args.key.0;
    if !(setting.is_legal)(&args.value) {
        let message = format!("`{}` is no value for `{}`", args.value.escape_debug(), setting.key);
        return Err(CliError::usage(message, format!("it is {}", setting.what)));
    }
    changes::set_setting(cx.store()?, setting.key, Some(&args.value))?;
    let words = format!("{} is {} now; it counts {}", setting.key, args.value, setting.counts);
    cx.done(&words, &json!({ "key": setting.key, "value": args.value, "counts": setting.counts }))
}
