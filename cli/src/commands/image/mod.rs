//! `pv image`: the images in which pipelines ran, saved in the store's folder.
//!
//! - `recorded` which images the store's records name, and how the user selects some of them
//! - `list` `save` `load`

mod list;
mod load;
mod recorded;
mod save;

use crate::context::Context;
use crate::error::Result;

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    List(list::Args),
    Save(save::Args),
    Load(load::Args),
}

impl Command {
    /// Whether the command changes nothing.
    pub(super) fn only_reads(&self) -> bool {
        matches!(self, Self::List(_))
    }

    pub(super) fn run(&self, cx: &Context) -> Result<()> {
        match self {
            Self::List(args) => list::run(cx, args),
            Self::Save(args) => save::run(cx, args),
            Self::Load(args) => load::run(cx, args),
        }
    }
}
