//! `pv rm`

use std::time::Instant;

use repos::files::{self, Edits};
use repos::tree::Tree;
use repos::{RepoError, Store};
use specs::{FilePath, Glob, Reference};

use super::change::{Commit, Message, Target, commit};
use super::matching::literal;
use crate::context::Context;
use crate::error::{CliError, Result};

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
    let store = cx.store()?;
    let [first, others @ ..] = args.references.as_slice() else {
        return Err(CliError::usage("nothing to remove", "pv rm REF:/PATH"));
    };
    if let Some(other) = others.iter().find(|other| other.repo != first.repo || other.revision != first.revision) {
        let message = format!("`{first}` and `{other}` are on different branches; one commit changes one branch");
        return Err(CliError::usage(message, "remove them with one command each"));
    }
    let target = Target::of(store, first)?;
    if let Some(glob) = &args.matching {
        let new = Commit { target: &target, message: &args.message, expect: None, started, skipped: &[] };
        let below: Vec<FilePath> =
            args.references.iter().map(|reference| reference.path.clone().unwrap_or_else(FilePath::root)).collect();
        commit(cx, &new, |base| rm_matching(store, base, &target.place(), &below, glob, args.recursive))?;
        return Ok(());
    }
    let paths: Vec<FilePath> = args.references.iter().map(path_of).collect::<Result<_>>()?;
    let new = Commit { target: &target, message: &args.message, expect: None, started, skipped: &[] };
    let removed = commit(cx, &new, |base| files::rm(store, base, &target.place(), &paths, args.recursive));
    removed.map_err(|error| paths.iter().fold(error, |error, path| literal(error, Some(path))))?;
    Ok(())
}

fn rm_matching(
    store: &Store,
    base: Tree,
    place: &str,
    below: &[FilePath],
    glob: &Glob,
    recursive: bool,
) -> std::result::Result<Edits, RepoError> {
    let mut edits = Edits::default();
    for path in below {
        edits.files.extend(files::rm_matching(store, base, place, path, glob, recursive)?.files);
    }
    Ok(edits)
}

/// The path of a reference that must have one.
pub(super) fn path_of(reference: &Reference) -> Result<FilePath> {
    let message = || format!("`{reference}` has no path");
    reference.path.clone().ok_or_else(|| CliError::usage(message(), format!("write {reference}:/PATH")))
}
