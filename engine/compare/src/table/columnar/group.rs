//! The rows of one group of a file, from one of them on. Pages before it are not unpacked, except in columns with lists, whose headers may not
//! say how many rows they have.

use std::sync::Arc;

use parquet::basic::{Compression, Encoding, Type as Physical};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{RowGroupReader, SerializedPageReader};
use parquet::record::reader::RowIter;
use parquet::schema::types::{ColumnDescriptor, Type};

use super::source::{Source, Tap};

/// Bytes that a value takes in memory, besides its content.
const VALUE_BYTES: u64 = 32;

/// A group of rows, of which `take` are read after the first `skip`.
pub(super) struct Group<'r> {
    pub(super) metadata: &'r RowGroupMetaData,
    pub(super) tap: &'r Tap,
    pub(super) skip: usize,
    pub(super) take: usize,
}

impl RowGroupReader for Group<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.metadata
    }

    fn num_columns(&self) -> usize {
        self.metadata.num_columns()
    }

    fn get_column_page_reader(&self, i: usize) -> Result<Box<dyn PageReader>> {
        let column = self.metadata.column(i);
        let is_gzip = match column.compression() {
            Compression::GZIP(_) => true,
            Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) | Compression::LZ4_RAW => false,
            other => {
                let name = format!("{other:?}");
                let name = name.split('(').next().unwrap_or_default();
                return Err(self.tap.ration.refuse(format!("it is packed with {name}, which pv does not unpack")));
            }
        };
        let source = Arc::new(Source::new(self.tap.clone(), is_gzip));
        let rows = usize::try_from(self.metadata.num_rows()).unwrap_or_default();
        let pages = SerializedPageReader::new(source, column, rows, None)?;
        Ok(Box::new(Weighed::new(pages, column.column_descr(), self)))
    }

    fn get_column_reader(&self, i: usize) -> Result<ColumnReader> {
        let of = self.metadata.schema_descr().column(i);
        let mut reader = get_column_reader(of, self.get_column_page_reader(i)?);
        if skip(&mut reader, self.skip)? < self.skip {
            return Err(ParquetError::General("a column has fewer rows than it says".to_owned()));
        }
        Ok(reader)
    }

    fn get_column_bloom_filter(&self, _: usize) -> Option<&Sbbf> {
        None
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

/// Passes over rows; how many there were.
fn skip(reader: &mut ColumnReader, rows: usize) -> Result<usize> {
    match reader {
        ColumnReader::BoolColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::Int32ColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::Int64ColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::Int96ColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::FloatColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::DoubleColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::ByteArrayColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::FixedLenByteArrayColumnReader(reader) => reader.skip_records(rows),
    }
}

/// Pages whose values are weighed before they are made: a few bytes may stand for very many of them, or for one long text many times.
struct Weighed {
    pages: SerializedPageReader<Source>,
    tap: Tap,
    is_text: bool,
    /// Whether one row may have many values.
    is_repeated: bool,
    /// Rows that are read.
    take: u64,
    /// Bytes of the longest value that pages may name.
    longest: u64,
}

impl Weighed {
    fn new(pages: SerializedPageReader<Source>, of: &ColumnDescriptor, group: &Group<'_>) -> Self {
        let is_fixed = of.physical_type() == Physical::FIXED_LEN_BYTE_ARRAY;
        Self {
            pages,
            tap: group.tap.clone(),
            is_text: of.physical_type() == Physical::BYTE_ARRAY,
            is_repeated: of.max_rep_level() > 0,
            take: group.take as u64,
            longest: if is_fixed { u64::try_from(of.type_length()).unwrap_or_default() } else { 0 },
        }
    }

    fn weigh(&mut self, page: &Page) -> Result<()> {
        let encoding = page.encoding();
        // These say themselves how many values they have, wherever they like.
        if matches!(encoding, Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY) {
            return Err(self
                .tap
                .ration
                .refuse(format!("its texts are encoded as {encoding:?}, which pv does not decode")));
        }
        let values = u64::from(page.num_values());
        if page.is_dictionary_page() {
            if self.is_text {
                self.longest = longest(page.buffer());
            }
            return self.tap.ration.take(values.saturating_mul(VALUE_BYTES));
        }
        let made = if self.is_repeated { values } else { values.min(self.take) };
        self.tap.ration.take(made.saturating_mul(VALUE_BYTES.saturating_add(self.longest)))
    }
}

/// The bytes of the longest text in a dictionary: each has its length before it.
fn longest(mut texts: &[u8]) -> u64 {
    let mut longest = 0;
    while let Some((length, rest)) = texts.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length);
        longest = longest.max(u64::from(length));
        texts = rest.get(length as usize..).unwrap_or_default();
    }
    longest
}

impl Iterator for Weighed {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Weighed {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.iter().try_for_each(|page| self.weigh(page))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn supports_deferred_dictionary(&self) -> bool {
        self.pages.supports_deferred_dictionary()
    }

    fn take_deferred_dictionary(&mut self) -> Result<Option<Page>> {
        let page = self.pages.take_deferred_dictionary()?;
        page.iter().try_for_each(|page| self.weigh(page))?;
        Ok(page)
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}
