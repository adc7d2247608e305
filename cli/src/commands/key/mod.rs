//! `pv key`

use crate::context::Context;
use crate::error::Result;

mod rotate;
mod show;
mod trust;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Show(show::Args),
    Rotate(rotate::Args),
    Trust(trust::Args),
}

impl Command {
    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::Show(args) => show::run(cx, args),
            Self::Rotate(args) => rotate::run(cx, args),
            Self::Trust(args) => trust::run(cx, args),
        }
    }
}
