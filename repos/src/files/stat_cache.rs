//! Digests of files from earlier puts, so that unchanged files need not be read again.
//!
//! One file per source in `.pv/stat`, or in a folder of the user for a store elsewhere ([`StatPlace`]), named by the digest of the source's path, with an entry for each file, sorted by path: it is read
//! from front to back alongside a walk. Nothing depends on it: damaged files and those of other stores are ignored, and a digest counts
//! only if the store has the content. An entry is written only for a file whose stamp would reveal any later change (see [`super::trust`]).
//!
//! ```text
//! file   = "PVSTAT" 00 02 block*              the first block contains the store's id
//! block  = length u32 · SHA-256 · entry*      length and digest of the entries; a damaged block ends the file
//! entry  = shared length suffix size modified changed device inode mode digest
//! ```
//! A path shares its prefix with the previous path in its block; times take 8 bytes, the digest 32, all other numbers are varints.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use specs::Digest;

use super::stamp::Stamp;
use crate::base::hash::digest_of;
use crate::store::{Result, Store};
use crate::tree::varint;

const FOLDER: &str = "stat";
/// Version 1 trusted files that had just been written, which a mapping could change unnoticed.
const MAGIC: &[u8; 8] = b"PVSTAT\x00\x02";
/// A block is written once it is longer than this.
const BLOCK_BYTES: usize = 64 << 10;
/// No written block is longer: one path and a little more beyond the limit.
const MAX_BLOCK_BYTES: usize = BLOCK_BYTES + (8 << 10);
/// Maximum number and total size of caches; the oldest are removed first.
const MAX_CACHES: usize = 64;
const MAX_BYTES: u64 = 1 << 30;

/// Where the digests of files are kept that were put to one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatPlace {
    folder: PathBuf,
    /// The store's id.
    store: String,
}

impl StatPlace {
    /// In a store on this machine.
    pub(super) fn of(store: &Store) -> Result<Self> {
        Ok(Self { folder: store.folder().join(FOLDER), store: store.id()? })
    }

    /// For the store elsewhere with this id: in a folder of its own below the user's `cache`.
    pub fn in_cache(cache: &Path, store: &str) -> Self {
        // The id comes from the other side: it must not act as a path.
        let name = digest_of(store.as_bytes()).short(32);
        Self { folder: cache.join(FOLDER).join(name), store: store.to_owned() }
    }

    /// The cache file of a source. Its name depends on the path with all links resolved.
    fn file(&self, source: &Path) -> io::Result<PathBuf> {
        let name = digest_of(source.canonicalize()?.as_os_str().as_bytes());
        Ok(self.folder.join(name.to_string()))
    }
}

/// Reads a source's entries in the order of their paths.
#[derive(Debug)]
pub(super) struct Reader {
    file: BufReader<File>,
    block: Vec<u8>,
    /// Offset of the next entry in `block`.
    at: usize,
    path: Vec<u8>,
    /// The entry of `path`.
    current: Option<(Stamp, Digest)>,
    /// Whether the end was reached.
    ended: bool,
}

impl Reader {
    /// Opens the cache of a source, if there is one.
    pub(super) fn open(place: &StatPlace, source: &Path) -> Option<Self> {
        let file = File::open(place.file(source).ok()?).ok()?;
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        // Only marks the cache as recently used.
        rustix::fs::futimens(&file, &Timestamps { last_access: omit, last_modification: now }).ok();
        let mut reader = Self {
            file: BufReader::with_capacity(2 * BLOCK_BYTES, file),
            block: Vec::new(),
            at: 0,
            path: Vec::new(),
            current: None,
            ended: false,
        };
        let mut magic = [0; MAGIC.len()];
        reader.file.read_exact(&mut magic).ok()?;
        let is_ours = magic == *MAGIC && reader.read_block().is_some() && reader.block == place.store.as_bytes();
        reader.at = reader.block.len();
        is_ours.then_some(reader)
    }

    /// The entry of `path`. Calls must use ascending paths.
    pub(super) fn find(&mut self, path: &[u8]) -> Option<&(Stamp, Digest)> {
        while !self.ended && (self.current.is_none() || *self.path < *path) {
            self.ended = self.next().is_none();
        }
        if self.ended {
            return None;
        }
        self.current.as_ref().filter(|_| self.path == path)
    }

    /// Advances to the next entry; `None` at the end.
    fn next(&mut self) -> Option<()> {
        if self.at == self.block.len() {
            self.path.clear();
            self.read_block()?;
            self.at = 0;
        }
        let mut rest = &self.block[self.at..];
        let shared = varint::take(&mut rest)? as usize;
        let length = varint::take(&mut rest)? as usize;
        let suffix = rest.split_off(..length)?;
        (shared <= self.path.len()).then_some(())?;
        self.path.truncate(shared);
        self.path.extend_from_slice(suffix);
        let stamp = Stamp {
            size_bytes: varint::take(&mut rest)?,
            modified: i64::from_be_bytes(*rest.split_off(..8)?.first_chunk()?),
            changed: i64::from_be_bytes(*rest.split_off(..8)?.first_chunk()?),
            device: varint::take(&mut rest)?,
            inode: varint::take(&mut rest)?,
            mode: u32::try_from(varint::take(&mut rest)?).ok()?,
        };
        let digest = Digest::from_bytes(*rest.split_off(..32)?.first_chunk()?);
        self.at = self.block.len() - rest.len();
        self.current = Some((stamp, digest));
        Some(())
    }

    /// Reads the next whole block and verifies it.
    fn read_block(&mut self) -> Option<()> {
        let mut head = [0; 36];
        self.file.read_exact(&mut head).ok()?;
        let (length, digest) = head.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_BLOCK_BYTES {
            return None;
        }
        self.block.resize(length, 0);
        self.file.read_exact(&mut self.block).ok()?;
        (digest_of(&self.block).as_bytes() == digest && length > 0).then_some(())
    }
}

/// Writes a source's entries to a temporary file, which replaces the old one on `finish` and is otherwise dropped.
#[derive(Debug)]
pub(super) struct Writer {
    file: BufWriter<File>,
    place: PathBuf,
    part: PathBuf,
    block: Vec<u8>,
    /// The path of the newest entry in the block.
    path: Vec<u8>,
}

impl Writer {
    /// Starts a new cache for a source.
    pub(super) fn create(at: &StatPlace, source: &Path) -> io::Result<Self> {
        let place = at.file(source)?;
        std::fs::create_dir_all(&at.folder)?;
        let part = at.folder.join(format!("{}.part", crate::base::random::hex()));
        let file = BufWriter::with_capacity(4 * BLOCK_BYTES, File::create_new(&part)?);
        let mut writer = Self { file, place, part, block: Vec::new(), path: Vec::new() };
        writer.file.write_all(MAGIC)?;
        writer.block.extend_from_slice(at.store.as_bytes());
        writer.write_block()?;
        Ok(writer)
    }

    /// Adds an entry. Paths must ascend.
    pub(super) fn add(&mut self, path: &[u8], stamp: &Stamp, digest: &Digest) -> io::Result<()> {
        let shared = self.path.iter().zip(path).take_while(|(one, other)| one == other).count();
        let block = &mut self.block;
        varint::put(block, shared as u64);
        varint::put(block, (path.len() - shared) as u64);
        block.extend_from_slice(&path[shared..]);
        varint::put(block, stamp.size_bytes);
        block.extend_from_slice(&stamp.modified.to_be_bytes());
        block.extend_from_slice(&stamp.changed.to_be_bytes());
        varint::put(block, stamp.device);
        varint::put(block, stamp.inode);
        varint::put(block, u64::from(stamp.mode));
        block.extend_from_slice(digest.as_bytes());
        self.path.truncate(shared);
        self.path.extend_from_slice(&path[shared..]);
        if self.block.len() > BLOCK_BYTES { self.write_block() } else { Ok(()) }
    }

    fn write_block(&mut self) -> io::Result<()> {
        self.file.write_all(&(self.block.len() as u32).to_be_bytes())?;
        self.file.write_all(digest_of(&self.block).as_bytes())?;
        self.file.write_all(&self.block)?;
        self.block.clear();
        self.path.clear();
        Ok(())
    }

    /// Replaces the old entries. Not synced: what a power cut leaves is either intact or ignored.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.write_block()?;
        }
        self.file.flush()?;
        std::fs::rename(&self.part, &self.place)?;
        let folder = self.place.parent().map(Path::to_owned).unwrap_or_default();
        drop(self);
        drop_oldest(&folder)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // After `finish` the file no longer exists.
        std::fs::remove_file(&self.part).ok();
    }
}

/// Removes caches beyond the limits, and files left by writers that died.
fn drop_oldest(folder: &Path) -> io::Result<()> {
    let mut caches = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // A file that another process has just renamed or removed is skipped.
        if let Ok(data) = entry.metadata() {
            caches.push((data.modified()?, data.len(), entry.path()));
        }
    }
    caches.sort_unstable_by(|one, other| other.cmp(one));
    let mut bytes = 0;
    for (at, (_, length, path)) in caches.iter().enumerate() {
        bytes += length;
        if at >= MAX_CACHES || bytes > MAX_BYTES {
            std::fs::remove_file(path).ok();
        }
    }
    Ok(())
}
