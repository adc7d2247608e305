//! `pv config`
//!
//! - `settings` one setting with its value
//!
//! Not here: the list of settings (`repos::settings`).

use crate::context::Context;
use crate::error::Result;

mod get;
mod list;
mod set;
mod settings;
mod unset;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    List(list::Args),
    Get(get::Args),
    Set(set::Args),
    Unset(unset::Args),
}

impl Command {
    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::List(args) => list::run(cx, args),
            Self::Get(args) => get::run(cx, args),
            Self::Set(args) => set::run(cx, args),
            Self::Unset(args) => unset::run(cx, args),
        }
    }
}
