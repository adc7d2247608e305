//! Detects when a shared journal and this machine's copy of it disagree.
//!
//! If the shared place lost its last records, a copy puts them back, unless someone has written others since: the hash chain tells. In that
//! case the journal forked: both sides are shown, nothing is written, and a repair adopts the side of the shared place, which all machines
//! use.

use bytes::Bytes;

use super::local::{Journal, Position, line_digest, line_value};
use super::shared::SharedJournal;
use crate::base::error::{IoContext, RepoError};

/// The first record that differs between the shared place and this machine's copy.
#[derive(Debug, Clone)]
pub(crate) struct Fork {
    /// Its number, from 1.
    pub(crate) record: u64,
    /// The copy's lines from there on, each with its newline.
    pub(crate) ours: Vec<Bytes>,
    /// The shared place's line.
    theirs: Bytes,
    url: String,
}

impl Fork {
    /// Describes both records.
    pub(crate) fn words(&self) -> String {
        let ours = self.ours.first().map(|line| side(line)).unwrap_or_default();
        format!("it forked: here it is {ours}, at `{}` {}", self.url, side(&self.theirs))
    }

    fn error(&self) -> RepoError {
        let why = format!("{}; pv fsck --repair adopts the other journal, and lists what is lost here", self.words());
        RepoError::DamagedJournal { record: self.record, why }
    }
}

/// Describes a line: its digest, when it was written, and the kinds of its entries.
pub(crate) fn side(line: &[u8]) -> String {
    let digest = line_digest(line).map(|digest| digest.short(12)).unwrap_or_default();
    let value = line_value(line).unwrap_or_default();
    let at = value.get("at").and_then(serde_json::Value::as_str).unwrap_or("an unknown time").to_owned();
    let entries = value.get("entries").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    let kinds: Vec<&str> = entries.iter().filter_map(|entry| entry.get("kind")?.as_str()).collect();
    format!("{digest} of {at} ({})", kinds.join(", "))
}

impl Journal {
    /// Puts records of this copy, up to `end`, back into a shared place that lost its last ones.
    ///
    /// `DamagedJournal` if the place has other records by now, or none at all.
    pub(super) fn put_back(&self, shared: &SharedJournal, end: Position) -> Result<(), RepoError> {
        let kept = shared.count()?.min(end.records);
        if kept == 0 {
            let why = format!("the journal at `{}` is gone", shared.url());
            return Err(RepoError::DamagedJournal { record: 1, why });
        }
        if let Some(fork) = self.fork_before(shared, kept)? {
            return Err(fork.error());
        }
        for (number, line) in (kept + 1..).zip(self.lines(kept + 1..=end.records)?) {
            if !shared.create(number, &line)? && shared.line(number)?.as_ref() != Some(&line) {
                return Err(self.fork_before(shared, number)?.map_or_else(|| self.moved(number), |fork| fork.error()));
            }
        }
        let url = shared.url();
        tracing::warn!(
            "`{url}` had lost records {} to {} of the journal: they were restored from here",
            kept + 1,
            end.records
        );
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "reads as a statement about the journal")]
    fn moved(&self, record: u64) -> RepoError {
        RepoError::JournalMoved { record }
    }

    /// Fails if the record before `end` differs at the shared place.
    pub(super) fn ensure_no_fork(&self, shared: &SharedJournal, end: &Position) -> Result<(), RepoError> {
        if end.records == 0 {
            return Ok(());
        }
        match shared.line(end.records)? {
            None => return self.put_back(shared, *end),
            Some(there) if line_digest(&there) == end.last => return Ok(()),
            Some(_) => {}
        }
        self.fork_before(shared, end.records)?.map_or(Ok(()), |fork| Err(fork.error()))
    }

    /// Where the shared place and this copy diverge; `None` if they do not, or the journal is not shared.
    pub(crate) fn fork(&self) -> Result<Option<Fork>, RepoError> {
        let Some(shared) = &self.shared else { return Ok(None) };
        let own = self.records()?;
        let both = shared.count()?.min(own);
        if both == 0 { Ok(None) } else { self.fork_before(shared, both) }
    }

    /// Where they diverge up to a record that both have. Each record names the one before it, so all records before an equal one are equal.
    fn fork_before(&self, shared: &SharedJournal, both: u64) -> Result<Option<Fork>, RepoError> {
        let own = self.lines(1..=self.records()?)?;
        let is_equal = |number: u64| -> Result<bool, RepoError> {
            Ok(shared.line(number)?.as_ref() == own.get(number as usize - 1))
        };
        if is_equal(both)? {
            return Ok(None);
        }
        let (mut equal, mut other) = (0, both);
        while other - equal > 1 {
            let middle = equal + (other - equal) / 2;
            if is_equal(middle)? { equal = middle } else { other = middle }
        }
        let Some(theirs) = shared.line(other)? else { return Ok(None) };
        let ours = own.get(other as usize - 1..).unwrap_or_default().to_vec();
        Ok(Some(Fork { record: other, ours, theirs, url: shared.url().to_owned() }))
    }

    /// The bytes of this copy, with the shared place's records from a fork on.
    pub(crate) fn with_side_of_place(&self, fork: &Fork) -> Result<Vec<u8>, RepoError> {
        let mut lines = if fork.record > 1 { self.lines(1..=fork.record - 1)? } else { Vec::new() };
        let theirs = self.shared.as_ref().map(SharedJournal::lines).transpose()?.unwrap_or_default();
        lines.extend(theirs.into_iter().skip(fork.record as usize - 1));
        Ok(lines.concat())
    }

    /// Number of complete lines in the file.
    #[expect(clippy::naive_bytecount, reason = "a journal is counted once, when it has forked")]
    fn records(&self) -> Result<u64, RepoError> {
        let bytes = std::fs::read(self.path()).doing("read", self.path())?;
        Ok(bytes.iter().filter(|byte| **byte == b'\n').count() as u64)
    }
}
