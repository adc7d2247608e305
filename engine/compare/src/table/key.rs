//! Which columns identify rows, and hashes of rows by their cells.

use std::collections::hash_map::{DefaultHasher, RandomState};
use std::hash::{BuildHasher, Hasher};

use csv::ByteRecord;

use super::read::Sheet;
use crate::error::Fit;
use crate::keys::{self, COLUMNS, Column, Counter, LOOKED_AT, Named};
use crate::value::{hash_cell, is_value_cell};

/// Maximum number of bytes of first rows in memory.
const HELD: usize = 8 << 20;

/// Hashes rows by cells: rows with different cells collide with a probability of 2^-128. Valid within one process.
#[derive(Clone, Default)]
pub(crate) struct Hash {
    states: [RandomState; 2],
}

impl Hash {
    pub(super) fn name(&self, row: &ByteRecord, columns: &[usize]) -> u128 {
        let [one, other] = &self.states;
        let hash = |state: &RandomState| u128::from(hash(state.build_hasher(), row, columns));
        hash(one) << 64 | hash(other)
    }
}

fn hash(mut hasher: impl Hasher, row: &ByteRecord, columns: &[usize]) -> u64 {
    for at in columns {
        hash_cell(row.get(*at).unwrap_or_default(), &mut hasher);
    }
    hasher.finish()
}

/// A hash of a cell that is the same in every process, so that results do not depend on chance.
pub(super) fn fixed_hash(column: usize, cell: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_usize(column);
    hash_cell(cell, &mut hasher);
    hasher.finish()
}

/// Name, index on the old side, index on the new side.
type Both = (String, usize, usize);

/// The columns that pair the most rows, as indexes into `both`; `None` if there is no key. See [`keys`].
pub(crate) fn find(
    old: &mut Sheet<'_, '_>,
    new: &mut Sheet<'_, '_>,
    both: &[Both],
    not_key: Option<&str>,
) -> Fit<Vec<usize>> {
    let (old_places, new_places): (Vec<usize>, Vec<usize>) = both.iter().map(|(_, old, new)| (*old, *new)).unzip();
    let old_start = Start::read(old, &old_places).map_err(|unfit| unfit.on("old"))?;
    let new_start = Start::read(new, &new_places).map_err(|unfit| unfit.on("new"))?;
    let measured = |at: usize| old_start.measured.contains(&at) || new_start.measured.contains(&at);
    let counts = |at: usize, name: &str| [&old_start, &new_start].iter().all(|start| start.counts_rows(at, name));
    let columns: Vec<Column> = both
        .iter()
        .enumerate()
        .map(|(at, (name, ..))| Column {
            name: name.clone(),
            is_out: measured(at) || not_key == Some(name) || counts(at, name),
        })
        .collect();
    keys::find(&columns, |key, all| {
        let old = old_start.names(key, all, old, &old_places).map_err(|unfit| unfit.on("old"))?;
        let new = new_start.names(key, all, new, &new_places).map_err(|unfit| unfit.on("new"))?;
        Ok([old, new])
    })
}

/// The first rows of a side.
struct Start {
    /// The hashes of the first cells of each row, and the hash of the whole row.
    rows: Vec<(Vec<u64>, u64)>,
    /// Whether these are all rows.
    is_all: bool,
    /// Columns with a measurement.
    measured: Vec<usize>,
    counters: Vec<Counter>,
}

impl Start {
    fn read(sheet: &mut Sheet<'_, '_>, places: &[usize]) -> Fit<Self> {
        let mut found = Self { rows: Vec::new(), is_all: true, measured: Vec::new(), counters: Vec::new() };
        found.counters.resize(places.len().min(COLUMNS), Counter::default());
        let mut bytes = 0;
        sheet.each(|_, row| {
            if found.rows.len() >= LOOKED_AT || bytes > HELD {
                found.is_all = false;
                return Ok(false);
            }
            let mut cells = Vec::new();
            for (at, place) in places.iter().enumerate().take(COLUMNS) {
                let cell = row.get(*place).unwrap_or_default();
                if is_value_cell(cell) && !found.measured.contains(&at) {
                    found.measured.push(at);
                }
                found.counters[at].see(std::str::from_utf8(cell).ok().and_then(|cell| cell.parse().ok()));
                cells.push(fixed_hash(0, cell));
            }
            bytes += row.as_slice().len() + cells.len() * 8;
            found.rows.push((cells, hash(DefaultHasher::new(), row, places)));
            Ok(true)
        })?;
        Ok(found)
    }

    fn counts_rows(&self, column: usize, name: &str) -> bool {
        self.counters.get(column).is_some_and(|counter| counter.counts_rows(name))
    }

    /// Hashes of rows by some columns.
    fn names(&self, key: &[usize], all: bool, sheet: &mut Sheet<'_, '_>, places: &[usize]) -> Fit<Vec<Named>> {
        if !all || self.is_all {
            let name = |cells: &[u64]| key.iter().fold(0, |name: u64, at| joined(name, cells[*at]));
            return Ok(self.rows.iter().map(|(cells, content)| (name(cells), *content)).collect());
        }
        let mut names = Vec::new();
        sheet.each(|_, row| {
            let cell = |at: &usize| fixed_hash(0, row.get(places[*at]).unwrap_or_default());
            let name = key.iter().fold(0, |name, at| joined(name, cell(at)));
            names.push((name, hash(DefaultHasher::new(), row, places)));
            Ok(true)
        })?;
        Ok(names)
    }
}

fn joined(name: u64, cell: u64) -> u64 {
    name.rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ cell
}
