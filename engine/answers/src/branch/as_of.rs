//! The branches of a repository at a moment of the past.

use engine::Result;
use repos::Store;
use specs::RepoName;

use super::{BranchView, view};
use crate::moment::Moment;

/// The branches that a repository had at a moment, by name, also if they or the repository were deleted later; none before it was created.
pub fn branches_as_of(store: &Store, repo: &RepoName, moment: &Moment) -> Result<Vec<BranchView>> {
    if store.repo_then(repo, moment.then())?.is_none() {
        store.repo(repo)?;
    }
    let branches = store.branches_then(repo, moment.then())?;
    branches.iter().map(|(name, row)| view(store, repo, name, row)).collect()
}
