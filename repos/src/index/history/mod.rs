//! The history index: which commits changed which path, as rows.
//!
//! A commit has at most one parent, so the commits of a store are a forest. The history index knows of each its *number* and its
//! *link*: depth and parent, and a jump further back, so that the ancestor at any depth is found in O(log n) also where branches fork.
//! It keeps a row for every path that a commit changed against its parent, and one for every path that ever had some bytes.
//!
//! From ground to roof:
//! ```text
//! commits  where commits and their files are read from
//! did      what a commit did to a path
//! link     the place of a commit among those before it
//! follow   brings the rows up to the commits that the journal has named; only writers do, in bounded steps, after their own change
//! ```
//! Not here: what is asked of it (`history`), who brings it up and when (`store::histories`).

mod commits;
mod did;
mod follow;
mod link;

pub(crate) use commits::{Commits, parent_tree};
pub use did::Did;
pub(crate) use follow::Step;
pub(crate) use link::{Link, Links, NONE};
