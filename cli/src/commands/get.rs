//! `pv get`

use std::path::{Path, PathBuf};

use repos::Store;
use repos::files::{self, GetOptions};
use repos::store::Resolved;
use repos::tree::Tree;
use serde::Serialize;
use specs::{CommitId, Reference, RepoName, Revision};

use crate::context::Context;
use crate::error::Result;
use crate::output::{count, plural, size};

/// Bring files back to this machine
///
/// A file lands as DEST/name, a directory's contents under DEST/. Files with other bytes are only replaced with --force.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// What to bring
    #[arg(value_name = "REF[:/PATH]")]
    reference: Reference,
    /// Where to; made if it is missing
    #[arg(default_value = ".")]
    dest: PathBuf,
    /// Only what the commit added or modified
    #[arg(long)]
    changed: bool,
    /// With `--changed`: since this revision, instead of the commit before
    #[arg(long, value_name = "REV", requires = "changed")]
    since: Option<Revision>,
    /// Replace files with other bytes; also a directory where a file is to be, with all that is in it, and the reverse
    #[arg(long)]
    force: bool,
}

/// What was brought.
#[derive(Serialize)]
struct GetView<'a> {
    repo: &'a RepoName,
    commit: CommitId,
    dest: &'a Path,
    files: u64,
    written: u64,
    size_bytes: u64,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let from = store.resolve(&args.reference)?;
    let since = if args.changed { Some(older(store, &from, args.since.as_ref())?) } else { None };
    let dest = cx.path(&args.dest);
    let progress = cx.progress("get");
    let update = |files, bytes| progress.update(files, bytes, 0);
    let got = files::get(store, &from, &dest, GetOptions { since, matching: None, force: args.force, progress: &update })?;
    drop(progress);
    if cx.out().is_json() {
        let (repo, commit) = (&from.commit.repo, from.id);
        let (files, written, size_bytes) = (got.files, got.written, got.size_bytes);
        return cx.out().json(&GetView { repo, commit, dest: &dest, files, written, size_bytes });
    }
    let files = plural(got.files, "file", "files");
    let there = got.files - got.written;
    let there = if there == 0 { String::new() } else { format!(", {} were there", count(there)) };
    if got.removed > 0 {
        let gone = plural(got.removed, "file", "files");
        cx.notes().line(format!("removed {gone} in directories that files took the place of"));
    }
    cx.notes().line(format!("{files} · {} → {}{there}", size(got.size_bytes), args.dest.display()));
    Ok(())
}

/// The files that a commit's are compared with: those of `since`, else of the commit before.
pub(super) fn older(store: &Store, newer: &Resolved, since: Option<&Revision>) -> Result<Tree> {
    Ok(match since {
        Some(revision) => {
            let repo = newer.commit.repo.clone();
            store.resolve(&Reference { repo, revision: Some(revision.clone()), path: None })?.tree()
        }
        None => files::parent_tree(store, &newer.commit)?,
    })
}
