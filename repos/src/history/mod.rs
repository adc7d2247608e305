//! Histories: which commits changed which path, looked up instead of walked.
//!
//! A commit has at most one parent, so the commits of a store are a forest. The history index knows of each its *number* and its
//! *link*: depth and parent, and a jump further back, so that the ancestor at any depth is found in O(log n) also where branches fork.
//! It keeps a row for every path that a commit changed against its parent, and one for every path that ever had some bytes.
//!
//! - `link`   the place of a commit among those before it
//! - `follow` brings the index up to the commits that the journal has named; only writers do, in bounded steps, after their own change
//! - `path`   the changes of one path, or of all below it, newest first
//! - `holders` which paths have or had some bytes, or a name
//!
//! The index may lag behind and may have holes: commits that came since it was last brought up, and such whose files, or whose
//! parent's, could not be read (damaged, pruned). Those are *walked*: compared with their parent when somebody asks. So every answer is
//! the same with the index and without.
//! Not here: what differs between two trees (`tree`).

mod follow;
mod holders;
mod link;
mod path;

pub use holders::{Held, What, held};
pub use path::{Did, PathHistory, introduced};

pub(crate) use follow::Step;
pub(crate) use link::Links;
