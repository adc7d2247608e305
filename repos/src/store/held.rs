//! Packs that must not be removed yet: they contain objects for a change that is not published yet.
//!
//! A single process holds its packs through the lock on each file, which it keeps until its change is durable. An owner also publishes for
//! other processes, concurrently: there a pack may contain objects of several *operations*. It is held until all operations that had begun
//! when it was finished have ended.

use std::collections::{BTreeMap, BTreeSet};

use super::{Result, Store};
use crate::objects::packs::{PackFile, PackName};

/// Packs that this process holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Number of operations begun so far.
    begun: u64,
    /// Numbers of the operations that have not ended.
    running: BTreeSet<u64>,
    packs: BTreeMap<PackName, Hold>,
}

#[derive(Debug)]
struct Hold {
    /// Number of operations begun when the pack was finished.
    begun: u64,
    /// Keeps the lock that is visible to other processes.
    _file: Option<Box<dyn PackFile>>,
}

impl Held {
    /// Releases packs that no running operation can have written to.
    fn release(&mut self) {
        match self.running.first() {
            None => self.packs.clear(),
            Some(oldest) => self.packs.retain(|_, hold| hold.begun > *oldest),
        }
    }
}

/// Writes objects before publishing what names them. Until this is dropped, no pack that it may have written to is removed.
#[derive(Debug)]
#[must_use = "it counts until it is dropped"]
pub struct Operation {
    store: Store,
    number: u64,
}

impl Drop for Operation {
    fn drop(&mut self) {
        let mut held = self.store.inner.held.lock().expect("no panic under this lock");
        held.running.remove(&self.number);
        held.release();
    }
}

impl Store {
    /// Begins an operation. A process that makes one change at a time does not need this.
    pub fn operation(&self) -> Operation {
        let mut held = self.inner.held.lock().expect("no panic under this lock");
        let number = held.begun;
        held.begun += 1;
        held.running.insert(number);
        Operation { store: self.clone(), number }
    }

    /// Holds a pack that was just finished.
    pub(super) fn hold(&self, pack: PackName, file: Option<Box<dyn PackFile>>) {
        // No other process removes packs beside an owner, so it need not keep a file open for each.
        let file = file.filter(|_| !self.is_owner());
        let mut held = self.inner.held.lock().expect("no panic under this lock");
        let begun = held.begun;
        held.packs.insert(pack, Hold { begun, _file: file });
    }

    /// Holds a pack that replaces others for as long as those would have been held.
    pub(super) fn hold_instead(&self, pack: PackName, replaced: &[PackName]) {
        let mut held = self.inner.held.lock().expect("no panic under this lock");
        let begun = replaced.iter().filter_map(|name| held.packs.remove(name)).map(|hold| hold.begun).max();
        if let Some(begun) = begun {
            held.packs.insert(pack, Hold { begun, _file: None });
        }
    }

    /// Releases packs held for changes that are now published.
    pub(super) fn release_held(&self) {
        self.inner.held.lock().expect("no panic under this lock").release();
    }

    /// Whether this process or another holds a finished pack.
    pub(super) fn is_held(&self, pack: &PackName) -> Result<bool> {
        let own = self.inner.held.lock().expect("no panic under this lock").packs.contains_key(pack);
        Ok(own || self.packs().is_held(pack)?)
    }
}
