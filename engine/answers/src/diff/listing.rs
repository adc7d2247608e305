//! Paths that differ as programs see them, one at a time; and the repositories of which two runs made or used other files.

use std::path::PathBuf;

use compare::Detail;
use engine::Result;
use repos::{RepoError, RunRow, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, ErrorKind, FilePath, RepoName, RunId, RunRef};

use super::content::Named;
use super::entries::{Change, Counts, Entry};
use super::sides::Sides;
use crate::file::FileView;

/// A path that differs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DiffView {
    /// Where; the newer place of a renamed file.
    pub path: FilePath,
    /// What became of it.
    pub change: Change,
    /// The file before.
    pub old: Option<FileView>,
    /// The file now.
    pub new: Option<FileView>,
    /// What differs in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// Where the picture of the difference was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<PathBuf>,
}

impl DiffView {
    /// A path that differs, with what is known of its contents.
    pub fn new(entry: Entry, detail: Option<Detail>, picture: Option<PathBuf>) -> Self {
        let view = |named: Option<Named>| named.map(|named| FileView::new(named.path, named.file));
        Self { path: entry.path, change: entry.change, old: view(entry.old), new: view(entry.new), detail, picture }
    }
}

/// A repository of which two runs made or used other files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RepoDiff {
    /// The repository.
    pub repo: RepoName,
    /// The commit of the older run.
    pub old: Option<CommitId>,
    /// The commit of the newer run.
    pub new: Option<CommitId>,
    /// How many files differ.
    #[serde(flatten)]
    pub counts: Counts,
}

/// The two runs that references name.
pub fn two_runs(store: &Store, first: &RunRef, second: &RunRef) -> Result<[RunId; 2]> {
    Ok([store.run_by_prefix(&first.0)?, store.run_by_prefix(&second.0)?])
}

/// The repositories of which two runs made or used other commits, each compared as it is asked for.
pub fn diff_of_runs(store: &Store, [older, newer]: [RunId; 2]) -> Result<impl Iterator<Item = Result<RepoDiff>>> {
    let (older, newer) = (store.run(&older)?, store.run(&newer)?);
    let repos = store.repos()?.into_iter();
    Ok(repos.filter_map(move |(repo, _)| compare(store, repo, &older, &newer).transpose()))
}

fn compare(store: &Store, repo: RepoName, older: &RunRow, newer: &RunRow) -> Result<Option<RepoDiff>> {
    let (old, new) = (commit_of(store, &repo, older)?, commit_of(store, &repo, newer)?);
    if old == new {
        return Ok(None);
    }
    let mut counts = Counts::default();
    for entry in Sides::of_commits(store, old, new)?.entries(store)? {
        counts.add(&entry?);
    }
    Ok(Some(RepoDiff { repo, old, new, counts }))
}

/// The commit that a run made or used; of several branches the store's default one.
fn commit_of(store: &Store, repo: &RepoName, run: &RunRow) -> Result<Option<CommitId>, RepoError> {
    let found = match store.commit_of_run(repo, None, run) {
        Err(RepoError::SeveralCommits { .. }) => store.commit_of_run(repo, Some(&store.default_branch()?), run),
        found => found,
    };
    match found {
        Ok(id) => Ok(Some(id)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
