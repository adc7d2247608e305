//! File content: cut into chunks on the way in, put together on the way out.

use std::io::Read;
use std::ops::Range;

use bytes::Bytes;
use fastcdc::v2020::StreamCDC;
use specs::Digest;

use super::{Result, Store};
use crate::error::RepoError;
use crate::hash::{Hasher, digest_of};
use crate::manifest::Manifest;
use crate::object::Kind;
use crate::tree::FileEntry;

/// Sizes of chunks in bytes. They are no part of the format: a store may hold files cut by other numbers.
const MIN_CHUNK: usize = 256 << 10;
const AVERAGE_CHUNK: usize = 1 << 20;
const MAX_CHUNK: usize = 4 << 20;

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
    /// Files of fewer bytes are always one chunk.
    pub(crate) const ONE_CHUNK_BYTES: u64 = MIN_CHUNK as u64;

    /// Keeps the content that `source` gives. Memory: a few chunks, whatever its length. Needs no lock.
    pub fn put_content(&self, mut source: impl Read) -> std::io::Result<Stored> {
        let mut head = Vec::new();
        source.by_ref().take(MIN_CHUNK as u64).read_to_end(&mut head)?;
        if head.len() < MIN_CHUNK {
            return self.put_bytes(&head).map_err(std::io::Error::other);
        }
        self.put_chunks(std::io::Cursor::new(head).chain(source))
    }

    /// Keeps content that is in memory, as one chunk.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Stored> {
        let digest = digest_of(bytes);
        let size_bytes = bytes.len() as u64;
        let new = !self.has_content(&digest)? && self.write(Kind::Chunk, digest, bytes)?;
        Ok(Stored { digest, size_bytes, new_bytes: if new { size_bytes } else { 0 } })
    }

    fn put_chunks(&self, source: impl Read) -> std::io::Result<Stored> {
        let mut whole = Hasher::default();
        let mut chunks = Vec::new();
        let mut new_bytes = 0;
        for chunk in StreamCDC::new(source, MIN_CHUNK, AVERAGE_CHUNK, MAX_CHUNK) {
            let data = chunk.map_err(std::io::Error::from)?.data;
            whole.update(&data);
            let digest = digest_of(&data);
            if self.write(Kind::Chunk, digest, &data).map_err(std::io::Error::other)? {
                new_bytes += data.len() as u64;
            }
            chunks.push((digest, data.len() as u32));
        }
        let digest = whole.finish();
        let manifest = Manifest { chunks };
        let size_bytes = manifest.size_bytes();
        if manifest.chunks.len() > 1 && !self.contains(Kind::Manifest, &digest).map_err(std::io::Error::other)? {
            self.write(Kind::Manifest, digest, &manifest.encode()).map_err(std::io::Error::other)?;
        }
        Ok(Stored { digest, size_bytes, new_bytes })
    }

    /// Whether content is there, as one chunk or in several: then all of them.
    pub fn has_content(&self, digest: &Digest) -> Result<bool> {
        if self.contains(Kind::Chunk, digest)? {
            return Ok(true);
        }
        if !self.contains(Kind::Manifest, digest)? {
            return Ok(false);
        }
        // Garbage collection that was ended half-way may have taken chunks and left the manifest.
        let Some(manifest) = self.find_object(Kind::Manifest, digest)?.as_deref().and_then(Manifest::decode) else {
            return Ok(false);
        };
        for (chunk, _) in &manifest.chunks {
            if !self.contains(Kind::Chunk, chunk)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Opens a file for reading.
    pub fn open_file(&self, file: &FileEntry) -> Result<FileReader> {
        let mut is_one_chunk = self.contains(Kind::Chunk, &file.digest)?;
        // A list of packs that was read while some were folded may lack both the old ones and the new one.
        if !is_one_chunk && !self.contains(Kind::Manifest, &file.digest)? && self.look_again()? {
            is_one_chunk = self.contains(Kind::Chunk, &file.digest)?;
        }
        let chunks = if is_one_chunk {
            vec![(file.digest, file.size as u32)]
        } else {
            let bytes = self
                .find_object(Kind::Manifest, &file.digest)?
                .ok_or(RepoError::MissingObject { kind: Kind::Chunk, digest: file.digest })?;
            Manifest::decode(&bytes).map(|manifest| manifest.chunks).ok_or_else(|| RepoError::DamagedObject {
                kind: Kind::Manifest,
                digest: file.digest,
                why: "its own digest does not fit".to_owned(),
            })?
        };
        Ok(FileReader { store: self.clone(), chunks, next: 0, rest: Bytes::new() })
    }

    /// Reads at most `range.len()` bytes of a file, fewer at its end.
    pub fn read_file(&self, file: &FileEntry, range: Range<u64>) -> Result<Bytes> {
        let reader = self.open_file(file)?;
        let mut start = 0;
        let mut found = Vec::new();
        for (digest, length) in &reader.chunks {
            let end = start + u64::from(*length);
            if end > range.start && start < range.end {
                let bytes = self.object(Kind::Chunk, digest)?;
                let part = range.start.saturating_sub(start) as usize..(range.end.min(end) - start) as usize;
                let part = bytes.slice(part);
                if range.start >= start && range.end <= end {
                    return Ok(part);
                }
                found.extend_from_slice(&part);
            }
            start = end;
        }
        Ok(found.into())
    }
}

/// Reads a file chunk by chunk, each checked.
#[derive(Debug)]
pub struct FileReader {
    store: Store,
    chunks: Vec<(Digest, u32)>,
    next: usize,
    rest: Bytes,
}

impl FileReader {
    /// The next piece; `None` at the end.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        let Some((digest, _)) = self.chunks.get(self.next) else { return Ok(None) };
        self.next += 1;
        self.store.object(Kind::Chunk, digest).map(Some)
    }
}

impl Read for FileReader {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.is_empty() {
            match self.next_chunk().map_err(std::io::Error::other)? {
                Some(chunk) => self.rest = chunk,
                None => return Ok(0),
            }
        }
        let taken = into.len().min(self.rest.len());
        into[..taken].copy_from_slice(&self.rest.split_to(taken));
        Ok(taken)
    }
}
