//! `pv worker`: machines that execute datums for a server.
//!
//! - `join` works for a server
//! - `place` a worker's folder on its machine
//! - `list` the workers of a server
//! - `pod` works for the engine that created this pod
//!
//! Not here: the agent in a sandbox, which executors also start as `pv worker` (`sandbox::agent`), and what worker and engine say to each
//! other (`sandbox::remote`).

mod join;
mod list;
mod place;
mod pod;

use crate::context::Context;
use crate::error::Result;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Join(Box<join::Args>),
    List(list::Args),
    /// Execute datums for the engine that created this pod
    #[command(hide = true)]
    Pod,
}

impl Command {
    /// Whether it works until it is stopped, on the machine where it is called.
    pub(crate) fn is_join(&self) -> bool {
        matches!(self, Self::Join(_) | Self::Pod)
    }

    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::Join(args) => join::run(cx, args),
            Self::List(args) => list::run(cx, args),
            Self::Pod => pod::run(cx),
        }
    }
}
