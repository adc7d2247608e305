//! `pv job`

use crate::context::Context;
use crate::error::Result;

mod list;
mod retry;
mod show;
mod stop;

pub(super) use show::show_one;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    List(list::Args),
    Show(show::Args),
    Retry(retry::Args),
    Stop(stop::Args),
}

impl Command {
    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::List(args) => list::run(cx, args),
            Self::Show(args) => show::run(cx, args),
            Self::Retry(args) => retry::run(cx, args),
            Self::Stop(args) => stop::run(cx, args),
        }
    }
}
