//! `pv config list`

use repos::settings;

use super::settings::SettingView;
use crate::context::Context;
use crate::error::Result;

/// List all settings and where each value comes from
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let store = cx.store()?;
    cx.list(None, settings::ALL.iter().map(|setting| SettingView::new(store, setting)))
}
