//! Fills packs, and finishes those whose writer died.
//!
//! Small objects gather in memory and go to the pack together, so a pack is written in few large pieces. All that was appended reads
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

/// A pack is finished when it has grown past this, unless the store was opened with another limit; the next object opens another.
pub const FULL_BYTES: u64 = 1 << 30;
/// A pack takes no more objects than this, so that what a writer keeps in memory of them stays small: as many as fit into a hash map
/// before it would take twice the room.
const FULL_ENTRIES: usize = (1 << 18) / 8 * 7;

/// Entries gather in memory until they are as long as this.
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
    /// As long as this lives the pack is held; `None` when nobody needs that.
    pub file: Option<Box<dyn PackFile>>,
}

/// Writes objects of one class into one pack after another.
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
    /// Entries that follow those in the file; never half of one.
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

/// Appends all pieces or none: half an entry must not stay in front of the next one.
fn append_whole(file: &mut dyn PackFile, pieces: &[&[u8]]) -> Result<(), RepoError> {
    let before = file.length();
    file.append(pieces).inspect_err(|_| {
        file.truncate(before).ok();
    })
}

impl PackWriter {
    /// A writer that has opened no pack yet, and continues to another when one is longer than `full_bytes`.
    pub fn new(class: PackClass, full_bytes: u64) -> Self {
        Self { class, full_bytes, open: None, finished: Vec::new(), synced: 0 }
    }

    /// Appends an object, unless the open pack already holds it; true when it was new. It is compressed where that helps.
    pub fn append(&mut self, store: &dyn PackStore, kind: Kind, digest: Digest, raw: &[u8]) -> Result<bool, RepoError> {
        codec::pack(raw, |codec, stored| self.append_packed(store, kind, digest, raw.len(), codec, stored))
    }

    /// The same with bytes that [`codec::pack`] gave for an object of `raw_bytes`.
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

    /// An object of the open pack as it is stored, not checked; `None` when it is not there.
    pub fn read(&self, kind: Kind, digest: &Digest) -> Option<Result<(Row, Bytes), RepoError>> {
        let row = self.row(kind, digest)?;
        Some(self.open.as_ref()?.read(row.stored_range()).map(|stored| (*row, stored)))
    }

    /// Bytes of the object in the open pack; `None` when it is not there.
    pub fn raw_bytes(&self, kind: Kind, digest: &Digest) -> Option<u32> {
        self.row(kind, digest).map(|row| row.raw_bytes)
    }

    /// Hands all that was appended to the operating system: it survives the death of this process, not yet a power cut.
    pub fn flush(&mut self) -> Result<(), RepoError> {
        self.open.as_mut().map_or(Ok(()), Open::flush)
    }

    /// Makes all that was appended durable, leaving the pack open.
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

    /// Finishes the open pack; one that cannot be stays open, and with it all that it holds.
    fn close(&mut self) -> Result<(), RepoError> {
        if let Some(open) = &mut self.open {
            let finished = finish(&mut *open.file, &open.gathered, open.rows.clone())?;
            let file = self.open.take().map(|open| open.file);
            self.finished.push(Finished { file, ..finished });
            self.synced = 0;
        }
        Ok(())
    }

    /// Finishes the open pack and gives all packs finished since the last call.
    pub fn finish(&mut self) -> Result<Vec<Finished>, RepoError> {
        self.close()?;
        Ok(std::mem::take(&mut self.finished))
    }

    /// Gives packs that were finished because they were full; the open one stays.
    pub fn take_finished(&mut self) -> Vec<Finished> {
        std::mem::take(&mut self.finished)
    }

    /// Gives up the open pack, of which nobody was told.
    pub fn discard(&mut self) -> Result<(), RepoError> {
        self.open.take().map_or(Ok(()), |open| open.file.discard())
    }
}

/// Appends the last entries, index and footer and lists the pack; after an error it ends again where it did.
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

/// Whether a power cut took a part of the header, which is written before all else: no record names what is in such a pack.
fn was_never_synced(file: &dyn PackFile) -> Result<bool, RepoError> {
    let (found, written) = (file.read(0..HEADER_BYTES)?, header(file.class()));
    let is_partly_there = || found.iter().zip(&written).all(|(found, written)| found == written || *found == 0);
    Ok(*found != written && is_partly_there())
}

/// Finishes a pack whose writer died: keeps every whole entry up to the first that is not, discards a pack without any.
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
