//! Where content goes: into a store on this machine, or on the way to one elsewhere (`files::Outbox`).

use std::sync::Mutex;

use specs::{Digest, FilePath};

use super::{Result, Store};
use crate::base::kind::Kind;
use crate::base::parallel;
use crate::objects::manifest::Manifest;

/// Takes content that was cut and hashed. Called from several threads.
pub trait ContentSink: Sync {
    /// Takes a chunk; returns how many of its bytes are new, as far as is known at once. `of`: the target path of the file of several
    /// chunks that it belongs to, if known.
    fn take_chunk(&self, digest: Digest, bytes: &[u8], of: Option<&FilePath>) -> Result<u64>;

    /// Takes the list of a file's chunks, at least two, after the chunks.
    fn take_manifest(&self, file: Digest, manifest: Manifest, of: Option<&FilePath>) -> Result<()>;

    /// Whether content that would be one chunk is certainly there as several.
    fn has_cut(&self, digest: &Digest) -> Result<bool>;

    /// For each of these contents, whether it would have to be taken.
    fn absent(&self, digests: &[Digest]) -> Result<Vec<bool>>;

    /// Held by the one large file that uses all cores.
    fn large_file(&self) -> &Mutex<()>;
}

impl ContentSink for Store {
    fn take_chunk(&self, digest: Digest, bytes: &[u8], _of: Option<&FilePath>) -> Result<u64> {
        let new = self.write(Kind::Chunk, digest, bytes)?;
        Ok(if self.tells_as_new(new) { bytes.len() as u64 } else { 0 })
    }

    fn take_manifest(&self, file: Digest, manifest: Manifest, _of: Option<&FilePath>) -> Result<()> {
        self.write(Kind::Manifest, file, &manifest.encode()).map(drop)
    }

    fn has_cut(&self, digest: &Digest) -> Result<bool> {
        self.contains(Kind::Manifest, digest)
    }

    fn absent(&self, digests: &[Digest]) -> Result<Vec<bool>> {
        // What cannot be looked up is read again.
        parallel::map(digests.len(), || (), |(), at| Ok(!self.has_content(&digests[at]).unwrap_or(false)))
    }

    fn large_file(&self) -> &Mutex<()> {
        &self.inner.large_file
    }
}
