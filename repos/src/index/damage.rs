//! How a reader recovers from damaged blocks of the index on disk: it rebuilds an index in memory, from packs and journal.

use std::fmt;

use super::{Index, keys};
use crate::base::error::RepoError;

/// Rebuilds an index from packs and journal; absent if the caller handles damage.
#[derive(Default)]
pub(super) struct Maker(Option<Box<dyn Fn() -> Result<Index, RepoError> + Send + Sync>>);

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Maker").field(&self.0.is_some()).finish()
    }
}

/// An index that replaces the damaged one.
#[derive(Debug)]
pub(super) struct StandIn {
    index: Box<Index>,
    why: String,
}

impl Index {
    /// Sets how to rebuild this index if it turns out to be damaged. Not for a writable index: its changes would be lost on disk.
    pub(crate) fn when_damaged(&mut self, maker: impl Fn() -> Result<Self, RepoError> + Send + Sync + 'static) {
        if self.db.is_some() && !self.is_writable() {
            self.maker = Maker(Some(Box::new(maker)));
        }
    }

    /// What is wrong with the index on disk, if damage was found.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.stand_in.get().map(|stand_in| stand_in.why.as_str())
    }

    pub(super) fn stand_in(&self) -> Option<&Self> {
        self.stand_in.get().map(|stand_in| &*stand_in.index)
    }

    pub(super) fn replace(&self, error: rocksdb::Error) -> Result<&Self, RepoError> {
        let Some(maker) = &self.maker.0 else { return Err(error.into()) };
        if self.stand_in.get().is_none() {
            tracing::warn!("the index is damaged and is rebuilt in memory: {error}");
            let stand_in = StandIn { index: Box::new(maker()?), why: error.to_string() };
            // Another thread may have set it first.
            self.stand_in.set(stand_in).ok();
            // The new index has everything from packs and journal, except results in packs that are still open.
            self.overlay.write().expect("no panic under this lock").retain(|key, _| keys::is_about_object(key));
        }
        Ok(self.stand_in().expect("just set"))
    }
}
