//! What takes how much of the disk.

use std::cmp::Reverse;

use engine::Result;
use repos::Store;
use repos::object::PackClass;

use crate::repo::{RepoView, repos};
use crate::status::free_bytes;

/// What a store takes on its disk.
#[derive(Debug, Clone, PartialEq)]
pub struct StorageView {
    /// Bytes that are free.
    pub free_bytes: u64,
    /// What is stored, if all of it is visible.
    pub stored: Option<StoredBytes>,
    /// The repositories, with the bytes of the files at the heads of their default branches, as they were put; the largest first.
    pub repos: Vec<RepoView>,
}

/// Bytes as they are stored: each content once, compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBytes {
    /// Content of files and logs.
    pub content: u64,
    /// Trees, lineage, documents.
    pub documents: u64,
    /// The journal.
    pub journal: u64,
}

impl StoredBytes {
    /// All of them.
    pub fn sum(self) -> u64 {
        self.content + self.documents + self.journal
    }
}

/// What a store takes on its disk.
pub fn storage(store: &Store) -> Result<StorageView> {
    let stored = || {
        Ok::<_, engine::EngineError>(StoredBytes {
            content: store.packed_bytes_of(PackClass::Data)?,
            documents: store.packed_bytes_of(PackClass::Meta)?,
            journal: store.position().bytes,
        })
    };
    let mut repos = repos(store, |_| true)?.collect::<Result<Vec<_>>>()?;
    repos.sort_by_key(|repo| Reverse(repo.size_bytes));
    let stored = (!store.is_limited()).then(stored).transpose()?;
    Ok(StorageView { free_bytes: free_bytes(&store.folder())?, stored, repos })
}
