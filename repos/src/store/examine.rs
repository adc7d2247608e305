//! Reads objects for verification: directly from their packs, bypassing all caches.
//!
//! It also checks the header of each entry and, at the end, the header and index of every pack that was read. So every changed byte that a
//! claim depends on is found and named.

use std::collections::BTreeSet;
use std::sync::Mutex;

use bytes::Bytes;
use specs::Digest;

use super::objects::{ObjectLocation, is_gone};
use super::{Result, Store};
use crate::base::error::RepoError;
use crate::base::hash::Hasher;
use crate::base::kind::Kind;
use crate::base::pack_name::PackName;
use crate::objects::manifest::Manifest;
use crate::objects::packs::codec::unpack;
use crate::objects::packs::format::{ENTRY_BYTES, HEADER_BYTES, Row, header};
use crate::objects::packs::writer::read_index;
use crate::tree::FileEntry;

/// The object of an entry; otherwise, which of its bytes are wrong.
fn unpack_entry(row: &Row, mut entry: Bytes) -> Result<Bytes, &'static str> {
    let stored = entry.split_off(entry.len().min(ENTRY_BYTES as usize));
    let bytes = unpack(row, stored).ok_or("its bytes")?;
    if *entry == row.entry_header() { Ok(bytes) } else { Err("the bytes before it") }
}

/// Reads a store's objects from their packs, and remembers which packs it read.
#[derive(Debug)]
pub struct Examiner {
    store: Store,
    packs: Mutex<BTreeSet<PackName>>,
}

impl Examiner {
    /// An examiner that has read nothing yet.
    pub fn new(store: Store) -> Self {
        Self { store, packs: Mutex::default() }
    }

    /// The content of an object. `DamagedObject` if its bytes or its header are wrong, `MissingObject` if it does not exist.
    pub fn object(&self, kind: Kind, digest: &Digest) -> Result<Bytes> {
        match self.store.find_place(kind, digest)? {
            ObjectLocation::At(pack, row) => match self.entry(&pack, &row, kind) {
                // Folded or collected meanwhile: the object is elsewhere now.
                Err(error) if is_gone(&error) => self.store.object(kind, digest),
                read => read,
            },
            // This includes objects in this process's own unfinished packs.
            ObjectLocation::Gone | ObjectLocation::Nowhere => self.store.object(kind, digest),
        }
    }

    fn entry(&self, pack: &PackName, row: &Row, kind: Kind) -> Result<Bytes> {
        let range = row.offset..row.stored_range().end;
        let mut read = unpack_entry(row, self.store.packs().read(pack, range.clone())?);
        if read.is_err() {
            // The bytes may come from a damaged local copy.
            let again = self.store.packs().read_again(pack, range)?;
            read = again.map_or(read, |entry| unpack_entry(row, entry));
        }
        let bytes = read.map_err(|what| RepoError::DamagedObject {
            kind,
            digest: row.digest,
            why: format!("{what} at offset {} of pack {pack} do not match the index", row.offset),
        })?;
        self.packs.lock().expect("no panic under this lock").insert(*pack);
        Ok(bytes)
    }

    /// Reads a whole file and verifies it against its tree entry.
    pub fn content(&self, file: &FileEntry) -> Result<()> {
        let other =
            |kind| RepoError::DamagedObject { kind, digest: file.digest, why: "it does not match its tree".to_owned() };
        if let ObjectLocation::At(..) = self.store.find_place(Kind::Chunk, &file.digest)? {
            let length = self.object(Kind::Chunk, &file.digest)?.len() as u64;
            return if length == file.size { Ok(()) } else { Err(other(Kind::Chunk)) };
        }
        let manifest = match self.object(Kind::Manifest, &file.digest) {
            Err(RepoError::MissingObject { .. }) => {
                // One chunk in an unfinished pack, or missing.
                let length = self.store.object(Kind::Chunk, &file.digest)?.len() as u64;
                return if length == file.size { Ok(()) } else { Err(other(Kind::Chunk)) };
            }
            read => Manifest::decode(&read?).ok_or_else(|| other(Kind::Manifest))?,
        };
        let mut whole = Hasher::default();
        for (chunk, _) in &manifest.chunks {
            whole.update(&self.object(Kind::Chunk, chunk)?);
        }
        let is_right = manifest.size_bytes() == file.size && whole.finish() == file.digest;
        if is_right { Ok(()) } else { Err(other(Kind::Manifest)) }
    }

    /// What is wrong with the headers and indexes of the packs that were read.
    pub fn pack_faults(&self) -> Result<Vec<RepoError>> {
        let packs = std::mem::take(&mut *self.packs.lock().expect("no panic under this lock"));
        let lengths = self.store.packs().list()?;
        let mut faults = Vec::new();
        for (name, length) in lengths.into_iter().filter(|(name, _)| packs.contains(name)) {
            match read_index(self.store.packs(), &name, length) {
                Err(error) if is_gone(&error) => continue,
                read => faults.extend(read.err()),
            }
            match self.store.packs().read(&name, 0..HEADER_BYTES) {
                Ok(bytes) if *bytes == header(name.class) => {}
                Err(error) if is_gone(&error) => {}
                _ => faults.push(RepoError::DamagedPack { pack: name, why: "its header is damaged" }),
            }
        }
        Ok(faults)
    }
}
