//! `pv cp`

use std::time::Instant;

use engine::edit::Edit;
use specs::{Glob, Reference};

use super::change::{Message, commit};
use super::matching::literal;
use crate::context::Context;
use crate::error::Result;

/// Copy a file or directory, also between repositories; copies no bytes
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// File or directory to copy, from any commit
    #[arg(value_name = "REF:/A")]
    from: Reference,
    /// Path of the copy, on a branch
    #[arg(value_name = "REF:/B")]
    to: Reference,
    /// Copy everything below A whose whole path matches this pipeline glob to the same place below B
    #[arg(long = "match", value_name = "GLOB")]
    matching: Option<Glob>,
    #[command(flatten)]
    message: Message,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let edit = Edit::copy(cx.store()?, &args.from, &args.to, args.matching.clone())?;
    let path = args.from.path.as_ref().filter(|_| args.matching.is_none());
    commit(cx, &edit, &args.message, started).map_err(|error| literal(error, path))
}
