//! The packs that exist and that the index knows: they are few, so the list is kept in memory.
//!
//! Objects refer to their pack by number. The row that maps the number to a name stays when the pack disappears, so a lost pack can be
//! named.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::RwLockReadGuard;
use std::sync::atomic::Ordering;

use rocksdb::Direction;

use super::apply::meta;
use super::rows::{encode, read};
use super::{Changes, Index, keys};
use crate::base::error::RepoError;
use crate::base::kind::PackClass;
use crate::base::pack_name::PackName;

/// Packs by number and by name.
#[derive(Debug, Default)]
pub(super) struct Packs {
    by_number: HashMap<u32, PackName>,
    by_name: BTreeMap<PackName, u32>,
}

impl Index {
    pub(super) fn load_packs(&self) -> Result<(), RepoError> {
        let prefix = keys::packs();
        let mut packs = Packs::default();
        self.try_visit(&prefix, &prefix, Direction::Forward, |key, value| {
            let name = std::str::from_utf8(&key[prefix.len()..]).ok().and_then(|name| name.parse().ok());
            let name: PackName = name.ok_or_else(|| RepoError::damaged_row(key))?;
            let number = read(key, value)?;
            packs.by_number.insert(number, name);
            packs.by_name.insert(name, number);
            Ok(ControlFlow::Continue(()))
        })?;
        *self.packs.write().expect("no panic under this lock") = packs;
        Ok(())
    }

    /// The packs; a stand-in for a damaged index has its own numbers.
    fn known_packs(&self) -> RwLockReadGuard<'_, Packs> {
        self.stand_in().unwrap_or(self).packs.read().expect("no panic under this lock")
    }

    /// The pack with this number; `None` if it is gone.
    pub(crate) fn pack(&self, number: u32) -> Option<PackName> {
        self.known_packs().by_number.get(&number).copied()
    }

    /// The number of a pack; `None` if it is unknown or gone.
    pub(crate) fn pack_number(&self, name: &PackName) -> Option<u32> {
        self.known_packs().by_name.get(name).copied()
    }

    /// All packs, by name.
    pub(crate) fn pack_names(&self) -> Vec<PackName> {
        self.known_packs().by_name.keys().copied().collect()
    }

    /// Whether indexing this pack can be deferred until a lookup fails, because only this process uses the index. Such packs contain file
    /// content only.
    pub(crate) fn may_put_off(&self, name: &PackName) -> bool {
        let is_a_readers = self.db.is_some() && !self.is_writable() && self.stand_in().is_none();
        is_a_readers && name.class == PackClass::Data && self.pack_number(name).is_none()
    }

    /// Sets the packs whose indexing is deferred until a lookup fails, replacing earlier ones.
    pub(crate) fn put_off(&self, packs: Vec<(PackName, u64)>) {
        *self.put_off.write().expect("no panic under this lock") = packs;
    }

    /// The packs whose indexing is deferred until a lookup fails.
    pub(crate) fn packs_put_off(&self) -> Vec<(PackName, u64)> {
        self.put_off.read().expect("no panic under this lock").clone()
    }

    /// Whether there are packs that are not indexed yet.
    pub(crate) fn has_put_off(&self) -> bool {
        !self.put_off.read().expect("no panic under this lock").is_empty()
    }

    /// The number for the next pack.
    pub(crate) fn next_pack(&self) -> Result<u32, RepoError> {
        Ok(self.row(&keys::meta(meta::NEXT_PACK))?.unwrap_or(0))
    }

    /// Adds a pack under the next number, after the rows of its objects are written.
    pub(crate) fn enter_pack(&self, name: &PackName) -> Result<(), RepoError> {
        let number = self.next_pack()?;
        self.commit(Changes::from([
            (keys::meta(meta::NEXT_PACK), Some(encode(&(number + 1)))),
            (keys::pack_number(number), Some(name.to_string().into_bytes())),
            (keys::pack(name), Some(encode(&number))),
        ]));
        let mut packs = self.packs.write().expect("no panic under this lock");
        packs.by_number.insert(number, *name);
        packs.by_name.insert(*name, number);
        self.settled.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Removes a pack that has disappeared. Rows of objects in it no longer count.
    pub(crate) fn forget_pack(&self, name: &PackName) {
        self.commit(Changes::from([(keys::pack(name), None)]));
        let mut packs = self.packs.write().expect("no panic under this lock");
        if let Some(number) = packs.by_name.remove(name) {
            packs.by_number.remove(&number);
        }
        self.settled.store(false, Ordering::Relaxed);
    }

    /// Removes a pack whose objects were moved or deleted for good: not even its name is needed any more.
    pub(crate) fn drop_pack(&self, name: &PackName) {
        if let Some(number) = self.pack_number(name) {
            self.commit(Changes::from([(keys::pack_number(number), None)]));
        }
        self.forget_pack(name);
    }

    /// Whether looking at the packs again cannot find anything new.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    /// Notes that another look found nothing.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }
}
