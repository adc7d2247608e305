//! The history index: which commits changed which path, as rows.
//!
//! A commit has at most one parent, so the commits of a store are a forest. The history index knows of each its *number* and its
//! *link*: depth and parent, and a jump further back, so that the ancestor at any depth is found in O(log n) also where branches fork.
//! It keeps a row for every path that a commit changed against its parent, and one for every path that ever had some bytes.
//!
//! From ground to roof:
//! ```text
//! did     what a commit did to a path
//! link    the place of a commit among those before it
//! follow  brings the rows up to the commits that the journal has named; only writers do, in bounded steps, after their own change
//! ```
//! Not here: what is asked of it (`history`), who brings it up and when (`store::histories`).

use specs::CommitId;

use super::rows::CommitRow;
use crate::base::error::{RepoError, Result};
use crate::documents::Commit;
use crate::tree::{NodeStore, Tree};

mod did;
mod follow;
mod link;

pub use did::Did;
pub(crate) use follow::Step;
pub(crate) use link::{Link, Links, NONE};

/// Where commits and their files are read from.
pub(crate) trait Commits: NodeStore<Error = RepoError> {
    /// The document of a commit.
    fn commit(&self, id: &CommitId) -> Result<Commit>;
    /// What the index knows of a commit; `None` for one that the journal never named.
    fn commit_row(&self, id: &CommitId) -> Result<Option<CommitRow>>;
}

/// The files that a commit started from; none for a first commit.
pub(crate) fn parent_tree(commits: &impl Commits, commit: &Commit) -> Result<Tree> {
    match commit.parents.first() {
        Some(parent) => Ok(Tree::at(commits.commit(parent)?.tree)),
        None => Ok(Tree::empty()),
    }
}
