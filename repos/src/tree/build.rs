//! Writes a map from its entries in key order, with one open node per level.

use std::collections::HashSet;
use std::marker::PhantomData;

use specs::Digest;

use super::Map;
use super::node::{Child, NodeWriter};
use super::store::{NodeSink, TreeError};
use super::value::MapValue;

/// Takes the entries of a map in key order and writes its nodes, children first. Memory: one node per level.
#[derive(Debug)]
pub struct Builder<'w, V, W: ?Sized> {
    sink: &'w mut W,
    /// The open node of each level, leaves first; the topmost is never empty.
    levels: Vec<NodeWriter>,
    value: Vec<u8>,
    /// Nodes that are already stored and need no write.
    known: HashSet<Digest>,
    map: PhantomData<fn() -> V>,
}

impl<'w, V: MapValue, W: NodeSink + ?Sized> Builder<'w, V, W> {
    /// Starts an empty map.
    pub fn new(sink: &'w mut W) -> Self {
        Self { sink, levels: Vec::new(), value: Vec::new(), known: HashSet::new(), map: PhantomData }
    }

    /// Appends an entry; its key must come after all before it ([`TreeError::Unsorted`]).
    pub fn push(&mut self, key: &[u8], value: &V) -> Result<(), W::Error> {
        if self.levels.first().is_some_and(|leaf| !leaf.is_before(key)) {
            return Err(TreeError::unsorted(key).into());
        }
        self.value.clear();
        value.encode(&mut self.value);
        open(&mut self.levels, 0).push_value(key, &self.value, value.weight());
        self.close_complete(0)
    }

    /// Closes the open nodes and returns the map.
    pub fn finish(mut self) -> Result<Map<V>, W::Error> {
        open(&mut self.levels, 0); // the empty map is one empty leaf
        let mut level = 0;
        while level + 1 < self.levels.len() {
            if self.levels[level].entries() > 0 {
                self.close(level)?; // which can complete the top node, and so add a level
            }
            level += 1;
        }
        match self.levels[level].only_child() {
            Some(root) => Ok(Map::at(root)),
            None => Ok(Map::at(self.write(level)?.digest)),
        }
    }

    /// Appends a whole stored subtree whose root is a node of `level`. All its nodes must be complete, or nothing may follow, and
    /// [`Self::is_between_nodes`] must hold.
    pub(super) fn push_subtree(&mut self, level: u8, last_key: &[u8], child: &Child) -> Result<(), W::Error> {
        let above = usize::from(level) + 1;
        open(&mut self.levels, above).push_child(last_key, child);
        self.close_complete(above)
    }

    /// Whether the next entry begins a new node on `level` and on all levels below.
    pub(super) fn is_between_nodes(&self, level: u8) -> bool {
        self.levels.iter().take(usize::from(level) + 1).all(|node| node.entries() == 0)
    }

    /// Whether nothing was pushed yet.
    pub(super) fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// Notes that the node `digest` is already stored.
    pub(super) fn skip_write_of(&mut self, digest: Digest) {
        self.known.insert(digest);
    }

    fn close_complete(&mut self, mut level: usize) -> Result<(), W::Error> {
        while self.levels[level].is_complete() {
            self.close(level)?;
            level += 1;
        }
        Ok(())
    }

    fn close(&mut self, level: usize) -> Result<(), W::Error> {
        let child = self.write(level)?;
        open(&mut self.levels, level + 1);
        let (below, above) = self.levels.split_at_mut(level + 1);
        above[0].push_child(below[level].key(), &child);
        Ok(())
    }

    fn write(&mut self, level: usize) -> Result<Child, W::Error> {
        let (child, bytes) = self.levels[level].take();
        if !self.known.contains(&child.digest) {
            self.sink.write(child.digest, bytes)?;
        }
        Ok(child)
    }
}

fn open(levels: &mut Vec<NodeWriter>, level: usize) -> &mut NodeWriter {
    while levels.len() <= level {
        levels.push(NodeWriter::new(levels.len() as u8));
    }
    &mut levels[level]
}
