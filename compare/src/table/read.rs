//! A table as rows, none of which may be larger than the limit.

use std::cell::Cell;
use std::io::{self, Read};

use csv::ByteRecord;

use crate::content::Watched;
use crate::error::{Fit, Unfit};
use crate::kind::Kind;
use crate::limits::Limits;

/// What separates cells: a tab, else what the first line of `side` has most of.
pub(crate) fn delimiter(kind: Kind, side: &mut Watched<'_>) -> Fit<u8> {
    if kind == Kind::Tsv {
        return Ok(b'\t');
    }
    let start = side.start(1 << 16)?;
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| line.split(|byte| *byte == wanted).count();
    // The first of equals: the comma.
    Ok(b",;\t|".iter().copied().rev().max_by_key(|byte| count(*byte)).unwrap_or(b','))
}

/// One side as a table.
pub(crate) struct Sheet<'a, 'c> {
    side: &'a mut Watched<'c>,
    header: Vec<String>,
    delimiter: u8,
    row_bytes: u64,
    rows: usize,
}

impl<'a, 'c> Sheet<'a, 'c> {
    /// Reads the header. A name that was there before gets its number: `a`, `a#2`.
    pub(crate) fn open(side: &'a mut Watched<'c>, delimiter: u8, limits: &Limits) -> Fit<Self> {
        let mut sheet = Self { side, header: Vec::new(), delimiter, row_bytes: limits.row_bytes, rows: limits.rows };
        let mut rows = sheet.reader()?;
        let header = rows.next()?.ok_or_else(|| Unfit::malformed("CSV", "it has no header"))?;
        if header.len() > limits.columns {
            return Err(Unfit(format!("too much: it has more than {} columns", limits.columns)));
        }
        let mut seen = std::collections::HashMap::new();
        let mut names = Vec::new();
        for name in header {
            let name = String::from_utf8_lossy(name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name)).into_owned();
            let count: &mut usize = seen.entry(name.clone()).or_default();
            *count += 1;
            names.push(if *count == 1 { name } else { format!("{name}#{count}") });
        }
        drop(rows);
        sheet.header = names;
        Ok(sheet)
    }

    /// Names of the columns, each once.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// Hands each row to `see` with its number from 0, until that says no or all were seen.
    pub(crate) fn each(&mut self, mut see: impl FnMut(u32, &ByteRecord) -> Fit<bool>) -> Fit<()> {
        let most = self.rows;
        let mut rows = self.reader()?;
        rows.next()?;
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
        let source = Rationed { side: self.side.rewind()?, left: Cell::new(0) };
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
        self.reader.get_ref().left.set(self.row_bytes);
        let has_row = self.reader.read_byte_record(&mut self.row);
        let has_row = has_row.map_err(|error| Unfit::malformed("CSV", error))?;
        Ok(has_row.then_some(&self.row))
    }
}

/// Gives so many bytes for each row and no more: a quote that nobody closes makes one row of all that follows.
struct Rationed<'a, 'c> {
    side: &'a mut Watched<'c>,
    left: Cell<u64>,
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
