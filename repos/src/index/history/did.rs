//! What a commit did to a path, as the index stores it.

use crate::tree::{FileEntry, MapValue};

/// What a commit did to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    /// The path had no file before.
    Added(FileEntry),
    /// The path had another file before.
    Modified(FileEntry),
    /// The path has no file any more.
    Removed,
}

impl Did {
    /// From whether a file existed before, and the file after. At least one of them exists.
    pub(crate) fn of(was: bool, new: Option<FileEntry>) -> Self {
        match new {
            Some(file) if was => Self::Modified(file),
            Some(file) => Self::Added(file),
            None => Self::Removed,
        }
    }

    /// The file after the change.
    pub fn file(&self) -> Option<FileEntry> {
        match self {
            Self::Added(file) | Self::Modified(file) => Some(*file),
            Self::Removed => None,
        }
    }

    /// Shape: `+`, `~` or `-`, then the file as encoded in a tree.
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut bytes = vec![match self {
            Self::Added(_) => b'+',
            Self::Modified(_) => b'~',
            Self::Removed => b'-',
        }];
        if let Some(file) = self.file() {
            file.encode(&mut bytes);
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (b'+', file) => FileEntry::decode(file).map(Self::Added),
            (b'~', file) => FileEntry::decode(file).map(Self::Modified),
            (b'-', []) => Some(Self::Removed),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_commit_did_is_read_as_it_was_written() {
        let file = FileEntry { digest: crate::base::hash::digest_of(b"x"), size: 300, executable: true };
        for did in [Did::Added(file), Did::Modified(file), Did::Removed] {
            assert_eq!(Did::decode(&did.encode()), Some(did));
        }
        assert_eq!(Did::decode(b"-x"), None);
        assert_eq!(Did::decode(b""), None);
    }
}
