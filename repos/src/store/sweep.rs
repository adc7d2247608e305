//! Garbage collection: packs with garbage are removed, after their live objects were copied to new packs.
//!
//! ```text
//! without the lock   plan which packs to remove; copy their live objects; the copies are durable and listed
//! with the lock      catch up; let the marks catch up, copy what is live only now; record `gc` in the journal; update the index on
//!                    disk; remove the packs
//! ```
//! It works in batches, so that the lock is held only briefly and a full disk gets emptier with each: first packs with nothing but garbage,
//! then those with the least to copy. Stopping at any point leaves an intact store, possibly with duplicates or leftover packs; the next
//! sweep continues. A reader that finds a pack gone looks again. A writer that relied on one checks its change again (`recheck`); packs
//! with unpublished objects are left alone (`held`).

use std::collections::HashSet;
use std::sync::MutexGuard;

use specs::Digest;

use super::objects::ObjectLocation;
use super::objects::rows_about;
use super::sweep_plan::{Victim, is_marked};
use super::{Change, Lock, Result, Store};
use crate::access::Right;
use crate::base::error::RepoError;
use crate::base::kind::{Kind, PackClass};
use crate::base::pack_name::PackName;
use crate::base::progress::Progress;
use crate::base::stop::stop_at;
use crate::index::{Changes, Index, keys};
use crate::journal::{Entry, Position};
use crate::objects::packs::codec;
use crate::objects::packs::copy::PackCopy;
use crate::objects::packs::format::Row;
use crate::objects::packs::writer::Finished;

/// Disk space that copying leaves free for other writes.
const LEFT_FREE_BYTES: u64 = 8 << 20;

/// The result of a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Number of packs removed.
    pub packs_removed: u64,
    /// Number of packs written with their live objects.
    pub packs_written: u64,
    /// Number of objects removed, including duplicates.
    pub objects_removed: u64,
    /// Size of the removed packs minus that of the new ones, in bytes.
    pub bytes_freed: u64,
}

impl Swept {
    fn add(&mut self, victims: &[Victim], written: &[Finished]) {
        let entries = |packs: &[Finished]| packs.iter().map(|pack| pack.rows.len() as u64).sum::<u64>();
        let bytes = |packs: &[Finished]| packs.iter().map(|pack| pack.length).sum::<u64>();
        self.packs_removed += victims.len() as u64;
        self.packs_written += written.len() as u64;
        let removed: u64 = victims.iter().map(|victim| victim.entries).sum();
        self.objects_removed += removed.saturating_sub(entries(written));
        let freed: u64 = victims.iter().map(|victim| victim.length).sum();
        self.bytes_freed += freed.saturating_sub(bytes(written));
    }
}

/// An entry and its pack.
type Packed = (PackName, Row);

/// The lock, unless this process already has it, with the index on disk open for writing.
struct Writing<'a> {
    store: &'a Store,
    lock: Option<Lock>,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if self.lock.is_some() {
            let reading = self.store.open_reading();
            match self.store.catch_up(&reading, &mut self.store.locked_position()) {
                Ok(()) => self.store.use_index(reading),
                Err(error) => tracing::warn!("the index cannot be updated: {error}"),
            }
        }
    }
}

/// The live objects: everything else may be removed.
pub trait Marks {
    /// Whether an object is live.
    fn is_live(&self, kind: Kind, digest: &Digest) -> bool;
    /// Adds what became live since this was made or last caught up. The store's lock is held, so nothing changes meanwhile.
    fn catch_up(&mut self, store: &Store) -> Result<()>;

    /// Makes live what clients have sent since: the last look, after which nothing is recorded or noted until garbage is gone. It must not
    /// ask the store.
    fn last_look(&mut self) {}
}

impl Store {
    /// Removes what `marks` does not call live, as far as that is worthwhile, and returns what was removed. `InUse` if an owner appears
    /// meanwhile, which can continue; what is removed by then is not reported.
    pub fn sweep(&self, marks: &mut dyn Marks, progress: Progress<'_>) -> Result<Swept> {
        self.ensure_may(Right::Collect)?;
        let _removing = self.take_removal_lock()?;
        self.know_all()?;
        self.free_reserve();
        let swept = self.sweep_all(marks, progress);
        self.fill_reserve();
        swept
    }

    fn sweep_all(&self, marks: &mut dyn Marks, progress: Progress<'_>) -> Result<Swept> {
        let plan = self.plan_sweep(marks)?;
        let total = plan.batches.iter().map(|batch| batch.len() as u64).sum();
        let (mut swept, mut done) = (Swept::default(), 0);
        for batch in &plan.batches {
            progress("gc", done, total);
            done += batch.len() as u64;
            let mut rest = batch.as_slice();
            while !rest.is_empty() {
                let (fitting, others) = rest.split_at(self.how_many_fit(rest));
                if fitting.is_empty() {
                    tracing::warn!("not enough space to compact {} packs: they are kept", rest.len());
                    break;
                }
                self.sweep_batch(fitting, marks, &mut swept)?;
                rest = others;
            }
        }
        progress("gc", total, total);
        Ok(swept)
    }

    /// How many packs, from the first, there is room to copy.
    fn how_many_fit(&self, victims: &[Victim]) -> usize {
        let room = self.free_bytes().saturating_sub(LEFT_FREE_BYTES);
        let mut needed = 0;
        let too_much = victims.iter().position(|victim| {
            needed += victim.kept_bytes;
            victim.kept_bytes > 0 && needed > room
        });
        too_much.unwrap_or(victims.len())
    }

    fn sweep_batch(&self, batch: &[Victim], marks: &mut dyn Marks, swept: &mut Swept) -> Result<()> {
        let mut victims = Vec::new();
        let mut written = self.copy_kept(batch, marks, &mut victims)?;
        stop_at("gc.after_copy");
        let writing = self.write_index()?;
        self.register_all_of(&written)?;
        let mut position = self.catch_up_marks(marks)?;
        victims.retain(|victim| self.is_held(&victim.name).is_ok_and(|held| !held));
        // Copying can produce a pack with the name of one of them.
        victims.retain(|victim| written.iter().all(|pack| pack.name != victim.name));
        let last = self.last_copies(&victims)?;
        let (late, garbage) = last.into_iter().partition(|(_, row)| is_marked(marks, row));
        let late = self.copy_late(late, &mut victims)?;
        for pack in &late {
            self.prefer(&self.index(), &pack.name, &pack.rows)?;
        }
        written.extend(late);
        victims.retain(|victim| written.iter().all(|pack| pack.name != victim.name));
        if victims.is_empty() {
            return Ok(());
        }
        let removed: Vec<PackName> = victims.iter().map(|victim| victim.name).collect();
        stop_at("gc.before_record");
        self.record_as_is(&Change::of(vec![Entry::Gc { removed: removed.clone() }]), &mut position)?;
        stop_at("gc.after_record");
        let index = self.index();
        self.forget(&index, &garbage, &removed);
        for name in &removed {
            index.drop_pack(name);
        }
        self.prefer_held(&index)?;
        index.flush()?;
        self.inner.nodes.clear();
        stop_at("gc.before_remove");
        for name in &removed {
            self.packs().remove(name)?;
            stop_at("gc.removed_one");
        }
        drop(position);
        drop(writing);
        swept.add(&victims, &written);
        Ok(())
    }

    /// Takes the lock and opens the index on disk for writing; an index that cannot be written is deleted, and rebuilt by a later process.
    fn write_index(&self) -> Result<Writing<'_>> {
        if self.is_owner() {
            self.refresh()?;
            return Ok(Writing { store: self, lock: None });
        }
        let writing = Writing { store: self, lock: Some(self.take_lock_without_owner()?) };
        let mut position = self.locked_position();
        let opened = self.open_writable().and_then(|index| {
            self.catch_up(&index, &mut position)?;
            index.flush()?;
            Ok(index)
        });
        let index = match opened {
            Err(error) if error.is_of_index() => {
                tracing::warn!("the index cannot be written and is discarded: {error}");
                std::fs::remove_dir_all(self.index_path()).ok();
                let index = Index::in_memory();
                self.catch_up(&index, &mut position)?;
                index
            }
            opened => opened?,
        };
        self.use_index(index);
        drop(position);
        Ok(writing)
    }

    fn register_all_of(&self, packs: &[Finished]) -> Result<()> {
        let _position = self.locked_position();
        let index = self.index();
        packs.iter().try_for_each(|pack| self.prefer(&index, &pack.name, &pack.rows))
    }

    /// Copies the live objects of these packs; `victims` receives those for which that worked.
    fn copy_kept(&self, batch: &[Victim], marks: &dyn Marks, victims: &mut Vec<Victim>) -> Result<Vec<Finished>> {
        let mut copies = PackClass::ALL.map(PackCopy::new);
        for victim in batch {
            let Some(rows) = self.rows_of(&victim.name, victim.length)? else { continue };
            let mut kept: Vec<Row> = Vec::new();
            if victim.kept_entries > 0 {
                for row in rows {
                    if is_marked(marks, &row) && self.counts(&victim.name, &row)? {
                        kept.push(row);
                    }
                }
            }
            kept.sort_unstable_by_key(|row| row.offset);
            let copy = &mut copies[usize::from(victim.name.class == PackClass::Data)];
            match copy.take(self.packs(), &victim.name, kept) {
                Ok(true) => victims.push(*victim),
                Ok(false) => {}
                Err(error) if is_full(&error) => {
                    tracing::warn!("pack {} is kept: not enough space to compact it", victim.name);
                }
                Err(error) => return Err(error),
            }
        }
        finish(copies)
    }

    /// Lets the marks catch up with everything recorded, then blocks further records. An owner serves other processes meanwhile.
    fn catch_up_marks(&self, marks: &mut dyn Marks) -> Result<MutexGuard<'_, Position>> {
        loop {
            let known = self.position();
            marks.catch_up(self)?;
            let position = self.locked_position();
            if *position == known {
                marks.last_look();
                return Ok(position);
            }
        }
    }

    /// The objects that the index finds in one of these packs, and so in no other.
    fn last_copies(&self, victims: &[Victim]) -> Result<Vec<Packed>> {
        let names: HashSet<PackName> = victims.iter().map(|victim| victim.name).collect();
        let mut seen = HashSet::new();
        let mut last = Vec::new();
        for victim in victims {
            for row in self.rows_of(&victim.name, victim.length)?.unwrap_or_default() {
                let is_last = match self.place(row.kind, &row.digest)? {
                    ObjectLocation::At(pack, _) => names.contains(&pack),
                    ObjectLocation::Gone | ObjectLocation::Nowhere => true,
                };
                if is_last && seen.insert((row.kind, row.digest)) {
                    last.push((victim.name, row));
                }
            }
        }
        Ok(last)
    }

    /// Copies what became live only now; a pack for which that fails stays.
    fn copy_late(&self, late: Vec<Packed>, victims: &mut Vec<Victim>) -> Result<Vec<Finished>> {
        let mut copies = PackClass::ALL.map(PackCopy::new);
        for (name, row) in late {
            let copy = &mut copies[usize::from(name.class == PackClass::Data)];
            if !copy.take(self.packs(), &name, [row])? {
                victims.retain(|victim| victim.name != name);
            }
        }
        finish(copies)
    }

    /// Makes the index point into held packs for everything in them: what is garbage elsewhere may be needed by their writers.
    fn prefer_held(&self, index: &Index) -> Result<()> {
        for (name, length) in self.packs().list()? {
            let is_known = index.pack_number(&name).is_some();
            if is_known
                && self.is_held(&name).unwrap_or(false)
                && let Some(rows) = self.rows_of(&name, length)?
            {
                self.prefer(index, &name, &rows)?;
            }
        }
        Ok(())
    }

    /// Removes garbage from the index, except in packs that stay after all.
    fn forget(&self, index: &Index, garbage: &[Packed], removed: &[PackName]) {
        let removed: HashSet<&PackName> = removed.iter().collect();
        let mut changes = Changes::new();
        for (name, row) in garbage.iter().filter(|(name, _)| removed.contains(name)) {
            changes.insert(keys::object(row.kind, &row.digest), None);
            let about = [Kind::Result, Kind::Commit].into_iter().find(|kind| *kind as u8 == row.kind);
            if let Some(kind) = about
                && let Ok(bytes) = self.read_entry(name, row, kind, codec::unpack)
            {
                changes.extend(rows_about(row.kind, &row.digest, &bytes).into_iter().map(|(key, _)| (key, None)));
            }
        }
        index.commit(changes);
    }
}

fn finish(copies: [PackCopy; 2]) -> Result<Vec<Finished>> {
    let mut written = Vec::new();
    for copy in copies {
        written.extend(copy.finish()?);
    }
    Ok(written)
}

fn is_full(error: &RepoError) -> bool {
    matches!(error, RepoError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
}
