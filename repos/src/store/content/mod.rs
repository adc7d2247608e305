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
use crate::object::Kind;

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
        Ok(self.contains(Kind::Chunk, digest)? || self.contains(Kind::Manifest, digest)?)
    }
}
