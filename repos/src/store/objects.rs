//! Writing and reading objects. Each is checked by its digest whenever it is read.

use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use specs::{DatumId, Digest};

use super::{Result, Store};
use crate::documents::{Document, ResultDocument, ResultState, canonical};
use crate::error::RepoError;
use crate::hash::digest_of;
use crate::index::rows::{Location, ResultRow, decode, encode};
use crate::index::{Changes, keys};
use crate::object::{Kind, PackClass};
use crate::packs::PackName;
use crate::packs::codec::unpack;
use crate::packs::format::Row;
use crate::packs::writer::{Finished, PackWriter};
use crate::time::Timestamp;
use crate::tree::{NodeSink, NodeStore};

/// The index row of a result.
pub(crate) fn result_row(digest: &Digest, result: &ResultDocument) -> (Vec<u8>, Vec<u8>) {
    let last = result.tries.last();
    let at = last.map_or(Timestamp::from_micros(0), |last| last.finished_at);
    let row = ResultRow { state: result.state, exit_code: last.and_then(|last| last.exit_code) };
    (keys::result(&result.recipe, at, digest), encode(&row))
}

impl Store {
    fn writer(&self, class: PackClass) -> MutexGuard<'_, PackWriter> {
        let writer: &Mutex<PackWriter> = match class {
            PackClass::Meta => &self.inner.meta,
            PackClass::Data => &self.inner.data,
        };
        writer.lock().expect("no panic under this lock")
    }

    /// Keeps an object, unless it is there already; true when it was new. Durable with the next change that is published.
    pub(crate) fn write(&self, kind: Kind, digest: Digest, bytes: &[u8]) -> Result<bool> {
        if self.location(kind, &digest)?.is_some() {
            return Ok(false);
        }
        let mut writer = self.writer(kind.class());
        let new = writer.append(self.packs(), kind, digest, bytes)?;
        let full = writer.take_finished();
        self.register_all(&full)?;
        drop(writer);
        if !full.is_empty() {
            self.relieve_memory()?;
        }
        Ok(new)
    }

    /// Enters finished packs into the index while their writer is still locked: nobody looks in between.
    fn register_all(&self, packs: &[Finished]) -> Result<()> {
        if packs.is_empty() {
            return Ok(());
        }
        // Nobody may put another index in this one's place meanwhile, nor give out the same pack number.
        let _position = self.locked_position();
        let index = self.index();
        packs.iter().try_for_each(|pack| self.register(&index, &pack.name, &pack.rows))
    }

    pub(crate) fn location(&self, kind: Kind, digest: &Digest) -> Result<Option<Location>> {
        Ok(self.index().get(&keys::object(kind as u8, digest))?.as_deref().and_then(Location::decode))
    }

    /// Whether an object is there.
    pub fn contains(&self, kind: Kind, digest: &Digest) -> Result<bool> {
        Ok(self.writer(kind.class()).raw_bytes(kind, digest).is_some() || self.location(kind, digest)?.is_some())
    }

    /// The bytes of an object, checked; `None` when it is not there as this kind.
    pub(crate) fn find_object(&self, kind: Kind, digest: &Digest) -> Result<Option<Bytes>> {
        // An object that is in no finished pack is in the open one; the order of the two looks does not lose one that moves over,
        // because a pack is entered into the index before its writer forgets it.
        if let Some(bytes) = self.writer(kind.class()).read(kind, digest) {
            return bytes.map(Some);
        }
        let Some(location) = self.location(kind, digest)? else { return Ok(None) };
        let row = Row {
            kind: kind as u8,
            digest: *digest,
            offset: location.offset,
            codec: location.codec,
            stored_bytes: location.stored_bytes,
            raw_bytes: location.raw_bytes,
        };
        let Ok(pack) = self.pack_name(location.pack) else { return self.another_copy(&row) };
        let read = self.packs().read(&pack, row.stored_range());
        if let Some(bytes) = read.as_ref().ok().and_then(|stored| unpack(&row, stored.clone())) {
            return Ok(Some(bytes));
        }
        if let Some(bytes) = self.another_copy(&row)? {
            return Ok(Some(bytes));
        }
        match read {
            Err(error) if error.kind() == specs::ErrorKind::NotFound => {
                return Err(RepoError::MissingObject { kind, digest: *digest });
            }
            read => drop(read?),
        }
        let why = format!("its bytes at {} in pack {pack} are others", row.offset);
        Err(RepoError::DamagedObject { kind, digest: *digest, why })
    }

    pub(crate) fn pack_name(&self, number: u32) -> Result<PackName> {
        let row = self.index().get(&keys::pack_number(number))?;
        let name = row.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| text.parse().ok());
        name.ok_or_else(|| RepoError::NotFound {
            what: format!("the index names a pack number {number} that does not exist"),
            hint: Some("pv fsck --rebuild-index".to_owned()),
        })
    }

    /// The bytes of an object, checked.
    pub(crate) fn object(&self, kind: Kind, digest: &Digest) -> Result<Bytes> {
        self.find_object(kind, digest)?.ok_or(RepoError::MissingObject { kind, digest: *digest })
    }

    /// Keeps a document and returns its digest.
    pub fn put_document<D: Document>(&self, document: &D) -> Result<Digest> {
        let bytes = canonical(document);
        let digest = digest_of(&bytes);
        self.write(D::KIND, digest, &bytes)?;
        Ok(digest)
    }

    /// Reads a document.
    pub fn document<D: Document>(&self, digest: &Digest) -> Result<D> {
        let bytes = self.object(D::KIND, digest)?;
        serde_json::from_slice(&bytes).map_err(|error| RepoError::DamagedObject {
            kind: D::KIND,
            digest: *digest,
            why: error.to_string(),
        })
    }

    /// The canonical bytes of a document, exactly as its digest was taken from them.
    pub fn document_bytes(&self, kind: Kind, digest: &Digest) -> Result<Bytes> {
        self.object(kind, digest)
    }

    /// Keeps a log and returns its digest.
    pub fn put_log(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = digest_of(bytes);
        self.write(Kind::Log, digest, bytes)?;
        Ok(digest)
    }

    /// Reads a log.
    pub fn log(&self, digest: &Digest) -> Result<Bytes> {
        self.object(Kind::Log, digest)
    }

    /// Keeps a result, and makes it the newest of its recipe at once.
    pub fn put_result(&self, result: &ResultDocument) -> Result<Digest> {
        let digest = self.put_document(result)?;
        let (key, value) = result_row(&digest, result);
        self.index().commit(Changes::from([(key, Some(value))]))?;
        Ok(digest)
    }

    /// Digests of the results of a recipe with state and exit code, newest first.
    pub fn results(&self, recipe: &DatumId) -> Result<Vec<(Digest, ResultState, Option<i32>)>> {
        let prefix = keys::results(recipe);
        let mut found = Vec::new();
        self.index().visit(&prefix, &keys::after(&prefix), rocksdb::Direction::Reverse, |key, value| {
            if let (Some((_, digest)), Some(row)) = (key.split_last_chunk::<32>(), decode::<ResultRow>(value)) {
                found.push((Digest::from_bytes(*digest), row.state, row.exit_code));
            }
            std::ops::ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Makes all that was written durable: first what documents name, then the documents.
    pub fn sync(&self) -> Result<()> {
        self.writer(PackClass::Data).sync()?;
        self.writer(PackClass::Meta).sync()
    }

    /// Finishes the open packs, so that other processes see what this one wrote.
    pub fn finish_packs(&self) -> Result<()> {
        for class in [PackClass::Data, PackClass::Meta] {
            let mut writer = self.writer(class);
            let finished = writer.finish()?;
            self.register_all(&finished)?;
        }
        Ok(())
    }
}

impl NodeStore for Store {
    type Error = RepoError;

    fn read(&self, digest: &Digest) -> Result<Bytes> {
        if let Some(node) = self.inner.nodes.get(digest) {
            return Ok(node);
        }
        let node = self.object(Kind::Node, digest)?;
        self.inner.nodes.insert(*digest, node.clone());
        Ok(node)
    }
}

impl NodeSink for &Store {
    type Error = RepoError;

    fn write(&mut self, digest: Digest, bytes: Vec<u8>) -> Result<()> {
        Store::write(self, Kind::Node, digest, &bytes)?;
        self.inner.nodes.insert(digest, bytes.into());
        Ok(())
    }
}
