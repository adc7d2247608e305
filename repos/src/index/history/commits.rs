//! The source of commits and their files.

use specs::CommitId;

use crate::base::error::{RepoError, Result};
use crate::documents::Commit;
use crate::index::rows::CommitRow;
use crate::tree::{NodeStore, Tree};

/// The source of commits and their files.
pub(crate) trait Commits: NodeStore<Error = RepoError> {
    /// The document of a commit.
    fn commit(&self, id: &CommitId) -> Result<Commit>;
    /// What the index knows of a commit; `None` if the journal never named it.
    fn commit_row(&self, id: &CommitId) -> Result<Option<CommitRow>>;
}

/// The files of a commit's parent; empty for a first commit.
pub(crate) fn parent_tree(commits: &impl Commits, commit: &Commit) -> Result<Tree> {
    match commit.parents.first() {
        Some(parent) => Ok(Tree::at(commits.commit(parent)?.tree)),
        None => Ok(Tree::empty()),
    }
}
