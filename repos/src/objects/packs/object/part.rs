//! A pack being written: first a local file, so that nothing is lost if the writer dies; uploaded when finished.

use std::ops::Range;

use bytes::Bytes;

use super::PACKS;
use crate::base::error::RepoError;
use crate::base::kind::PackClass;
use crate::objects::packs::{PackFile, PackName};
use crate::objects::place::Place;

#[derive(Debug)]
pub(super) struct ObjectPart {
    place: Place,
    file: Box<dyn PackFile>,
}

impl ObjectPart {
    pub(super) fn new(place: Place, file: Box<dyn PackFile>) -> Self {
        Self { place, file }
    }
}

#[deny(clippy::missing_trait_methods)]
impl PackFile for ObjectPart {
    fn class(&self) -> PackClass {
        self.file.class()
    }

    fn length(&self) -> u64 {
        self.file.length()
    }

    fn append(&mut self, pieces: &[&[u8]]) -> Result<(), RepoError> {
        self.file.append(pieces)
    }

    fn read(&self, range: Range<u64>) -> Result<Bytes, RepoError> {
        self.file.read(range)
    }

    fn sync(&mut self) -> Result<(), RepoError> {
        self.file.sync()
    }

    fn truncate(&mut self, length: u64) -> Result<(), RepoError> {
        self.file.truncate(length)
    }

    /// The local file is renamed last: under its final name it counts as a copy of the uploaded pack.
    fn finish(&mut self, name: PackName) -> Result<(), RepoError> {
        self.place.upload(&format!("{PACKS}/{name}"), self.file.length(), |range| self.file.read(range))?;
        self.file.finish(name)
    }

    fn discard(self: Box<Self>) -> Result<(), RepoError> {
        self.file.discard()
    }
}
