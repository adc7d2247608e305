//! Datums: what one execution of user code sees, computed from globs and trees.
//!
//! - `shape`: a spec's input with numbered leaves
//! - `matches`: which paths of a commit a glob matches, and which of these changed between two commits
//! - `datum`, `key`: a datum's matches, and its key in the datums map
//! - `list`: many datums in little memory
//! - `view`: all datums of an input at one moment, or those with certain keys
//! - `difference`: the datums that a change touches
//! - `members`: the rows that tell which paths have a key of a join or group
//! - `readers`: the datums that read a file, found from its path
//! - `reads`: whether a datum read a file
//!
//! An input is a tree; each kind of node defines its datums from those of its inputs, and which of them a change touches:
//!
//! | node | datums | touched |
//! |---|---|---|
//! | pfs, cron | the matches | changed matches |
//! | cross | every combination | combinations with a touched datum |
//! | union | those of all inputs | those of all inputs |
//! | join | every combination for each key; without a partner only with `outer_join` | differences among the touched keys |
//! | group | one for each key | differences among the touched keys |
//!
//! A datum of a join that has no partner is kept only if all its leaves have `outer_join`.
//!
//! The work is proportional to the change; only an input of a join or group that is itself a join or group is processed completely if
//! something in it changed. Only packed lists grow with the number of datums.
//! Not here: what a datum executes (`recipe`), whether it must be executed (`plan`).

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

/// The datums map of an output commit.
pub type DatumMap = Map<Vec<u8>>;

/// The result in a value of the datums map.
pub fn result_in(value: &[u8]) -> Option<Digest> {
    <[u8; 32]>::try_from(value).ok().map(Digest::from_bytes)
}

/// Number of paths in a commit that a glob matches.
pub fn count_matches(store: &Store, tree: Tree, glob: &specs::Glob) -> Result<u64, RepoError> {
    let mut count = 0;
    matches::visit_matches(store, tree, glob, &mut |_, _| {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// All datums of an input whose leaves have these trees.
pub(crate) fn all(store: &Store, shape: &Shape, trees: Vec<Tree>) -> Result<DatumList, RepoError> {
    let members = members::Members { base: DatumMap::empty(), changes: None };
    let mut list = DatumList::default();
    view::View { store, shape, trees, members }.all(&shape.root, &mut |datum| {
        list.push(&datum);
        Ok(())
    })?;
    Ok(list)
}
