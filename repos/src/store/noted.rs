//! Saves the journal's last position in its own file: otherwise a truncated journal looks like one that was never longer.
//!
//! The note is written after the record is durable, so it is never ahead of it, and it is not synced: after a power cut it may be behind or
//! torn, and then says less. One line: `<SHA-256 of the JSON> <JSON>\n`. A code made with this place's key (`mac`) shows who wrote it, so
//! nobody else can forge a note, only put an older one back.

use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use specs::Digest;

use super::Store;
use crate::base::error::RepoError;
use crate::base::hash::digest_of;
use crate::journal::Position;

/// Maximum number of attempts to read an intact note.
const READS: u32 = 5;

impl Store {
    /// The file with the saved position.
    pub(crate) fn noted_path(&self) -> PathBuf {
        self.folder().join("position")
    }

    /// Saves the end of the journal. The caller holds the lock. A failure is harmless.
    pub(crate) fn note_position(&self, position: &Position) {
        let mac = self.own_key_if_there().map(|key| key.code(&pieces(position)));
        let json = crate::documents::canonical(&Noted { position: *position, mac });
        let mut line = format!("{} ", digest_of(&json)).into_bytes();
        line.extend_from_slice(&json);
        line.push(b'\n');
        let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(self.noted_path());
        // One write over the old note: a process that dies here never leaves half of one.
        let written = file.and_then(|mut file| file.write_all(&line).and_then(|()| file.set_len(line.len() as u64)));
        if let Err(error) = written {
            tracing::debug!("the journal's position is not saved: {error}");
        }
    }

    /// The end of the journal when it was last written, as far as known.
    pub(crate) fn noted_position(&self) -> Option<Position> {
        self.read_note()
    }
}

impl Store {
    /// Whether this place, which has signed records of the journal, no longer knows where the journal ended: its note is missing, or is not
    /// made with its key. Then the last records may have been removed together with the note.
    pub fn has_lost_its_end(&self) -> Result<bool, RepoError> {
        let Some(key) = self.own_key_if_there() else { return Ok(false) };
        let is_writer = self.signing_key(&key.public().fingerprint())?.is_some();
        if !is_writer || self.unsigned_before()?.is_none() {
            return Ok(false);
        }
        let by_key = |noted: &Noted| noted.mac.is_some_and(|mac| key.is_code(&pieces(&noted.position), &mac));
        Ok(!self.read_note().as_ref().is_some_and(by_key))
    }

    /// The note, if it is intact.
    fn read_note<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        // Written in one call, but not read in one: a note being written is intact on the next attempt.
        (0..READS).find_map(|_| parse(&std::fs::read(self.noted_path()).ok()?))
    }
}

/// A position with the code of the key that saved it.
#[derive(Serialize, Deserialize)]
struct Noted {
    #[serde(flatten)]
    position: Position,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<Digest>,
}

/// The input of the code.
fn pieces(position: &Position) -> [&[u8]; 2] {
    let last = position.last.as_ref().map_or(&[][..], |digest| digest.as_bytes());
    [b"pv journal ends\n", last]
}

/// Parses the file's bytes; `None` if they are not intact.
fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (digest, json) = bytes.strip_suffix(b"\n")?.split_at_checked(65)?;
    let is_whole = digest == format!("{} ", digest_of(json)).as_bytes();
    is_whole.then(|| serde_json::from_slice(json).ok()).flatten()
}
