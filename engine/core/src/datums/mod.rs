//! Datums: what one execution of user code sees, worked out from globs and trees.
//!
//! - `shape`      a spec's input with its leaves numbered
//! - `matches`    which paths of a commit a glob matches, and which of these changed between two commits
//! - `datum`, `key` a datum's arms, and its place in the map of datums
//! - `list`       many datums in little memory
//! - `view`       all datums of an input at one moment, or those that have some keys
//! - `difference` the datums that a change touches
//! - `members`    the rows that tell which paths have a key of a join or group
//! - `readers`    the datums that read a file, found from its path
//! - `reads`      whether a datum read a file
//!
//! An input is a tree; each kind of node says what its datums are, given those of its arms, and what of them a change touches:
//!
//! | node | datums | touched |
//! |---|---|---|
//! | pfs, cron | the matches | changed matches |
//! | cross | every combination | combinations with a touched datum |
//! | union | those of all arms | those of all arms |
//! | join | of each key every combination; without a partner only `outer_join` | what differs among the touched keys |
//! | group | one of each key | what differs among the touched keys |
//!
//! Work is proportional to what changed; only an arm of a join or group that is itself a join or group is gone through in full when
//! something in it changed. Nothing but packed lists grows with the number of datums.
//! Not here: what a datum executes (`recipe`), whether it has to (`plan`).

mod datum;
mod difference;
mod key;
mod list;
mod matches;
mod members;
mod readers;
mod reads;
mod shape;
#[cfg(test)]
mod tests;
mod view;

use repos::tree::{Map, Tree};
use repos::{RepoError, Store};
use specs::Digest;

pub(crate) use datum::Datum;
pub use datum::InputMatch;
pub(crate) use difference::{Difference, KeyedChanges};
pub use key::{DatumKey, prefix};
pub use list::{DatumList, IntoIter};
pub(crate) use matches::files_of;
pub use matches::reads;
pub use matches::{Match, match_at};
pub(crate) use members::MemberRows;
pub use readers::ReadBy;
pub use shape::Shape;

/// The map of datums of an output commit.
pub type DatumMap = Map<Vec<u8>>;

/// The result in a value of the map of datums.
pub fn result_in(value: &[u8]) -> Option<Digest> {
    <[u8; 32]>::try_from(value).ok().map(Digest::from_bytes)
}

/// How many paths of a commit a glob matches.
pub fn count_matches(store: &Store, tree: Tree, glob: &specs::Glob) -> Result<u64, RepoError> {
    let mut count = 0;
    matches::visit_matches(store, tree, glob, &mut |_, _| {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// All datums of an input, whose leaves have these trees.
pub(crate) fn all(store: &Store, shape: &Shape, trees: Vec<Tree>) -> Result<DatumList, RepoError> {
    let members = members::Members { base: DatumMap::empty(), changes: None };
    let mut list = DatumList::default();
    view::View { store, shape, trees, members }.all(&shape.root, &mut |datum| {
        list.push(&datum);
        Ok(())
    })?;
    Ok(list)
}
