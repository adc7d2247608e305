//! Copies files to a local folder.

use std::path::{Path, PathBuf};

use engine::{EngineError, Result};
use repos::Store;
use repos::files::{self, GetOptions, Got};
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
    let (repo, commit) = match &from {
        Files::Commit(at) => (Some(at.commit.repo.clone()), Some(at.id)),
        _ => (None, None),
    };
    let Got { files, size_bytes, written, removed } = got;
    Ok(GetView { repo, commit, dest: dest.to_owned(), files, written, size_bytes, removed })
}

fn get(
    store: &Store,
    from: &Files,
    source: &Source,
    (dest, shown): (&Path, &Path),
    wanted: Download<'_>,
) -> Result<Got> {
    let Download { changed, since, matching, force, progress } = wanted;
    let mut options = GetOptions { since: None, matching, force, progress };
    let is_plain = !changed && matching.is_none();
    Ok(match from {
        Files::Commit(at) => {
            options.since = if changed { Some(older(store, at, since)?) } else { None };
            files::get(store, at, dest, options)?
        }
        _ if !is_plain => {
            let what = format!("--changed and --match are for commits, and `{source}` is not a commit");
            return Err(EngineError::Usage { what, hint: Some(format!("pv get {source} {}", shown.display())) });
        }
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
