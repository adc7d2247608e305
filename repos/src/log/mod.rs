//! The journal as a transparency log: an RFC 6962 Merkle tree over its records, and signed statements of what it holds.
//!
//! A leaf is the JSON of a record, byte for byte as it is in its line. One root hash stands for all records before it, so anyone who kept
//! the root of yesterday can check in O(log n) that the journal of today only grew since; tools for such logs do it too.
//!
//! - `tree`       hashes, proofs and roots, as RFC 6962 has them
//! - `checkpoint` a signed root as text: C2SP `tlog-checkpoint` on `signed-note`
//!
//! Not here: the tree's complete parts in the index (`index::log`), where a store's roots and keys come from (`store::heads`), what a checkpoint proves (`engine::proof`).

pub mod checkpoint;
pub mod tree;

use specs::Digest;

/// The state of a journal in one line: how many records it has, and the root of the tree over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Records of the journal.
    pub size: u64,
    /// Root hash of the tree over them.
    pub root: Digest,
}
