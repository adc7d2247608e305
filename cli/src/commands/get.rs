//! `pv get`

use std::path::{Path, PathBuf};

use answers::named::{Files, find_files};
use repos::Store;
use repos::files::{self, GetOptions, Got};
use repos::store::Resolved;
use repos::tree::Tree;
use serde::Serialize;
use specs::{CommitId, Glob, Reference, RepoName, Revision, Source};

use super::matching::literal;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{count, plural, size};

/// Download files to this machine
///
/// A file is written to DEST/NAME, the contents of a directory to DEST/. Existing files with different content are replaced only with
/// --force. SRC may also be the code of a pipeline version (`detect@v3`), or the id of a datum, a result, a code tree or a file's content.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// What to download
    #[arg(value_name = "REF[:/PATH]|ID")]
    source: Source,
    /// Target folder; created if missing
    #[arg(default_value = ".")]
    dest: PathBuf,
    /// Download only files that the commit added or modified
    #[arg(long)]
    changed: bool,
    /// With `--changed`: compare with this revision instead of the parent
    #[arg(long, value_name = "REV", requires = "changed")]
    since: Option<Revision>,
    /// Download only files whose whole path matches this pipeline glob; a matching directory includes its files
    #[arg(long = "match", value_name = "GLOB")]
    matching: Option<Glob>,
    /// Overwrite files with different content; also replace a directory by a file, or a file by a directory
    #[arg(long)]
    force: bool,
}

/// What was brought.
#[derive(Serialize)]
struct GetView<'a> {
    /// `null` for files that no commit was asked for.
    repo: Option<&'a RepoName>,
    commit: Option<CommitId>,
    dest: &'a Path,
    files: u64,
    written: u64,
    size_bytes: u64,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let from = find_files(store, &args.source)?;
    let dest = cx.path(&args.dest);
    let progress = cx.progress("get");
    let update = |files, bytes| progress.update(files, bytes, 0);
    let got = get(store, &from, args, &dest, &update)
        .map_err(|error| literal(error, args.source.path().filter(|_| args.matching.is_none())))?;
    drop(progress);
    if cx.out().is_json() {
        let (repo, commit) = match &from {
            Files::Commit(at) => (Some(&at.commit.repo), Some(at.id)),
            _ => (None, None),
        };
        let (files, written, size_bytes) = (got.files, got.written, got.size_bytes);
        return cx.out().json(&GetView { repo, commit, dest: &dest, files, written, size_bytes });
    }
    let files = plural(got.files, "file", "files");
    let there = got.files - got.written;
    let there = if there == 0 { String::new() } else { format!(", {} unchanged", count(there)) };
    if got.removed > 0 {
        let gone = plural(got.removed, "file", "files");
        cx.notes().line(format!("removed {gone} in directories that were replaced by files"));
    }
    cx.notes().line(format!("{files} · {} → {}{there}", size(got.size_bytes), args.dest.display()));
    Ok(())
}

fn get(store: &Store, from: &Files, args: &Args, dest: &Path, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Got> {
    let mut options = GetOptions { since: None, matching: args.matching.as_ref(), force: args.force, progress };
    let is_plain = !args.changed && args.matching.is_none();
    Ok(match from {
        Files::Commit(at) => {
            options.since = if args.changed { Some(older(store, at, args.since.as_ref())?) } else { None };
            files::get(store, at, dest, options)?
        }
        _ if !is_plain => {
            let message = format!("--changed and --match are for commits, and `{}` is not a commit", args.source);
            return Err(CliError::usage(message, format!("pv get {} {}", args.source, args.dest.display())));
        }
        Files::Tree { tree, path, place } => {
            files::kind_at(store, *tree, place, path)?;
            files::get_below(store, *tree, path, dest, options)?
        }
        Files::One { file, name } => files::get_one(store, name, *file, dest, options)?,
    })
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
