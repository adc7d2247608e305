//! Histories: which commits changed which path, by lookup instead of a walk.
//!
//! - `changes`: what differs between two trees, and what a commit changed
//! - `path`: the changes of one path, or of everything below it, newest first
//! - `holders`: which paths have or had some content, or a name
//!
//! The history index may lag behind and may have gaps: commits newer than its last update, and commits whose own or whose parent's files
//! could not be read (damaged, pruned). These are *walked*: compared with their parent on demand. So every answer is the same with and
//! without the index.
//! Not here: the rows (`index::history`), how trees are compared (`tree`).

mod changes;
mod holders;
mod path;

pub use crate::index::history::Did;
pub use changes::{Changes, FileChange, changes_of, diff, parent_tree};
pub use holders::{Held, What, held};
pub use path::{PathHistory, introduced};
