//! `pv config unset`

use engine::changes;

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
    changes::set_setting(cx.store()?, args.key.0.key, None)?;
    Ok(())
}
