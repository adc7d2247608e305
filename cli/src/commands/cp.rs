//! `pv cp`

use std::time::Instant;

use repos::files;
use specs::Reference;

use super::change::{Commit, Message, Target, commit};
use super::rm::path_of;
use crate::context::Context;
use crate::error::Result;

/// Copy a file or directory, also from another repository; no bytes are copied
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// What to copy, from any commit
    #[arg(value_name = "REF:/A")]
    from: Reference,
    /// The copy's path itself, on a branch
    #[arg(value_name = "REF:/B")]
    to: Reference,
    #[command(flatten)]
    message: Message,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let store = cx.store()?;
    path_of(&args.from)?;
    let to = path_of(&args.to)?;
    let target = Target::of(store, &args.to)?;
    let from = store.resolve(&args.from)?;
    let new = Commit { target: &target, message: &args.message, expect: None, started, skipped: &[] };
    commit(cx, &new, |base| files::cp(store, &from, &target.repo, base, &to))?;
    Ok(())
}
