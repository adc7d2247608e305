//! Brings an index up to packs and journal: records that are new, packs that came and packs that went.

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

/// Rows of a pack that are read into the index at a time.
const ROWS_AT_A_TIME: usize = 50_000;

impl Store {
    /// The journal's position with the right to change index and position: what is looked at and what is recorded belong together.
    /// Taken after the lock on a pack writer, never before.
    pub(super) fn locked_position(&self) -> MutexGuard<'_, Position> {
        self.inner.position.lock().expect("no panic under this lock")
    }

    /// The index with the position that it stands at.
    pub(crate) fn index_at(&self) -> (Arc<Index>, Position) {
        let position = self.locked_position();
        (self.index(), *position)
    }

    /// Brings an index up to packs and journal, and `position` with it.
    pub(super) fn catch_up(&self, index: &Index, position: &mut Position) -> Result<(), RepoError> {
        let from: Position = index.row(&keys::meta(meta::POSITION))?.unwrap_or_default();
        let noted = self.noted_position();
        // The journal first: whatever its records name is in packs that were finished before, and so are listed after.
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
        // Packs on other machines hold nothing that matters before a record names it.
        let (packs, all) = if records.is_empty() { self.packs().known()? } else { (self.packs().list()?, true) };
        self.follow_packs(index, packs, all)?;
        if index.is_writable() && !records.is_empty() {
            // A writer may have died between write and sync. After a power cut the index must not know more than the journal.
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
            // Anyone who executes pipelines must not follow what nobody signed.
            if self.is_owner() && !records.is_empty() {
                self.ensure_not_forged(index)?;
            }
        }
        Ok(())
    }

    /// Enters packs into the index that no record may name yet.
    pub(crate) fn register_listed(&self, packs: &[(PackName, u64)]) -> Result<(), RepoError> {
        let _position = self.locked_position();
        self.register_new(&self.index(), packs).map(|_| ())
    }

    /// Enters packs that are new, then takes out those that are gone, if these are `all`: what counts of them is in the new ones.
    ///
    /// A reader's index puts off packs of content: most reads need none of them, and one that a large put has just finished, which the
    /// index on disk does not know yet, can hold a million rows.
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
        // Which other copies there are may have changed.
        self.inner.copies.lock().expect("no panic under this lock").take();
        Ok(())
    }

    /// Enters the packs that the index has put off. The caller holds the lock on the position.
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

    /// Has the index know all packs from now on, for anyone who looks at all of them.
    pub(crate) fn know_all(&self) -> Result<(), RepoError> {
        self.inner.knows_all.store(true, Ordering::Relaxed);
        let _position = self.locked_position();
        self.enter_put_off()
    }

    /// Enters packs that the index does not know; false when one is gone, so that the list is old.
    fn register_new(&self, index: &Index, listed: &[(PackName, u64)]) -> Result<bool, RepoError> {
        let mut new: Vec<_> = listed.iter().filter(|(name, _)| index.pack_number(name).is_none()).collect();
        // Of two copies the one that is entered last counts. A folded pack is longer than each of those that it replaces and that are
        // about to go.
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

    /// Has the copies in a pack that the index knows count, whatever others there are. The caller holds the lock on the position.
    pub(super) fn prefer(&self, index: &Index, name: &PackName, rows: &[Row]) -> Result<(), RepoError> {
        self.register(index, name, rows)?;
        if let Some(number) = index.pack_number(name) {
            let place = |row: &Row| (keys::object(row.kind, &row.digest), Some(Location::of(row, number).encode()));
            rows.chunks(ROWS_AT_A_TIME).for_each(|rows| index.commit(rows.iter().map(place).collect()));
        }
        Ok(())
    }

    /// Enters the objects of a finished pack into an index. The caller holds the lock on the position.
    pub(super) fn register(&self, index: &Index, name: &PackName, rows: &[Row]) -> Result<(), RepoError> {
        if index.pack_number(name).is_some() {
            return Ok(());
        }
        let number = index.next_pack()?;
        for rows in rows.chunks(ROWS_AT_A_TIME) {
            let mut changes = Changes::new();
            for row in rows {
                let key = keys::object(row.kind, &row.digest);
                // One that the index knows from another pack is not read again: folding moves many.
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
