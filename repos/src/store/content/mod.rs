//! File content: cut into chunks on the way in, put together on the way out.
//!
//! - `cut` where a file is cut, and the memory that its bytes pass through
//! - `put` keeps content; a large file is read, hashed, compressed and written on all cores at once
//! - `read` gives content back, each byte checked

mod cut;
mod put;
mod read;

use specs::Digest;

use super::{Result, Store};
use crate::base::kind::Kind;
use crate::objects::manifest::Manifest;

pub use read::FileReader;

/// What a file became in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its length.
    pub size_bytes: u64,
    /// How many of them the store did not hold before.
    pub new_bytes: u64,
}

impl Store {
    /// Whether content is there, as one chunk or in several.
    pub fn has_content(&self, digest: &Digest) -> Result<bool> {
        if self.contains(Kind::Chunk, digest)? {
            return Ok(true);
        }
        if !self.contains(Kind::Manifest, digest)? {
            return Ok(false);
        }
        // A manifest that is damaged, or names what is gone, must not keep anybody from putting the content again.
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
