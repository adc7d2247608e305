//! Finds copies of objects other than those in the index; used only if the indexed copy is damaged or missing. Of two copies, each process
//! counts the one that it saw last; a process that counts the other copy may remove its pack.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use specs::Digest;

use super::{Result, Store};
use crate::base::error::RepoError;
use crate::base::kind::Kind;
use crate::base::pack_name::PackName;
use crate::index::keys;
use crate::index::rows::Location;
use crate::objects::packs::codec::unpack;
use crate::objects::packs::format::Row;

/// All pack entries that are not where the index says, by kind and digest. In an intact store these are only duplicates.
#[derive(Debug, Default)]
pub(super) struct Copies(HashMap<(u8, Digest), Vec<(PackName, Row)>>);

impl Store {
    /// An intact copy of an object whose indexed copy is damaged or has disappeared with its pack; if the row of the index is wrong, the
    /// object itself.
    pub(super) fn another_copy(&self, kind: Kind, digest: &Digest) -> Result<Option<(PackName, Bytes)>> {
        let copies = self.copies()?;
        let mut others = copies.0.get(&(kind as u8, *digest)).into_iter().flatten();
        Ok(others.find_map(|(pack, row)| {
            let stored = self.packs().read(pack, row.stored_range()).ok()?;
            Some((*pack, unpack(row, stored)?))
        }))
    }

    fn copies(&self) -> Result<Arc<Copies>> {
        let mut known = self.inner.copies.lock().expect("no panic under this lock");
        if let Some(copies) = &*known {
            return Ok(copies.clone());
        }
        let copies = Arc::new(self.find_copies()?);
        *known = Some(copies.clone());
        Ok(copies)
    }

    fn find_copies(&self) -> Result<Copies> {
        let index = self.index();
        let mut copies = Copies::default();
        for (name, length) in self.packs().list()? {
            let number = index.pack_number(&name);
            // A pack may be gone by now: the objects in it that count are elsewhere.
            let Ok(rows) = self.rows_of_pack(&name, length) else { continue };
            for row in rows {
                let named = index.get(&keys::object(row.kind, &row.digest))?.as_deref().and_then(Location::decode);
                if named.is_none() || named != number.map(|number| Location::of(&row, number)) {
                    copies.0.entry((row.kind, row.digest)).or_default().push((name, row));
                }
            }
        }
        Ok(copies)
    }

    /// The rows of a finished pack: from its index or, if that is damaged, from its entries.
    pub(super) fn rows_of_pack(&self, name: &PackName, length: u64) -> Result<Vec<Row>> {
        match crate::objects::packs::writer::read_index(self.packs(), name, length) {
            Err(error @ RepoError::DamagedPack { .. }) => {
                tracing::warn!("{error}; its entries are read one by one");
                crate::objects::packs::scan::scan(self.packs(), name, length).map(|scan| scan.rows)
            }
            rows => rows,
        }
    }
}
