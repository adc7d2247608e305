//! Errors of trees.

use specs::Digest;

/// An error in the tree itself; failures of the store have their own type (`NodeStore::Error`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The store lacks a node that a root or an inner node names.
    #[error("tree node {digest} is missing")]
    Missing {
        /// The node's name.
        digest: Digest,
    },
    /// The bytes have the right digest, but no correct writer makes such a node, or makes it at this place.
    #[error("tree node {digest} is damaged: {why}")]
    Damaged {
        /// The node's name.
        digest: Digest,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A key of a file tree is not a valid path.
    #[error("key `{}` of a file tree is not a legal path", .key.escape_debug())]
    NotAPath {
        /// The key, as far as it is text.
        key: String,
    },
    /// The caller passed keys that are not strictly ascending: a bug in the program, not in the data.
    #[error("key `{}` does not come after the one before it", .key.escape_debug())]
    Unsorted {
        /// The key that is out of order, as far as it is text.
        key: String,
    },
}

impl TreeError {
    pub(crate) fn unsorted(key: &[u8]) -> Self {
        Self::Unsorted { key: String::from_utf8_lossy(key).into_owned() }
    }
}
