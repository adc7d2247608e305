//! Copies entries of finished packs into new packs, as stored, checking each.

use std::collections::HashSet;

use specs::Digest;

use super::codec::unpack;
use super::format::Row;
use super::writer::{Finished, finish};
use super::{PackFile, PackName, PackStore};
use crate::base::error::RepoError;
use crate::base::kind::PackClass;

/// A new pack that receives entries of others.
#[derive(Debug)]
pub(crate) struct PackCopy {
    class: PackClass,
    file: Option<Box<dyn PackFile>>,
    rows: Vec<Row>,
    seen: HashSet<(u8, Digest)>,
}

impl PackCopy {
    /// An empty copy.
    pub(crate) fn new(class: PackClass) -> Self {
        Self { class, file: None, rows: Vec::new(), seen: HashSet::new() }
    }

    /// Length so far, in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.length())
    }

    /// Copies all `rows` of a pack except objects already copied; false if one is damaged: then nothing of this pack was copied.
    pub(crate) fn take(
        &mut self,
        store: &dyn PackStore,
        pack: &PackName,
        rows: impl IntoIterator<Item = Row>,
    ) -> Result<bool, RepoError> {
        let (length, count) = (self.length(), self.rows.len());
        let taken = rows.into_iter().try_fold(true, |whole, row| Ok(whole && self.take_one(store, pack, row)?));
        if !matches!(taken, Ok(true)) {
            for row in self.rows.drain(count..) {
                self.seen.remove(&(row.kind, row.digest));
            }
            match &mut self.file {
                Some(file) if length > 0 => file.truncate(length)?,
                _ => self.discard()?,
            }
        }
        taken
    }

    fn take_one(&mut self, store: &dyn PackStore, pack: &PackName, row: Row) -> Result<bool, RepoError> {
        if self.seen.contains(&(row.kind, row.digest)) {
            return Ok(true);
        }
        let stored = store.read(pack, row.stored_range())?;
        if unpack(&row, stored.clone()).is_none() {
            tracing::warn!("pack {pack} is left unchanged: its entry at {} is damaged", row.offset);
            return Ok(false);
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(store.create(self.class)?),
        };
        let row = Row { offset: file.length(), ..row };
        file.append(&[&row.entry_header(), &stored])?;
        self.seen.insert((row.kind, row.digest));
        self.rows.push(row);
        Ok(true)
    }

    /// Makes the pack durable and lists it; `None` if it is empty.
    pub(crate) fn finish(mut self) -> Result<Option<Finished>, RepoError> {
        let Some(file) = &mut self.file else { return Ok(None) };
        let finished = finish(&mut **file, &[], std::mem::take(&mut self.rows));
        if finished.is_err() {
            self.discard().ok();
        }
        finished.map(Some)
    }

    /// Discards what was copied.
    pub(crate) fn discard(&mut self) -> Result<(), RepoError> {
        self.rows.clear();
        self.seen.clear();
        self.file.take().map_or(Ok(()), PackFile::discard)
    }
}

impl Drop for PackCopy {
    /// What an error left unfinished is not kept for salvage.
    fn drop(&mut self) {
        if !self.rows.is_empty() {
            self.discard().ok();
        }
    }
}
