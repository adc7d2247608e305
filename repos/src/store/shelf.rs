//! The shelf: what a server keeps of requests, beside packs and journal, in `.pv/requests`.
//!
//! Rows of bytes, sorted by their keys. What they mean is up to the one who keeps them; a row that is missing is never an error of the
//! store. Rows survive the death of this process; after a power cut the newest may be lost.

use std::fs::DirBuilder;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{DB, Direction, IteratorMode, WriteBatch};

use super::ledger::{of_disk, open_small};
use super::{Result, Store};
use crate::base::error::{IoContext, RepoError};

/// The folder of the shelf, in the store's own folder.
const FOLDER: &str = "requests";

/// The shelf of one store, open in one process.
#[derive(Debug)]
pub struct Shelf {
    db: DB,
    folder: PathBuf,
}

impl Store {
    /// The shelf, which is made if it is missing. `Refused` for a limited handle: its rows belong to anybody.
    pub fn shelf(&self) -> Result<Arc<Shelf>> {
        if self.is_limited() {
            let what = "what is kept of requests is not visible to a token".to_owned();
            return Err(RepoError::Refused { what, hint: None });
        }
        let mut open = self.inner.shelf.lock().expect("no panic under this lock");
        if let Some(shelf) = &*open {
            return Ok(shelf.clone());
        }
        let opened = Arc::new(Shelf::open(&self.folder().join(FOLDER))?);
        *open = Some(opened.clone());
        Ok(opened)
    }

    /// The shelf, if anything was ever put on it.
    pub fn find_shelf(&self) -> Result<Option<Arc<Shelf>>> {
        self.folder().join(FOLDER).is_dir().then(|| self.shelf()).transpose()
    }
}

impl Shelf {
    /// Opens it in this folder, which one process at a time can do; nobody but its owner reads it. A damaged one is made anew.
    fn open(folder: &Path) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).doing("create", folder)?;
        let db = open_small(folder, "what was kept of requests")?;
        Ok(Self { db, folder: folder.to_owned() })
    }

    /// A row.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.get(key).map_err(|error| of_disk(&self.folder, error))
    }

    /// Writes rows and removes others: all or nothing.
    pub fn change(&self, rows: &[(Vec<u8>, Vec<u8>)], gone: &[Vec<u8>]) -> Result<()> {
        let mut batch = WriteBatch::default();
        for (key, value) in rows {
            batch.put(key, value);
        }
        for key in gone {
            batch.delete(key);
        }
        self.db.write(batch).map_err(|error| of_disk(&self.folder, error))
    }

    /// Visits the rows whose keys begin with this, in their order, until told to stop.
    pub fn visit(&self, prefix: &[u8], mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>) -> Result<()> {
        for entry in self.db.iterator(IteratorMode::From(prefix, Direction::Forward)) {
            let (key, value) = entry.map_err(|error| of_disk(&self.folder, error))?;
            if !key.starts_with(prefix) || visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(shelf: &Shelf, prefix: &[u8], most: usize) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        let visit = |key: &[u8], _: &[u8]| {
            seen.push(key.to_vec());
            if seen.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        shelf.visit(prefix, visit).unwrap();
        seen
    }

    #[test]
    fn rows_survive_a_restart_and_are_visited_in_order_below_their_prefix() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let row = |key: &str| (key.as_bytes().to_vec(), b"x".to_vec());
        shelf.change(&[row("a/2"), row("a/1"), row("b/1"), row("a")], &[]).unwrap();
        shelf.change(&[(b"a/2".to_vec(), b"new".to_vec())], &[b"a".to_vec(), b"missing".to_vec()]).unwrap();
        drop(shelf);
        let shelf = Shelf::open(folder.path()).unwrap();
        assert_eq!(shelf.get(b"a/2").unwrap().unwrap(), b"new");
        assert_eq!(shelf.get(b"a").unwrap(), None);
        assert_eq!(keys(&shelf, b"a", 9), [b"a/1".to_vec(), b"a/2".to_vec()]);
        assert_eq!(keys(&shelf, b"a", 1), [b"a/1".to_vec()]);
    }
}
