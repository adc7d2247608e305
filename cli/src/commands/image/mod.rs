//! `pv image`: the images in which pipelines ran, saved in the store's folder.
//!
//! - `list` `save` `load`

mod list;
mod load;
mod save;

use specs::Digest;

use crate::context::Context;
use crate::error::Result;
use crate::output::short_digest;

/// `threat:1   1c9e77ab`
fn words(reference: &str, digest: &Digest) -> String {
    format!("{reference}   {}", short_digest(digest))
}

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
