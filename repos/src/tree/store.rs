//! The seam below the tree: where nodes are, and what can go wrong there.

use bytes::Bytes;
use specs::Digest;

pub use crate::base::tree_error::TreeError;

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
                Err(TreeError::Damaged { digest: *digest, why: "its bytes do not match its digest" })
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
