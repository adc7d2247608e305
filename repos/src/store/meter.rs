//! What this process writes to a store, for those who watch it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Result, Store};
use crate::base::kind::PackClass;

/// Told how long each publication took.
type Told = Box<dyn Fn(Duration) + Send + Sync>;

/// Counts since the store was opened.
#[derive(Default)]
pub(super) struct Meter {
    /// Stored bytes of new objects, compressed.
    new_bytes: AtomicU64,
    published: OnceLock<Told>,
}

impl Meter {
    /// Counts a new object of this many stored bytes.
    pub(super) fn wrote(&self, bytes: usize) {
        self.new_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes that a change that began at `start` is published.
    pub(super) fn published(&self, start: Instant) {
        if let Some(told) = self.published.get() {
            told(start.elapsed());
        }
    }
}

impl Store {
    /// Bytes of new objects that this process has written, as they are stored, since it opened the store. What existed already does not count.
    pub fn new_bytes(&self) -> u64 {
        self.inner.meter.new_bytes.load(Ordering::Relaxed)
    }

    /// Calls `told` after each change that this process publishes, with the time from the data it names to a durable record. Only the first
    /// call counts.
    pub fn watch_publishing(&self, told: impl Fn(Duration) + Send + Sync + 'static) {
        self.inner.meter.published.set(Box::new(told)).ok();
    }

    /// Bytes of all packs, finished or being written. Lists the packs, which for a store elsewhere asks another machine.
    pub fn packed_bytes(&self) -> Result<u64> {
        let finished: u64 = self.packs().list()?.into_iter().map(|(_, bytes)| bytes).sum();
        let unfinished = self.packs().unfinished()?;
        unfinished.iter().try_fold(finished, |sum, pack| Ok(sum + pack.length()?))
    }

    /// Bytes of all finished packs of each class. Lists the packs, as [`Self::packed_bytes`] does.
    pub fn packed_bytes_of(&self, class: PackClass) -> Result<u64> {
        let packs = self.packs().list()?;
        Ok(packs.into_iter().filter(|(name, _)| name.class == class).map(|(_, bytes)| bytes).sum())
    }
}
