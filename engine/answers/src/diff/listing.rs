//! Paths that differ, one at a time; and the repositories in which two runs made or used different files.

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
    /// The path; for a renamed file, the new one.
    pub path: FilePath,
    /// How it changed.
    pub change: Change,
    /// The old file.
    pub old: Option<FileView>,
    /// The new file.
    pub new: Option<FileView>,
    /// What differs in its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// Where the difference image was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<PathBuf>,
}

impl DiffView {
    /// A path that differs, with the difference in content if known.
    pub fn new(entry: Entry, detail: Option<Detail>, picture: Option<PathBuf>) -> Self {
        let view = |named: Option<Named>| named.map(|named| FileView::new(named.path, named.file));
        Self { path: entry.path, change: entry.change, old: view(entry.old), new: view(entry.new), detail, picture }
    }
}

/// A repository in which two runs made or used different files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RepoDiff {
    /// The repository.
    pub repo: RepoName,
    /// The commit of the older run.
    pub old: Option<CommitId>,
    /// The commit of the newer run.
    pub new: Option<CommitId>,
    /// The number of files that differ.
    #[serde(flatten)]
    pub counts: Counts,
}

/// The two runs that references name.
pub fn two_runs(store: &Store, first: &RunRef, second: &RunRef) -> Result<[RunId; 2]> {
    Ok([store.run_by_prefix(&first.0)?, store.run_by_prefix(&second.0)?])
}

/// A repository, and its commits in an older and a newer run.
pub type RunCommits = (RepoName, Option<CommitId>, Option<CommitId>);

/// The repositories in which two runs made or used different commits, compared lazily.
pub fn diff_of_runs(store: &Store, [older, newer]: [RunId; 2]) -> Result<impl Iterator<Item = Result<RepoDiff>>> {
    let (older, newer) = (store.run(&older)?, store.run(&newer)?);
    let repos = store.repos()?.into_iter();
    Ok(repos.filter_map(move |(repo, _)| compare(store, repo, &older, &newer).transpose()))
}

/// The repositories in which two runs made or used different commits, with these; files are not compared.
pub fn commits_of_runs(store: &Store, [older, newer]: [RunId; 2]) -> Result<Vec<RunCommits>> {
    let (older, newer) = (store.run(&older)?, store.run(&newer)?);
    let mut found = Vec::new();
    for (repo, _) in store.repos()? {
        let (old, new) = (commit_of(store, &repo, &older)?, commit_of(store, &repo, &newer)?);
        if old != new {
            found.push((repo, old, new));
        }
    }
    Ok(found)
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

/// The commit that a run made or used; if there are several branches, that of the default branch.
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
