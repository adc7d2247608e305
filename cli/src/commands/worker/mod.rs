//! `pv worker`: machines that execute datums for a server.
//!
//! - `join` works for a server
//! - `place` a worker's folder on its machine
//! - `list` the workers of a server
//!
//! Not here: the agent in a sandbox, which executors also start as `pv worker` (`sandbox::agent`), and what worker and engine say to each
//! other (`sandbox::remote`).

mod join;
mod list;
mod place;

use crate::context::Context;
use crate::error::Result;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Join(Box<join::Args>),
    List(list::Args),
}

impl Command {
    /// Whether it works until it is stopped, on the machine where it is called.
    pub(crate) fn is_join(&self) -> bool {
        matches!(self, Self::Join(_))
    }

    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::Join(args) => join::run(cx, args),
            Self::List(args) => list::run(cx, args),
        }
    }
}
