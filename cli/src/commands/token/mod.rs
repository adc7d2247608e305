//! `pv token`

use crate::context::Context;
use crate::error::Result;

mod create;
mod list;
mod revoke;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Create(create::Args),
    List(list::Args),
    Revoke(revoke::Args),
}

impl Command {
    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::Create(args) => create::run(cx, args),
            Self::List(args) => list::run(cx, args),
            Self::Revoke(args) => revoke::run(cx, args),
        }
    }
}
