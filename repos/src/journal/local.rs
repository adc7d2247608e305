//! The journal as one append-only file.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use specs::Digest;

use super::record::{FORMAT, Record};
use crate::error::{IoContext, RepoError};
use crate::hash::digest_of;

/// Hex digits and space before the JSON of a line.
const PREFIX: usize = 65;

/// A place between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Bytes before it.
    pub bytes: u64,
    /// Records before it.
    pub records: u64,
    /// Digest of the record before it.
    pub last: Option<Digest>,
}

/// The journal's file.
#[derive(Debug, Clone)]
pub struct Journal {
    path: PathBuf,
}

/// What a reading of the journal gave.
#[derive(Debug)]
pub struct Read {
    /// The records after the asked position, in order, each with the position after it.
    pub records: Vec<(Record, Position)>,
    /// The position after the last of them.
    pub end: Position,
}

impl Journal {
    /// Uses the file at `path`, which exists.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Makes an empty journal.
    pub fn create(path: &Path) -> Result<Self, RepoError> {
        let file = OpenOptions::new().write(true).create_new(true).open(path).doing("create", path)?;
        file.sync_all().doing("sync", path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Bytes of the file, whole lines or not.
    pub fn length(&self) -> Result<u64, RepoError> {
        match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(missing()),
            read => read.map(|data| data.len()).doing("read", &self.path),
        }
    }

    /// Reads all whole records after `from`; a last line that is not whole is left out.
    pub fn read_after(&self, from: Position) -> Result<Read, RepoError> {
        let mut records = Vec::new();
        let end = self.visit(from, |record, after| {
            records.push((record, after));
            Ok(())
        })?;
        Ok(Read { records, end })
    }

    /// Calls `visit` with each whole record after `from` and the position after it, and gives the position after the last.
    pub fn visit(
        &self,
        from: Position,
        mut visit: impl FnMut(Record, Position) -> Result<(), RepoError>,
    ) -> Result<Position, RepoError> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing()),
            opened => opened.doing("open", &self.path)?,
        };
        file.seek(SeekFrom::Start(from.bytes)).doing("seek in", &self.path)?;
        let mut lines = BufReader::with_capacity(1 << 16, file);
        let mut end = from;
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line).doing("read", &self.path)?;
            if line.pop() != Some(b'\n') {
                return Ok(end);
            }
            let (record, digest) = match parse(&line, &end) {
                Ok(parsed) => parsed,
                // A torn write may end in a newline that a later page brought: nothing follows it.
                Err(_) if lines.fill_buf().doing("read", &self.path)?.is_empty() && self.is_torn(&line) => {
                    return Ok(end);
                }
                Err(error) => return Err(error),
            };
            end = Position { bytes: end.bytes + length as u64, records: end.records + 1, last: Some(digest) };
            visit(record, end)?;
        }
    }

    /// Whether a last line may be what a power cut left of a write: pages that never came are zeros.
    #[expect(clippy::unused_self, reason = "reads as a question to the journal")]
    fn is_torn(&self, line: &[u8]) -> bool {
        line.contains(&0)
    }

    /// Appends a record after the position `after`, cutting off what a dead writer left there; durable on return.
    ///
    /// The caller holds the store's lock.
    pub fn append(&self, after: Position, record: &Record) -> Result<Position, RepoError> {
        debug_assert_eq!(record.previous, after.last);
        let json = crate::documents::canonical(record);
        let digest = digest_of(&json);
        let mut line = format!("{digest} ").into_bytes();
        line.extend_from_slice(&json);
        line.push(b'\n');
        let mut file = OpenOptions::new().write(true).open(&self.path).doing("open", &self.path)?;
        let written = (|| {
            if file.metadata()?.len() != after.bytes {
                file.set_len(after.bytes)?;
            }
            file.seek(SeekFrom::Start(after.bytes))?;
            file.write_all(&line)?;
            file.sync_data()
        })();
        if written.is_err() {
            // Nobody was told that this record exists: take it back so that it does not come to life later.
            file.set_len(after.bytes).and_then(|()| file.sync_data()).ok();
        }
        written.doing("write", &self.path)?;
        Ok(Position { bytes: after.bytes + line.len() as u64, records: after.records + 1, last: Some(digest) })
    }
}

fn missing() -> RepoError {
    RepoError::DamagedJournal { record: 1, why: "its file is missing".to_owned() }
}

/// Reads one line (without its newline) that stands at `at`.
fn parse(line: &[u8], at: &Position) -> Result<(Record, Digest), RepoError> {
    let damaged = |why: String| RepoError::DamagedJournal { record: at.records + 1, why };
    let (prefix, json) = line.split_at_checked(PREFIX).ok_or_else(|| damaged("the line is too short".to_owned()))?;
    let digest = digest_of(json);
    if prefix != format!("{digest} ").as_bytes() {
        return Err(damaged("its digest does not fit its bytes".to_owned()));
    }
    let newer = || RepoError::MadeByNewer { what: format!("record {} of the journal", at.records + 1) };
    let value: serde_json::Value = serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
    if value.get("format").and_then(serde_json::Value::as_u64) != Some(u64::from(FORMAT)) {
        return Err(newer());
    }
    // The digest fits, so the bytes are as they were written: what cannot be read is of a kind not known here.
    let record: Record = serde_json::from_value(value).map_err(|_| newer())?;
    if record.previous != at.last {
        return Err(damaged("it does not follow the record before it".to_owned()));
    }
    Ok((record, digest))
}
