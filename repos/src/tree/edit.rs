//! Edits a map: copies the old one in key order and inserts the changes on the way.
//!
//! A whole old subtree is reused unread if the new map begins a node at the same key on every level of the subtree. Where a node ends
//! depends on its content, so after a change the new nodes soon begin where old ones do, at the latest after the next boundary key. Only
//! the last nodes of the old levels may be incomplete: these are reused only if nothing follows.

use specs::Digest;

use super::Map;
use super::build::Builder;
use super::cursor::{Cursor, Step};
use super::range::KeyRange;
use super::store::{NodeSink, NodeStore, TreeError};
use super::value::MapValue;

/// Makes a new map from an old one and changes in key order. Reads and writes O(changes · log n) nodes; nodes shared by both maps are not
/// written. Dropping it leaves only unreachable nodes.
#[derive(Debug)]
pub struct Editor<'s, 'w, V, S: ?Sized, W: ?Sized> {
    old: Cursor<'s, V, S>,
    new: Builder<'w, V, W>,
    /// The key of the newest change.
    newest: Option<Vec<u8>>,
}

impl<'s, 'w, V, S, W> Editor<'s, 'w, V, S, W>
where
    V: MapValue,
    S: NodeStore + ?Sized,
    W: NodeSink<Error = S::Error> + ?Sized,
{
    /// Starts from the contents of `map`.
    pub fn new(map: Map<V>, store: &'s S, sink: &'w mut W) -> Result<Self, S::Error> {
        let mut new = Builder::new(sink);
        new.skip_write_of(map.root());
        Ok(Self { old: map.cursor(store)?, new, newest: None })
    }

    /// Adds an entry or replaces its value; returns the old value. Keys of changes must ascend ([`TreeError::Unsorted`]).
    pub fn set(&mut self, key: &[u8], value: &V) -> Result<Option<V>, S::Error> {
        let before = self.remove(key)?;
        self.new.push(key, value)?;
        Ok(before)
    }

    /// Removes an entry, if it exists, and returns its value. Keys of changes must ascend ([`TreeError::Unsorted`]).
    pub fn remove(&mut self, key: &[u8]) -> Result<Option<V>, S::Error> {
        if self.newest.as_deref().is_some_and(|newest| key <= newest) {
            return Err(TreeError::unsorted(key).into());
        }
        self.copy_to(Some(key), More::Follows)?;
        self.newest = Some(key.to_vec());
        let before = match self.old.peek() {
            Some(Step::Entry { key: found, value }) if found == key => Some(value.clone()),
            _ => None,
        };
        if before.is_some() {
            self.old.skip();
        }
        Ok(before)
    }

    /// Copies the rest of the old map and returns the new one.
    pub fn finish(mut self) -> Result<Map<V>, S::Error> {
        self.copy_to(None, More::Ends)?;
        self.new.finish()
    }

    /// The map of only the entries in `range`.
    pub(super) fn cut(mut self, range: &KeyRange) -> Result<Map<V>, S::Error> {
        self.drop_to(&range.from)?;
        self.copy_to(range.to.as_deref(), More::Ends)?;
        self.new.finish()
    }

    fn drop_to(&mut self, from: &[u8]) -> Result<(), S::Error> {
        loop {
            match self.old.peek() {
                Some(Step::Subtree { last_key, child, .. }) if from <= last_key => {
                    let digest = child.digest;
                    self.enter(digest)?;
                }
                Some(Step::Entry { key, .. }) if from <= key => return Ok(()),
                None => return Ok(()),
                Some(_) => self.old.skip(),
            }
        }
    }

    /// Copies everything before `to` (`None`: everything).
    fn copy_to(&mut self, to: Option<&[u8]>, more: More) -> Result<(), S::Error> {
        let copied = |key: &[u8]| to.is_none_or(|to| key < to);
        loop {
            match self.old.peek() {
                Some(Step::Subtree { level, last_key, child }) => {
                    let complete = !self.old.is_at_last();
                    let fits = complete || (more == More::Ends && !self.new.is_empty());
                    if !(fits && copied(last_key) && self.new.is_between_nodes(level)) {
                        let digest = child.digest;
                        self.enter(digest)?;
                        continue;
                    }
                    self.new.push_subtree(level, last_key, child)?;
                }
                Some(Step::Entry { key, value }) if copied(key) => self.new.push(key, value)?,
                _ => return Ok(()),
            }
            self.old.skip();
        }
    }

    fn enter(&mut self, digest: Digest) -> Result<(), S::Error> {
        self.new.skip_write_of(digest);
        self.old.enter()
    }
}

/// Whether entries can follow the copied ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Follows,
    Ends,
}
