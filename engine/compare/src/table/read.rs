//! Reads a table row by row, with a size limit for each row.

use std::cell::Cell;
use std::io::{self, Read};

use csv::ByteRecord;

use crate::content::Watched;
use crate::error::{Fit, Unfit};
use crate::kind::Kind;
use crate::limits::Limits;
use crate::text::lossless;
use crate::value::canonical_cell;

/// Number of bytes and rows used to detect the delimiter.
const LOOKED_AT: u64 = 1 << 16;
const ROWS: usize = 500;

/// The delimiter of a side: the one with which all of the first rows have the same number of cells, and more than one. Of several, the one
/// that the file name suggests, then the one with the most cells.
fn delimiter(kind: Kind, side: &mut Watched<'_>) -> Fit<u8> {
    let start = side.start(LOOKED_AT)?;
    let is_cut = (start.len() as u64) < side.size_bytes();
    let promised = if kind == Kind::Tsv { b'\t' } else { b',' };
    let mut best = (promised, 0, false);
    for delimiter in *b",;\t|" {
        let (cells, is_even) = shape(&start, delimiter, is_cut);
        let is_better = match (is_even && cells > 1, best.2) {
            (true, false) => true,
            (false, true) => false,
            // With the extension `.tsv`, tabs are certainly the delimiter; with another name, commas may occur by chance.
            _ if best.0 == b'\t' && kind == Kind::Tsv && best.1 > 1 => false,
            _ => cells > best.1 || cells == best.1 && delimiter == promised,
        };
        if is_better || delimiter == promised && kind == Kind::Tsv && is_even && cells > 1 {
            best = (delimiter, cells, is_even && cells > 1);
        }
    }
    Ok(best.0)
}

/// Number of cells in the first row, and whether all rows have as many.
fn shape(start: &[u8], delimiter: u8, is_cut: bool) -> (usize, bool) {
    let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(start);
    let rows = reader.into_byte_records().take(ROWS);
    let mut counts: Vec<usize> = rows.filter_map(Result::ok).map(|row| row.len()).collect();
    if is_cut && counts.len() > 1 && counts.len() < ROWS {
        counts.pop();
    }
    let first = counts.first().copied().unwrap_or_default();
    (first, counts.iter().all(|count| *count == first))
}

/// One side as a table.
pub(crate) struct Sheet<'a, 'c> {
    side: &'a mut Watched<'c>,
    header: Vec<String>,
    has_header: bool,
    pub(crate) delimiter: u8,
    row_bytes: u64,
    rows: usize,
}

impl<'a, 'c> Sheet<'a, 'c> {
    /// Reads the header. A repeated name gets a number: `a`, `a#2`.
    pub(crate) fn open(kind: Kind, side: &'a mut Watched<'c>, limits: &Limits) -> Fit<Self> {
        let delimiter = delimiter(kind, side)?;
        let (row_bytes, rows) = (limits.row_bytes, limits.rows);
        let mut sheet = Self { side, header: Vec::new(), has_header: true, delimiter, row_bytes, rows };
        let mut rows = sheet.reader()?;
        let header = rows.next()?.ok_or_else(|| Unfit::malformed("CSV", "it has no header"))?;
        if header.len() > limits.columns {
            return Err(Unfit(format!("too much: it has more than {} columns", limits.columns)));
        }
        let mut seen = std::collections::HashMap::new();
        let mut names = Vec::new();
        for name in header {
            let name = lossless(name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name)).into_owned();
            let count: &mut usize = seen.entry(name.clone()).or_default();
            *count += 1;
            names.push(if *count == 1 { name } else { format!("{name}#{count}") });
        }
        drop(rows);
        sheet.header = names;
        Ok(sheet)
    }

    /// The names of the columns, made unique.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// Treats the first line of both as a row if it cannot be a header: the lines differ, and have numbers in the same place.
    pub(crate) fn without_header(one: &mut Self, other: &mut Self) -> bool {
        let is_number = |name: &str| canonical_cell(name.as_bytes()).0 == b'n';
        let pairs = one.header.iter().zip(&other.header);
        let are_rows = one.header != other.header
            && one.header.len() == other.header.len()
            && pairs.clone().any(|(one, other)| is_number(one) && is_number(other))
            && !pairs.clone().any(|(one, other)| one == other && !is_number(one) && one.len() > 1);
        if are_rows {
            for sheet in [one, other] {
                sheet.header = (1..=sheet.header.len()).map(|number| number.to_string()).collect();
                sheet.has_header = false;
            }
        }
        are_rows
    }

    /// Calls `see` with each row and its number from 0, until it returns false or all rows are seen.
    pub(crate) fn each(&mut self, mut see: impl FnMut(u32, &ByteRecord) -> Fit<bool>) -> Fit<()> {
        let (most, has_header) = (self.rows, self.has_header);
        let mut rows = self.reader()?;
        if has_header {
            rows.next()?;
        }
        for number in 0.. {
            let Some(row) = rows.next()? else { return Ok(()) };
            if number as usize >= most {
                return Err(Unfit(format!("too much: it has more than {most} rows")));
            }
            if !see(number, row)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn reader(&mut self) -> Fit<Rows<'_, 'c>> {
        let (delimiter, row_bytes) = (self.delimiter, self.row_bytes);
        let source = Rationed::new(self.side.rewind()?, 0);
        let reader = csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(source);
        Ok(Rows { reader, row: ByteRecord::new(), row_bytes })
    }
}

struct Rows<'a, 'c> {
    reader: csv::Reader<Rationed<'a, 'c>>,
    row: ByteRecord,
    row_bytes: u64,
}

impl Rows<'_, '_> {
    fn next(&mut self) -> Fit<Option<&ByteRecord>> {
        self.reader.get_ref().renew(self.row_bytes);
        let has_row = self.reader.read_byte_record(&mut self.row).map_err(|error| unfit(&error))?;
        Ok(has_row.then_some(&self.row))
    }
}

fn unfit(error: &csv::Error) -> Unfit {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            let cells = if *len == 1 { "cell" } else { "cells" };
            Unfit::malformed(
                "CSV",
                format_args!("line {line} has {len} {cells}, but the first line has {expected_len}"),
            )
        }
        csv::ErrorKind::Io(error) => Unfit::malformed("CSV", error),
        _ => Unfit::malformed("CSV", error),
    }
}

/// Limits the bytes of each row: an unclosed quote would make one row of the whole rest.
pub(super) struct Rationed<'a, 'c> {
    side: &'a mut Watched<'c>,
    left: Cell<u64>,
}

impl<'a, 'c> Rationed<'a, 'c> {
    pub(super) fn new(side: &'a mut Watched<'c>, bytes: u64) -> Self {
        Self { side, left: Cell::new(bytes) }
    }

    /// A new row begins.
    pub(super) fn renew(&self, bytes: u64) {
        self.left.set(bytes);
    }
}

impl Read for Rationed<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other("a row is too large"));
        }
        let read = self.side.read(into)?;
        self.left.set(left.saturating_sub(read as u64));
        Ok(read)
    }
}
