//! File content: chunked on write, reassembled on read.
//!
//! - `cut`: content-defined chunking, and the buffers that file bytes pass through
//! - `put`: stores content; a large file is read, hashed, compressed and written on all cores at once
//! - `read`: reads content, verifying every byte

mod cut;
mod put;
mod read;

use specs::Digest;

use super::{Result, Store};
use crate::base::kind::Kind;
use crate::objects::manifest::Manifest;

pub use read::FileReader;

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
        if self.contains(Kind::Chunk, digest)? {
            return Ok(true);
        }
        if !self.contains(Kind::Manifest, digest)? {
            return Ok(false);
        }
        // A manifest that is damaged, or names missing chunks, must not prevent anyone from putting the content again.
        let manifest = match self.find_object(Kind::Manifest, digest) {
            Err(error) if error.kind() == specs::ErrorKind::Damaged => None,
            found => found?.as_deref().and_then(Manifest::decode),
        };
        let Some(manifest) = manifest else { return Ok(false) };
        for (chunk, _) in &manifest.chunks {
            if !self.contains(Kind::Chunk, chunk)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
