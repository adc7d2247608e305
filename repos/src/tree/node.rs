//! One node: its bytes, and the rule for where it ends. The format is in the module docs of `tree`.

use sha2::{Digest as _, Sha256};
use specs::Digest;

use super::range::Totals;
use super::store::{NodeStore, TreeError};
use super::value::MapValue;
use super::varint;

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 2;
/// A node of this length takes no further entries.
pub(super) const FULL_BYTES: usize = 16 * 1024;
/// A node with fewer entries always takes another, so each level has at most half the nodes of the one below, rounded up.
pub(super) const MIN_ENTRIES: usize = 2;
/// A key whose hash begins with a byte below this ends its node: 8 of 256, one key in 32.
const BOUNDARY_BELOW: u8 = 8;
/// SHA-256 of `01 00`, the one node of the empty map.
pub(super) const EMPTY_ROOT: Digest = Digest::from_bytes([
    0x47, 0xdc, 0x54, 0x0c, 0x94, 0xce, 0xb7, 0x04, 0xa2, 0x38, 0x75, 0xc1, 0x12, 0x73, 0xe1, 0x6b, 0xb0, 0xb8, 0xa8,
    0x7a, 0xed, 0x84, 0xde, 0x91, 0x1f, 0x21, 0x33, 0x56, 0x81, 0x15, 0xf2, 0x54,
]);

/// SHA-256 of a node's bytes: its digest.
pub(super) fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// An inner node's entry for one child, besides the child's last key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// The child's digest.
    pub digest: Digest,
    /// Totals of everything below.
    pub totals: Totals,
}

/// A node being written: entries are appended until it is complete.
#[derive(Debug)]
pub(super) struct NodeWriter {
    bytes: Vec<u8>,
    /// The newest key; kept when a node ends, to check the order of the next one.
    key: Option<Vec<u8>>,
    /// The newest child; `None` in a leaf.
    child: Option<Digest>,
    entries: usize,
    totals: Totals,
}

impl NodeWriter {
    pub(super) fn new(level: u8) -> Self {
        Self { bytes: vec![FORMAT, level], key: None, child: None, entries: 0, totals: Totals::default() }
    }

    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Whether `key` sorts after every earlier key of this level.
    pub(super) fn is_before(&self, key: &[u8]) -> bool {
        self.key.as_deref().is_none_or(|newest| newest < key)
    }

    /// The newest key of this level.
    pub(super) fn key(&self) -> &[u8] {
        self.key.as_deref().unwrap_or_default()
    }

    /// The child of an inner node that has only one entry.
    pub(super) fn only_child(&self) -> Option<Digest> {
        self.child.filter(|_| self.entries == 1)
    }

    /// Appends an entry of a leaf; `value` is encoded.
    pub(super) fn push_value(&mut self, key: &[u8], value: &[u8], weight: u64) {
        self.push_key(key);
        varint::put(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(value);
        self.totals += Totals { entries: 1, weight };
    }

    /// Appends an entry of an inner node; `key` is the child's last key.
    pub(super) fn push_child(&mut self, key: &[u8], child: &Child) {
        self.push_key(key);
        self.bytes.extend_from_slice(child.digest.as_bytes());
        varint::put(&mut self.bytes, child.totals.entries);
        varint::put(&mut self.bytes, child.totals.weight);
        self.child = Some(child.digest);
        self.totals += child.totals;
    }

    fn push_key(&mut self, key: &[u8]) {
        let newest = self.key.get_or_insert_default();
        let common = common_prefix(newest, key);
        let shared = if self.entries == 0 { 0 } else { common };
        varint::put(&mut self.bytes, shared as u64);
        varint::put(&mut self.bytes, (key.len() - shared) as u64);
        self.bytes.extend_from_slice(&key[shared..]);
        newest.truncate(common);
        newest.extend_from_slice(&key[common..]);
        self.entries += 1;
    }

    /// The boundary rule. It depends only on the node's content, not on what follows.
    pub(super) fn is_complete(&self) -> bool {
        self.entries >= MIN_ENTRIES && (self.bytes.len() >= FULL_BYTES || self.ends_at_boundary())
    }

    fn ends_at_boundary(&self) -> bool {
        let hash = Sha256::new().chain_update([self.bytes[1]]).chain_update(self.key()).finalize();
        hash[0] < BOUNDARY_BELOW
    }

    /// Returns the finished node and starts the next one of this level.
    pub(super) fn take(&mut self) -> (Child, Vec<u8>) {
        let next = Vec::with_capacity(self.bytes.len());
        let bytes = std::mem::replace(&mut self.bytes, next);
        self.bytes.extend_from_slice(&bytes[..HEADER_BYTES]);
        self.entries = 0;
        (Child { digest: digest_of(&bytes), totals: std::mem::take(&mut self.totals) }, bytes)
    }
}

fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

/// A decoded node: whole keys, concatenated, with their values or children.
#[derive(Debug)]
pub(super) struct Node<V> {
    pub(super) level: u8,
    keys: Vec<u8>,
    /// Where each key ends in `keys`.
    ends: Vec<usize>,
    pub(super) entries: Entries<V>,
    pub(super) totals: Totals,
}

#[derive(Debug)]
pub(super) enum Entries<V> {
    Leaf(Vec<V>),
    Inner(Vec<Child>),
}

impl<V: MapValue> Node<V> {
    fn empty(level: u8) -> Self {
        let entries = if level == 0 { Entries::Leaf(Vec::new()) } else { Entries::Inner(Vec::new()) };
        Self { level, keys: Vec::new(), ends: Vec::new(), entries, totals: Totals::default() }
    }

    /// Reads the node `digest`; refuses everything that a `NodeWriter` does not produce.
    pub(super) fn read<S: NodeStore + ?Sized>(store: &S, digest: &Digest) -> Result<Self, S::Error> {
        Self::decode(&store.read(digest)?).map_err(|why| TreeError::Damaged { digest: *digest, why }.into())
    }

    /// Reads a root. The empty map needs no store.
    pub(super) fn read_root<S: NodeStore + ?Sized>(store: &S, digest: &Digest) -> Result<Self, S::Error> {
        if *digest == EMPTY_ROOT {
            return Ok(Self::empty(0));
        }
        let node = Self::read(store, digest)?;
        if node.level > 0 && node.len() < MIN_ENTRIES {
            return Err(TreeError::Damaged { digest: *digest, why: "it is a root with a single child" }.into());
        }
        Ok(node)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let [FORMAT, level, rest @ ..] = bytes else { return Err("its format is unknown") };
        let mut node = Self::empty(*level);
        let mut rest = rest;
        while !rest.is_empty() {
            node.take_key(&mut rest).ok_or("a key is truncated, out of order or not in canonical form")?;
            node.take_rest_of_entry(&mut rest).ok_or("an entry is truncated or not in canonical form")?;
        }
        if node.level > 0 && node.ends.is_empty() { Err("it is an inner node without a child") } else { Ok(node) }
    }

    /// The suffix's first byte must be above the byte it replaces: that ensures both ascending order and the longest shared prefix.
    fn take_key(&mut self, rest: &mut &[u8]) -> Option<()> {
        let shared = usize::try_from(varint::take(rest)?).ok()?;
        let suffix = take_bytes(rest)?;
        let first = self.ends.is_empty();
        let start = self.key_start(self.ends.len().saturating_sub(1));
        let previous = &self.keys[start..];
        let ascends = match (previous.get(shared), suffix.first()) {
            _ if first => shared == 0,
            (Some(old), Some(new)) => new > old,
            (None, Some(_)) => shared == previous.len(),
            (_, None) => false,
        };
        if !ascends {
            return None;
        }
        self.keys.extend_from_within(start..start + shared);
        self.keys.extend_from_slice(suffix);
        self.ends.push(self.keys.len());
        Some(())
    }

    fn take_rest_of_entry(&mut self, rest: &mut &[u8]) -> Option<()> {
        self.totals += match &mut self.entries {
            Entries::Leaf(values) => {
                let value = V::decode(take_bytes(rest)?)?;
                let totals = Totals { entries: 1, weight: value.weight() };
                values.push(value);
                totals
            }
            Entries::Inner(children) => {
                let (digest, after) = rest.split_first_chunk::<32>()?;
                *rest = after;
                let entries = varint::take(rest).filter(|entries| *entries > 0)?;
                let totals = Totals { entries, weight: varint::take(rest)? };
                children.push(Child { digest: Digest::from_bytes(*digest), totals });
                totals
            }
        };
        Some(())
    }
}

impl<V> Node<V> {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn key_start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { self.ends[index - 1] }
    }

    pub(super) fn key(&self, index: usize) -> &[u8] {
        &self.keys[self.key_start(index)..self.ends[index]]
    }

    pub(super) fn last_key(&self) -> Option<&[u8]> {
        self.len().checked_sub(1).map(|last| self.key(last))
    }

    /// The first entry whose key is at least `key`; the number of entries if there is none.
    pub(super) fn position(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.key(middle) < key { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// Reads a length and that many bytes.
fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint::take(rest)?).ok()?;
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}
