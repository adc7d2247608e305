//! The last position of the journal, noted in a file of its own: a journal that lost its end looks like one that was never longer.
//!
//! It is written after the record is durable, so it is never ahead of it, and not synced: after a power cut it may be behind or torn,
//! and then tells less. One line: `<SHA-256 of the JSON> <JSON>\n`.

use std::io::Write;
use std::path::PathBuf;

use super::Store;
use crate::hash::digest_of;
use crate::journal::Position;

impl Store {
    /// The file of the noted position.
    pub(crate) fn noted_path(&self) -> PathBuf {
        self.folder().join("position")
    }

    /// Notes where the journal ends. The caller holds the lock. A failure does no harm.
    pub(crate) fn note_position(&self, position: &Position) {
        let json = crate::documents::canonical(position);
        let mut line = format!("{} ", digest_of(&json)).into_bytes();
        line.extend_from_slice(&json);
        line.push(b'\n');
        let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(self.noted_path());
        // In one write over the old one: nobody finds half of it, whenever this process dies.
        let written = file.and_then(|mut file| file.write_all(&line).and_then(|()| file.set_len(line.len() as u64)));
        if let Err(error) = written {
            tracing::debug!("the journal's position is not noted: {error}");
        }
    }

    /// Where the journal ended when it was last written, as far as that is known.
    pub(crate) fn noted_position(&self) -> Option<Position> {
        parse(&std::fs::read(self.noted_path()).ok()?)
    }
}

/// Reads the file's bytes; `None` when they are not whole.
fn parse(bytes: &[u8]) -> Option<Position> {
    let (digest, json) = bytes.strip_suffix(b"\n")?.split_at_checked(65)?;
    let is_whole = digest == format!("{} ", digest_of(json)).as_bytes();
    is_whole.then(|| serde_json::from_slice(json).ok()).flatten()
}
