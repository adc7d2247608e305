//! What was uploaded to a store elsewhere, as a message: enough to make the edits that a put on this machine would make.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use specs::{Digest, FilePath};

use super::ignore::LeftOutText;
use super::{Edits, Gathered, Uploaded};
use crate::base::error::RepoError;
use crate::store::{Result, Store};
use crate::tree::{Cursor, FileEntry, Tree};

/// A file that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    path: FilePath,
    digest: [u8; 32],
    size_bytes: u64,
    executable: bool,
}

impl ListedFile {
    /// A file at its target path.
    pub fn new(path: FilePath, file: FileEntry) -> Self {
        Self { path, digest: *file.digest.as_bytes(), size_bytes: file.size, executable: file.executable }
    }

    /// Its target path.
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    /// Its content and executable bit.
    pub fn entry(&self) -> FileEntry {
        FileEntry { digest: Digest::from_bytes(self.digest), size: self.size_bytes, executable: self.executable }
    }
}

/// The files of one upload. What came from another machine counts only after [`Self::ensure_sound`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Sorted by path, each path once.
    files: Vec<ListedFile>,
    left_out: LeftOutText,
    /// What could not be read: its path on the other machine, and why.
    skipped: Vec<(Vec<u8>, String)>,
    /// Number of bytes that were sent.
    new_bytes: u64,
}

impl Uploaded {
    /// This upload as a message.
    pub fn listing(&self, gathered: &Gathered) -> Listing {
        let stored = self.files.iter().enumerate().filter_map(|(at, file)| Some((at, (*file)?)));
        let skipped = gathered.skipped.iter().chain(&self.skipped);
        Listing {
            files: stored.map(|(at, file)| ListedFile::new(gathered.path(at), file)).collect(),
            left_out: self.left_out(gathered).to_text(),
            skipped: skipped.map(|(path, why)| (path.as_os_str().as_bytes().to_vec(), why.clone())).collect(),
            new_bytes: self.new_bytes,
        }
    }
}

impl Listing {
    /// Lists these files, of which so many bytes were sent. `SameTarget` for paths that are there twice.
    pub fn of(mut files: Vec<ListedFile>, new_bytes: u64) -> Result<Self> {
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let listing = Self { files, new_bytes, ..Self::default() };
        listing.ensure_sound()?;
        Ok(listing)
    }

    /// Refuses a message in which a path is there twice, or paths are in another order.
    pub fn ensure_sound(&self) -> Result<()> {
        let twice = self.files.windows(2).filter(|pair| pair[0].path == pair[1].path);
        let twice: Vec<FilePath> = twice.map(|pair| pair[0].path.clone()).collect();
        if !twice.is_empty() {
            return Err(RepoError::SameTarget { paths: twice });
        }
        if self.files.is_sorted_by(|one, other| one.path < other.path) {
            return Ok(());
        }
        Err(RepoError::Usage { what: "the files of a listing are not sorted".to_owned(), hint: None })
    }

    /// The files, sorted by path.
    pub fn files(&self) -> &[ListedFile] {
        &self.files
    }

    /// What could not be read, and why.
    pub fn skipped(&self) -> Vec<(PathBuf, String)> {
        let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
        self.skipped.iter().map(|(at, why)| (path(at), why.clone())).collect()
    }

    /// Number of bytes that were sent.
    pub fn new_bytes(&self) -> u64 {
        self.new_bytes
    }

    /// What was left out of the sources.
    pub fn left_out(&self) -> &LeftOutText {
        &self.left_out
    }

    /// The edits that add these files to `base`; those that it already has are only counted.
    pub fn edits(&self, store: &Store, base: Tree) -> Result<Edits> {
        let mut differing = Differing::new(store, base, self.new_bytes)?;
        for file in &self.files {
            differing.add(file.path.as_str().as_bytes(), file.entry(), || file.path.clone())?;
        }
        Ok(differing.into_edits())
    }

    pub(super) fn holds(&self, path: &FilePath) -> bool {
        self.files.binary_search_by(|file| file.path.cmp(path)).is_ok()
    }
}

/// Collects the files that differ from those of a tree.
pub(super) struct Differing<'s> {
    cursor: Cursor<'s, FileEntry, Store>,
    files: Vec<(FilePath, Option<FileEntry>)>,
    edits: Edits,
}

impl<'s> Differing<'s> {
    pub(super) fn new(store: &'s Store, base: Tree, new_bytes: u64) -> Result<Self> {
        Ok(Self { cursor: base.cursor(store)?, files: Vec::new(), edits: Edits { new_bytes, ..Edits::default() } })
    }

    /// Adds a file. Paths must ascend.
    pub(super) fn add(&mut self, key: &[u8], file: FileEntry, path: impl FnOnce() -> FilePath) -> Result<()> {
        if self.cursor.get(key)? == Some(file) {
            self.edits.unchanged += 1;
            self.edits.unchanged_bytes += file.size;
        } else {
            self.files.push((path(), Some(file)));
        }
        Ok(())
    }

    pub(super) fn into_edits(mut self) -> Edits {
        self.edits.files = self.files.into_iter().collect();
        self.edits
    }
}
