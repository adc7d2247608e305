//! `pv secret`

use crate::context::Context;
use crate::error::Result;
use crate::invocation::Files;

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
    /// Reads what the command reads from the caller's machine.
    pub(super) fn read_files(&self, files: &Files) {
        if let Self::Create(args) = self {
            args.read_files(files);
        }
    }

    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::Create(args) => create::run(cx, args),
            Self::List(args) => list::run(cx, args),
            Self::Delete(args) => delete::run(cx, args),
        }
    }
}
