//! The complete subtrees of the journal's Merkle tree as rows of the index, and when each key was in use.
//!
//! A record adds its leaf and the subtrees that it completes: two rows on average. Like everything that records change, they follow from
//! the journal alone, so a rebuilt index has the same ones.

use serde::{Deserialize, Serialize};
use specs::Digest;

use super::apply::{self, meta};
use super::rows::encode;
use super::{Index, View, keys};
use crate::base::error::RepoError;
use crate::journal::{Entry, Position, Record};
use crate::log::tree::{Subtrees, node_hash};

/// The range of records in which a key was in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySpan {
    /// Number of records up to and including the one that added the key.
    pub from: u64,
    /// Number of records up to and including the one that replaced it; absent while in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl KeySpan {
    /// Whether the key may sign a journal of this many records.
    pub fn holds_at(&self, size: u64) -> bool {
        self.from <= size && self.until.is_none_or(|until| size < until)
    }
}

/// Advances the index by one record that is already applied: `after` is the journal position behind it, `leaf` the hash of its bytes.
pub(crate) fn advance(view: &mut View<'_>, record: &Record, after: &Position, leaf: Digest) -> Result<(), RepoError> {
    for entry in &record.entries {
        if let Entry::Key { public_key, previous, .. } = entry {
            note_key(view, &public_key.fingerprint(), previous.as_ref(), after.records)?;
        }
    }
    add_leaf(view, after.records - 1, leaf)?;
    view.put(keys::meta(meta::POSITION), encode(after));
    Ok(())
}

/// Adds leaf `number` (from 0) and the subtrees that it completes.
fn add_leaf(view: &mut View<'_>, number: u64, leaf: Digest) -> Result<(), RepoError> {
    let mut hash = leaf;
    view.put(keys::subtree(0, number), hash.as_bytes().to_vec());
    for level in 0..number.trailing_ones() {
        let left = (number >> level) - 1;
        hash = node_hash(&read(view.get(&keys::subtree(level, left))?, level, left)?, &hash);
        view.put(keys::subtree(level + 1, number >> (level + 1)), hash.as_bytes().to_vec());
    }
    Ok(())
}

fn note_key(view: &mut View<'_>, key: &Digest, previous: Option<&Digest>, size: u64) -> Result<(), RepoError> {
    if view.get(&keys::key_span(key))?.is_some() {
        return Ok(()); // recorded twice, the first counts
    }
    view.put(keys::key_span(key), encode(&KeySpan { from: size, until: None }));
    if let Some(previous) = previous
        && let Some(span) = apply::read::<KeySpan>(view, &keys::key_span(previous))?
    {
        let until = span.until.or(Some(size));
        view.put(keys::key_span(previous), encode(&KeySpan { until, ..span }));
    }
    Ok(())
}

fn read(row: Option<Vec<u8>>, level: u32, index: u64) -> Result<Digest, RepoError> {
    let hash = row.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Digest::from_bytes);
    hash.ok_or_else(|| RepoError::DamagedIndex { what: format!("hash {index} of level {level} of the journal's tree") })
}

impl Subtrees for Index {
    type Error = RepoError;

    fn subtree(&self, level: u32, index: u64) -> Result<Digest, RepoError> {
        read(self.get(&keys::subtree(level, index))?, level, index)
    }
}
