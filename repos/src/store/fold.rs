//! Merges many small packs into few: a store with thousands of small commits keeps a few dozen packs.
//!
//! Packs are grouped into *tiers* by length; each tier is eight times as long as the one before. Eight packs of one tier are merged into
//! one, usually of the next tier: so an object is copied a few times in its life, and at most seven packs of a tier and class remain. Large
//! packs are left alone.
//!
//! The new pack contains every object of the packs it replaces, and is durable and listed before they are removed. A process that looks in
//! between finds both; a crash leaves duplicates. A pack with a damaged entry is kept: nothing is lost that a repair could use.
//! Needs no lock of the store: only one process at a time removes packs.

use super::{Lock, Result, Store};
use crate::base::error::RepoError;
use crate::base::kind::PackClass;
use crate::base::pack_name::PackName;
use crate::base::stop::stop_at;
use crate::objects::packs::copy::PackCopy;
use crate::objects::packs::writer::read_index;

/// Number of packs of a tier that are merged into one.
const FAN_IN: usize = 8;
/// Maximum number merged at a time.
const MOST: usize = 64;
/// Packs shorter than this are in the lowest tier.
const LOWEST_TIER_BYTES: u64 = 32 << 10;
/// Packs of at least this length are left alone.
pub(super) const LARGE_BYTES: u64 = 128 << 20;
/// Maximum number of bytes copied after one change; the rest is left to later changes.
const BYTES_AT_A_TIME: u64 = 32 << 20;

/// The tier of a pack with this length; `None` if it is left alone.
fn tier(length: u64) -> Option<u32> {
    (length < LARGE_BYTES).then(|| (length / LOWEST_TIER_BYTES).checked_ilog(FAN_IN as u64).map_or(0, |tier| tier + 1))
}

/// The packs to merge: those of the lowest full tier.
fn full_tier(packs: &[(PackName, u64)]) -> Option<Vec<(PackName, u64)>> {
    let mut tiers: std::collections::BTreeMap<u32, Vec<(PackName, u64)>> = std::collections::BTreeMap::new();
    for (name, length) in packs {
        if let Some(tier) = tier(*length) {
            tiers.entry(tier).or_default().push((*name, *length));
        }
    }
    tiers.into_values().find(|tier| tier.len() >= FAN_IN)
}

impl Store {
    /// Merges small packs. The change that created them has already happened: a failure is only logged and leaves the packs as they were.
    pub(super) fn fold_small(&self) {
        if let Err(error) = self.fold() {
            tracing::warn!("small packs are not merged: {error}");
        }
    }

    fn fold(&self) -> Result<()> {
        if self.index().pack_names().len() < FAN_IN {
            return Ok(());
        }
        let listed = self.packs().list()?;
        let of_class = |class| listed.iter().filter(move |(name, _)| name.class == class).copied();
        for class in PackClass::ALL {
            let mut packs: Vec<_> = of_class(class).collect();
            if full_tier(&packs).is_none() {
                continue;
            }
            // Another process is removing packs.
            let Some(_removing) = Lock::try_take(&self.removal_lock_path())? else { return Ok(()) };
            // Only an owner itself knows which packs it holds, so no other process may fold beside it.
            let _lock = match Lock::try_take(&self.lock_path()) {
                _ if self.is_owner() => None,
                Ok(None) => return Ok(()),
                lock => lock?,
            };
            packs.retain(|(name, _)| self.packs().is_held(name).is_ok_and(|held| !held));
            let mut copied = 0;
            while let Some(mut set) = full_tier(&packs).filter(|_| copied < BYTES_AT_A_TIME) {
                set.truncate(MOST);
                packs.retain(|pack| !set.contains(pack));
                copied += set.iter().map(|(_, length)| length).sum::<u64>();
                packs.extend(self.make_one(class, &set)?);
            }
        }
        Ok(())
    }

    /// Merges a set of packs; returns the new pack, or `None` if too few can be replaced.
    fn make_one(&self, class: PackClass, set: &[(PackName, u64)]) -> Result<Option<(PackName, u64)>> {
        let mut copy = PackCopy::new(class);
        let mut replaced = Vec::new();
        for (name, length) in set {
            let mut rows = match read_index(self.packs(), name, *length) {
                Err(RepoError::DamagedPack { .. }) => continue,
                rows => rows?,
            };
            rows.sort_unstable_by_key(|row| row.offset);
            if copy.take(self.packs(), name, rows)? {
                replaced.push(*name);
            }
        }
        if replaced.len() < 2 {
            copy.discard()?;
            return Ok(None);
        }
        stop_at("fold.before_list");
        let Some(folded) = copy.finish()? else { return Ok(None) };
        {
            let _position = self.locked_position();
            self.prefer(&self.index(), &folded.name, &folded.rows)?;
        }
        self.hold_instead(folded.name, &replaced);
        self.rely_on([folded.name]);
        stop_at("fold.before_remove");
        // A set of duplicates can become a pack with the name of one of them.
        replaced.retain(|name| *name != folded.name);
        self.remove_packs(&replaced)?;
        Ok(Some((folded.name, folded.length)))
    }

    /// Removes packs whose objects also exist elsewhere.
    fn remove_packs(&self, packs: &[PackName]) -> Result<()> {
        for name in packs {
            self.packs().remove(name)?;
            stop_at("fold.removed_one");
        }
        let _position = self.locked_position();
        let index = self.index();
        for name in packs {
            index.drop_pack(name);
        }
        self.rely_no_more_on(packs);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(number: u8, length: u64) -> (PackName, u64) {
        (PackName { class: PackClass::Meta, digest: crate::base::hash::digest_of(&[number]) }, length)
    }

    #[test]
    fn eight_packs_of_about_one_length_become_one() {
        assert_eq!(
            [0, 32 << 10, (256 << 10) - 1, 256 << 10, 16 << 20, LARGE_BYTES - 1, LARGE_BYTES].map(tier),
            [Some(0), Some(1), Some(1), Some(2), Some(4), Some(4), None]
        );
        let mut packs: Vec<_> = (0..7).map(|number| pack(number, 5000)).collect();
        packs.extend((10..17).map(|number| pack(number, 100_000)));
        packs.extend((20..40).map(|number| pack(number, LARGE_BYTES)));
        assert_eq!(full_tier(&packs), None);
        packs.push(pack(9, 100));
        assert_eq!(full_tier(&packs).unwrap().len(), 8);
    }
}
