//! The interface below the tree: where nodes are read and written, and how that can fail.

use bytes::Bytes;
use specs::Digest;

pub use crate::base::tree_error::TreeError;

/// The source of nodes. The store does the caching; the tree reads a node whenever it needs it.
pub trait NodeStore {
    /// Why a read fails; also carries errors of the tree itself.
    type Error: From<TreeError>;

    /// Returns the node's bytes, verified against `digest`; a missing node is an error ([`TreeError::Missing`] fits).
    fn read(&self, digest: &Digest) -> Result<Bytes, Self::Error>;
}

/// The destination of new nodes: children come before their parents, so a root exists only after everything it names.
pub trait NodeSink {
    /// Why a write fails.
    type Error: From<TreeError>;

    /// Stores `bytes` under `digest`, which is their SHA-256. Writing an existing node changes nothing.
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

    /// Nodes in memory, with counters. `&MemoryNodes` is also a sink, so that one value can be read and written at the same time.
    #[derive(Debug, Default)]
    pub struct MemoryNodes {
        nodes: Mutex<HashMap<Digest, Bytes>>,
        reads: AtomicUsize,
        writes: AtomicUsize,
    }

    impl MemoryNodes {
        /// Number of reads and writes since the last call.
        pub fn take_counts(&self) -> (usize, usize) {
            (self.reads.swap(0, Ordering::Relaxed), self.writes.swap(0, Ordering::Relaxed))
        }

        /// All nodes, in no particular order.
        pub fn all(&self) -> Vec<(Digest, Bytes)> {
            self.lock().iter().map(|(digest, bytes)| (*digest, bytes.clone())).collect()
        }

        /// Replaces a node's bytes without a check, to simulate a damaged store.
        pub fn replace(&self, digest: Digest, bytes: impl Into<Bytes>) {
            self.lock().insert(digest, bytes.into());
        }

        /// Removes a node, to simulate a damaged store.
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
