//! `pv rm`

use std::time::Instant;

use repos::files;
use specs::{FilePath, Reference};

use super::change::{Commit, Message, Target, commit};
use crate::context::Context;
use crate::error::{CliError, Result};

/// Remove files in a new commit; older commits keep them
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Files, and with `-r` directories, of one branch
    #[arg(value_name = "REF:/PATH", required = true)]
    references: Vec<Reference>,
    /// Also directories, with all below them
    #[arg(short, long)]
    recursive: bool,
    #[command(flatten)]
    message: Message,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let store = cx.store()?;
    let [first, others @ ..] = args.references.as_slice() else {
        return Err(CliError::usage("nothing to remove", "pv rm REF:/PATH"));
    };
    if let Some(other) = others.iter().find(|other| other.repo != first.repo || other.revision != first.revision) {
        let message = format!("`{first}` and `{other}` are on two branches, and one commit is on one");
        return Err(CliError::usage(message, "remove them one after the other"));
    }
    let paths: Vec<FilePath> = args.references.iter().map(path_of).collect::<Result<_>>()?;
    let target = Target::of(store, first)?;
    let new = Commit { target: &target, message: &args.message, expect: None, started, skipped: &[] };
    commit(cx, &new, |base| files::rm(store, base, &target.place(), &paths, args.recursive))?;
    Ok(())
}

/// The path of a reference that must have one.
pub(super) fn path_of(reference: &Reference) -> Result<FilePath> {
    let message = || format!("`{reference}` names no path");
    reference.path.clone().ok_or_else(|| CliError::usage(message(), format!("write {reference}:/PATH")))
}
