//! `pv branch`

use crate::context::Context;
use crate::error::Result;

mod create;
mod delete;
mod list;
mod log;
#[path = "move.rs"]
mod moving;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Create(create::Args),
    List(list::Args),
    Log(log::Args),
    Move(moving::Args),
    Delete(delete::Args),
}

impl Command {
    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::Create(args) => create::run(cx, args),
            Self::List(args) => list::run(cx, args),
            Self::Log(args) => log::run(cx, args),
            Self::Move(args) => moving::run(cx, args),
            Self::Delete(args) => delete::run(cx, args),
        }
    }
}
