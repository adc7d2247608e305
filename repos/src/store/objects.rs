//! Writing and reading objects. Each is verified by its digest whenever it is read.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use specs::{CommitId, DatumId, Digest, ErrorKind};

use super::{Result, Store};
use crate::base::error::RepoError;
use crate::base::hash::digest_of;
use crate::base::kind::{Kind, PackClass};
use crate::base::pack_name::PackName;
use crate::base::time::Timestamp;
use crate::documents::{Certificate, Commit, Document, ResultDocument, ResultState, SignatureDocument, canonical};
use crate::index::rows::{Location, ResultRow, SaidRow, encode, read};
use crate::index::{Changes, Index, keys};
use crate::objects::packs::codec;
use crate::objects::packs::format::Row;
use crate::objects::packs::writer::{Finished, PackWriter};
use crate::tree::{NodeSink, NodeStore};

/// Maximum number of attempts to read an object whose pack is removed each time before the read.
const LOOKS: u32 = 20;

/// Decodes an object's stored bytes, as [`codec::unpack`] does.
pub(super) type Unpack = fn(&Row, Bytes) -> Option<Bytes>;

/// The location of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectLocation {
    /// It exists here.
    At(PackName, Row),
    /// In a pack that is gone: missing, or moved elsewhere since.
    Gone,
    /// It does not exist.
    Nowhere,
}

fn place_in(index: &Index, kind: u8, digest: &Digest) -> Result<ObjectLocation> {
    let key = keys::object(kind, digest);
    let Some(row) = index.get(&key)? else { return Ok(ObjectLocation::Nowhere) };
    let location = Location::decode(&row).ok_or_else(|| RepoError::damaged_row(&key))?;
    Ok(index
        .pack(location.pack)
        .map_or(ObjectLocation::Gone, |pack| ObjectLocation::At(pack, location.row(kind, *digest))))
}

/// Whether an error means that a pack does not exist.
pub(crate) fn is_gone(error: &RepoError) -> bool {
    matches!(error, RepoError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

/// A row of the index.
type IndexRow = (Vec<u8>, Vec<u8>);

/// The index rows that relate an object to others: a result to its recipe, a signature or certificate to its commit, a commit to what the
/// journal is compared with. Empty for other kinds, and for bytes that are not such a document.
pub(crate) fn rows_about(kind: u8, digest: &Digest, bytes: &[u8]) -> Vec<IndexRow> {
    fn row<D: Document>(bytes: &[u8], row: impl FnOnce(D) -> IndexRow) -> Vec<IndexRow> {
        serde_json::from_slice(bytes).ok().map(row).into_iter().collect()
    }
    match Kind::from_number(kind) {
        Some(Kind::Result) => row(bytes, |result| result_row(digest, &result)),
        Some(Kind::Signature) => {
            row(bytes, |signature: SignatureDocument| (keys::signature(&signature.commit, digest), Vec::new()))
        }
        Some(Kind::Certificate) => {
            row(bytes, |certificate: Certificate| (keys::certificate(&certificate.commit, digest), Vec::new()))
        }
        Some(Kind::Commit) => {
            serde_json::from_slice(bytes).map_or(Vec::new(), |commit| commit_rows(CommitId::new(*digest), &commit))
        }
        _ => Vec::new(),
    }
}

/// Whether [`rows_about`] has rows for objects of this kind.
pub(crate) fn has_rows_about(kind: u8) -> bool {
    [Kind::Result, Kind::Signature, Kind::Certificate, Kind::Commit].iter().any(|known| *known as u8 == kind)
}

/// The index rows of a commit's document.
pub(super) fn commit_rows(id: CommitId, commit: &Commit) -> Vec<IndexRow> {
    let witness = commit.journal.map(|end| (keys::witness(end.records, &id), encode(&end.last)));
    [(keys::said(&id), encode(&SaidRow::of(commit)))].into_iter().chain(witness).collect()
}

/// The index row of a result.
pub(super) fn result_row(digest: &Digest, result: &ResultDocument) -> (Vec<u8>, Vec<u8>) {
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

    /// Writes an object, unless it already exists; true if it was new. Durable with the next published change.
    pub(crate) fn write(&self, kind: Kind, digest: Digest, bytes: &[u8]) -> Result<bool> {
        if self.contains(kind, &digest)? { Ok(false) } else { self.append(kind, digest, bytes) }
    }

    /// Writes an object, unless the open pack has it: another pack may have it too. True if it was written.
    pub(super) fn append(&self, kind: Kind, digest: Digest, bytes: &[u8]) -> Result<bool> {
        // Compress before taking the lock, because that takes longer than appending. An object that gets into a finished pack meanwhile is
        // stored twice, which is harmless.
        let (new, mut writer) = codec::pack(bytes, |codec, stored| -> Result<_> {
            let mut writer = self.writer(kind.class());
            let new = writer.append_packed(self.packs(), kind, digest, bytes.len(), codec, stored)?;
            if new {
                self.inner.meter.wrote(stored.len());
            }
            Ok((new, writer))
        })?;
        // Not inside `pack`: registering a pack unpacks its results, with the same scratch memory.
        let full = writer.take_finished();
        let any_full = !full.is_empty();
        self.register_all(full)?;
        drop(writer);
        if any_full {
            self.relieve_memory();
        }
        Ok(new)
    }

    /// Adds finished packs to the index while their writer is still locked: nobody looks in between.
    pub(super) fn register_all(&self, packs: Vec<Finished>) -> Result<()> {
        if packs.is_empty() {
            return Ok(());
        }
        // Meanwhile nobody may replace this index or assign the same pack number.
        let _position = self.locked_position();
        let index = self.index();
        for pack in packs {
            self.rely_on([pack.name]);
            self.register(&index, &pack.name, &pack.rows)?;
            self.inner.written.fetch_add(pack.rows.len() as u64, Ordering::Relaxed);
            self.hold(pack.name, pack.file);
        }
        Ok(())
    }

    /// The location of an object, according to the index.
    pub(crate) fn place(&self, kind: u8, digest: &Digest) -> Result<ObjectLocation> {
        place_in(&self.index(), kind, digest)
    }

    /// The location of an object; looks again if its pack is gone.
    pub(super) fn find_place(&self, kind: Kind, digest: &Digest) -> Result<ObjectLocation> {
        let place = self.place_or_put_off(kind, digest)?;
        if !matches!(place, ObjectLocation::Gone) || !self.look_again()? {
            return Ok(place);
        }
        let place = self.place_or_put_off(kind, digest)?;
        if matches!(place, ObjectLocation::Gone) {
            self.index().settle();
        }
        Ok(place)
    }

    /// The location of an object, including deferred packs.
    fn place_or_put_off(&self, kind: Kind, digest: &Digest) -> Result<ObjectLocation> {
        loop {
            let index = self.index();
            // Checked before the lookup: whatever another thread adds meanwhile is in the index once it is no longer deferred.
            let has_put_off = kind.class() == PackClass::Data && index.has_put_off();
            let place = place_in(&index, kind as u8, digest)?;
            if !has_put_off || matches!(place, ObjectLocation::At(..)) {
                return Ok(place);
            }
            self.find_put_off()?;
        }
    }

    /// Refreshes to see changes of others; false if the last look found nothing new.
    pub(super) fn look_again(&self) -> Result<bool> {
        let again = !self.index().is_settled();
        if again {
            self.refresh()?;
        }
        Ok(again)
    }

    /// Whether an object exists.
    pub fn contains(&self, kind: Kind, digest: &Digest) -> Result<bool> {
        Ok(self.raw_bytes(kind, digest)?.is_some())
    }

    /// Whether an object is in the open pack.
    pub(super) fn is_in_open_pack(&self, kind: Kind, digest: &Digest) -> bool {
        self.writer(kind.class()).raw_bytes(kind, digest).is_some()
    }

    /// Digests of objects in the open pack that begin with these hex digits, in no order.
    pub(super) fn in_open_pack_by_prefix(&self, kind: Kind, prefix: &str) -> Vec<Digest> {
        self.writer(kind.class()).by_prefix(kind, prefix)
    }

    /// Length of an object in bytes; `None` if it does not exist.
    pub(super) fn raw_bytes(&self, kind: Kind, digest: &Digest) -> Result<Option<u32>> {
        let open = self.writer(kind.class()).raw_bytes(kind, digest);
        if open.is_some() {
            return Ok(open);
        }
        Ok(match self.find_place(kind, digest)? {
            ObjectLocation::At(_, row) => Some(row.raw_bytes),
            ObjectLocation::Gone | ObjectLocation::Nowhere => None,
        })
    }

    /// The verified content of an object; `None` if it does not exist as this kind.
    pub(crate) fn find_object(&self, kind: Kind, digest: &Digest) -> Result<Option<Bytes>> {
        self.unpacked(kind, digest, codec::unpack)
    }

    /// The content of a chunk, not verified against its digest: the caller verifies the file.
    pub(super) fn chunk_unchecked(&self, digest: &Digest) -> Result<Bytes> {
        let mut bytes = self.unpacked(Kind::Chunk, digest, codec::unpack_unchecked)?;
        if bytes.is_none() {
            bytes = self.find_beside_writers(Kind::Chunk, digest, codec::unpack)?;
        }
        bytes.ok_or(RepoError::MissingObject { kind: Kind::Chunk, digest: *digest })
    }

    pub(super) fn unpacked(&self, kind: Kind, digest: &Digest, unpack: Unpack) -> Result<Option<Bytes>> {
        // An object that is in no finished pack is in the open one. An object that moves between the two lookups is not missed, because a
        // pack is added to the index before its writer forgets it.
        if let Some(found) = self.writer(kind.class()).read(kind, digest) {
            let (row, stored) = found?;
            let why = || "its bytes do not match its digest".to_owned();
            let bytes = unpack(&row, stored);
            return bytes.map(Some).ok_or_else(|| RepoError::DamagedObject { kind, digest: *digest, why: why() });
        }
        for look in 1.. {
            let (pack, row) = match self.find_place(kind, digest)? {
                ObjectLocation::At(pack, row) => (pack, row),
                ObjectLocation::Gone => return Ok(self.another_copy(kind, digest)?.map(|(_, bytes)| bytes)),
                ObjectLocation::Nowhere => break,
            };
            match self.read_entry(&pack, &row, kind, unpack) {
                // Its pack was removed in between: the objects in it that count are in another by now.
                Err(error) if is_gone(&error) && look < LOOKS => self.refresh()?,
                Err(error) if is_gone(&error) || error.kind() == ErrorKind::Damaged => {
                    let Some((pack, bytes)) = self.another_copy(kind, digest)? else {
                        let lost = is_gone(&error).then_some(RepoError::MissingObject { kind, digest: *digest });
                        return Err(lost.unwrap_or(error));
                    };
                    tracing::warn!(
                        "an object was read from pack {pack}, not from the place in the index; pv fsck checks this"
                    );
                    return Ok(Some(bytes));
                }
                read => return read.map(Some),
            }
        }
        Ok(None)
    }

    /// Reads an entry and checks it with `unpack`.
    pub(super) fn read_entry(&self, pack: &PackName, row: &Row, kind: Kind, unpack: Unpack) -> Result<Bytes> {
        let stored = self.packs().read(pack, row.stored_range())?;
        let bytes = match unpack(row, stored) {
            Some(bytes) => Some(bytes),
            // The bytes may come from a damaged local copy.
            None => self.packs().read_again(pack, row.stored_range())?.and_then(|stored| unpack(row, stored)),
        };
        bytes.ok_or_else(|| RepoError::DamagedObject {
            kind,
            digest: row.digest,
            why: format!("content at offset {} of pack {pack} does not match its digest", row.offset),
        })
    }

    /// The name of a pack that has or had this number.
    pub(crate) fn pack_name(&self, number: u32) -> Result<PackName> {
        let row = self.index().get(&keys::pack_number(number))?;
        let name = row.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| text.parse().ok());
        name.ok_or_else(|| RepoError::NotFound {
            what: format!("the index refers to pack number {number}, which does not exist"),
            hint: Some("pv fsck --rebuild-index".to_owned()),
        })
    }

    /// The verified content of an object.
    pub(crate) fn object(&self, kind: Kind, digest: &Digest) -> Result<Bytes> {
        if let Some(bytes) = self.find_object(kind, digest)? {
            return Ok(bytes);
        }
        // A list of packs read during folding may lack both the old packs and the new one.
        if self.look_again()? {
            if let Some(bytes) = self.find_object(kind, digest)? {
                return Ok(bytes);
            }
            self.index().settle();
        }
        let found = self.find_beside_writers(kind, digest, codec::unpack)?;
        found.ok_or(RepoError::MissingObject { kind, digest: *digest })
    }

    /// Stores a document and returns its digest.
    pub fn put_document<D: Document>(&self, document: &D) -> Result<Digest> {
        let bytes = canonical(document);
        let digest = digest_of(&bytes);
        self.write(D::KIND, digest, &bytes)?;
        Ok(digest)
    }

    /// Reads a document.
    pub fn document<D: Document>(&self, digest: &Digest) -> Result<D> {
        let bytes = self.object(D::KIND, digest)?;
        let document = serde_json::from_slice(&bytes).map_err(|error| RepoError::DamagedObject {
            kind: D::KIND,
            digest: *digest,
            why: error.to_string(),
        })?;
        self.seen_document(document)
    }

    /// The canonical bytes of a document, exactly as they were hashed.
    pub fn document_bytes(&self, kind: Kind, digest: &Digest) -> Result<Bytes> {
        let bytes = self.object(kind, digest)?;
        self.ensure_bytes_seen(kind, &bytes)?;
        Ok(bytes)
    }

    /// Stores a log and returns its digest.
    pub fn put_log(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = digest_of(bytes);
        self.write(Kind::Log, digest, bytes)?;
        Ok(digest)
    }

    /// Reads a log.
    pub fn log(&self, digest: &Digest) -> Result<Bytes> {
        self.object(Kind::Log, digest)
    }

    /// Whether a log is stored.
    pub fn has_log(&self, digest: &Digest) -> Result<bool> {
        self.contains(Kind::Log, digest)
    }

    /// Writes a result, and makes it the newest of its recipe immediately. It and everything written earlier survive the death of this
    /// process.
    pub(super) fn write_result(&self, result: &ResultDocument, bytes: &[u8]) -> Result<Digest> {
        // First what it names: a result must never be found without its files.
        self.writer(PackClass::Data).flush()?;
        let digest = digest_of(bytes);
        self.write(Kind::Result, digest, bytes)?;
        self.writer(PackClass::Meta).flush()?;
        let (key, value) = result_row(&digest, result);
        self.index().commit(Changes::from([(key, Some(value))]));
        Ok(digest)
    }

    /// Stores a document that is about a commit, and adds it to the index immediately.
    pub(super) fn put_about<D: Document>(&self, document: &D) -> Result<Digest> {
        let bytes = canonical(document);
        let digest = digest_of(&bytes);
        self.write(D::KIND, digest, &bytes)?;
        let rows = rows_about(D::KIND as u8, &digest, &bytes).into_iter().map(|(key, value)| (key, Some(value)));
        self.index().commit(rows.collect());
        Ok(digest)
    }

    /// Digests of all results of a recipe, from any writer, with state and exit code, newest first.
    pub fn results(&self, recipe: &DatumId) -> Result<Vec<(Digest, ResultState, Option<i32>)>> {
        let prefix = keys::results(recipe);
        let mut found = Vec::new();
        self.index().try_visit(&prefix, &keys::after(&prefix), rocksdb::Direction::Reverse, |key, value| {
            let (_, digest) = key.split_last_chunk::<32>().ok_or_else(|| RepoError::damaged_row(key))?;
            let row: ResultRow = read(key, value)?;
            found.push((Digest::from_bytes(*digest), row.state, row.exit_code));
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        if self.is_limited() {
            // Of somebody else's execution of the same recipe nothing is known.
            let mut seen = Vec::new();
            for row in found {
                seen.extend(self.sees_result(&row.0)?.then_some(row));
            }
            return Ok(seen);
        }
        Ok(found)
    }

    /// Makes everything written durable: first what documents name, then the documents.
    pub fn sync(&self) -> Result<()> {
        self.writer(PackClass::Data).sync()?;
        self.writer(PackClass::Meta).sync()
    }

    /// Passes everything written to the operating system: it survives the death of this process.
    pub(super) fn flush_content(&self) -> Result<()> {
        self.writer(PackClass::Data).flush()?;
        self.writer(PackClass::Meta).flush()
    }

    /// Finishes the open packs, so that other processes see what this one wrote.
    pub fn finish_packs(&self) -> Result<()> {
        for class in [PackClass::Data, PackClass::Meta] {
            let mut writer = self.writer(class);
            let finished = writer.finish()?;
            self.register_all(finished)?;
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
