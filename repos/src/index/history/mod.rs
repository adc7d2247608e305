//! The history index: which commits changed which path, as rows.
//!
//! A commit has at most one parent, so the commits of a store form a forest. The history index stores for each commit its *number* and its
//! *link*: depth, parent, and a jump further back, so the ancestor at any depth is found in O(log n), even where branches fork. It has a
//! row for every path that a commit changed relative to its parent, and one for every path that ever had a given content.
//!
//! From ground to roof:
//! ```text
//! commits  the source of commits and their files
//! did      what a commit did to a path
//! link     the position of a commit among its ancestors
//! follow   brings the rows up to the commits that the journal has named; only writers do this, in bounded steps, after their own change
//! ```
//! Not here: queries (`history`), and who brings the rows up to date when (`store::histories`).

mod commits;
mod did;
mod follow;
mod link;

pub(crate) use commits::{Commits, parent_tree};
pub use did::Did;
pub(crate) use follow::Batch;
pub(crate) use link::{Link, Links, NONE};
