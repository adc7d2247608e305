//! `pv cp`

use std::time::Instant;

use repos::files;
use specs::{FilePath, Glob, Reference};

use super::change::{Commit, Message, Target, commit};
use super::matching::literal;
use super::rm::path_of;
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
    let store = cx.store()?;
    let target = Target::of(store, &args.to)?;
    let new = Commit { target: &target, message: &args.message, expect: None, started, skipped: &[] };
    if let Some(glob) = &args.matching {
        let from = store.resolve(&args.from)?;
        let to = args.to.path.clone().unwrap_or_else(FilePath::root);
        commit(cx, &new, |base| files::cp_matching(store, &from, glob, &target.repo, base, &to))?;
        return Ok(());
    }
    path_of(&args.from)?;
    let to = path_of(&args.to)?;
    let from = store.resolve(&args.from)?;
    let copied = commit(cx, &new, |base| files::cp(store, &from, &target.repo, base, &to));
    copied.map_err(|error| literal(error, args.from.path.as_ref()))?;
    Ok(())
}
