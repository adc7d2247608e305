//! `pv datum`

use crate::context::Context;
use crate::error::Result;

mod list;
mod show;

pub(super) use show::show_one;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    List(list::Args),
    Show(show::Args),
}

impl Command {
    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::List(args) => list::run(cx, args),
            Self::Show(args) => show::run(cx, args),
        }
    }
}
