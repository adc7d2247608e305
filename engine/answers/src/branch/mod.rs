//! Branches, and how they moved.
//!
//! - `moves` the moves of a branch: when, by whom, and why
//! - `as_of` branches at a moment of the past

mod as_of;
mod moves;

use std::cmp::Reverse;

use engine::Result;
use repos::{BranchRow, Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, RepoName};

pub use as_of::branches_as_of;
pub use moves::{BranchMoveView, MoveKind, branch_moves};

/// A branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BranchView {
    /// The repository.
    pub repo: RepoName,
    /// Its name.
    pub name: BranchName,
    /// Its head; `null` without a commit.
    pub commit: Option<CommitId>,
    /// The message of the head.
    pub message: String,
    /// When the head was committed; without one, when the branch was created.
    pub created_at: Option<Timestamp>,
    /// A unique short form of the commit's id.
    #[serde(skip)]
    pub short: Option<String>,
}

/// The branches of a repository, by name.
pub fn branches(store: &Store, repo: &RepoName) -> Result<Vec<BranchView>> {
    store.repo(repo)?;
    store.branches(repo)?.iter().map(|(name, row)| view(store, repo, name, row)).collect()
}

/// One branch.
pub fn branch_view(store: &Store, repo: &RepoName, name: &BranchName) -> Result<BranchView> {
    view(store, repo, name, &store.branch(repo, name)?)
}

/// The branches of a repository, the newest first.
pub fn newest_branches(store: &Store, repo: &RepoName) -> Result<Vec<BranchView>> {
    let mut views = branches(store, repo)?;
    views.sort_by_key(|view| Reverse(view.created_at));
    Ok(views)
}

fn view(store: &Store, repo: &RepoName, name: &BranchName, row: &BranchRow) -> Result<BranchView> {
    let commit = row.commit.map(|id| store.commit(&id)).transpose()?;
    Ok(BranchView {
        repo: repo.clone(),
        name: name.clone(),
        commit: row.commit,
        created_at: Some(commit.as_ref().map_or(row.moved_at, |commit| commit.created_at)),
        message: commit.map(|commit| commit.message).unwrap_or_default(),
        short: row.commit.map(|id| store.short_commit(&id)).transpose()?,
    })
}
