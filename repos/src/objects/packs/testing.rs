//! The contract suite of [`PackStore`], and a store that fails on demand.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::writer::{PackWriter, read_index, salvage};
use super::{PackFile, PackName, PackStore, UnfinishedPack};
use crate::base::error::{IoContext, RepoError};
use crate::base::faults::Faults;
use crate::base::hash::digest_of;
use crate::base::kind::{Kind, PackClass};

/// Checks the guarantees of a pack store, which must be empty.
///
/// # Panics
/// If it breaks one of them.
pub fn pack_store_contract(store: &dyn PackStore) {
    an_unfinished_pack_is_not_listed(store);
    a_finished_pack_reads_back(store);
    a_failed_writer_leaves_what_it_flushed(store);
    a_pack_is_held_by_its_writer_and_can_be_removed(store);
}

fn listed(store: &dyn PackStore) -> Vec<(PackName, u64)> {
    store.list().expect("the list can be read")
}

fn an_unfinished_pack_is_not_listed(store: &dyn PackStore) {
    let mut file = store.create(PackClass::Meta).expect("a pack can be made");
    let start = file.length();
    file.append(&[b"one", b"", b"two"]).expect("bytes can be appended");
    assert_eq!(file.length(), start + 6);
    assert_eq!(&*file.read(start..start + 6).expect("what was appended reads back"), b"onetwo");
    file.sync().expect("it can be made durable");
    file.truncate(start + 3).expect("it can be cut back");
    file.append(&[b"3"]).expect("and goes on there");
    assert_eq!(&*file.read(start..start + 100).expect("a range may reach beyond the end"), b"one3");
    assert!(listed(store).is_empty());
    assert!(store.abandoned().expect("the list can be read").is_empty(), "its writer lives");
    file.discard().expect("it can be given up");
    assert!(store.abandoned().expect("the list can be read").is_empty());
}

fn a_finished_pack_reads_back(store: &dyn PackStore) {
    let mut writer = PackWriter::new(PackClass::Data, u64::MAX);
    let objects = [&b"first"[..], b"", b"third"];
    for bytes in objects {
        assert!(writer.append(store, Kind::Chunk, digest_of(bytes), bytes).expect("objects can be written"));
        assert!(!writer.append(store, Kind::Chunk, digest_of(bytes), bytes).expect("twice is no error"));
    }
    let finished = writer.finish().expect("a pack can be finished");
    let [pack] = finished.as_slice() else { panic!("one pack, not {}", finished.len()) };
    assert_eq!(listed(store), [(pack.name, pack.length)]);
    assert_eq!(read_index(store, &pack.name, pack.length).expect("its index reads back"), pack.rows);
    for row in &pack.rows {
        let bytes = store.read(&pack.name, row.stored_range()).expect("a range can be read");
        assert_eq!(digest_of(&bytes), row.digest);
    }
    let end = store.read(&pack.name, pack.length - 1..pack.length + 9).expect("a range may reach beyond the end");
    assert_eq!(end.len(), 1);
    let unknown = PackName { class: PackClass::Data, digest: digest_of(b"no pack") };
    store.read(&unknown, 0..1).expect_err("there is no such pack");
}

fn a_failed_writer_leaves_what_it_flushed(store: &dyn PackStore) {
    let before = listed(store).len();
    let mut writer = PackWriter::new(PackClass::Meta, u64::MAX);
    writer.append(store, Kind::Node, digest_of(b"kept"), b"kept").expect("objects can be written");
    writer.flush().expect("what was appended can be written out");
    writer.append(store, Kind::Node, digest_of(b"lost"), b"lost").expect("objects can be written");
    drop(writer);
    let parts = store.abandoned().expect("the list can be read");
    assert_eq!(parts.len(), 1);
    let saved: Vec<_> = parts.into_iter().map(|part| salvage(part).expect("it can be saved")).collect();
    assert!(matches!(saved.as_slice(), [Some(pack)] if pack.rows.len() == 1));
    assert_eq!(listed(store).len(), before + 1);
}

fn a_pack_is_held_by_its_writer_and_can_be_removed(store: &dyn PackStore) {
    let before = listed(store);
    let mut file = store.create(PackClass::Data).expect("a pack can be made");
    let name = PackName { class: PackClass::Data, digest: digest_of(b"not checked here") };
    file.finish(name).expect("it can be finished");
    assert!(store.is_held(&name).expect("it is there"), "its writer lives");
    drop(file);
    assert!(!store.is_held(&name).expect("it is there"));
    store.remove(&name).expect("it can be removed");
    assert_eq!(listed(store), before);
    store.read(&name, 0..1).expect_err("it is gone");
    store.remove(&name).expect("twice is no error");
}

/// A pack store whose n-th write (create, append, sync, finish or remove, from 0) fails; only that one, or all later ones too, like a full
/// disk.
#[derive(Debug, Clone)]
pub struct FailAt {
    inner: Arc<dyn PackStore>,
    faults: Faults,
}

impl FailAt {
    /// Only write number `n` fails.
    pub fn once(inner: Arc<dyn PackStore>, n: u64) -> Self {
        Self::with(inner, Faults::once(n))
    }

    /// Write number `n` and all later ones fail.
    pub fn from(inner: Arc<dyn PackStore>, n: u64) -> Self {
        Self::with(inner, Faults::from(n))
    }

    /// Fails according to `faults`.
    pub fn with(inner: Arc<dyn PackStore>, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// Whether a write has failed.
    pub fn has_failed(&self) -> bool {
        self.faults.has_failed()
    }

    fn wrap(&self, inner: Box<dyn PackFile>) -> Box<dyn PackFile> {
        Box::new(FailingFile { inner, faults: self.faults.clone() })
    }
}

fn step(faults: &Faults) -> Result<(), RepoError> {
    faults.step().doing("write", Path::new("a pack that fails"))
}

#[deny(clippy::missing_trait_methods)]
impl PackStore for FailAt {
    fn create(&self, class: PackClass) -> Result<Box<dyn PackFile>, RepoError> {
        step(&self.faults)?;
        Ok(self.wrap(self.inner.create(class)?))
    }

    fn list(&self) -> Result<Vec<(PackName, u64)>, RepoError> {
        self.inner.list()
    }

    fn known(&self) -> Result<(Vec<(PackName, u64)>, bool), RepoError> {
        self.inner.known()
    }

    fn read(&self, pack: &PackName, range: Range<u64>) -> Result<Bytes, RepoError> {
        self.inner.read(pack, range)
    }

    fn read_again(&self, pack: &PackName, range: Range<u64>) -> Result<Option<Bytes>, RepoError> {
        self.inner.read_again(pack, range)
    }

    fn is_held(&self, pack: &PackName) -> Result<bool, RepoError> {
        self.inner.is_held(pack)
    }

    fn remove(&self, pack: &PackName) -> Result<(), RepoError> {
        step(&self.faults)?;
        self.inner.remove(pack)
    }

    fn abandoned(&self) -> Result<Vec<Box<dyn PackFile>>, RepoError> {
        Ok(self.inner.abandoned()?.into_iter().map(|file| self.wrap(file)).collect())
    }

    fn unfinished(&self) -> Result<Vec<UnfinishedPack>, RepoError> {
        self.inner.unfinished()
    }

    fn sync_is_enough(&self) -> bool {
        self.inner.sync_is_enough()
    }
}

#[derive(Debug)]
struct FailingFile {
    inner: Box<dyn PackFile>,
    faults: Faults,
}

#[deny(clippy::missing_trait_methods)]
impl PackFile for FailingFile {
    fn class(&self) -> PackClass {
        self.inner.class()
    }

    fn length(&self) -> u64 {
        self.inner.length()
    }

    /// Like a full disk, writes a part before it fails.
    fn append(&mut self, pieces: &[&[u8]]) -> Result<(), RepoError> {
        if let Err(error) = step(&self.faults) {
            let half: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..piece.len() / 2]).collect();
            self.inner.append(&half)?;
            return Err(error);
        }
        self.inner.append(pieces)
    }

    fn read(&self, range: Range<u64>) -> Result<Bytes, RepoError> {
        self.inner.read(range)
    }

    fn sync(&mut self) -> Result<(), RepoError> {
        step(&self.faults)?;
        self.inner.sync()
    }

    fn truncate(&mut self, length: u64) -> Result<(), RepoError> {
        self.inner.truncate(length)
    }

    fn finish(&mut self, name: PackName) -> Result<(), RepoError> {
        step(&self.faults)?;
        self.inner.finish(name)
    }

    fn discard(self: Box<Self>) -> Result<(), RepoError> {
        self.inner.discard()
    }
}
