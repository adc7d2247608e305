//! Parquet, some rows at a time.
//!
//! - `wire` how deep the schema and how large a page says to be, known before the library takes it
//! - `source` the bytes of the file for the library, and the ration of what it may unpack
//! - `group` the rows of one group, mostly without unpacking those before them
//! - `cell` values and types as text
//!
//! The library believes what a file says of itself, and may panic. So its work has a thread of its own, which ends alone; it gets only what
//! its ration allows; and what it would take without bound is refused before. Not here: differences of two files, encrypted files, pages
//! in an encoding whose size shows only when it is decoded.

mod cell;
mod group;
mod source;
mod wire;

use std::collections::HashSet;
use std::fmt::Display;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Arc, mpsc};
use std::thread;

use parquet::file::metadata::{ParquetMetaDataReader, RowGroupMetaData};
use parquet::record::reader::TreeBuilder;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type};

use super::page::TablePage;
use crate::content::Watched;
use crate::error::{Fit, Unfit};
use crate::limits::Limits;
use group::Group;
use source::{Ration, Tap, serve};

/// Most columns whose cells are read: each has pages of its own.
const COLUMNS: usize = 40;
/// Most fields in these columns together.
const FIELDS: usize = 1000;
/// The marks and the length around everything else in a file: four bytes each.
const AROUND: u64 = 12;

/// Rows from the number `from` on, counted from 0.
pub(super) fn page(side: &mut Watched<'_>, (from, take): (u64, usize), limits: &Limits) -> Fit<TablePage> {
    let footer = footer(side, limits.header_bytes)?;
    let (asks, asked) = mpsc::channel();
    let ration = Arc::new(Ration::of(limits.inflated_bytes));
    let tap = Tap { asks, size_bytes: side.size_bytes(), ration: ration.clone() };
    let limits = limits.clone();
    let work = move || Reading { tap, limits }.page(&footer, (from, take));
    let worker = thread::Builder::new().name("parquet".to_owned()).spawn(work)?;
    serve(side, asked);
    let found = worker.join();
    if let Some(why) = ration.refused() {
        return Err(Unfit(why));
    }
    found.unwrap_or_else(|_| Err(malformed("its parts contradict one another")))
}

/// The description of the file at its end.
fn footer(side: &mut Watched<'_>, most: u64) -> Fit<Vec<u8>> {
    let cut_off = || malformed("it does not end like such a file: it may be cut off");
    let room = side.size_bytes().checked_sub(AROUND).ok_or_else(cut_off)?;
    let mut end = [0; 8];
    side.seek(SeekFrom::Start(room + 4))?;
    side.read_exact(&mut end)?;
    let [a, b, c, d, mark @ ..] = end;
    if &mark != b"PAR1" {
        return Err(cut_off());
    }
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    let start = room.checked_sub(length).ok_or_else(|| malformed("its footer is longer than the file"))?;
    if length > most {
        return Err(Unfit(format!("too much: its footer has more than {most} bytes")));
    }
    let mut footer = Vec::new();
    side.seek(SeekFrom::Start(start + 4))?;
    side.take(length).read_to_end(&mut footer)?;
    Ok(footer)
}

fn malformed(why: impl Display) -> Unfit {
    let why = why.to_string();
    Unfit::malformed("Parquet", why.strip_prefix("Parquet error: ").unwrap_or(&why))
}

/// What the thread of the library works with.
struct Reading {
    tap: Tap,
    limits: Limits,
}

impl Reading {
    fn page(&self, footer: &[u8], (from, take): (u64, usize)) -> Fit<TablePage> {
        let depth = wire::schema_depth(footer).ok_or_else(|| malformed("its schema is broken"))?;
        if depth > self.limits.nesting {
            return Err(Unfit::too_deep());
        }
        let metadata = ParquetMetaDataReader::decode_metadata(footer).map_err(malformed)?;
        let schema = metadata.file_metadata().schema();
        let shown = shown(schema)?;
        let (mut rows, mut start) = (Vec::new(), 0_u64);
        for group in metadata.row_groups() {
            let count = u64::try_from(group.num_rows()).map_err(|_| malformed("a part has less than no rows"))?;
            let skip = from.saturating_add(rows.len() as u64).saturating_sub(start);
            start = start.saturating_add(count);
            let wanted = count.saturating_sub(skip).min((take - rows.len()) as u64);
            if wanted > 0 {
                rows.extend(self.rows(group, &shown, (skip as usize, wanted as usize))?);
            }
        }
        let next = from.saturating_add(rows.len() as u64);
        Ok(TablePage {
            header: schema.get_fields().iter().map(|field| field.name().to_owned()).collect(),
            types: schema.get_fields().iter().map(|field| cell::type_words(field)).collect(),
            next: (rows.len() == take && next < start).then_some(next),
            count: Some(start),
            rows,
        })
    }

    /// Rows of one group.
    fn rows(
        &self,
        group: &RowGroupMetaData,
        shown: &SchemaDescPtr,
        (skip, take): (usize, usize),
    ) -> Fit<Vec<Vec<String>>> {
        let group = Group { metadata: group, tap: &self.tap, skip, take };
        let rows = TreeBuilder::new().with_batch_size(take).as_iter(shown.clone(), &group).map_err(malformed)?;
        let (types, most) = (shown.root_schema().get_fields(), self.limits.shown_characters);
        let mut found = Vec::new();
        for row in rows.take(take) {
            let row = row.map_err(malformed)?;
            let cells = row.get_column_iter().zip(types);
            found.push(cells.map(|((_, field), of)| cell::text(field, of, most)).collect());
        }
        Ok(found)
    }
}

/// The columns whose cells are read.
fn shown(schema: &Type) -> Fit<SchemaDescPtr> {
    let fields: Vec<_> = schema.get_fields().iter().take(COLUMNS).cloned().collect();
    let mut names = HashSet::new();
    // The library finds columns by their names.
    if let Some(twice) = fields.iter().find(|field| !names.insert(field.name())) {
        return Err(Unfit(format!("two of its columns have the name `{}`", twice.name())));
    }
    let schema = Type::group_type_builder(schema.name()).with_fields(fields.clone()).build().map_err(malformed)?;
    let shown = SchemaDescriptor::new(Arc::new(schema));
    if shown.num_columns() > FIELDS {
        return Err(Unfit(format!("too much: its first {COLUMNS} columns have more than {FIELDS} fields")));
    }
    Ok(Arc::new(shown))
}

#[cfg(test)]
mod tests;
