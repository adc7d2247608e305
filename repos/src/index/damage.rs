//! What a reader does when blocks of the index on disk turn out to be damaged: it makes another in memory, from packs and journal.

use std::fmt;

use super::{Index, keys};
use crate::base::error::RepoError;

/// How to make an index from packs and journal; absent where that is up to the caller.
#[derive(Default)]
pub(super) struct Maker(Option<Box<dyn Fn() -> Result<Index, RepoError> + Send + Sync>>);

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Maker").field(&self.0.is_some()).finish()
    }
}

/// An index that stands in for the damaged one.
#[derive(Debug)]
pub(super) struct StandIn {
    index: Box<Index>,
    why: String,
}

impl Index {
    /// Sets how to make another when this one turns out to be damaged. One that is written to has no such way out: its changes would be
    /// lost on the disk.
    pub(crate) fn when_damaged(&mut self, maker: impl Fn() -> Result<Self, RepoError> + Send + Sync + 'static) {
        if self.db.is_some() && !self.is_writable() {
            self.maker = Maker(Some(Box::new(maker)));
        }
    }

    /// What is wrong with the index on disk, if something was found so far.
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
            // Another thread may have been quicker.
            self.stand_in.set(stand_in).ok();
            // The new one knows all of packs and journal; only results of packs that are still open it does not.
            self.overlay.write().expect("no panic under this lock").retain(|key, _| keys::is_about_object(key));
        }
        Ok(self.stand_in().expect("just set"))
    }
}
