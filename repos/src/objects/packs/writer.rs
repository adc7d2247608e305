//! Fills packs, and finishes packs whose writer died.
//!
//! Small objects are buffered in memory and written together, so a pack is written in few large pieces. Everything appended can be read
//! back at once; it survives the death of this process after [`PackWriter::flush`], and a power cut after [`PackWriter::sync`].

use std::collections::HashMap;

use bytes::Bytes;
use specs::Digest;

use super::codec::{self, unpack};
use super::format::{
    ENTRY_BYTES, FOOTER_BYTES, HEADER_BYTES, Row, header, index_and_footer, parse_footer, parse_index,
};
use super::{PackFile, PackName, PackStore};
use crate::base::error::RepoError;
use crate::base::kind::{Kind, PackClass};

/// A pack longer than this is finished, unless the store was opened with another limit; the next object starts a new pack.
pub const FULL_BYTES: u64 = 1 << 30;
/// Maximum number of objects in a pack, which bounds a writer's memory: as many as fit into a hash map before it doubles.
const FULL_ENTRIES: usize = (1 << 18) / 8 * 7;

/// Entries are buffered in memory up to this many bytes.
const GATHERED_BYTES: usize = 1 << 20;

/// A finished pack: its name, length in bytes and rows in index order.
#[derive(Debug)]
pub struct Finished {
    /// Its name.
    pub name: PackName,
    /// Its length in bytes.
    pub length: u64,
    /// Its index.
    pub rows: Vec<Row>,
    /// The pack is held while this lives; `None` if that is not needed.
    pub file: Option<Box<dyn PackFile>>,
}

/// Writes objects of one class to one pack after another.
#[derive(Debug)]
pub struct PackWriter {
    class: PackClass,
    full_bytes: u64,
    open: Option<Open>,
    finished: Vec<Finished>,
    synced: u64,
}

#[derive(Debug)]
struct Open {
    file: Box<dyn PackFile>,
    /// Buffered entries that follow those in the file; always complete.
    gathered: Vec<u8>,
    rows: Vec<Row>,
    by_name: HashMap<(u8, Digest), usize>,
}

impl Open {
    fn new(file: Box<dyn PackFile>) -> Self {
        let gathered = Vec::with_capacity(GATHERED_BYTES);
        Self { file, gathered, rows: Vec::new(), by_name: HashMap::new() }
    }

    fn length(&self) -> u64 {
        self.file.length() + self.gathered.len() as u64
    }

    fn append(&mut self, row: Row, stored: &[u8]) -> Result<(), RepoError> {
        let header = row.entry_header();
        if self.gathered.len() + header.len() + stored.len() <= GATHERED_BYTES {
            self.gathered.extend_from_slice(&header);
            self.gathered.extend_from_slice(stored);
        } else {
            append_whole(&mut *self.file, &[&self.gathered, &header, stored])?;
            self.gathered.clear();
        }
        self.by_name.insert((row.kind, row.digest), self.rows.len());
        self.rows.push(row);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), RepoError> {
        if !self.gathered.is_empty() {
            append_whole(&mut *self.file, &[&self.gathered])?;
            self.gathered.clear();
        }
        Ok(())
    }

    fn read(&self, range: std::ops::Range<u64>) -> Result<Bytes, RepoError> {
        let written = self.file.length();
        if range.start < written {
            return self.file.read(range);
        }
        let range = (range.start - written) as usize..(range.end - written) as usize;
        Ok(Bytes::copy_from_slice(&self.gathered[range]))
    }
}

/// Appends all pieces or none: a partial entry must not precede the next one.
fn append_whole(file: &mut dyn PackFile, pieces: &[&[u8]]) -> Result<(), RepoError> {
    let before = file.length();
    file.append(pieces).inspect_err(|_| {
        file.truncate(before).ok();
    })
}

impl PackWriter {
    /// A writer without an open pack; it starts a new pack when one is longer than `full_bytes`.
    pub fn new(class: PackClass, full_bytes: u64) -> Self {
        Self { class, full_bytes, open: None, finished: Vec::new(), synced: 0 }
    }

    /// Appends an object, compressed if that helps, unless the open pack already has it; true if it was new.
    pub fn append(&mut self, store: &dyn PackStore, kind: Kind, digest: Digest, raw: &[u8]) -> Result<bool, RepoError> {
        codec::pack(raw, |codec, stored| self.append_packed(store, kind, digest, raw.len(), codec, stored))
    }

    /// Like [`Self::append`], with the result of [`codec::pack`] for an object of `raw_bytes`.
    pub fn append_packed(
        &mut self,
        store: &dyn PackStore,
        kind: Kind,
        digest: Digest,
        raw_bytes: usize,
        codec: u8,
        stored: &[u8],
    ) -> Result<bool, RepoError> {
        if self.row(kind, &digest).is_some() && kind != Kind::Manifest {
            return Ok(false);
        }
        let is_full = |open: &Open| open.length() > self.full_bytes || open.rows.len() >= FULL_ENTRIES;
        if self.open.as_ref().is_some_and(is_full) {
            self.close()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::new(store.create(self.class)?)),
        };
        let too_large = |_| RepoError::ObjectTooLarge { kind, bytes: raw_bytes as u64 };
        let raw_bytes = u32::try_from(raw_bytes).map_err(too_large)?;
        let stored_bytes = stored.len() as u32;
        open.append(Row { kind: kind as u8, digest, offset: open.length(), codec, stored_bytes, raw_bytes }, stored)?;
        Ok(true)
    }

    fn row(&self, kind: Kind, digest: &Digest) -> Option<&Row> {
        let open = self.open.as_ref()?;
        open.by_name.get(&(kind as u8, *digest)).map(|at| &open.rows[*at])
    }

    /// An object of the open pack as stored, not checked; `None` if it is not there.
    pub fn read(&self, kind: Kind, digest: &Digest) -> Option<Result<(Row, Bytes), RepoError>> {
        let row = self.row(kind, digest)?;
        Some(self.open.as_ref()?.read(row.stored_range()).map(|stored| (*row, stored)))
    }

    /// Size in bytes of an object in the open pack; `None` if it is not there.
    pub fn raw_bytes(&self, kind: Kind, digest: &Digest) -> Option<u32> {
        self.row(kind, digest).map(|row| row.raw_bytes)
    }

    /// Digests of objects in the open pack that begin with these hex digits, in no order.
    pub fn by_prefix(&self, kind: Kind, prefix: &str) -> Vec<Digest> {
        digests_with(self.open.iter().flat_map(|open| open.by_name.keys()), kind, prefix)
    }

    /// Writes everything appended to the operating system: it survives the death of this process, but not yet a power cut.
    pub fn flush(&mut self) -> Result<(), RepoError> {
        self.open.as_mut().map_or(Ok(()), Open::flush)
    }

    /// Makes everything appended durable and leaves the pack open.
    pub fn sync(&mut self) -> Result<(), RepoError> {
        if let Some(open) = &mut self.open
            && open.length() != self.synced
        {
            open.flush()?;
            open.file.sync()?;
            self.synced = open.file.length();
        }
        Ok(())
    }

    /// Finishes the open pack; on failure it stays open with everything in it.
    fn close(&mut self) -> Result<(), RepoError> {
        if let Some(open) = &mut self.open {
            let finished = finish(&mut *open.file, &open.gathered, open.rows.clone())?;
            let file = self.open.take().map(|open| open.file);
            self.finished.push(Finished { file, ..finished });
            self.synced = 0;
        }
        Ok(())
    }

    /// Finishes the open pack and returns all packs finished since the last call.
    pub fn finish(&mut self) -> Result<Vec<Finished>, RepoError> {
        self.close()?;
        Ok(std::mem::take(&mut self.finished))
    }

    /// Returns packs that were finished because they were full; the open one stays open.
    pub fn take_finished(&mut self) -> Vec<Finished> {
        std::mem::take(&mut self.finished)
    }

    /// Discards the open pack, which nothing refers to.
    pub fn discard(&mut self) -> Result<(), RepoError> {
        self.open.take().map_or(Ok(()), |open| open.file.discard())
    }
}

/// The digests among these names of objects that are of one kind and begin with these hex digits.
pub(crate) fn digests_with<'a>(names: impl Iterator<Item = &'a (u8, Digest)>, kind: Kind, prefix: &str) -> Vec<Digest> {
    // Whole bytes first, since a pack may have hundreds of thousands of names.
    let byte = |at: usize| prefix.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let whole: Vec<u8> = (0..prefix.len() / 2).map_while(|pair| byte(2 * pair)).collect();
    let digests = names.filter(|(of, digest)| *of == kind as u8 && digest.as_bytes().starts_with(&whole));
    digests.map(|(_, digest)| *digest).filter(|digest| digest.to_string().starts_with(prefix)).collect()
}

/// Appends the last entries, index and footer, and lists the pack; after an error the file is truncated to its former length.
pub(crate) fn finish(file: &mut dyn PackFile, entries: &[u8], mut rows: Vec<Row>) -> Result<Finished, RepoError> {
    let end = file.length();
    let (bytes, digest) = index_and_footer(&mut rows, end + entries.len() as u64);
    let name = PackName { class: file.class(), digest };
    let done = file.append(&[entries, &bytes]).and_then(|()| {
        let length = file.length();
        file.finish(name).map(|()| length)
    });
    match done {
        Ok(length) => Ok(Finished { name, length, rows, file: None }),
        Err(error) => {
            file.truncate(end).ok();
            Err(error)
        }
    }
}

/// Whether a power cut damaged the header, which is written first: then no record names anything in this pack.
fn was_never_synced(file: &dyn PackFile) -> Result<bool, RepoError> {
    let (found, written) = (file.read(0..HEADER_BYTES)?, header(file.class()));
    let is_partly_there = || found.iter().zip(&written).all(|(found, written)| found == written || *found == 0);
    Ok(*found != written && is_partly_there())
}

/// Finishes a pack whose writer died: keeps all complete entries up to the first incomplete one; discards a pack without any.
pub fn salvage(mut file: Box<dyn PackFile>) -> Result<Option<Finished>, RepoError> {
    let mut rows = Vec::new();
    let mut offset = if was_never_synced(&*file)? { file.length() } else { HEADER_BYTES };
    while offset + ENTRY_BYTES <= file.length() {
        let header = file.read(offset..offset + ENTRY_BYTES)?;
        let Some(row) = Row::from_entry_header(&header, offset) else { break };
        let range = row.stored_range();
        if range.end > file.length() || unpack(&row, file.read(range.clone())?).is_none() {
            break;
        }
        offset = range.end;
        rows.push(row);
    }
    if rows.is_empty() {
        file.discard()?;
        return Ok(None);
    }
    file.truncate(offset)?;
    finish(&mut *file, &[], rows).map(Some)
}

/// Reads the index of a finished pack of `length` bytes.
pub fn read_index(store: &dyn PackStore, name: &PackName, length: u64) -> Result<Vec<Row>, RepoError> {
    let damaged = || RepoError::DamagedPack { pack: *name, why: "its index does not match its name" };
    let footer_at = length.checked_sub(FOOTER_BYTES).ok_or_else(damaged)?;
    let footer = parse_footer(&store.read(name, footer_at..length)?).ok_or_else(damaged)?;
    if footer.index_digest != name.digest || footer.index_offset > footer_at {
        return Err(damaged());
    }
    parse_index(&store.read(name, footer.index_offset..footer_at)?, &footer).ok_or_else(damaged)
}
