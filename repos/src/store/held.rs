//! Packs that must not go yet: what they hold was written for a change that is still to be published.
//!
//! One process alone says so by the lock on the pack's file, which it keeps until its change is durable. An owner also does the work of
//! others, side by side: there a pack may hold what several *operations* wrote. It is held until all have ended that had begun when it
//! was finished.

use std::collections::{BTreeMap, BTreeSet};

use super::{Result, Store};
use crate::objects::packs::{PackFile, PackName};

/// Packs that this process holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Operations so far.
    begun: u64,
    /// Numbers of those that have not ended.
    running: BTreeSet<u64>,
    packs: BTreeMap<PackName, Hold>,
}

#[derive(Debug)]
struct Hold {
    /// How many operations had begun when the pack was finished.
    begun: u64,
    /// Keeps the lock that other processes see.
    _file: Option<Box<dyn PackFile>>,
}

impl Held {
    /// Lets go what no running operation may have written to.
    fn release(&mut self) {
        match self.running.first() {
            None => self.packs.clear(),
            Some(oldest) => self.packs.retain(|_, hold| hold.begun > *oldest),
        }
    }
}

/// Something that writes objects before it publishes what names them. Until this is dropped no pack goes that it may have written to.
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
    /// Begins an operation. A process that makes one change after another needs none.
    pub fn operation(&self) -> Operation {
        let mut held = self.inner.held.lock().expect("no panic under this lock");
        let number = held.begun;
        held.begun += 1;
        held.running.insert(number);
        Operation { store: self.clone(), number }
    }

    /// Holds a pack that was just finished.
    pub(super) fn hold(&self, pack: PackName, file: Option<Box<dyn PackFile>>) {
        // Nobody else removes packs beside an owner: it need not keep a file open for each.
        let file = file.filter(|_| !self.is_owner());
        let mut held = self.inner.held.lock().expect("no panic under this lock");
        let begun = held.begun;
        held.packs.insert(pack, Hold { begun, _file: file });
    }

    /// A pack that takes the place of others is held for as long as they would have been.
    pub(super) fn hold_instead(&self, pack: PackName, replaced: &[PackName]) {
        let mut held = self.inner.held.lock().expect("no panic under this lock");
        let begun = replaced.iter().filter_map(|name| held.packs.remove(name)).map(|hold| hold.begun).max();
        if let Some(begun) = begun {
            held.packs.insert(pack, Hold { begun, _file: None });
        }
    }

    /// Lets go what was held for changes that are published.
    pub(super) fn release_held(&self) {
        self.inner.held.lock().expect("no panic under this lock").release();
    }

    /// Whether a finished pack is held, by this process or another.
    pub(super) fn is_held(&self, pack: &PackName) -> Result<bool> {
        let own = self.inner.held.lock().expect("no panic under this lock").packs.contains_key(pack);
        Ok(own || self.packs().is_held(pack)?)
    }
}
