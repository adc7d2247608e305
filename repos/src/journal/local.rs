//! The journal as one append-only file.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use specs::Digest;

use super::record::{FORMAT, Record, SIGNED_FORMAT};
use super::shared::{AT_A_TIME, SharedJournal};
use crate::base::error::{IoContext, RepoError};
use crate::base::faults::Faults;
use crate::base::hash::digest_of;
use crate::base::watch::{Step, tell};
use crate::log::tree::leaf_hash;

/// Length of the hex digest and the space before the JSON of a line.
const PREFIX: usize = 65;
/// Most bytes of the file's end that are searched backwards.
const TAIL: u64 = 32 << 20;

/// A position between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Number of bytes before it.
    pub bytes: u64,
    /// Number of records before it.
    pub records: u64,
    /// Digest of the record before it.
    pub last: Option<Digest>,
}

/// The journal's file.
#[derive(Debug, Clone)]
pub struct Journal {
    path: PathBuf,
    faults: Faults,
    /// The shared records, if the file is only a copy of them.
    pub(super) shared: Option<SharedJournal>,
}

/// A record as the line to append.
#[derive(Debug)]
pub(crate) struct Line {
    /// The line with its newline.
    bytes: Bytes,
    /// The position behind it.
    pub(crate) end: Position,
    /// Its leaf hash in the tree over all records.
    pub(crate) leaf: Digest,
}

impl Line {
    /// The line of a record appended at `after`.
    pub(crate) fn of(record: &Record, after: Position) -> Self {
        debug_assert_eq!(record.previous, after.last);
        let json = crate::documents::canonical(record);
        let (digest, leaf) = (digest_of(&json), leaf_hash(&json));
        let mut bytes = format!("{digest} ").into_bytes();
        bytes.extend_from_slice(&json);
        bytes.push(b'\n');
        let end = Position { bytes: after.bytes + bytes.len() as u64, records: after.records + 1, last: Some(digest) };
        Self { bytes: bytes.into(), end, leaf }
    }
}

/// The result of reading the journal.
#[derive(Debug)]
pub struct Read {
    /// The records after the given position, in order, each with the position after it.
    pub records: Vec<(Record, Position)>,
    /// The position after the last of them.
    pub end: Position,
}

impl Journal {
    /// Uses the file at `path`, which exists.
    pub fn new(path: PathBuf) -> Self {
        Self { path, shared: None, faults: Faults::default() }
    }

    /// Uses the file at `path` as a copy of shared records; the file is created if missing.
    pub(crate) fn shared(path: PathBuf, records: SharedJournal) -> Self {
        Self { shared: Some(records), ..Self::new(path) }
    }

    /// The same journal, with injected write failures.
    pub(crate) fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Makes an empty journal.
    pub fn create(path: &Path) -> Result<Self, RepoError> {
        let file = OpenOptions::new().write(true).create_new(true).open(path).doing("create", path)?;
        tell(path, || Step::Created);
        file.sync_all().doing("sync", path)?;
        tell(path, || Step::Synced);
        Ok(Self::new(path.to_owned()))
    }

    /// If the file is a copy: adds the records that others have written since; one request if there are none. `from` is a position known to
    /// be valid; it may be behind the file's end after a crash.
    pub fn fetch(&self, from: Position) -> Result<(), RepoError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        loop {
            let end = self.end(from)?;
            let Some(lines) = shared.after(end.records)? else {
                self.put_back(shared, end)?;
                continue;
            };
            if !lines.is_empty() {
                self.ensure_no_fork(shared, &end)?;
            }
            // Another process may have fetched meanwhile: only missing lines are written.
            let file = self.locked_copy()?;
            let mut written = self.end(from)?;
            let mut at = end;
            for line in &lines {
                let after = check(line, &at)?;
                if at == written {
                    write_line(&file, &at, line).doing("write", &self.path)?;
                    written = after;
                }
                at = after;
            }
            drop(file);
            if lines.len() < AT_A_TIME {
                return Ok(());
            }
        }
    }

    /// The end of the complete lines in the file; starts looking at `from` if the file reaches it.
    fn end(&self, from: Position) -> Result<Position, RepoError> {
        // A copy may not exist yet; any other journal without its file is damaged.
        if !self.path.exists() {
            return Ok(Position::default());
        }
        let from = if self.length()? >= from.bytes { from } else { Position::default() };
        Ok(self.read_after(from)?.end)
    }

    /// Opens the file of a copy and locks it: one process at a time appends. Readers always see complete lines.
    fn locked_copy(&self) -> Result<File, RepoError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path);
        let file = file.doing("open", &self.path)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)
            .map_err(std::io::Error::from)
            .doing("lock", &self.path)?;
        Ok(file)
    }

    /// Number of bytes in the file, including an incomplete last line.
    pub fn length(&self) -> Result<u64, RepoError> {
        match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(missing()),
            read => read.map(|data| data.len()).doing("read", &self.path),
        }
    }

    /// Reads all complete records after `from`; an incomplete last line is left out.
    pub fn read_after(&self, from: Position) -> Result<Read, RepoError> {
        let mut records = Vec::new();
        let end = self.visit(from, |record, after, _| {
            records.push((record, after));
            Ok(())
        })?;
        Ok(Read { records, end })
    }

    /// The JSON of at most `most` records after `from`, each with the position after it, and the position after the last.
    pub(crate) fn values_after(
        &self,
        from: Position,
        most: usize,
    ) -> Result<(Vec<(Value, Position)>, Position), RepoError> {
        let mut file = File::open(&self.path).doing("open", &self.path)?;
        file.seek(SeekFrom::Start(from.bytes)).doing("seek in", &self.path)?;
        let mut lines = BufReader::with_capacity(1 << 16, file);
        let (mut values, mut end, mut line) = (Vec::new(), from, Vec::new());
        while values.len() < most {
            line.clear();
            let length = lines.read_until(b'\n', &mut line).doing("read", &self.path)?;
            if line.pop() != Some(b'\n') {
                break;
            }
            let Some(value) = line_value(&line) else { break };
            let last = line_digest(&line);
            end = Position { bytes: end.bytes + length as u64, records: end.records + 1, last };
            values.push((value, end));
        }
        Ok((values, end))
    }

    /// The position after the first `number` records, of a journal that ends at `end`; `end` if it has fewer. Costs the distance from the
    /// nearer end: backwards with at most [`TAIL`] bytes in memory.
    pub(crate) fn position_after(&self, number: u64, end: &Position) -> Result<Position, RepoError> {
        let Some(back) = end.records.checked_sub(number).filter(|back| *back > 0) else { return Ok(*end) };
        if number == 0 {
            return Ok(Position::default());
        }
        let file = File::open(&self.path).doing("open", &self.path)?;
        let sizes = std::iter::successors(Some(1_u64 << 16), |bytes| Some(bytes * 8));
        for bytes in sizes.take_while(|bytes| number > back && *bytes <= TAIL) {
            let start = end.bytes.saturating_sub(bytes);
            let mut tail = vec![0; (end.bytes - start) as usize];
            file.read_exact_at(&mut tail, start).doing("read", &self.path)?;
            let lines: Vec<&[u8]> = tail.split_inclusive(|byte| *byte == b'\n').collect();
            // The first line is complete only at the beginning of the file.
            let whole = lines.len().saturating_sub(usize::from(start > 0)) as u64;
            if back < whole {
                let after = &lines[lines.len() - back as usize..];
                let last = lines.get(lines.len() - 1 - back as usize).and_then(|line| line_digest(line));
                let bytes = end.bytes - after.iter().map(|line| line.len() as u64).sum::<u64>();
                return Ok(Position { bytes, records: number, last });
            }
            if start == 0 {
                break;
            }
        }
        self.position_from_start(number, &file)
    }

    fn position_from_start(&self, number: u64, file: &File) -> Result<Position, RepoError> {
        let mut lines = BufReader::with_capacity(1 << 20, file);
        let (mut position, mut line) = (Position::default(), Vec::new());
        while position.records < number {
            line.clear();
            let length = lines.read_until(b'\n', &mut line).doing("read", &self.path)?;
            if line.pop() != Some(b'\n') {
                break;
            }
            let last = line_digest(&line);
            position = Position { bytes: position.bytes + length as u64, records: position.records + 1, last };
        }
        Ok(position)
    }

    /// The digest of a record, counted from 1; `None` if it does not exist.
    pub(crate) fn digest_at(&self, number: u64, end: &Position) -> Result<Option<Digest>, RepoError> {
        if number > end.records {
            return Ok(None);
        }
        Ok(self.position_after(number, end)?.last)
    }

    /// Calls `visit` with each complete record after `from`, the position after it and its leaf hash in the tree over all records (`log`);
    /// returns the position after the last.
    pub fn visit(
        &self,
        from: Position,
        mut visit: impl FnMut(Record, Position, Digest) -> Result<(), RepoError>,
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
                // A torn write can end in a newline if a later page reached the disk: nothing follows it.
                Err(_) if lines.fill_buf().doing("read", &self.path)?.is_empty() && self.is_torn(&line) => {
                    return Ok(end);
                }
                Err(error) => return Err(error),
            };
            end = Position { bytes: end.bytes + length as u64, records: end.records + 1, last: Some(digest) };
            visit(record, end, leaf_hash(&line[PREFIX..]))?;
        }
    }

    /// Calls `visit` with each complete record whose line is wanted; others are skipped without parsing.
    pub(crate) fn visit_where(
        &self,
        wants: impl Fn(&str) -> bool,
        mut visit: impl FnMut(Record) -> Result<(), RepoError>,
    ) -> Result<(), RepoError> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing()),
            opened => opened.doing("open", &self.path)?,
        };
        let mut lines = BufReader::with_capacity(1 << 20, file);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            lines.read_until(b'\n', &mut line).doing("read", &self.path)?;
            if line.pop() != Some(b'\n') {
                break;
            }
            if !std::str::from_utf8(&line).is_ok_and(&wants) {
                continue;
            }
            let is_whole = line_digest(&line).is_some_and(|digest| digest == digest_of(&line[PREFIX..]));
            let record = line.get(PREFIX..).and_then(|json| serde_json::from_slice::<Record>(json).ok());
            match record.filter(|_| is_whole) {
                Some(record) => visit(record)?,
                // The remains of a torn write of the last line.
                None if lines.fill_buf().doing("read", &self.path)?.is_empty() => break,
                None => {
                    let why = format!("record {number} does not match its digest");
                    return Err(RepoError::DamagedJournal { record: number, why });
                }
            }
        }
        Ok(())
    }

    /// Whether a last line may be what a power cut left of a write: pages that did not reach the disk are zeros.
    #[expect(clippy::unused_self, reason = "reads as a question to the journal")]
    fn is_torn(&self, line: &[u8]) -> bool {
        line.contains(&0)
    }

    /// Appends a record after the position `after`, truncating what a crashed writer left there; durable on return.
    ///
    /// The caller holds the store's lock. `JournalMoved` if another machine appended first; `Unsure` if the record could neither be made
    /// durable nor be removed again. After any other error the record does not exist.
    pub fn append(&self, after: Position, record: &Record) -> Result<Position, RepoError> {
        let line = Line::of(record, after);
        self.append_line(after, &line)?;
        Ok(line.end)
    }

    /// Like [`Self::append`], for a record that is already a line.
    pub(crate) fn append_line(&self, after: Position, line: &Line) -> Result<(), RepoError> {
        let Line { bytes, end, .. } = line;
        if let Some(shared) = &self.shared {
            return self.append_shared(shared, after, *end, bytes);
        }
        let mut file = OpenOptions::new().write(true).open(&self.path).doing("open", &self.path)?;
        if let Err(source) = self.write_at(&mut file, after.bytes, bytes) {
            // An incomplete line does not count anyway; truncating it is only tidy.
            if file.set_len(after.bytes).is_ok() {
                tell(&self.path, || Step::Cut { length: after.bytes });
            }
            return Err(source).doing("write", &self.path);
        }
        if let Err(source) = self.faults.step().and_then(|()| file.sync_data()) {
            return Err(self.take_back(&file, after.bytes, source));
        }
        tell(&self.path, || Step::Synced);
        Ok(())
    }

    fn write_at(&self, file: &mut File, end: u64, line: &[u8]) -> std::io::Result<()> {
        if file.metadata()?.len() != end {
            self.faults.step()?;
            file.set_len(end)?;
            tell(&self.path, || Step::Cut { length: end });
        }
        file.seek(SeekFrom::Start(end))?;
        if let Err(error) = self.faults.step() {
            file.write_all(&line[..line.len() / 2])?;
            return Err(error);
        }
        file.write_all(line)?;
        tell(&self.path, || Step::Wrote { at: end, bytes: line.to_vec() });
        Ok(())
    }

    /// Truncates a complete record that could not be made durable, so that it cannot reappear later; returns the error to report.
    fn take_back(&self, file: &File, end: u64, source: std::io::Error) -> RepoError {
        let taken = self.faults.step().and_then(|()| file.set_len(end)).and_then(|()| file.sync_data());
        match taken {
            Ok(()) => RepoError::Io { doing: "sync", path: self.path.clone(), source },
            Err(_) => RepoError::Unsure {
                why: format!("cannot sync `{}`, nor undo the write", self.path.display()),
                source: Some(source),
            },
        }
    }

    fn append_shared(
        &self,
        shared: &SharedJournal,
        after: Position,
        end: Position,
        line: &Bytes,
    ) -> Result<(), RepoError> {
        // Otherwise the next record would follow one that the other machines do not have.
        self.ensure_no_fork(shared, &after)?;
        if !shared.create(end.records, line)? {
            return Err(RepoError::JournalMoved { record: end.records });
        }
        // The change has happened. A reader may have fetched the record by now, and a failed write here is fetched later.
        let copied = self.locked_copy().and_then(|file| {
            if self.end(after)? == after {
                write_line(&file, &after, line).doing("write", &self.path)?;
            }
            Ok(())
        });
        if let Err(error) = copied {
            tracing::warn!("the local copy of the journal lacks a record for now: {error}");
        }
        Ok(())
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `visit` with the JSON of each complete record, as on its line, from the first. Checks only that it matches the digest on its
    /// line: `DamagedJournal` if not.
    pub(crate) fn visit_bytes(&self, mut visit: impl FnMut(&[u8])) -> Result<(), RepoError> {
        let file = File::open(&self.path).doing("open", &self.path)?;
        let mut lines = BufReader::with_capacity(1 << 16, file);
        let mut line = Vec::new();
        for record in 1.. {
            line.clear();
            lines.read_until(b'\n', &mut line).doing("read", &self.path)?;
            if line.pop() != Some(b'\n') {
                break;
            }
            match line.split_at_checked(PREFIX) {
                Some((prefix, json)) if prefix == format!("{} ", digest_of(json)).as_bytes() => visit(json),
                _ if lines.fill_buf().doing("read", &self.path)?.is_empty() && self.is_torn(&line) => break,
                _ => {
                    let why = "it does not match its digest".to_owned();
                    return Err(RepoError::DamagedJournal { record, why });
                }
            }
        }
        Ok(())
    }

    /// Makes the file durable.
    pub(crate) fn sync(&self) -> Result<(), RepoError> {
        File::open(&self.path).and_then(|file| file.sync_all()).doing("sync", &self.path)?;
        tell(&self.path, || Step::Synced);
        Ok(())
    }

    /// The lines (each with its newline) of a range of records, counted from 1; `records` is within the file.
    pub(crate) fn lines(&self, records: std::ops::RangeInclusive<u64>) -> Result<Vec<Bytes>, RepoError> {
        let file = File::open(&self.path).doing("open", &self.path)?;
        let mut lines = BufReader::with_capacity(1 << 16, file);
        let mut found = Vec::new();
        let mut line = Vec::new();
        for number in 1..=*records.end() {
            line.clear();
            lines.read_until(b'\n', &mut line).doing("read", &self.path)?;
            if records.contains(&number) {
                found.push(Bytes::copy_from_slice(&line));
            }
        }
        Ok(found)
    }
}

/// The digest at the start of a line.
pub(super) fn line_digest(line: &[u8]) -> Option<Digest> {
    std::str::from_utf8(line.get(..PREFIX - 1)?).ok()?.parse().ok()
}

/// The JSON of a line.
pub(super) fn line_value(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line.get(PREFIX..)?).ok()
}

/// The position after a line (with its newline) from elsewhere, if it can follow `at`.
fn check(line: &[u8], at: &Position) -> Result<Position, RepoError> {
    let whole = line.strip_suffix(b"\n").filter(|line| !line.contains(&b'\n'));
    let damaged = || RepoError::DamagedJournal { record: at.records + 1, why: "it is not a complete line".to_owned() };
    let (_, digest) = parse(whole.ok_or_else(damaged)?, at)?;
    Ok(Position { bytes: at.bytes + line.len() as u64, records: at.records + 1, last: Some(digest) })
}

/// Writes a line at a position, replacing what a crash may have left there.
fn write_line(mut file: &File, at: &Position, line: &[u8]) -> std::io::Result<()> {
    if file.metadata()?.len() != at.bytes {
        file.set_len(at.bytes)?;
    }
    file.seek(SeekFrom::Start(at.bytes))?;
    file.write_all(line)
}

fn missing() -> RepoError {
    RepoError::DamagedJournal { record: 1, why: "its file is missing".to_owned() }
}

/// Parses one line (without its newline) at position `at`.
fn parse(line: &[u8], at: &Position) -> Result<(Record, Digest), RepoError> {
    let damaged = |why: String| RepoError::DamagedJournal { record: at.records + 1, why };
    let (prefix, json) = line.split_at_checked(PREFIX).ok_or_else(|| damaged("the line is too short".to_owned()))?;
    let digest = digest_of(json);
    if prefix != format!("{digest} ").as_bytes() {
        return Err(damaged("it does not match its digest".to_owned()));
    }
    let newer = || RepoError::MadeByNewer { what: format!("record {} of the journal", at.records + 1) };
    let value: Value = serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
    let format = value.get("format").and_then(Value::as_u64);
    if ![FORMAT, SIGNED_FORMAT].iter().any(|known| Some(u64::from(*known)) == format) {
        return Err(newer());
    }
    // The digest matches, so the bytes are as written: what cannot be parsed comes from a newer version.
    let record: Record = serde_json::from_value(value).map_err(|_| newer())?;
    if (record.format == SIGNED_FORMAT) != record.signature.is_some() {
        return Err(damaged("its format and its signature contradict each other".to_owned()));
    }
    if record.previous != at.last {
        return Err(damaged("it does not follow the record before it".to_owned()));
    }
    Ok((record, digest))
}
