//! `pv rm`

use std::time::Instant;

use engine::edit::Edit;
use specs::{Glob, Reference};

use super::change::{Message, commit};
use super::matching::literal;
use crate::context::Context;
use crate::error::Result;

/// Remove files, in a new commit; older commits keep them
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Files of one branch; with `-r` also directories
    #[arg(value_name = "REF:/PATH", required = true)]
    references: Vec<Reference>,
    /// Remove directories and everything below them
    #[arg(short, long)]
    recursive: bool,
    /// Remove files whose whole path matches this pipeline glob; REF then needs no path
    #[arg(long = "match", value_name = "GLOB")]
    matching: Option<Glob>,
    #[command(flatten)]
    message: Message,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let edit = Edit::remove(cx.store()?, &args.references, args.recursive, args.matching.clone())?;
    let paths = args.references.iter().map(|reference| reference.path.as_ref()).filter(|_| args.matching.is_none());
    let removed = commit(cx, &edit, &args.message, started);
    removed.map_err(|error| paths.fold(error, literal))
}
