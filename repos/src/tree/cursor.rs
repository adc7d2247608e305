//! A position in a map, between two entries or before a whole subtree: the basis of reading, editing and comparing.

use specs::Digest;

use super::node::{Child, Entries, Node};
use super::range::Totals;
use super::store::{NodeStore, TreeError};
use super::value::MapValue;

/// Walks a map in key order; for each subtree the caller decides whether to read or skip it.
#[derive(Debug)]
pub struct Cursor<'s, V, S: ?Sized> {
    store: &'s S,
    /// From the root down. All frames but the root have a current entry; the root has none once the walk is over.
    frames: Vec<Frame<V>>,
}

#[derive(Debug)]
struct Frame<V> {
    node: Node<V>,
    index: usize,
}

/// The next item at a cursor.
#[derive(Debug)]
pub enum Step<'c, V> {
    /// A node that has not been read yet.
    Subtree {
        /// Its level; 0 for a leaf.
        level: u8,
        /// Its last key.
        last_key: &'c [u8],
        /// Its digest and totals.
        child: &'c Child,
    },
    /// One entry of the map.
    Entry {
        /// Its key.
        key: &'c [u8],
        /// Its value.
        value: &'c V,
    },
}

impl<'c, V> Step<'c, V> {
    /// The last key of the next item.
    pub fn last_key(&self) -> &'c [u8] {
        match self {
            Self::Subtree { last_key, .. } => last_key,
            Self::Entry { key, .. } => key,
        }
    }
}

impl<'s, V: MapValue, S: NodeStore + ?Sized> Cursor<'s, V, S> {
    /// Reads the root; the cursor is before its first entry.
    pub(super) fn open(store: &'s S, root: &Digest) -> Result<Self, S::Error> {
        let node = Node::read_root(store, root)?;
        Ok(Self { store, frames: vec![Frame { node, index: 0 }] })
    }

    /// The next item; `None` after the last entry.
    pub fn peek(&self) -> Option<Step<'_, V>> {
        let Frame { node, index } = self.top();
        match &node.entries {
            Entries::Leaf(values) => {
                let value = values.get(*index)?;
                Some(Step::Entry { key: node.key(*index), value })
            }
            Entries::Inner(children) => {
                let child = children.get(*index)?;
                Some(Step::Subtree { level: node.level - 1, last_key: node.key(*index), child })
            }
        }
    }

    /// Skips the next entry or subtree without reading it.
    pub fn skip(&mut self) {
        if let Some(top) = self.frames.last_mut() {
            top.index += 1;
        }
        while self.frames.len() > 1 && self.top().index >= self.top().node.len() {
            self.frames.pop();
            if let Some(parent) = self.frames.last_mut() {
                parent.index += 1;
            }
        }
    }

    /// Reads the next subtree and moves before its first entry; does nothing at an entry or at the end.
    pub fn enter(&mut self) -> Result<(), S::Error> {
        let Some(Step::Subtree { level, last_key, child }) = self.peek() else { return Ok(()) };
        let node = Node::read(self.store, &child.digest)?;
        if node.level != level || node.last_key() != Some(last_key) || node.totals != child.totals {
            let why = "it contradicts its parent";
            return Err(TreeError::Damaged { digest: child.digest, why }.into());
        }
        self.frames.push(Frame { node, index: 0 });
        Ok(())
    }

    /// Moves, forwards or backwards, to the first entry whose key is at least `key`. Nearby positions need no reads.
    pub fn seek(&mut self, key: &[u8]) -> Result<(), S::Error> {
        while self.frames.len() > 1 && !self.top_covers(key) {
            self.frames.pop();
        }
        while let Some(top) = self.frames.last_mut() {
            top.index = top.node.position(key);
            if top.node.level == 0 || top.index == top.node.len() {
                break;
            }
            self.enter()?;
        }
        Ok(())
    }

    /// The value of `key`. Cheaper than [`Map::get`](super::Map::get) for many keys close to each other.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<V>, S::Error> {
        self.seek(key)?;
        match self.peek() {
            Some(Step::Entry { key: found, value }) if found == key => Ok(Some(value.clone())),
            _ => Ok(None),
        }
    }

    /// Moves forward to the first entry whose key is at least `to` (`None`: to the end) and sums up what it passes. Whole subtrees are not
    /// read.
    pub fn sum_to(&mut self, to: Option<&[u8]>) -> Result<Totals, S::Error> {
        let mut sum = Totals::default();
        let passed = |key: &[u8]| to.is_none_or(|to| key < to);
        loop {
            match self.peek() {
                Some(Step::Subtree { last_key, child, .. }) if passed(last_key) => sum += child.totals,
                Some(Step::Subtree { .. }) => {
                    self.enter()?;
                    continue;
                }
                Some(Step::Entry { key, value }) if passed(key) => {
                    sum += Totals { entries: 1, weight: value.weight() };
                }
                _ => return Ok(sum),
            }
            self.skip();
        }
    }

    /// The totals of the whole map.
    pub fn totals(&self) -> Totals {
        self.frames[0].node.totals
    }

    /// Whether nothing follows the next entry or subtree.
    pub(super) fn is_at_last(&self) -> bool {
        self.frames.iter().all(|frame| frame.index + 1 == frame.node.len())
    }

    fn top(&self) -> &Frame<V> {
        self.frames.last().expect("the root's frame is never removed")
    }

    /// Whether the position that `seek` looks for is in the node entered last.
    fn top_covers(&self, key: &[u8]) -> bool {
        let above = &self.frames[..self.frames.len() - 1];
        let before = above.iter().rev().find(|frame| frame.index > 0).map(|frame| frame.node.key(frame.index - 1));
        before.is_none_or(|before| before < key) && self.top().node.last_key().is_some_and(|last| key <= last)
    }
}
