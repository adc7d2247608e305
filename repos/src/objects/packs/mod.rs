//! Packs: the few large files that contain all objects.
//!
//! A pack is append-only and ends in its own index, so the packs alone tell what a store contains. *Meta* packs hold nodes and documents,
//! *data* packs hold chunks and logs. [`mod@format`] defines the byte layout, [`codec`] the encoding of one object, [`PackStore`] the
//! interface to where the files are stored; [`writer`] fills packs, `copy` copies entries into new ones. A pack whose writer died is
//! readable up to its last complete entry ([`writer::salvage`]), and one with a damaged index by scanning its entries ([`mod@scan`]).
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

/// Storage for packs: a local folder, or an object store.
///
/// Guarantees: a pack is listed only after [`PackFile::finish`] made it durable; a finished pack never changes.
pub trait PackStore: fmt::Debug + Send + Sync + 'static {
    /// Starts a pack that is not listed yet.
    fn create(&self, class: PackClass) -> Result<Box<dyn PackFile>, RepoError>;
    /// Every finished pack with its length in bytes.
    fn list(&self) -> Result<Vec<(PackName, u64)>, RepoError>;
    /// The packs that can be listed without asking another machine, including those written here; and whether that is all of them.
    fn known(&self) -> Result<(Vec<(PackName, u64)>, bool), RepoError> {
        Ok((self.list()?, true))
    }
    /// Reads a range of bytes of a finished pack; shorter at its end.
    fn read(&self, pack: &PackName, range: Range<u64>) -> Result<Bytes, RepoError>;
    /// Reads again, from permanent storage, a range whose bytes were damaged, and drops the local copy; `None` if `read` uses no copies.
    fn read_again(&self, _pack: &PackName, _range: Range<u64>) -> Result<Option<Bytes>, RepoError> {
        Ok(None)
    }
    /// Whether the writer of a finished pack still holds it: its content may not be named by any record yet.
    fn is_held(&self, pack: &PackName) -> Result<bool, RepoError>;
    /// Removes a finished pack and frees its space; a missing pack is not an error.
    fn remove(&self, pack: &PackName) -> Result<(), RepoError>;
    /// Unfinished packs of writers that died; none that a live writer holds.
    fn abandoned(&self) -> Result<Vec<Box<dyn PackFile>>, RepoError>;
    /// Packs being written, or left by a writer that died: a record may name objects in one of these. Empty if records never name objects
    /// in unfinished packs.
    fn unfinished(&self) -> Result<Vec<UnfinishedPack>, RepoError> {
        Ok(Vec::new())
    }
    /// Whether [`PackFile::sync`] gives the same durability as [`PackFile::finish`]; if not, a record must not name objects in an
    /// unfinished pack.
    fn sync_is_enough(&self) -> bool {
        true
    }
}

/// A pack that another process is writing, as readers see it: complete entries, possibly followed by part of one.
#[derive(Debug)]
pub struct UnfinishedPack {
    /// The name of its file until it is finished.
    pub name: String,
    /// The class of the objects it holds.
    pub class: PackClass,
    file: std::fs::File,
}

impl UnfinishedPack {
    /// Length so far, in bytes.
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
    /// Length so far, in bytes.
    fn length(&self) -> u64;
    /// Appends pieces in order; they survive the death of this process, but not yet a power cut.
    fn append(&mut self, pieces: &[&[u8]]) -> Result<(), RepoError>;
    /// Reads back a range of the appended bytes.
    fn read(&self, range: Range<u64>) -> Result<Bytes, RepoError>;
    /// Makes everything appended durable. After an error this pack can never be made durable: the kernel may have dropped unwritten pages,
    /// and a second sync would not report that.
    fn sync(&mut self) -> Result<(), RepoError>;
    /// Truncates the pack to `length` bytes.
    fn truncate(&mut self, length: u64) -> Result<(), RepoError>;
    /// Makes the pack durable and lists it under `name`; nothing can be appended afterwards. After an error it is not listed. It counts as
    /// held until this value is dropped.
    fn finish(&mut self, name: PackName) -> Result<(), RepoError>;
    /// Discards the pack and frees its space.
    fn discard(self: Box<Self>) -> Result<(), RepoError>;
}
