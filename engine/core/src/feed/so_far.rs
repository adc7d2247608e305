//! The datums map that a job's output commit will have, as far as the job has come.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use repos::{RepoError, Store};

use crate::datums::DatumMap;

/// Edits of a datums map: a value, or `None` to remove an entry.
pub type DatumEdits = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A map, and edits not yet applied to it.
#[derive(Debug)]
pub struct SoFar {
    inner: Mutex<(DatumMap, DatumEdits)>,
}

impl SoFar {
    pub(crate) fn new(map: DatumMap) -> Self {
        Self { inner: Mutex::new((map, DatumEdits::new())) }
    }

    fn inner(&self) -> MutexGuard<'_, (DatumMap, DatumEdits)> {
        self.inner.lock().expect("no panic under this lock")
    }

    pub(crate) fn insert(&self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.inner().1.insert(key, value);
    }

    /// The current map and its pending edits.
    pub fn snapshot(&self) -> (DatumMap, DatumEdits) {
        self.inner().clone()
    }

    /// Applies the edits to the map while others may read; only one thread edits.
    pub fn flush(&self, store: &Store) -> Result<DatumMap, RepoError> {
        let (map, edits) = self.snapshot();
        let map = map.edit(store, edits, &mut &*store)?;
        *self.inner() = (map, DatumEdits::new());
        Ok(map)
    }
}
