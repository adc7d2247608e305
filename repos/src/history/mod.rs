//! Histories: which commits changed which path, looked up instead of walked.
//!
//! - `changes` what differs between two trees, and what a commit changed
//! - `path`    the changes of one path, or of all below it, newest first
//! - `holders` which paths have or had some bytes, or a name
//!
//! The history index may lag behind and may have holes: commits that came since it was last brought up, and such whose files, or whose
//! parent's, could not be read (damaged, pruned). Those are *walked*: compared with their parent when somebody asks. So every answer is
//! the same with the index and without.
//! Not here: the rows (`index::history`), how trees are compared (`tree`).

mod changes;
mod holders;
mod path;

pub use crate::index::history::Did;
pub use changes::{Changes, FileChange, changes_of, diff, parent_tree};
pub use holders::{Held, What, held};
pub use path::{PathHistory, introduced};
