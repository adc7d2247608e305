//! The last position of the journal, noted in a file of its own: a journal that lost its end looks like one that was never longer.
//!
//! It is written after the record is durable, so it is never ahead of it, and not synced: after a power cut it may be behind or torn,
//! and then tells less. One line: `<SHA-256 of the JSON> <JSON>\n`. A code of this place's key (`mac`) says who noted it: so where a
//! writer ended before its record, it can be told from where the record was taken away.

use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use specs::Digest;

use super::Store;
use crate::hash::digest_of;
use crate::journal::Position;

/// How often the note is read until it is whole.
const READS: u32 = 5;

impl Store {
    /// The file of the noted position.
    pub(crate) fn noted_path(&self) -> PathBuf {
        self.folder().join("position")
    }

    /// Notes where the journal ends. The caller holds the lock. A failure does no harm.
    pub(crate) fn note_position(&self, position: &Position) {
        let mac = self.own_key_if_there().map(|key| key.code(&pieces(position)));
        let json = crate::documents::canonical(&Noted { position: *position, mac });
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
        // It is written in one go, but not read so: one that is being written is whole the next time.
        for _ in 0..READS {
            if let Some(noted) = parse(&std::fs::read(self.noted_path()).ok()?) {
                return Some(noted);
            }
        }
        None
    }
}

impl Store {
    /// Whether the holder of this place's key noted that the journal ends where it does now.
    pub(crate) fn has_noted_end(&self) -> bool {
        let noted = std::fs::read(self.noted_path()).ok().and_then(|bytes| parse::<Noted>(&bytes));
        let (Some(Noted { position, mac: Some(mac) }), Some(key)) = (noted, self.own_key_if_there()) else {
            return false;
        };
        position == self.position() && key.is_code(&pieces(&position), &mac)
    }
}

/// A position with the code of who noted it.
#[derive(Serialize, Deserialize)]
struct Noted {
    #[serde(flatten)]
    position: Position,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<Digest>,
}

/// What the code is taken of.
fn pieces(position: &Position) -> [&[u8]; 2] {
    let last = position.last.as_ref().map_or(&[][..], |digest| digest.as_bytes());
    [b"pv journal ends\n", last]
}

/// Reads the file's bytes; `None` when they are not whole.
fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (digest, json) = bytes.strip_suffix(b"\n")?.split_at_checked(65)?;
    let is_whole = digest == format!("{} ", digest_of(json)).as_bytes();
    is_whole.then(|| serde_json::from_slice(json).ok()).flatten()
}
