//! Which packs a sweep removes, what it copies from them, and how much that frees.

use std::collections::BTreeMap;

use super::Marks;
use super::fold::LARGE_BYTES;
use super::objects::ObjectLocation;
use super::sweep::Swept;
use super::{Result, Store};
use crate::base::error::RepoError;
use crate::base::kind::{Kind, PackClass};
use crate::base::pack_name::PackName;
use crate::objects::packs::format::{ENTRY_BYTES, FOOTER_BYTES, HEADER_BYTES, ROW_BYTES, Row};
use crate::objects::packs::writer::read_index;

/// Limits of a batch, which is processed under the lock: entries to examine, and bytes to copy beforehand.
const BATCH_ENTRIES: u64 = 250_000;
const BATCH_BYTES: u64 = 1 << 30;
/// A large pack is copied if at least one in this many of its bytes is garbage.
const WORTH_COPYING: u64 = 10;

/// What a sweep would do now.
#[derive(Debug, Clone, Default)]
pub struct SweepPlan {
    /// The batches in order; packs with nothing but garbage first.
    pub(super) batches: Vec<Vec<Victim>>,
    /// Bytes of garbage that stay, in packs not worth copying yet.
    pub bytes_left: u64,
}

/// A pack to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Victim {
    pub(super) name: PackName,
    pub(super) length: u64,
    pub(super) entries: u64,
    /// Number of entries to copy, and their bytes including index rows.
    pub(super) kept_entries: u64,
    pub(super) kept_bytes: u64,
}

impl SweepPlan {
    /// What the sweep will have done if nothing changes meanwhile and there is enough room.
    pub fn outcome(&self) -> Swept {
        let mut swept = Swept::default();
        for batch in &self.batches {
            let mut kept: BTreeMap<PackClass, u64> = BTreeMap::new();
            for victim in batch {
                swept.packs_removed += 1;
                swept.objects_removed += victim.entries - victim.kept_entries;
                swept.bytes_freed += victim.length;
                *kept.entry(victim.name.class).or_default() += victim.kept_bytes;
            }
            for bytes in kept.into_values().filter(|bytes| *bytes > 0) {
                swept.packs_written += 1;
                swept.bytes_freed = swept.bytes_freed.saturating_sub(bytes + HEADER_BYTES + FOOTER_BYTES);
            }
        }
        swept
    }

    /// Whether this pack is removed.
    pub fn removes(&self, pack: &PackName) -> bool {
        self.batches.iter().flatten().any(|victim| victim.name == *pack)
    }
}

/// Bytes that an entry takes in its pack, including its index row.
pub(super) fn bytes_of(row: &Row) -> u64 {
    ENTRY_BYTES + u64::from(row.stored_bytes) + ROW_BYTES
}

impl Store {
    /// Plans a sweep. Packs that are held or unreadable stay as they are.
    pub fn plan_sweep(&self, marks: &dyn Marks) -> Result<SweepPlan> {
        self.refresh()?;
        let mut plan = SweepPlan::default();
        let mut victims = Vec::new();
        for (name, length) in self.packs().list()? {
            let Some(rows) = self.rows_of(&name, length)?.filter(|_| self.is_held(&name).is_ok_and(|held| !held))
            else {
                continue;
            };
            let mut victim = Victim { name, length, entries: rows.len() as u64, kept_entries: 0, kept_bytes: 0 };
            for row in &rows {
                if self.counts(&name, row)? && is_marked(marks, row) {
                    victim.kept_entries += 1;
                    victim.kept_bytes += bytes_of(row);
                }
            }
            let garbage = length.saturating_sub(victim.kept_bytes + HEADER_BYTES + FOOTER_BYTES);
            if victim.kept_entries == victim.entries {
                continue;
            }
            if victim.kept_entries > 0 && length >= LARGE_BYTES && garbage < length / WORTH_COPYING {
                plan.bytes_left += garbage;
            } else {
                victims.push(victim);
            }
        }
        victims.sort_by_key(|victim| (victim.kept_bytes, victim.name));
        plan.batches = batches(victims);
        Ok(plan)
    }

    /// Visits every entry of every finished pack, with whether it is the copy of its object that counts. For accounting.
    pub fn for_each_packed(&self, mut visit: impl FnMut(&PackName, &Row, bool)) -> Result<()> {
        for (name, length) in self.packs().list()? {
            for row in self.rows_of(&name, length)?.unwrap_or_default() {
                visit(&name, &row, self.counts(&name, &row)?);
            }
        }
        Ok(())
    }

    /// The index of a pack; `None` if it is damaged or the pack is gone.
    pub(super) fn rows_of(&self, name: &PackName, length: u64) -> Result<Option<Vec<Row>>> {
        match read_index(self.packs(), name, length) {
            Ok(rows) => Ok(Some(rows)),
            Err(RepoError::DamagedPack { .. }) => Ok(None),
            Err(error) if super::objects::is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether this copy of an object is the one that counts: no other pack has it, or the index names this one.
    pub(super) fn counts(&self, pack: &PackName, row: &Row) -> Result<bool> {
        Ok(match self.place(row.kind, &row.digest)? {
            ObjectLocation::At(other, at) if other != *pack || at.offset != row.offset => !self.is_sound(&other, &at),
            ObjectLocation::At(..) | ObjectLocation::Gone | ObjectLocation::Nowhere => true,
        })
    }

    /// Whether the indexed copy can replace one that is removed.
    fn is_sound(&self, pack: &PackName, row: &Row) -> bool {
        let stored = self.packs().read(pack, row.stored_range());
        stored.is_ok_and(|stored| crate::objects::packs::codec::unpack(row, stored).is_some())
    }
}

/// Whether an object is live. Unknown kinds of a newer version always are.
pub(super) fn is_marked(marks: &dyn Marks, row: &Row) -> bool {
    Kind::from_number(row.kind).is_none_or(|kind| marks.is_live(kind, &row.digest))
}

fn batches(victims: Vec<Victim>) -> Vec<Vec<Victim>> {
    let mut batches: Vec<Vec<Victim>> = Vec::new();
    let (mut entries, mut bytes) = (0, 0);
    for victim in victims {
        entries += victim.entries;
        bytes += victim.kept_bytes;
        // Packs without live objects get their own batches, because removing them needs no room.
        let fits = entries <= BATCH_ENTRIES && bytes <= BATCH_BYTES;
        let alike = |batch: &&mut Vec<Victim>| {
            batch.last().is_none_or(|last| (last.kept_bytes == 0) == (victim.kept_bytes == 0))
        };
        if let Some(batch) = batches.last_mut().filter(alike).filter(|_| fits) {
            batch.push(victim);
        } else {
            batches.push(vec![victim]);
            (entries, bytes) = (victim.entries, victim.kept_bytes);
        }
    }
    batches
}
