//! The journal as a transparency log: an RFC 6962 Merkle tree over its records, and signed statements of what it holds.
//!
//! A leaf is the JSON of a record, byte for byte as on its line. One root hash covers all records before it, so anyone who kept yesterday's
//! root can check in O(log n) that today's journal only grew since; so can any tool for such logs.
//!
//! - `tree`: hashes, proofs and roots, as in RFC 6962
//! - `checkpoint`: a signed root as text: C2SP `tlog-checkpoint` on `signed-note`
//!
//! Not here: the tree's complete parts in the index (`index::log`), where a store's roots and keys come from (`store::heads`), what a
//! checkpoint proves (`answers::proof`).

pub mod checkpoint;
pub mod tree;

use specs::Digest;

/// The state of a journal on one line: its number of records, and the root of the tree over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of records in the journal.
    pub size: u64,
    /// Root hash of the tree over them.
    pub root: Digest,
}
