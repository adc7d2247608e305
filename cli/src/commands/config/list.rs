//! `pv config list`

use answers::setting::settings;

use crate::context::Context;
use crate::error::Result;

/// List all settings and where each value comes from
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    cx.list(None, settings(cx.store()?).map(|setting| Ok(setting?)))
}
