//! A part of a table, for those who look at it: from any byte on, so that a page in the middle of a large file costs no more than the first.

use std::io::{Seek, SeekFrom};

use csv::ByteRecord;

use super::columnar;
use super::read::{Rationed, Sheet};
use crate::content::{Side, Watched};
use crate::error::{CompareError, Fit, Unfit};
use crate::kind::Kind;
use crate::limits::Limits;
use crate::text::lossless;

/// Some rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePage {
    /// The names of the columns; of CSV, the cells of the first line.
    pub header: Vec<String>,
    /// The types of the columns, if the file says them; else empty.
    pub types: Vec<String>,
    /// The number of rows in the file, if it says it.
    pub count: Option<u64>,
    /// The rows. They need not have as many cells as the header.
    pub rows: Vec<Vec<String>>,
    /// Where the next row begins: a byte; of Parquet, its number from 0. `None` after the last one.
    pub next: Option<u64>,
}

/// At most `take` rows of a CSV, TSV or Parquet file, from the place `from` on, as [`TablePage::next`] names it; `None`: from the first row.
/// The reason, if it is not such a file, is malformed or beyond the limits. Fails only if the file cannot be read.
pub fn rows(
    side: Side<'_>,
    (from, take): (Option<u64>, usize),
    limits: &Limits,
) -> Result<Result<TablePage, String>, CompareError> {
    let mut side = Watched::new(side);
    let found = page(&mut side, (from, take), limits);
    side.check()?;
    Ok(found.map_err(|unfit| unfit.0))
}

fn page(side: &mut Watched<'_>, (from, take): (Option<u64>, usize), limits: &Limits) -> Fit<TablePage> {
    let start = side.start(8000)?;
    let kind = Kind::of(side.name(), &start);
    match kind {
        Kind::Csv | Kind::Tsv => {}
        Kind::Parquet => return columnar::page(side, (from.unwrap_or(0), take), limits),
        _ => return Err(Unfit(format!("it is {}", kind.words()))),
    }
    let sheet = Sheet::open(kind, side, limits)?;
    let (header, delimiter) = (sheet.header().to_vec(), sheet.delimiter);
    let start = from.unwrap_or(0).min(side.size_bytes());
    side.seek(SeekFrom::Start(start))?;
    let source = Rationed::new(side, limits.row_bytes);
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(source);
    let (mut row, mut rows) = (ByteRecord::new(), Vec::new());
    let mut is_header = from.is_none();
    let next = loop {
        let at = start + reader.position().byte();
        reader.get_ref().renew(limits.row_bytes);
        if !reader.read_byte_record(&mut row).map_err(|error| Unfit::malformed("table", error))? {
            break None;
        }
        if std::mem::take(&mut is_header) {
            continue;
        }
        if rows.len() == take {
            break Some(at);
        }
        rows.push(row.iter().map(|cell| lossless(cell).into_owned()).collect());
    };
    Ok(TablePage { header, types: Vec::new(), count: None, rows, next })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn of(text: &str, from: Option<u64>) -> Result<TablePage, String> {
        let mut content = Cursor::new(text.as_bytes());
        let side = Side { name: "a.csv", size_bytes: text.len() as u64, content: &mut content, pieces: Vec::new() };
        rows(side, (from, 2), &Limits::default()).unwrap()
    }

    #[test]
    fn pages_follow_one_another_without_gap_or_repetition() {
        let text = "a,b\n1,\"x\ny\"\n2,y\n3,z\n\n4,w\n5,v\n";
        let (mut from, mut seen) = (None, Vec::new());
        loop {
            let page = of(text, from).unwrap();
            assert_eq!(page.header, ["a", "b"]);
            seen.extend(page.rows.into_iter().map(|row| row.join(" ")));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["1 x\ny", "2 y", "3 z", "4 w", "5 v"]);
        assert_eq!(of("a,b\n", None).unwrap().rows, Vec::<Vec<String>>::new());
    }

    #[test]
    fn rows_of_another_length_are_shown_as_they_are() {
        assert_eq!(of("a,b\n1\n1,2,3\n", None).unwrap().rows, [vec!["1"], vec!["1", "2", "3"]]);
    }
}
