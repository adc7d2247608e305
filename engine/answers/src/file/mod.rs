//! Files and directories of commits, of code trees and of everything else that has files.
//!
//! - `list` lists a directory, or the changes of a commit
//! - `read` opens files for their content
//! - `get` copies files to a local folder
//! - `shown` what to show of one file, within bounds
//! - `beside` the files before and after it
//!
//! Not here: which files a word names (`named`), where bytes are and were (`find`).

mod beside;
mod get;
mod list;
mod read;
pub mod shown;

use repos::tree::PathKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{Digest, FilePath};

pub use beside::beside;
pub use get::{Download, GetView, download, download_elsewhere, older};
pub use list::{Empty, Lines, Listing, listing, listing_after, without_commits};
pub use read::{FileAt, file_at, file_in, file_of, files_matching};
pub use repos::tree::FileEntry;

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileView {
    /// The whole path.
    pub path: FilePath,
    /// The length of its content.
    pub size_bytes: u64,
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Whether its owner may execute it.
    pub executable: bool,
}

impl FileView {
    /// A file of a tree.
    pub fn new(path: FilePath, file: FileEntry) -> Self {
        Self { path, size_bytes: file.size, digest: file.digest, executable: file.executable }
    }
}

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DirectoryView {
    /// The whole path.
    pub path: FilePath,
    /// The number of files below it, at any depth.
    pub files: u64,
    /// Their bytes.
    pub size_bytes: u64,
}

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ListedView {
    /// A file.
    File(FileView),
    /// A directory.
    Directory(DirectoryView),
}

impl ListedView {
    /// The whole path.
    pub fn path(&self) -> &FilePath {
        match self {
            Self::File(file) => &file.path,
            Self::Directory(directory) => &directory.path,
        }
    }

    fn new(path: FilePath, kind: PathKind) -> Self {
        match kind {
            PathKind::File(file) => Self::File(FileView::new(path, file)),
            PathKind::Directory { files, size_bytes } => Self::Directory(DirectoryView { path, files, size_bytes }),
        }
    }
}
