//! Another copy of a store, from which damaged data is replaced.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use specs::Digest;

use crate::base::error::{IoContext, RepoError};
use crate::base::kind::Kind;
use crate::objects::packs::codec::unpack;
use crate::objects::packs::format::Row;
use crate::objects::packs::scan::scan;
use crate::objects::packs::writer::read_index;
use crate::objects::packs::{LocalPacks, PackName, PackStore};
use crate::store::{Result, Store};

/// A mirror: packs, and the journal's bytes. It may be behind, or damaged itself: everything taken from it is verified.
#[derive(Debug, Clone)]
pub struct Mirror {
    packs: Arc<dyn PackStore>,
    journal: Vec<u8>,
}

impl Mirror {
    /// A mirror with these packs and this journal (lines; empty if it has none).
    pub fn new(packs: Arc<dyn PackStore>, journal: Vec<u8>) -> Self {
        Self { packs, journal }
    }

    /// The mirror in a folder that contains `packs` and `journal`, or is a store.
    pub fn in_folder(dir: &Path) -> Result<Self> {
        let inner = dir.join(Store::FOLDER);
        let folder = if inner.join("packs").is_dir() { inner } else { dir.to_owned() };
        let packs = folder.join("packs");
        if !packs.is_dir() {
            return Err(RepoError::NotFound {
                what: format!("no mirror at `{}`: it has no folder `packs`", dir.display()),
                hint: Some("--from takes a folder with `packs` and `journal`, or a folder with a store".to_owned()),
            });
        }
        Ok(Self::new(Arc::new(LocalPacks::new(packs)), read_journal(&folder.join("journal"))?))
    }

    pub(super) fn packs(&self) -> &dyn PackStore {
        &*self.packs
    }

    pub(super) fn journal(&self) -> &[u8] {
        &self.journal
    }

    /// Calls `take` with an intact copy of each wanted object that the mirror has.
    pub(super) fn fetch(
        &self,
        wanted: &BTreeSet<(Kind, Digest)>,
        mut take: impl FnMut(Kind, Digest, &Bytes) -> Result<()>,
    ) -> Result<()> {
        let mut left = wanted.clone();
        for (name, length) in self.packs.list()? {
            if left.is_empty() {
                break;
            }
            for row in self.rows(&name, length)? {
                let Some(kind) = Kind::from_number(row.kind).filter(|kind| left.contains(&(*kind, row.digest))) else {
                    continue;
                };
                if let Some(bytes) = self.read(&name, &row) {
                    take(kind, row.digest, &bytes)?;
                    left.remove(&(kind, row.digest));
                }
            }
        }
        Ok(())
    }

    /// The rows of a pack in the mirror, as far as they are readable.
    pub(super) fn rows(&self, name: &PackName, length: u64) -> Result<Vec<Row>> {
        match read_index(&*self.packs, name, length) {
            Err(RepoError::DamagedPack { .. }) => Ok(scan(&*self.packs, name, length)?.rows),
            rows => rows,
        }
    }

    fn read(&self, name: &PackName, row: &Row) -> Option<Bytes> {
        self.packs.read(name, row.stored_range()).ok().and_then(|stored| unpack(row, stored))
    }
}

/// The journal of a mirror: a file, or a folder with one file for each record; empty if there is none.
fn read_journal(path: &Path) -> Result<Vec<u8>> {
    if path.is_file() {
        return std::fs::read(path).doing("read", path);
    }
    let mut lines = Vec::new();
    if path.is_dir() {
        let records = std::fs::read_dir(path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let mut records: Vec<_> = records.doing("list", path)?.into_iter().map(|record| record.path()).collect();
        records.sort();
        for record in records {
            let line = std::fs::read(&record).doing("read", &record)?;
            lines.extend_from_slice(line.trim_ascii_end());
            lines.push(b'\n');
        }
    }
    Ok(lines)
}
