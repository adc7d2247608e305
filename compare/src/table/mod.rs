//! CSV and TSV, by row and cell.
//!
//! The first line names the columns. Rows are found again by their key: columns that are given, else the fewest leading ones that no two
//! rows of a side share, else the number of the row. Three passes, none of which holds a table:
//! 1. `key`   tries keys;
//! 2. `rows`  keeps a hash of each row's key and of its cells (32 bytes a row), and pairs the rows of both sides;
//! 3. `cells` reads again the rows that changed, a bounded batch at a time.
//!
//! `flips` goes the same way with one column in place of all.

mod cells;
mod flips;
mod key;
mod read;
mod rows;

use serde::Serialize;

use crate::Options;
use crate::content::Watched;
use crate::error::{Fit, Unfit};
use crate::kind::Kind;

pub(crate) use flips::{flips, values};
use key::{columns_named, find as find_key};
use read::{Sheet, delimiter};

/// How two tables differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableDiff {
    /// Columns by which rows are found again; empty when it is the number of the row.
    pub key: Vec<String>,
    /// Rows of the old side.
    pub old_rows: u64,
    /// Rows of the new side.
    pub new_rows: u64,
    /// Columns that only the new side has.
    pub columns_added: Vec<String>,
    /// Columns that only the old side has.
    pub columns_removed: Vec<String>,
    /// Rows whose key only the new side has.
    pub rows_added: u64,
    /// Rows whose key only the old side has.
    pub rows_removed: u64,
    /// Rows on both sides of which a cell differs in a column of both.
    pub rows_changed: u64,
    /// Cells that differ in these.
    pub cells_changed: u64,
    /// How many cells differ, by column; those without are left out.
    pub columns: Vec<ColumnChange>,
    /// The first changed rows, in the order of the old side.
    pub changed: Vec<RowChange>,
    /// Keys of the first added rows.
    pub added: Vec<Vec<String>>,
    /// Keys of the first removed rows.
    pub removed: Vec<Vec<String>>,
}

/// A column with cells that differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnChange {
    /// Its name.
    pub column: String,
    /// Cells that differ.
    pub cells: u64,
}

/// A row with cells that differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowChange {
    /// Its cells in the key columns, else its number from 1.
    pub key: Vec<String>,
    /// What differs.
    pub cells: Vec<CellChange>,
}

/// A cell that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct CellChange {
    pub column: String,
    pub old: String,
    pub new: String,
}

/// Both sides as tables, and which of their columns belong together.
struct Pair<'a, 'c> {
    old: Sheet<'a, 'c>,
    new: Sheet<'a, 'c>,
    /// Columns of both: name, place in the old side, place in the new one.
    both: Vec<(String, usize, usize)>,
    /// Key columns among `both`, by place there; empty for the number of the row.
    key: Vec<usize>,
}

impl<'a, 'c> Pair<'a, 'c> {
    /// Opens both sides and settles the key: that of the options, else one that is found.
    fn open(kind: Kind, old: &'a mut Watched<'c>, new: &'a mut Watched<'c>, options: &Options) -> Fit<Self> {
        let limits = &options.limits;
        let delimiter = delimiter(kind, old)?;
        let mut old = Sheet::open(old, delimiter, limits).map_err(|unfit| unfit.on("old"))?;
        let mut new = Sheet::open(new, delimiter, limits).map_err(|unfit| unfit.on("new"))?;
        let in_new = |name: &String| new.header().iter().position(|other| other == name);
        let names = old.header().iter().enumerate();
        let both: Vec<_> = names.filter_map(|(at, name)| Some((name.clone(), at, in_new(name)?))).collect();
        if both.is_empty() {
            return Err(Unfit("the two tables have no column in common".to_owned()));
        }
        let names: Vec<&str> = both.iter().map(|(name, ..)| name.as_str()).collect();
        let key = match columns_named(&options.key, &names)? {
            Some(key) => key,
            None => find_key(&mut old, &mut new, &both)?,
        };
        Ok(Self { old, new, both, key })
    }
}

pub(crate) fn compare<'c>(
    kind: Kind,
    old: &mut Watched<'c>,
    new: &mut Watched<'c>,
    options: &Options,
) -> Fit<TableDiff> {
    let mut pair = Pair::open(kind, old, new, options)?;
    let paired = match rows::pair(&mut pair)? {
        // A key that fits nothing on the other side was no key.
        paired if paired.is_disjoint() && options.key.is_empty() && !pair.key.is_empty() => {
            pair.key.clear();
            rows::pair(&mut pair)?
        }
        paired => paired,
    };
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|name| !other.contains(name)).cloned().collect()
    };
    let mut found = TableDiff {
        key: pair.key.iter().map(|at| pair.both[*at].0.clone()).collect(),
        old_rows: paired.old_rows,
        new_rows: paired.new_rows,
        columns_added: only(pair.new.header(), pair.old.header()),
        columns_removed: only(pair.old.header(), pair.new.header()),
        rows_added: paired.added.len() as u64,
        rows_removed: paired.removed.len() as u64,
        rows_changed: paired.changed.len() as u64,
        ..TableDiff::default()
    };
    cells::fill(&mut found, &mut pair, &paired, &options.limits)?;
    Ok(found)
}
