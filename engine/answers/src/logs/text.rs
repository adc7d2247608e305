//! The output of a datum or job as one text: windows of it by line number, and lines that contain a word.
//!
//! The text is what the datums printed, one after the other in the order of the job's datums, each try by try; then what running datums
//! printed so far. How many lines an ended datum printed is counted once. One question reads only so much; of a job that printed more, the
//! next question goes on counting.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use engine::live::Live;
use repos::documents::{ResultDocument, Try};
use repos::{JobRow, Store};
use specs::{DatumId, Digest};

use super::lines::{Lines, contains, lines_of};
use super::title_of;
use crate::datum::{DatumState, FoundDatum, datums_in_order};
use crate::job::live_job;
use engine::Result;

/// Most bytes of logs that one question reads, and most datums.
const READ_BYTES: usize = 64 << 20;
const READ_DATUMS: usize = 4_000;
/// The same, for counting the lines after a window, which nobody waits for.
const AFTER_BYTES: usize = 4 << 20;
const AFTER_DATUMS: usize = 200;
/// Datums whose number of lines is remembered.
const COUNTED: usize = 1_000_000;
/// Most bytes of a line that are shown, and of all lines of a window.
const LINE_BYTES: usize = 4 << 10;
const WINDOW_BYTES: usize = 256 << 10;

/// The output of a datum or job.
#[derive(Debug)]
pub struct LogText<'s> {
    store: &'s Store,
    job: JobRow,
    parts: Vec<Part>,
}

/// What one datum printed.
#[derive(Debug)]
enum Part {
    Ended(Digest),
    AtWork(Vec<Piece>),
}

/// What one try printed.
#[derive(Debug, Clone)]
struct Piece {
    datum: DatumId,
    number: usize,
    end: Option<Try>,
    lines: Option<Arc<Lines>>,
}

impl Piece {
    fn count(&self) -> usize {
        self.lines.as_ref().map_or(0, |lines| lines.count())
    }
}

/// Consecutive lines of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The number of the first line; `None` if the lines before it are too many to be counted at once.
    pub first: Option<u64>,
    /// The lines, by the try that printed them.
    pub sections: Vec<LogSection>,
    /// Number of all lines, if they are counted.
    pub total: Option<u64>,
    /// Number of lines that are counted.
    pub counted: u64,
    /// Whether there are lines after the last one.
    pub has_more: bool,
}

/// Lines that one try printed.
#[derive(Debug, Clone, PartialEq)]
pub struct LogSection {
    /// The datum.
    pub datum: DatumId,
    /// The paths that it reads.
    pub title: String,
    /// The number of the try, from 1.
    pub try_number: usize,
    /// How it ended; absent while it runs.
    pub end: Option<Try>,
    /// Whether the first line of the try is here.
    pub is_start: bool,
    /// The lines: text, and how many bytes of it were cut off.
    pub lines: Vec<(String, usize)>,
}

/// The lines that contain a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The lines.
    pub lines: Vec<FoundLine>,
    /// The line from which the search goes on; absent if all were looked at.
    pub next: Option<u64>,
}

/// A line that contains a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLine {
    /// Its number, from 1.
    pub number: u64,
    /// Its text.
    pub text: String,
    /// How many bytes of it were cut off.
    pub cut: usize,
}

static COUNTS: LazyLock<Mutex<HashMap<Digest, usize>>> = LazyLock::new(Mutex::default);

/// What a question may still read.
struct Budget {
    bytes: usize,
    datums: usize,
}

impl Budget {
    fn new() -> Self {
        Self { bytes: READ_BYTES, datums: READ_DATUMS }
    }

    fn is_spent(&self) -> bool {
        self.bytes == 0 || self.datums == 0
    }

    fn spend(&mut self, pieces: &[Piece]) {
        let bytes = pieces.iter().filter_map(|piece| piece.lines.as_ref()).map(|lines| lines.bytes()).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        self.datums = self.datums.saturating_sub(1);
    }
}

impl<'s> LogText<'s> {
    /// What the datums of a job printed that it executed itself; `failed`: only the failed ones.
    pub fn of_job(store: &'s Store, live: Option<&Live>, job: &JobRow, failed: bool) -> Result<Self> {
        // Read before the ended datums, so that none is missed in between.
        let running = live_job(live, job).map(|known| known.feed.at_work()).unwrap_or_default();
        let order = datums_in_order(store, live, job)?;
        let is_wanted = |state| state != DatumState::Cached && (!failed || state == DatumState::Failed);
        let mut ended: Vec<_> = order.of(None).filter(|ranked| is_wanted(ranked.state)).collect();
        ended.sort_by_key(|ranked| ranked.place);
        let mut parts: Vec<Part> = ended.into_iter().map(|ranked| Part::Ended(ranked.result)).collect();
        for printing in running.iter().filter(|_| !failed) {
            parts.push(at_work(printing, store)?);
        }
        Ok(Self { store, job: job.clone(), parts })
    }

    /// What an ended datum printed.
    pub fn of_datum(store: &'s Store, found: &FoundDatum) -> Self {
        let parts = found.view.result.map(Part::Ended).into_iter().collect();
        Self { store, job: found.job.clone(), parts }
    }

    /// What a running datum printed so far.
    pub fn of_printing(store: &'s Store, job: &JobRow, printing: &engine::feed::Printing) -> Result<Self> {
        Ok(Self { store, job: job.clone(), parts: vec![at_work(printing, store)?] })
    }

    /// At most `most` lines from line `from`, which counts from 1.
    pub fn window(&self, from: u64, most: usize) -> Result<Window> {
        let mut budget = Budget::new();
        let (mut before, mut sections, mut left) = (0, Vec::new(), Room { lines: most, bytes: WINDOW_BYTES });
        let skip = from.saturating_sub(1);
        let mut parts = self.parts.iter();
        let mut has_more = false;
        for part in parts.by_ref() {
            let Some(count) = self.count(part, &mut budget)? else {
                return Ok(Window { first: Some(from), sections, total: None, counted: before, has_more: true });
            };
            if before + count as u64 > skip {
                self.add(part, skip.saturating_sub(before) as usize, &mut left, &mut sections)?;
            }
            before += count as u64;
            let shown: usize = sections.iter().map(|section: &LogSection| section.lines.len()).sum();
            has_more = before > skip + shown as u64;
            if left.is_full() {
                break;
            }
        }
        let mut total = Some(before);
        let mut after = Budget { bytes: AFTER_BYTES, datums: AFTER_DATUMS };
        for part in parts {
            let count = self.count(part, &mut after)?;
            has_more |= count != Some(0);
            total = total.zip(count).map(|(sum, count)| sum + count as u64);
            let Some(sum) = total else { break };
            before = sum;
        }
        Ok(Window { first: Some(skip + 1), sections, total, counted: before, has_more })
    }

    /// The last lines, at most `most`.
    pub fn tail(&self, most: usize) -> Result<Window> {
        let mut budget = Budget::new();
        let mut counts = Vec::with_capacity(self.parts.len());
        let (mut lines, mut from) = (0, self.parts.len());
        for part in self.parts.iter().rev() {
            let Some(count) = self.count(part, &mut budget)? else { break };
            (lines, from) = (lines + count, from - 1);
            counts.push(count);
            if lines >= most {
                break;
            }
        }
        let mut before = Some(0_u64);
        for part in &self.parts[..from] {
            let count = self.count(part, &mut budget)?;
            before = before.zip(count).map(|(sum, count)| sum + count as u64);
            if before.is_none() {
                break;
            }
        }
        let mut skip = lines.saturating_sub(most);
        let first = before.map(|before| before + skip as u64 + 1);
        let (mut sections, mut left) = (Vec::new(), Room { lines: most, bytes: WINDOW_BYTES });
        for (part, count) in self.parts[from..].iter().zip(counts.into_iter().rev()) {
            if skip < count {
                self.add(part, skip, &mut left, &mut sections)?;
            }
            skip = skip.saturating_sub(count);
        }
        let total = before.map(|before| before + lines as u64);
        Ok(Window { first, sections, total, counted: total.unwrap_or_default(), has_more: false })
    }

    /// The lines from line `from` on that contain a word, in whatever case of ASCII; at most `most`.
    pub fn search(&self, word: &str, from: u64, most: usize) -> Result<Found> {
        let word = word.to_ascii_lowercase().into_bytes();
        let (mut budget, mut counting) = (Budget::new(), Budget::new());
        let (mut before, mut lines) = (0_u64, Vec::new());
        for part in &self.parts {
            let Some(count) = self.count(part, &mut counting)? else {
                return Ok(Found { lines, next: Some(before + 1) });
            };
            let end = before + count as u64;
            if end < from {
                before = end;
                continue;
            }
            if budget.is_spent() {
                return Ok(Found { lines, next: Some(before + 1) });
            }
            let pieces = self.pieces(part)?;
            budget.spend(&pieces);
            for line in pieces.iter().filter_map(|piece| piece.lines.as_ref()).flat_map(|lines| lines.from(0)) {
                before += 1;
                if before >= from && contains(line, &word) {
                    if lines.len() == most {
                        return Ok(Found { lines, next: Some(before) });
                    }
                    let (text, cut) = shown(line);
                    lines.push(FoundLine { number: before, text, cut });
                }
            }
        }
        Ok(Found { lines, next: None })
    }

    /// The number of the first line that tells of an error, in the last try of a datum that failed.
    pub fn first_error(&self) -> Result<Option<u64>> {
        let [part] = self.parts.as_slice() else { return Ok(None) };
        let pieces = self.pieces(part)?;
        let Some((last, earlier)) = pieces.split_last() else { return Ok(None) };
        let has_failed = last.end.as_ref().is_some_and(|end| end.reason.is_some() || end.exit_code != Some(0));
        let error = last.lines.as_ref().filter(|_| has_failed).and_then(|lines| lines.first_error());
        Ok(error.map(|line| (earlier.iter().map(Piece::count).sum::<usize>() + line + 1) as u64))
    }

    /// The number of the line with which a try of a datum begins; tries count from 1.
    pub fn line_of_try(&self, number: usize) -> Result<u64> {
        let [part] = self.parts.as_slice() else { return Ok(1) };
        let before = self.pieces(part)?.into_iter().take_while(|piece| piece.number < number);
        Ok(before.map(|piece| piece.count() as u64).sum::<u64>() + 1)
    }

    /// The number of lines of a part; `None` if it is not known, and nothing more may be read.
    fn count(&self, part: &Part, budget: &mut Budget) -> Result<Option<usize>> {
        let Part::Ended(result) = part else {
            return Ok(Some(self.pieces(part)?.iter().map(Piece::count).sum()));
        };
        let counted = COUNTS.lock().expect("no panic under this lock").get(result).copied();
        if counted.is_some() || budget.is_spent() {
            return Ok(counted);
        }
        let pieces = self.pieces(part)?;
        budget.spend(&pieces);
        let count = pieces.iter().map(Piece::count).sum();
        let mut counts = COUNTS.lock().expect("no panic under this lock");
        if counts.len() >= COUNTED {
            counts.clear();
        }
        counts.insert(*result, count);
        Ok(Some(count))
    }

    /// What each try of a part printed.
    fn pieces(&self, part: &Part) -> Result<Vec<Piece>> {
        let result = match part {
            Part::AtWork(pieces) => return Ok(pieces.clone()),
            Part::Ended(result) => self.store.document::<ResultDocument>(result)?,
        };
        let tries = result.tries.iter().enumerate();
        let piece = |(number, end): (usize, &Try)| {
            let lines = end.log.map(|log| lines_of(self.store, &result, &log)).transpose()?;
            Ok(Piece { datum: result.recipe, number: number + 1, end: Some(end.clone()), lines })
        };
        tries.map(piece).collect()
    }

    /// Adds the lines of a part from one on, as far as there is room.
    fn add(&self, part: &Part, mut skip: usize, room: &mut Room, sections: &mut Vec<LogSection>) -> Result<()> {
        let mut title = None;
        for piece in self.pieces(part)? {
            let count = piece.count();
            if skip >= count {
                skip -= count;
                continue;
            }
            if room.is_full() {
                break;
            }
            let title = match &title {
                Some(title) => title,
                None => title.insert(title_of(self.store, &self.job, &piece.datum)?),
            };
            let all = piece.lines.as_ref().into_iter().flat_map(|lines| lines.from(skip));
            let lines = all.map_while(|line| room.take(line)).collect();
            let (datum, try_number, end, is_start) = (piece.datum, piece.number, piece.end, skip == 0);
            sections.push(LogSection { datum, title: title.clone(), try_number, end, is_start, lines });
            skip = 0;
        }
        Ok(())
    }
}

/// Room for lines.
struct Room {
    lines: usize,
    bytes: usize,
}

impl Room {
    fn is_full(&self) -> bool {
        self.lines == 0 || self.bytes == 0
    }

    fn take(&mut self, line: &[u8]) -> Option<(String, usize)> {
        if self.is_full() {
            return None;
        }
        let (text, cut) = shown(line);
        self.lines -= 1;
        self.bytes = self.bytes.saturating_sub(text.len());
        Some((text, cut))
    }
}

/// A line as far as it is shown, and how many bytes of it are not.
fn shown(line: &[u8]) -> (String, usize) {
    let text = &line[..line.len().min(LINE_BYTES)];
    (String::from_utf8_lossy(text).into_owned(), line.len() - text.len())
}

/// What a running datum printed so far.
fn at_work(printing: &engine::feed::Printing, store: &Store) -> Result<Part> {
    let pieces = printing.so_far(store)?.into_iter().map(|printed| Piece {
        datum: printed.datum,
        number: printed.try_number,
        end: printed.end,
        lines: Some(Arc::new(Lines::of(Bytes::from(printed.bytes)))),
    });
    Ok(Part::AtWork(pieces.collect()))
}
