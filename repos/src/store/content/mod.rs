//! File content: chunked on write, reassembled on read.
//!
//! - `cut`: content-defined chunking, and the buffers that file bytes pass through
//! - `sink`: where content goes
//! - `put`: cuts and hashes content for a sink; a large file is read, hashed, compressed and written on all cores at once
//! - `read`: reads content, verifying every byte

mod cut;
mod put;
mod read;
mod sink;

use specs::Digest;

use super::{Result, Store};
use crate::base::kind::Kind;
use crate::objects::manifest::Manifest;

pub use cut::{MAX_CHUNK, chunk_lengths};
pub use put::{put_bytes_into, put_into};
pub use read::FileReader;
pub use sink::ContentSink;

/// A file's content as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Number of bytes that are new to the store.
    pub new_bytes: u64,
}

impl Store {
    /// Whether the store has this content, as one chunk or several.
    pub fn has_content(&self, digest: &Digest) -> Result<bool> {
        Ok(self.content_bytes(digest)?.is_some())
    }

    /// Length in bytes of this content; `None` unless the store has all of it, as one chunk or several.
    pub(crate) fn content_bytes(&self, digest: &Digest) -> Result<Option<u64>> {
        if let Some(bytes) = self.raw_bytes(Kind::Chunk, digest)? {
            return Ok(Some(u64::from(bytes)));
        }
        if !self.contains(Kind::Manifest, digest)? {
            return Ok(None);
        }
        // A manifest that is damaged, or names missing chunks, must not prevent anyone from putting the content again.
        let manifest = match self.find_object(Kind::Manifest, digest) {
            Err(error) if error.kind() == specs::ErrorKind::Damaged => None,
            found => found?.as_deref().and_then(Manifest::decode),
        };
        let Some(manifest) = manifest else { return Ok(None) };
        for (chunk, _) in &manifest.chunks {
            if !self.contains(Kind::Chunk, chunk)? {
                return Ok(None);
            }
        }
        Ok(Some(manifest.size_bytes()))
    }

    /// The chunks of a file with several; empty if it has one, or is not there.
    pub(super) fn chunks_of(&self, file: &Digest) -> Result<Vec<(Digest, u32)>> {
        let bytes = self.find_object(Kind::Manifest, file)?;
        Ok(bytes.as_deref().and_then(Manifest::decode).map_or_else(Vec::new, |manifest| manifest.chunks))
    }
}
