//! `pv commit`

use crate::context::Context;
use crate::error::Result;

mod delete;
mod prune;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Delete(delete::Args),
    Prune(prune::Args),
}

impl Command {
    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::Delete(args) => delete::run(cx, args),
            Self::Prune(args) => prune::run(cx, args),
        }
    }
}
