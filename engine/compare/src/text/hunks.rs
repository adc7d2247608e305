//! Which lines differ.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::ops::Range;

use super::lines::{BLOCK, Lines};
use crate::bytes;
use crate::content::Watched;
use crate::error::Fit;
use crate::limits::Limits;
use crate::sequence::differences;

/// Number of lines shown around a change.
pub(super) const CONTEXT: u64 = 3;

/// The differences.
#[derive(Default)]
pub(super) struct Found {
    /// A line that both have at the same position, from which they are read again.
    pub(super) start: LineStart,
    /// The first changes, in order.
    pub(super) changes: Vec<Change>,
    /// Number of lines in further changes.
    pub(super) more_lines: u64,
    pub(super) added: u64,
    pub(super) removed: u64,
    pub(super) notes: Vec<String>,
}

/// The start of a line: its number from 0, and its offset in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LineStart {
    pub(super) line: u64,
    pub(super) byte: u64,
}

/// A range of lines of the old side, replaced by a range of the new side; from 0.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) old: Range<u64>,
    pub(super) new: Range<u64>,
}

impl Found {
    fn add(&mut self, old: Range<u64>, new: Range<u64>, limits: &Limits) {
        let (removed, added) = (old.end - old.start, new.end - new.start);
        self.removed += removed;
        self.added += added;
        let told = self.added + self.removed - self.more_lines;
        if told - removed - added < limits.text_lines as u64 {
            self.changes.push(Change { old, new });
        } else {
            self.more_lines += removed + added;
        }
    }
}

/// The line endings of a side.
#[derive(Default)]
struct Ends {
    with_return: u64,
    without: u64,
}

impl Ends {
    fn name(&self) -> Option<&'static str> {
        match (self.with_return, self.without) {
            (1.., 0) => Some("CRLF"),
            (0, 1..) => Some("LF"),
            _ => None,
        }
    }
}

pub(super) fn find<'c>(old: &mut Watched<'c>, new: &mut Watched<'c>, limits: &Limits) -> Fit<Found> {
    let (start, from) = common_start(old, new)?;
    let mut found = Found { start, ..Found::default() };
    let (old_end, new_end) = middle_ends(old, new, from.byte)?;
    let hashes = RandomState::new();
    let mut sides = [Side::new(old, from, old_end)?, Side::new(new, from, new_end)?];
    let mut parts = 0;
    loop {
        for side in &mut sides {
            side.fill(&hashes, limits.text_held)?;
        }
        let [one, other] = &mut sides;
        let is_last = one.is_read() && other.is_read();
        parts += 1;
        compare_part(one, other, is_last, &mut found, limits);
        if is_last {
            break;
        }
    }
    if parts > 1 {
        let held = limits.text_held;
        found
            .notes
            .push(format!("compared in parts of {held} lines: lines that moved further count as removed and added"));
    }
    let [one, other] = &sides;
    if let (Some(one), Some(other)) = (one.ends.name(), other.ends.name())
        && one != other
    {
        found.notes.push(format!("line ends of the differences: {one} → {other}"));
    }
    Ok(found)
}

/// The part of a side between the common start and the common end.
struct Side<'a, 'c> {
    lines: Lines<'a, 'c>,
    /// The offset of its end.
    end: u64,
    /// The number of the first line in memory.
    line: u64,
    held: Vec<u64>,
    ends: Ends,
}

impl<'a, 'c> Side<'a, 'c> {
    fn new(side: &'a mut Watched<'c>, from: LineStart, end: u64) -> Fit<Self> {
        let lines = Lines::from(side, from.byte)?;
        Ok(Self { lines, end, line: from.line, held: Vec::new(), ends: Ends::default() })
    }

    fn is_read(&self) -> bool {
        self.lines.at >= self.end
    }

    fn fill(&mut self, hashes: &RandomState, most: usize) -> Fit<()> {
        while self.held.len() < most && !self.is_read() {
            let mut sum = hashes.build_hasher();
            let mut last = [0; 2];
            let line = self.lines.next(|part| {
                sum.write(part);
                for byte in &part[part.len().saturating_sub(2)..] {
                    last = [last[1], *byte];
                }
            })?;
            let Some(line) = line else { return Ok(()) };
            if line.has_end {
                *if last == *b"\r\n" { &mut self.ends.with_return } else { &mut self.ends.without } += 1;
            }
            self.held.push(sum.finish());
        }
        Ok(())
    }

    /// Drops this many lines from memory.
    fn pass(&mut self, lines: usize) {
        self.held.drain(..lines);
        self.line += lines as u64;
    }
}

/// Compares the lines in memory. A difference at the end may continue in the following lines, so it is kept unless it is everything.
fn compare_part(one: &mut Side<'_, '_>, other: &mut Side<'_, '_>, is_last: bool, found: &mut Found, limits: &Limits) {
    let mut changes = differences(&one.held, &other.held);
    let mut done = (one.held.len(), other.held.len());
    if !is_last
        && let Some((old, new)) = changes.last().cloned()
        && (old.end, new.end) == done
        // Continue only with enough progress: otherwise it would be compared again and again.
        && (old.start + new.start) * 4 >= done.0 + done.1
    {
        changes.pop();
        done = (old.start, new.start);
    }
    let lines = |first: u64, range: Range<usize>| first + range.start as u64..first + range.end as u64;
    for (old, new) in changes {
        found.add(lines(one.line, old), lines(other.line, new), limits);
    }
    one.pass(done.0);
    other.pass(done.1);
}

/// Where the output starts, a few lines before the first difference, and the line of that difference.
fn common_start(old: &mut Watched<'_>, new: &mut Watched<'_>) -> Fit<(LineStart, LineStart)> {
    let mut one = BufReader::with_capacity(BLOCK, old.rewind()?);
    let mut other = BufReader::with_capacity(BLOCK, new.rewind()?);
    let mut starts = VecDeque::from([LineStart::default()]);
    let (mut line, mut byte) = (0, 0);
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let length = left.len().min(right.len());
        let equal = equal_bytes(&left[..length], &right[..length]);
        for end in memchr::memchr_iter(b'\n', &left[..equal]) {
            line += 1;
            starts.push_back(LineStart { line, byte: byte + end as u64 + 1 });
            if starts.len() as u64 > CONTEXT + 1 {
                starts.pop_front();
            }
        }
        byte += equal as u64;
        one.consume(equal);
        other.consume(equal);
        if equal < length || length == 0 {
            break;
        }
    }
    let first = starts.front().copied().unwrap_or_default();
    Ok((first, starts.back().copied().unwrap_or_default()))
}

fn equal_bytes(one: &[u8], other: &[u8]) -> usize {
    const STEP: usize = 64;
    let blocks = one.chunks(STEP).zip(other.chunks(STEP)).take_while(|(one, other)| one == other).count();
    let at = (blocks * STEP).min(one.len());
    at + one[at..].iter().zip(&other[at..]).take_while(|(one, other)| one == other).count()
}

/// The offsets where the common end of both sides starts, rounded to whole lines.
fn middle_ends(old: &mut Watched<'_>, new: &mut Watched<'_>, from: u64) -> Fit<(u64, u64)> {
    let (old_bytes, new_bytes) = (old.size_bytes(), new.size_bytes());
    let most = old_bytes.min(new_bytes).saturating_sub(from);
    let shared = bytes::suffix(old, new, 0, most)?;
    // A line that begins before the common part ends within it.
    old.seek(SeekFrom::Start(old_bytes - shared))?;
    let rest = match Lines::from(old, old_bytes - shared)?.next(|_| ())? {
        Some(seen) if seen.has_end => shared - seen.bytes,
        _ => 0,
    };
    Ok((old_bytes - rest, new_bytes - rest))
}
