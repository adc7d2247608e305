//! Trees: the ordered map of a commit's files, stored so that a small change is cheap and equal parts are shared.
//!
//! A [`Map`] is a content-defined search tree (prolly tree) from keys (bytes) to values. Its nodes are objects named by SHA-256, so the
//! root's digest identifies all contents. The root depends only on the contents, not on the order of the changes that led to them. [`Tree`]
//! is the map of a commit's files; lineage and datums are maps too.
//! Not here: where nodes are stored and how they are cached ([`NodeStore`]), what the values mean.
//!
//! # Format 1
//!
//! It never changes: an improved format gets another number in the first byte, and old roots stay as they are. A number written as *varint*
//! is LEB128 in its shortest form, below 2^64. A node is:
//!
//! ```text
//! node       = 01 level entry*                     level: one byte, 0 for a leaf
//! leaf entry = key length value                    length: varint, bytes of the value
//! inner entry= key digest entries weight           of a child one level below: its last key, its SHA-256,
//!                                                  entries (varint) and sum of weights (varint) of all leaves below it
//! key        = shared length suffix                shared: varint, longest common prefix with the key before it in this
//!                                                  node (0 for the first); length: varint, bytes of the suffix
//! ```
//!
//! Keys ascend strictly by bytes, within a node and within a level. A value is encoded as its [`MapValue`] defines: that of a file is 32
//! bytes of digest, the size (varint), and a byte `01` if it is executable (else nothing); its weight is its size. All other values have
//! weight 0. Sums of weights saturate at 2^64 − 1.
//!
//! **Where nodes end.** On every level, entries are added to a node in order. After an entry the node is complete if it has at least two
//! entries and either
//! - the first byte of SHA-256(level byte ‖ whole key of that entry) is below 8, or
//! - the node, including its first two bytes and that entry, is at least 16,384 bytes long.
//!
//! The next entry, if there is one, begins the next node; the last node of a level ends with the level, complete or not. Leaves contain the
//! map's entries; each higher level contains one entry for each node of the level below. The first level that has only one node is the top,
//! and this node is the root. The empty map is the single leaf without entries, `01 00`.
//!
//! So a node has 33 entries on average, and without its last entry it is shorter than 16 KiB (or it has two entries, the first longer than
//! that). Whether a node is complete depends only on its content, not on what follows: on each level, a change rewrites the nodes from its
//! position to the next boundary that the old and the new map share.
//!
//! A reader refuses everything else: another format number, a varint that is not the shortest, a shared prefix that is not the longest,
//! keys out of order, an inner node without entries, a root inner node with only one, a child whose level, last key or sums differ from
//! what its parent says. Where nodes end is checked only by [`Map::check`], not by reads.

mod build;
mod cursor;
mod diff;
mod edit;
pub mod files;
mod node;
mod range;
mod store;
#[cfg(test)]
mod tests;
mod value;
pub(crate) mod varint;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use specs::Digest;

pub use build::Builder;
pub use cursor::{Cursor, Step};
pub use diff::{Change, Diff};
pub use edit::Editor;
pub use files::{DirEntry, Listing, PathKind, Tree, directory_range, path_of};
pub use node::Child;
pub use range::{KeyRange, Range, Totals};
#[cfg(any(test, feature = "testing"))]
pub use store::MemoryNodes;
pub use store::{NodeSink, NodeStore, TreeError};
pub use value::{FileEntry, MapValue};

/// An immutable ordered map, identified by the digest of its root. Equal maps have equal roots, however they were made.
///
/// Shape: one digest; everything else is read from a [`NodeStore`] on demand.
pub struct Map<V> {
    root: Digest,
    values: PhantomData<fn() -> V>,
}

impl<V: MapValue> Map<V> {
    /// Reads the whole map and checks that it is exactly what a correct writer makes of its entries, including where nodes end.
    pub fn check<S: NodeStore + ?Sized>(self, store: &S) -> Result<(), S::Error> {
        let mut sink = Discard(PhantomData::<fn() -> S::Error>);
        let mut again = Builder::new(&mut sink);
        for entry in self.range(store, KeyRange::all())? {
            let (key, value) = entry?;
            again.push(&key, &value)?;
        }
        if again.finish()? == self {
            return Ok(());
        }
        Err(TreeError::Damaged { digest: self.root, why: "it is not the canonical tree of its entries" }.into())
    }

    /// Writes the map of `entries`, given in key order ([`TreeError::Unsorted`]). [`Builder`] does the same step by step.
    pub fn build<K, W>(entries: impl IntoIterator<Item = (K, V)>, sink: &mut W) -> Result<Self, W::Error>
    where
        K: AsRef<[u8]>,
        W: NodeSink + ?Sized,
    {
        let mut builder = Builder::new(sink);
        for (key, value) in entries {
            builder.push(key.as_ref(), &value)?;
        }
        builder.finish()
    }

    /// Writes the map with `edits` applied, given in key order ([`TreeError::Unsorted`]); `None` removes. [`Editor`] does the same step by
    /// step and returns the old values.
    pub fn edit<K, S, W>(
        self,
        store: &S,
        edits: impl IntoIterator<Item = (K, Option<V>)>,
        sink: &mut W,
    ) -> Result<Self, S::Error>
    where
        K: AsRef<[u8]>,
        S: NodeStore + ?Sized,
        W: NodeSink<Error = S::Error> + ?Sized,
    {
        let mut editor = Editor::new(self, store, sink)?;
        for (key, value) in edits {
            match value {
                Some(value) => editor.set(key.as_ref(), &value)?,
                None => editor.remove(key.as_ref())?,
            };
        }
        editor.finish()
    }

    /// Writes the map of exactly the entries in `range`, under their full keys. O(log n) reads and writes.
    pub fn subtree<S, W>(self, store: &S, range: &KeyRange, sink: &mut W) -> Result<Self, S::Error>
    where
        S: NodeStore + ?Sized,
        W: NodeSink<Error = S::Error> + ?Sized,
    {
        Editor::new(self, store, sink)?.cut(range)
    }

    /// A cursor before the first entry. Reads the root.
    pub fn cursor<S: NodeStore + ?Sized>(self, store: &S) -> Result<Cursor<'_, V, S>, S::Error> {
        Cursor::open(store, &self.root)
    }

    /// The value of `key`.
    pub fn get<S: NodeStore + ?Sized>(self, store: &S, key: &[u8]) -> Result<Option<V>, S::Error> {
        self.cursor(store)?.get(key)
    }

    /// The entries of `range` in key order, read lazily.
    pub fn range<S: NodeStore + ?Sized>(self, store: &S, range: KeyRange) -> Result<Range<'_, V, S>, S::Error> {
        Range::new(self.cursor(store)?, range)
    }

    /// Number of entries and sum of weights. Reads the root only.
    pub fn totals<S: NodeStore + ?Sized>(self, store: &S) -> Result<Totals, S::Error> {
        Ok(self.cursor(store)?.totals())
    }

    /// Number of entries and sum of weights in `range`. O(log n) reads.
    pub fn range_totals<S: NodeStore + ?Sized>(self, store: &S, range: &KeyRange) -> Result<Totals, S::Error> {
        let mut cursor = self.cursor(store)?;
        cursor.seek(&range.from)?;
        cursor.sum_to(range.to.as_deref())
    }

    /// What differs in `newer`, in key order. Shared nodes are not read.
    pub fn diff<S: NodeStore + ?Sized>(self, store: &S, newer: Self) -> Result<Diff<'_, V, S>, S::Error> {
        self.diff_range(store, newer, KeyRange::all())
    }

    /// What differs in `newer` within `range`, in key order.
    pub fn diff_range<S>(self, store: &S, newer: Self, range: KeyRange) -> Result<Diff<'_, V, S>, S::Error>
    where
        S: NodeStore + ?Sized,
    {
        let sides = if self == newer { None } else { Some((self.cursor(store)?, newer.cursor(store)?)) };
        Ok(Diff::new(sides, range))
    }
}

impl<V> Map<V> {
    /// The map whose root is `root`. Nothing is read or checked.
    pub const fn at(root: Digest) -> Self {
        Self { root, values: PhantomData }
    }

    /// The map without entries. It can be read from any store, even if it was never written there.
    pub const fn empty() -> Self {
        Self::at(node::EMPTY_ROOT)
    }

    /// The digest of the root.
    pub const fn root(self) -> Digest {
        self.root
    }
}

/// A sink that discards all nodes.
struct Discard<E>(PhantomData<fn() -> E>);

impl<E: From<TreeError>> NodeSink for Discard<E> {
    type Error = E;

    fn write(&mut self, _: Digest, _: Vec<u8>) -> Result<(), E> {
        Ok(())
    }
}

// Implemented by hand, because derives would require the same traits of `V`.
impl<V> Clone for Map<V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V> Copy for Map<V> {}
impl<V> PartialEq for Map<V> {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}
impl<V> Eq for Map<V> {}
impl<V> Hash for Map<V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.root.hash(state);
    }
}
impl<V> fmt::Debug for Map<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map({})", self.root)
    }
}
