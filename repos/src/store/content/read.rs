//! Reads content, verifying every byte.

use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use crossbeam_channel::bounded;
use specs::Digest;

use super::{Result, Store};
use crate::base::error::{IoContext, RepoError};
use crate::base::hash::Hasher;
use crate::base::kind::Kind;
use crate::objects::manifest::Manifest;
use crate::objects::packs::codec;
use crate::tree::FileEntry;

/// From this length on, another thread computes the digest while this one reads and writes.
const LARGE_FILE: u64 = 4 << 20;
/// Number of chunks that can wait for the digest.
const CHUNKS_AHEAD: usize = 8;

impl Store {
    /// Opens a file for reading.
    pub fn open_file(&self, file: &FileEntry) -> Result<FileReader> {
        let mut found = self.find_content(file, &|kind| self.find_object(kind, &file.digest))?;
        // A list of packs read during folding may lack both the old packs and the new one.
        if found.is_none() && self.look_again()? {
            found = self.find_content(file, &|kind| self.find_object(kind, &file.digest))?;
        }
        if found.is_none() {
            let beside = |kind| self.find_beside_writers(kind, &file.digest, codec::unpack);
            found = self.find_content(file, &beside)?;
        }
        found.ok_or(RepoError::MissingObject { kind: Kind::Chunk, digest: file.digest })
    }

    /// The file with this content digest, if the store has it and it is visible; marked as not executable.
    pub fn find_file(&self, digest: &Digest) -> Result<Option<FileEntry>> {
        if self.is_limited() && !self.sees_content(digest)? {
            return Ok(None);
        }
        let file = |size| FileEntry { digest: *digest, size, executable: false };
        if let Some(bytes) = self.find_object(Kind::Manifest, digest)? {
            return Ok(Some(file(manifest(&file(0), &bytes)?.size_bytes())));
        }
        Ok(self.find_object(Kind::Chunk, digest)?.map(|bytes| file(bytes.len() as u64)))
    }

    /// SHA-256 of the content that these chunks make, in constant memory; each is read and decompressed while the one before is hashed.
    pub(in crate::store) fn digest_of_chunks(&self, manifest: &Manifest) -> Result<Digest> {
        let reader = FileReader {
            store: self.clone(),
            chunks: manifest.chunks.clone(),
            next: 0,
            rest: Bytes::new(),
            whole: Bytes::new(),
        };
        digest_while_copying(&reader, &mut std::io::sink())
    }

    /// The reader of a file; `find` returns its first object.
    fn find_content(
        &self,
        file: &FileEntry,
        find: &dyn Fn(Kind) -> Result<Option<Bytes>>,
    ) -> Result<Option<FileReader>> {
        let reader =
            |chunks, whole: Bytes| FileReader { store: self.clone(), chunks, next: 0, rest: whole.clone(), whole };
        // Try the likely kind first: one lookup and one read for a small file.
        let (first, second) = if file.size < Self::ONE_CHUNK_BYTES {
            (Kind::Chunk, Kind::Manifest)
        } else {
            (Kind::Manifest, Kind::Chunk)
        };
        for kind in [first, second] {
            if let Some(bytes) = find(kind)? {
                return Ok(Some(match kind {
                    Kind::Chunk => reader(Vec::new(), bytes),
                    _ => reader(manifest(file, &bytes)?.chunks, Bytes::new()),
                }));
            }
        }
        Ok(None)
    }

    /// Writes a file's content and verifies it as a whole: if this fails, nothing written to `into` can be trusted.
    pub fn copy_to(&self, file: &FileEntry, into: &mut impl Write) -> Result<()> {
        let mut reader = self.open_file(file)?;
        if reader.chunks.is_empty() {
            let bytes = std::mem::take(&mut reader.rest);
            check(bytes.len() as u64 == file.size, file)?;
            return into.write_all(&bytes).doing("write", Path::new(""));
        }
        check(reader.chunks.iter().map(|(_, length)| u64::from(*length)).sum::<u64>() == file.size, file)?;
        let digest = if file.size < LARGE_FILE {
            let mut whole = Hasher::default();
            reader.copy_unchecked(into, |chunk| whole.update(&chunk)).map(|()| whole.finish())
        } else {
            digest_while_copying(&reader, into)
        }?;
        if digest == file.digest { Ok(()) } else { Err(reader.culprit(file)) }
    }

    /// Reads up to `range.len()` bytes of a file, fewer at its end.
    pub fn read_file(&self, file: &FileEntry, range: Range<u64>) -> Result<Bytes> {
        let reader = self.open_file(file)?;
        if reader.chunks.is_empty() {
            let length = reader.rest.len() as u64;
            let range = range.start.min(length)..range.end.clamp(range.start.min(length), length);
            return Ok(reader.rest.slice(range.start as usize..range.end as usize));
        }
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

/// Writes all chunks of a file, and returns the digest of the whole, which another thread computes.
fn digest_while_copying(reader: &FileReader, into: &mut impl Write) -> Result<Digest> {
    std::thread::scope(|scope| {
        let (chunks, waiting) = bounded::<Bytes>(CHUNKS_AHEAD);
        let thread = scope.spawn(move || {
            let mut whole = Hasher::default();
            waiting.iter().for_each(|chunk| whole.update(&chunk));
            whole.finish()
        });
        let copied = reader.copy_unchecked(into, |chunk| chunks.send(chunk).unwrap_or_default());
        drop(chunks);
        let digest = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        copied.map(|()| digest)
    })
}

fn manifest(file: &FileEntry, bytes: &[u8]) -> Result<Manifest> {
    Manifest::decode(bytes).ok_or_else(|| damaged(file, "it does not match its own digest"))
}

fn damaged(file: &FileEntry, why: &str) -> RepoError {
    RepoError::DamagedObject { kind: Kind::Manifest, digest: file.digest, why: why.to_owned() }
}

fn check(is_right: bool, file: &FileEntry) -> Result<()> {
    if is_right { Ok(()) } else { Err(damaged(file, "its chunks do not match the file's digest")) }
}

/// Reads a file chunk by chunk, verifying each.
#[derive(Debug)]
pub struct FileReader {
    store: Store,
    /// Empty for a file of one chunk, which is in `whole`.
    chunks: Vec<(Digest, u32)>,
    /// The next chunk to read after `rest`.
    next: usize,
    rest: Bytes,
    whole: Bytes,
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

    /// The chunks of a file with several, with their lengths in bytes; empty for a file of one chunk.
    pub fn chunks(&self) -> &[(Digest, u32)] {
        &self.chunks
    }

    /// Length of the file in bytes.
    fn length(&self) -> u64 {
        self.whole.len() as u64 + self.chunks.iter().map(|(_, length)| u64::from(*length)).sum::<u64>()
    }

    /// Offset of the next byte.
    fn position(&self) -> u64 {
        let behind: u64 = self.chunks[self.next..].iter().map(|(_, length)| u64::from(*length)).sum();
        self.length() - behind - self.rest.len() as u64
    }

    /// Writes all chunks, and passes each on. Verifying each would cost as much as verifying the whole.
    fn copy_unchecked(&self, into: &mut impl Write, mut each: impl FnMut(Bytes)) -> Result<()> {
        for (digest, length) in &self.chunks {
            let chunk = self.store.chunk_unchecked(digest)?;
            if chunk.len() as u64 != u64::from(*length) {
                // The chunk does not match its row, or the manifest is wrong.
                self.store.object(Kind::Chunk, digest)?;
            }
            into.write_all(&chunk).doing("write", Path::new(""))?;
            each(chunk);
        }
        Ok(())
    }

    /// The object responsible for a file that does not match its digest.
    fn culprit(&self, file: &FileEntry) -> RepoError {
        let each = self.chunks.iter().try_for_each(|(digest, _)| self.store.object(Kind::Chunk, digest).map(drop));
        each.err().unwrap_or_else(|| damaged(file, "its chunks do not match the file's digest"))
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

impl Seek for FileReader {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length().checked_add_signed(by),
            SeekFrom::Current(by) => self.position().checked_add_signed(by),
        };
        let before = || std::io::Error::new(std::io::ErrorKind::InvalidInput, "an offset before the start of the file");
        let place = place.ok_or_else(before)?;
        let here = self.position();
        if place >= here && place - here <= self.rest.len() as u64 {
            drop(self.rest.split_to((place - here) as usize));
            return Ok(place);
        }
        if self.chunks.is_empty() {
            self.rest = self.whole.slice(self.whole.len().min(usize::try_from(place).unwrap_or(usize::MAX))..);
            return Ok(place);
        }
        let mut start = 0;
        self.rest = Bytes::new();
        self.next = self.chunks.len();
        for (number, (_, length)) in self.chunks.iter().enumerate() {
            if start + u64::from(*length) > place {
                self.next = number;
                break;
            }
            start += u64::from(*length);
        }
        if place > start
            && let Some(mut chunk) = self.next_chunk().map_err(std::io::Error::other)?
        {
            drop(chunk.split_to(chunk.len().min((place - start) as usize)));
            self.rest = chunk;
        }
        Ok(place)
    }
}
