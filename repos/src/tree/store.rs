//! The seam below the tree: where nodes lie, and what can go wrong there.

use bytes::Bytes;
use specs::Digest;

/// Where nodes are read from. Caching is the store's business; the tree reads a node whenever it needs it.
pub trait NodeStore {
    /// What a read can fail with; it also carries what the tree itself finds wrong.
    type Error: From<TreeError>;

    /// Returns the node's bytes, checked against `digest`; an absent node is an error ([`TreeError::Missing`] suits).
    fn read(&self, digest: &Digest) -> Result<Bytes, Self::Error>;
}

/// Where new nodes go: children before their parents, so a root exists only after all it names.
pub trait NodeSink {
    /// What a write can fail with.
    type Error: From<TreeError>;

    /// Keeps `bytes` under `digest`, which is their SHA-256. Writing a node that is there already changes nothing.
    fn write(&mut self, digest: Digest, bytes: Vec<u8>) -> Result<(), Self::Error>;
}

/// What the tree itself finds wrong; a store's own failures keep their own type ([`NodeStore::Error`]).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A node that a root or an inner node names is not in the store.
    #[error("tree node {digest} is missing")]
    Missing {
        /// The node's name.
        digest: Digest,
    },
    /// The bytes have the right digest, but no correct writer makes such a node, or not at this place.
    #[error("tree node {digest} is damaged: {why}")]
    Damaged {
        /// The node's name.
        digest: Digest,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A key of a file tree is no legal path.
    #[error("`{}` is a key of a file tree, but not a legal path", .key.escape_debug())]
    NotAPath {
        /// The key, as far as it is text.
        key: String,
    },
    /// The caller gave keys that do not ascend strictly: an error in the program, not in the data.
    #[error("key `{}` does not come after the one before it", .key.escape_debug())]
    Unsorted {
        /// The key that came too late, as far as it is text.
        key: String,
    },
}

impl TreeError {
    pub(super) fn unsorted(key: &[u8]) -> Self {
        Self::Unsorted { key: String::from_utf8_lossy(key).into_owned() }
    }
}

#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryNodes;

#[cfg(any(test, feature = "testing"))]
mod memory {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::{Bytes, Digest, NodeSink, NodeStore, TreeError};

    /// Nodes in memory, with counters. `&MemoryNodes` is the sink, so that one value can be read and written at a time.
    #[derive(Debug, Default)]
    pub struct MemoryNodes {
        nodes: Mutex<HashMap<Digest, Bytes>>,
        reads: AtomicUsize,
        writes: AtomicUsize,
    }

    impl MemoryNodes {
        /// Reads and writes since the last call of this.
        pub fn take_counts(&self) -> (usize, usize) {
            (self.reads.swap(0, Ordering::Relaxed), self.writes.swap(0, Ordering::Relaxed))
        }

        /// All nodes, in no order.
        pub fn all(&self) -> Vec<(Digest, Bytes)> {
            self.lock().iter().map(|(digest, bytes)| (*digest, bytes.clone())).collect()
        }

        /// Puts `bytes` in the place of a node without a check, to play a damaged store.
        pub fn replace(&self, digest: Digest, bytes: impl Into<Bytes>) {
            self.lock().insert(digest, bytes.into());
        }

        /// Forgets a node, to play a damaged store.
        pub fn remove(&self, digest: &Digest) {
            self.lock().remove(digest);
        }

        fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Bytes>> {
            self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl NodeStore for MemoryNodes {
        type Error = TreeError;

        fn read(&self, digest: &Digest) -> Result<Bytes, TreeError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let bytes = self.lock().get(digest).cloned().ok_or(TreeError::Missing { digest: *digest })?;
            if super::super::node::digest_of(&bytes) == *digest {
                Ok(bytes)
            } else {
                Err(TreeError::Damaged { digest: *digest, why: "its bytes have another digest" })
            }
        }
    }

    impl NodeSink for &MemoryNodes {
        type Error = TreeError;

        fn write(&mut self, digest: Digest, bytes: Vec<u8>) -> Result<(), TreeError> {
            self.writes.fetch_add(1, Ordering::Relaxed);
            self.lock().insert(digest, bytes.into());
            Ok(())
        }
    }
}
