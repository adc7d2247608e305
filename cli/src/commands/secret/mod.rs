//! `pv secret`

use crate::context::Context;
use crate::error::Result;

mod create;
mod delete;
mod list;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Create(create::Args),
    List(list::Args),
    Delete(delete::Args),
}

impl Command {
    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::Create(args) => create::run(cx, args),
            Self::List(args) => list::run(cx, args),
            Self::Delete(args) => delete::run(cx, args),
        }
    }
}
