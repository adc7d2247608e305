//! Packs: the few large files in which all objects are.
//!
//! A pack is append-only and ends in its own index, so the packs alone tell what a store holds. *Meta* packs hold nodes and documents,
//! *data* packs hold chunks and logs. [`mod@format`] is the layout of the bytes, [`codec`] how the bytes of
//! one object are stored, [`PackStore`] the seam to where the files are kept,
//! [`writer`] fills packs, `copy` takes entries over into new ones. A pack whose writer died is still readable up to its last whole
//! entry ([`writer::salvage`]), and one whose index is damaged by its entries alone ([`mod@scan`]).
//! Not here: which object is in which pack (`index`).

use std::fmt;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use crate::base::error::{IoContext, RepoError};
use crate::base::kind::PackClass;

pub mod codec;
pub(crate) mod copy;
pub mod format;
mod local;
mod object;
pub mod scan;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod writer;

pub use crate::base::pack_name::PackName;
pub use local::LocalPacks;
pub use object::{ObjectPacks, open_url};
pub(crate) use object::{PACKS, PlacePacks};

/// Where packs are kept: a local folder, or an object store.
///
/// Guarantees: a pack is listed only after [`PackFile::finish`] made it durable; a finished pack never changes.
pub trait PackStore: fmt::Debug + Send + Sync + 'static {
    /// Starts a pack that is not listed yet.
    fn create(&self, class: PackClass) -> Result<Box<dyn PackFile>, RepoError>;
    /// Every finished pack with its length in bytes.
    fn list(&self) -> Result<Vec<(PackName, u64)>, RepoError>;
    /// Those of them that can be told without asking another machine, the ones written here among them; and whether that is all.
    fn known(&self) -> Result<(Vec<(PackName, u64)>, bool), RepoError> {
        Ok((self.list()?, true))
    }
    /// Reads a range of bytes of a finished pack; shorter at its end.
    fn read(&self, pack: &PackName, range: Range<u64>) -> Result<Bytes, RepoError>;
    /// Reads a range whose bytes were found damaged from where they are kept for good, and drops the copy they came from; `None` when
    /// `read` gives no copies.
    fn read_again(&self, _pack: &PackName, _range: Range<u64>) -> Result<Option<Bytes>, RepoError> {
        Ok(None)
    }
    /// Whether the writer of a finished pack still holds it: nothing may name yet what is in it.
    fn is_held(&self, pack: &PackName) -> Result<bool, RepoError>;
    /// Removes a finished pack and frees its space; a missing pack is not an error.
    fn remove(&self, pack: &PackName) -> Result<(), RepoError>;
    /// Packs that writers left unfinished when they died; none that a living writer still holds.
    fn abandoned(&self) -> Result<Vec<Box<dyn PackFile>>, RepoError>;
    /// Packs that are being written, or were when their writer died: what a record names may still are in one of these. None where
    /// records name nothing in unfinished packs.
    fn unfinished(&self) -> Result<Vec<UnfinishedPack>, RepoError> {
        Ok(Vec::new())
    }
    /// Whether [`PackFile::sync`] makes as durable as [`PackFile::finish`] does; else a record must name nothing in an unfinished pack.
    fn sync_is_enough(&self) -> bool {
        true
    }
}

/// A pack that somebody is writing, as others read it: whole entries, then perhaps a part of one.
#[derive(Debug)]
pub struct UnfinishedPack {
    /// The name of its file, which it keeps until it is finished.
    pub name: String,
    /// What kinds of objects it holds.
    pub class: PackClass,
    file: std::fs::File,
}

impl UnfinishedPack {
    /// Bytes so far.
    pub fn length(&self) -> Result<u64, RepoError> {
        self.file.metadata().map(|data| data.len()).doing("read", Path::new(&self.name))
    }

    /// Reads a range of bytes; shorter at its end.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes, RepoError> {
        local::read_range(&self.file, range).doing("read", Path::new(&self.name))
    }
}

/// A pack that is being written.
pub trait PackFile: fmt::Debug + Send + Sync {
    /// The class it was created with.
    fn class(&self) -> PackClass;
    /// Bytes so far.
    fn length(&self) -> u64;
    /// Appends pieces one after another; they survive the death of this process, not yet a power cut.
    fn append(&mut self, pieces: &[&[u8]]) -> Result<(), RepoError>;
    /// Reads back a range of what was appended.
    fn read(&self, range: Range<u64>) -> Result<Bytes, RepoError>;
    /// Makes all that was appended durable. After an error this pack can never be made so: the kernel may have dropped what it could not
    /// write, and a second try would not tell.
    fn sync(&mut self) -> Result<(), RepoError>;
    /// Cuts the pack back to `length` bytes.
    fn truncate(&mut self, length: u64) -> Result<(), RepoError>;
    /// Makes the pack durable and lists it under `name`; after that it takes nothing more. After an error it is not listed. It counts as
    /// held until this is dropped.
    fn finish(&mut self, name: PackName) -> Result<(), RepoError>;
    /// Gives the pack up and frees its space.
    fn discard(self: Box<Self>) -> Result<(), RepoError>;
}
