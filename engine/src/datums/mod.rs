//! Datums: what one execution of user code sees, worked out from globs and trees.
//!
//! - `matches` which paths of a commit a glob matches, and which of these changed between two commits
//! - `key`     a datum's place in the map of datums: which path of which input
//! - `combine` datums from the matches of all inputs: all of them, or only those that a change touches
//!
//! Work is proportional to what changed. Not here: what a datum executes (`recipe`), whether it has to (`plan`).

mod combine;
mod key;
mod matches;

pub use combine::{Arm, Datums, all, touched};
pub use key::DatumKey;
pub(crate) use key::prefix;
pub use matches::{ChangedMatch, Match, changed_matches, match_at, matches};
pub(crate) use matches::{files_of, reads};
