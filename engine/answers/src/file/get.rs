//! Copies files to a local folder.

use std::path::{Path, PathBuf};

use engine::{EngineError, Result};
use repos::Store;
use repos::files::{self, GetItem, GetOptions, Got};
use repos::store::Resolved;
use repos::tree::Tree;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, Glob, Reference, RepoName, Revision, Source};

use crate::named::{Files, find_files};

/// What a download copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetView {
    /// `null` for files that were not requested from a commit.
    pub repo: Option<RepoName>,
    /// `null` for files that were not requested from a commit.
    pub commit: Option<CommitId>,
    /// The folder that holds them now.
    pub dest: PathBuf,
    /// Number of files requested.
    pub files: u64,
    /// How many were written; the others existed with the same bytes.
    pub written: u64,
    /// Bytes of all requested files.
    pub size_bytes: u64,
    /// Number of files removed because a file replaced their directory.
    #[serde(skip)]
    pub removed: u64,
}

/// What to copy from a source.
#[derive(Clone, Copy)]
pub struct Download<'a> {
    /// Only files that are new or changed since `since`, or since the parent commit.
    pub changed: bool,
    /// The revision to compare with; `None` for the parent commit.
    pub since: Option<&'a Revision>,
    /// Only files that match.
    pub matching: Option<&'a Glob>,
    /// Overwrites existing files with other bytes.
    pub force: bool,
    /// Called with the files and bytes done so far, from several threads.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// Copies the files of a source to `dest`; errors call it `shown`.
pub fn download(
    store: &Store,
    source: &Source,
    (dest, shown): (&Path, &Path),
    wanted: Download<'_>,
) -> Result<GetView> {
    let from = find_files(store, source)?;
    let got = get(store, &from, source, (dest, shown), wanted)?;
    Ok(view(&from, dest, got))
}

/// Like [`download`], for another machine: `bring` writes the files there, and returns what it did.
pub fn download_elsewhere<E: From<EngineError>>(
    store: &Store,
    source: &Source,
    shown: &Path,
    wanted: Download<'_>,
    bring: impl FnOnce(Vec<GetItem>) -> Result<Got, E>,
) -> Result<GetView, E> {
    let from = find_files(store, source)?;
    let got = bring(items(store, &from, source, shown, wanted)?)?;
    Ok(view(&from, shown, got))
}

fn items(store: &Store, from: &Files, source: &Source, shown: &Path, wanted: Download<'_>) -> Result<Vec<GetItem>> {
    let options = options(store, from, source, shown, wanted)?;
    let items: Vec<GetItem> = match from {
        Files::Commit(at) => files::get_items(store, at, &options)?.collect::<Result<_, _>>()?,
        Files::Tree { tree, path, place } => {
            files::kind_at(store, *tree, place, path)?;
            files::items_below(store, *tree, path)?.collect::<Result<_, _>>()?
        }
        Files::One { file, name } => vec![GetItem { path: name.clone(), file: *file }],
    };
    Ok(items)
}

fn view(from: &Files, dest: &Path, got: Got) -> GetView {
    let (repo, commit) = match from {
        Files::Commit(at) => (Some(at.commit.repo.clone()), Some(at.id)),
        _ => (None, None),
    };
    let Got { files, size_bytes, written, removed } = got;
    GetView { repo, commit, dest: dest.to_owned(), files, written, size_bytes, removed }
}

/// How to get files. `Usage` for options that do not apply to them.
fn options<'a>(
    store: &Store,
    from: &Files,
    source: &Source,
    shown: &Path,
    wanted: Download<'a>,
) -> Result<GetOptions<'a>> {
    let Download { changed, since, matching, force, progress } = wanted;
    let mut options = GetOptions { since: None, matching, force, progress };
    match from {
        Files::Commit(at) => options.since = if changed { Some(older(store, at, since)?) } else { None },
        _ if changed || matching.is_some() => {
            let what = format!("--changed and --match are for commits, and `{source}` is not a commit");
            return Err(EngineError::Usage { what, hint: Some(format!("pv get {source} {}", shown.display())) });
        }
        Files::Tree { .. } | Files::One { .. } => {}
    }
    Ok(options)
}

fn get(
    store: &Store,
    from: &Files,
    source: &Source,
    (dest, shown): (&Path, &Path),
    wanted: Download<'_>,
) -> Result<Got> {
    let options = options(store, from, source, shown, wanted)?;
    Ok(match from {
        Files::Commit(at) => files::get(store, at, dest, options)?,
        Files::Tree { tree, path, place } => {
            files::kind_at(store, *tree, place, path)?;
            files::get_below(store, *tree, path, dest, options)?
        }
        Files::One { file, name } => files::get_one(store, name, *file, dest, options)?,
    })
}

/// The files to compare a commit's with: those of `since`, else of its parent.
pub fn older(store: &Store, newer: &Resolved, since: Option<&Revision>) -> Result<Tree> {
    Ok(match since {
        Some(revision) => {
            let repo = newer.commit.repo.clone();
            store.resolve(&Reference { repo, revision: Some(revision.clone()), path: None })?.tree()
        }
        None => files::parent_tree(store, &newer.commit)?,
    })
}
