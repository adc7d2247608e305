//! Brings an index up to date with packs and journal: new records, new packs and removed packs.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use super::Store;
use super::objects::{has_rows_about, rows_about};
use crate::base::error::RepoError;
use crate::base::pack_name::PackName;
use crate::index::apply::{apply, cannot_have_happened, meta};
use crate::index::log::advance;
use crate::index::rows::Location;
use crate::index::{Changes, Index, View, keys};
use crate::journal::Position;
use crate::objects::packs::codec::unpack;
use crate::objects::packs::format::Row;

/// Number of rows of a pack that are read into the index at a time.
const ROWS_AT_A_TIME: usize = 50_000;

impl Store {
    /// Locks the journal's position, with the right to change index and position: reading and recording must see the same state. Taken
    /// after the lock on a pack writer, never before.
    pub(super) fn locked_position(&self) -> MutexGuard<'_, Position> {
        self.inner.position.lock().expect("no panic under this lock")
    }

    /// The index with its position.
    pub(crate) fn index_at(&self) -> (Arc<Index>, Position) {
        let position = self.locked_position();
        (self.index(), *position)
    }

    /// Brings an index, and `position`, up to date with packs and journal.
    pub(super) fn catch_up(&self, index: &Index, position: &mut Position) -> Result<(), RepoError> {
        let from: Position = index.row(&keys::meta(meta::POSITION))?.unwrap_or_default();
        let noted = self.noted_position();
        // The journal first: whatever its records name is in packs that were finished earlier, and so are in the list read later.
        self.journal().fetch(from)?;
        let (mut records, mut end) = (Vec::new(), from);
        let length = self.journal().length()?;
        if length < from.bytes {
            return Err(RepoError::ShortJournal { records: from.records, bytes: from.bytes, found: length });
        }
        if length != from.bytes {
            end = self.journal().visit(from, |record, after, leaf| {
                records.push((record, after, leaf));
                Ok(())
            })?;
        }
        if let Some(noted) = noted.filter(|noted| noted.bytes > end.bytes) {
            return Err(RepoError::ShortJournal { records: noted.records, bytes: noted.bytes, found: end.bytes });
        }
        // Packs of other machines do not matter before a record names something in them.
        let (packs, all) = if records.is_empty() { self.packs().known()? } else { (self.packs().list()?, true) };
        self.follow_packs(index, packs, all)?;
        if index.is_writable() && !records.is_empty() {
            // A writer may have died between write and sync. After a power cut the index must not be ahead of the journal.
            self.journal().sync()?;
        }
        for (record, after, leaf) in &records {
            let mut view = View::new(index);
            apply(&mut view, record).map_err(|error| cannot_have_happened(after.records, error))?;
            advance(&mut view, record, after, *leaf)?;
            index.commit(view.into_changes());
        }
        *position = end;
        if index.is_writable() {
            self.check_records(index, &end)?;
            // A process that executes pipelines must not follow unsigned commands.
            if self.is_owner() && !records.is_empty() {
                self.ensure_not_forged(index)?;
            }
        }
        Ok(())
    }

    /// Adds packs to the index that no record may name yet.
    pub(crate) fn register_listed(&self, packs: &[(PackName, u64)]) -> Result<(), RepoError> {
        let _position = self.locked_position();
        self.register_new(&self.index(), packs).map(|_| ())
    }

    /// Adds new packs, then removes those that are gone, if the list has `all`: the objects of removed packs that count are in new ones.
    ///
    /// A reader's index defers packs of content: most reads need none of them, and one just finished by a large put, which the index on
    /// disk does not know yet, can have a million rows.
    pub(super) fn follow_packs(
        &self,
        index: &Index,
        mut packs: Vec<(PackName, u64)>,
        mut all: bool,
    ) -> Result<(), RepoError> {
        loop {
            let knows_all = self.inner.knows_all.load(Ordering::Relaxed);
            let (mut later, now): (Vec<_>, Vec<_>) =
                packs.iter().partition(|(name, _)| !knows_all && index.may_put_off(name));
            if self.register_new(index, &now)? {
                if !all {
                    later.extend(index.packs_put_off().into_iter().filter(|pack| !packs.contains(pack)));
                }
                index.put_off(later);
                break;
            }
            (packs, all) = (self.packs().list()?, true);
        }
        let listed: HashSet<PackName> = packs.into_iter().map(|(name, _)| name).collect();
        let known = index.pack_names();
        if all {
            known.iter().filter(|name| !listed.contains(*name)).for_each(|name| index.forget_pack(name));
        }
        self.rely_on(known.into_iter().filter(|name| !all || listed.contains(name)));
        // The set of duplicate copies may have changed.
        self.inner.copies.lock().expect("no panic under this lock").take();
        Ok(())
    }

    /// Adds the deferred packs to the index. The caller holds the lock on the position.
    pub(super) fn enter_put_off(&self) -> Result<(), RepoError> {
        let index = self.index();
        let mut packs = index.packs_put_off();
        while !self.register_new(&index, &packs)? {
            packs = self.packs().list()?;
        }
        self.rely_on(packs.into_iter().map(|(name, _)| name));
        index.put_off(Vec::new());
        Ok(())
    }

    /// From now on the index covers all packs, for operations that look at all of them.
    pub(crate) fn know_all(&self) -> Result<(), RepoError> {
        self.inner.knows_all.store(true, Ordering::Relaxed);
        let _position = self.locked_position();
        self.enter_put_off()
    }

    /// Adds packs that the index does not know; false if one is gone, which means that the list is outdated.
    fn register_new(&self, index: &Index, listed: &[(PackName, u64)]) -> Result<bool, RepoError> {
        let mut new: Vec<_> = listed.iter().filter(|(name, _)| index.pack_number(name).is_none()).collect();
        // Of two copies the one added last counts. A folded pack is longer than each of the packs it replaces, which are about to be
        // removed.
        new.sort_unstable_by_key(|(name, length)| (*length, *name));
        for (name, length) in new {
            match self.rows_of_pack(name, *length).and_then(|rows| self.register(index, name, &rows)) {
                Ok(()) => {}
                Err(error) if super::objects::is_gone(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Makes the copies in a known pack the ones that count, whatever others exist. The caller holds the lock on the position.
    pub(super) fn prefer(&self, index: &Index, name: &PackName, rows: &[Row]) -> Result<(), RepoError> {
        self.register(index, name, rows)?;
        if let Some(number) = index.pack_number(name) {
            let place = |row: &Row| (keys::object(row.kind, &row.digest), Some(Location::of(row, number).encode()));
            rows.chunks(ROWS_AT_A_TIME).for_each(|rows| index.commit(rows.iter().map(place).collect()));
        }
        Ok(())
    }

    /// Adds the objects of a finished pack to an index. The caller holds the lock on the position.
    pub(super) fn register(&self, index: &Index, name: &PackName, rows: &[Row]) -> Result<(), RepoError> {
        if index.pack_number(name).is_some() {
            return Ok(());
        }
        let number = index.next_pack()?;
        for rows in rows.chunks(ROWS_AT_A_TIME) {
            let mut changes = Changes::new();
            for row in rows {
                let key = keys::object(row.kind, &row.digest);
                // An object that the index knows from another pack is not read again: folding moves many.
                let is_to_be_read = has_rows_about(row.kind) && index.get(&key)?.is_none();
                changes.insert(key, Some(Location::of(row, number).encode()));
                if is_to_be_read && let Some(bytes) = unpack(row, self.packs().read(name, row.stored_range())?) {
                    let about = rows_about(row.kind, &row.digest, &bytes);
                    changes.extend(about.into_iter().map(|(key, value)| (key, Some(value))));
                }
            }
            index.commit(changes);
        }
        index.enter_pack(name)
    }
}
