//! Compares CSV and TSV, by row and cell.
//!
//! The first line names the columns, unless it is a row like the others. The delimiter is detected for each side separately. Cells are
//! equal if they have the same meaning (`value`): `1` and `1.0`, `true` and `True`. There are three steps, none of which holds a whole
//! table in memory:
//! 1. `key` detects the columns that identify rows, if none are given (`keys` has the rule);
//! 2. `rows` pairs equal rows, then the others by key or similarity, with 32 bytes per row;
//! 3. `cells` reads the changed rows again, in batches of bounded size.
//!
//! `flips::rows` does the same with one column instead of all. `page` reads some rows of one table, to show them; those of Parquet with
//! `columnar`.

pub(crate) mod cells;
mod columnar;
mod key;
mod page;
mod read;
mod rows;

use schemars::JsonSchema;
use serde::Serialize;

use crate::content::Watched;
use crate::error::{Fit, Unfit};
use crate::kind::Kind;
use crate::options::{KeyUse, Options};
use crate::pairing::PairedBy;

use key::find as find_key;
pub use page::{TablePage, rows};
pub(crate) use read::Sheet;
pub(crate) use rows::Paired;

/// How two tables differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TableDiff {
    /// Columns used as the key; empty if no columns identify rows.
    pub key: Vec<String>,
    /// How rows were paired: by the key, or by their content.
    pub by: PairedBy,
    /// Whether the order of paired rows differs.
    pub reordered: bool,
    /// Number of rows on the old side.
    pub old_rows: u64,
    /// Number of rows on the new side.
    pub new_rows: u64,
    /// Columns only on the new side.
    pub columns_added: Vec<String>,
    /// Columns only on the old side.
    pub columns_removed: Vec<String>,
    /// Number of rows of the new side without a partner.
    pub rows_added: u64,
    /// Number of rows of the old side without a partner.
    pub rows_removed: u64,
    /// Number of paired rows with a differing cell in a common column.
    pub rows_changed: u64,
    /// Number of differing cells in these.
    pub cells_changed: u64,
    /// Number of differing cells by column; columns without any are left out.
    pub columns: Vec<ColumnChange>,
    /// The first changed rows, in the order of the old side.
    pub changed: Vec<RowChange>,
    /// Keys of the first added rows.
    pub added: Vec<Vec<String>>,
    /// Keys of the first removed rows.
    pub removed: Vec<Vec<String>>,
    /// Further remarks: no header, different delimiters, a different order of columns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A column with differing cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ColumnChange {
    /// Its name.
    pub column: String,
    /// Number of differing cells.
    pub cells: u64,
}

/// A row with differing cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RowChange {
    /// Its cells in the key columns, or its number from 1 if there is no key.
    pub key: Vec<String>,
    /// The differing cells.
    pub cells: Vec<CellChange>,
    /// The other cells of common columns, as on the new side: column and value; only as many as the limits ask for.
    #[serde(skip)]
    pub unchanged: Vec<(String, String)>,
}

/// A differing cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct CellChange {
    pub column: String,
    pub old: String,
    pub new: String,
}

/// Both sides as tables, and their common columns.
pub(crate) struct Pair<'a, 'c> {
    pub(crate) old: Sheet<'a, 'c>,
    pub(crate) new: Sheet<'a, 'c>,
    /// Common columns: name, index on the old side, index on the new side.
    pub(crate) both: Vec<(String, usize, usize)>,
    /// Key columns, as indexes into `both`; empty if there are none.
    pub(crate) key: Vec<usize>,
    /// How the requested key was used.
    pub(crate) key_use: KeyUse,
    /// Whether the key is the requested one.
    pub(crate) was_given: bool,
    pub(crate) has_header: bool,
}

impl<'a, 'c> Pair<'a, 'c> {
    /// Opens both sides and determines the key: the one from the options, or a detected one that does not contain `not_key`.
    pub(crate) fn open(
        kind: Kind,
        old: &'a mut Watched<'c>,
        new: &'a mut Watched<'c>,
        options: &Options,
        not_key: Option<&str>,
    ) -> Fit<Self> {
        let limits = &options.limits;
        let mut old = Sheet::open(kind, old, limits).map_err(|unfit| unfit.on("old"))?;
        let mut new = Sheet::open(kind, new, limits).map_err(|unfit| unfit.on("new"))?;
        let has_header = !Sheet::without_header(&mut old, &mut new);
        let in_new = |name: &String| new.header().iter().position(|other| other == name);
        let names = old.header().iter().enumerate();
        let both: Vec<_> = names.filter_map(|(at, name)| Some((name.clone(), at, in_new(name)?))).collect();
        if both.is_empty() {
            return Err(Unfit("the two tables have no column in common".to_owned()));
        }
        let place = |name: &String| both.iter().position(|(other, ..)| other == name);
        let lacking: Vec<String> = options.key.iter().filter(|name| place(name).is_none()).cloned().collect();
        let was_given = !options.key.is_empty() && lacking.is_empty();
        let key = if was_given {
            options.key.iter().filter_map(place).collect()
        } else {
            find_key(&mut old, &mut new, &both, not_key)?
        };
        let columns = both.iter().map(|(name, ..)| name.clone()).collect();
        Ok(Self { old, new, both, key, key_use: KeyUse { lacking, columns }, was_given, has_header })
    }

    /// Pairs the rows. A detected key that matches no row of the other side is discarded.
    pub(crate) fn rows(&mut self) -> Fit<rows::Paired> {
        let paired = rows::pair(self)?;
        if paired.is_disjoint() && !self.was_given && !self.key.is_empty() {
            self.key.clear();
            return rows::pair(self);
        }
        Ok(paired)
    }

    fn notes(&self, paired: &rows::Paired) -> Vec<String> {
        let mut notes = Vec::new();
        if paired.limited {
            notes.push(
                "rows that differ in a single cell were not matched: there are too many rows or columns".to_owned(),
            );
        }
        if !self.key_use.lacking.is_empty() {
            let names = self.key_use.lacking.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
            notes.push(format!("the key is ignored: column {} is not on both sides", names.join(", ")));
        }
        if !self.has_header {
            notes.push("there is no header: columns are named by number".to_owned());
        }
        if self.old.delimiter != self.new.delimiter {
            let name = |delimiter: u8| {
                if delimiter == b'\t' { "a tab".to_owned() } else { format!("`{}`", delimiter as char) }
            };
            let (old, new) = (name(self.old.delimiter), name(self.new.delimiter));
            notes.push(format!("the separator changed: {old} → {new}"));
        }
        if self.both.windows(2).any(|pair| pair[0].2 > pair[1].2) {
            notes.push("columns are in another order".to_owned());
        }
        notes
    }
}

pub(crate) fn compare<'c>(
    kind: Kind,
    old: &mut Watched<'c>,
    new: &mut Watched<'c>,
    options: &Options,
) -> Fit<(TableDiff, KeyUse)> {
    let mut pair = Pair::open(kind, old, new, options, None)?;
    let paired = pair.rows()?;
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|name| !other.contains(name)).cloned().collect()
    };
    let mut found = TableDiff {
        key: pair.key.iter().map(|at| pair.both[*at].0.clone()).collect(),
        by: if pair.key.is_empty() { PairedBy::Content } else { PairedBy::Key },
        reordered: paired.reordered,
        old_rows: paired.old_rows,
        new_rows: paired.new_rows,
        columns_added: only(pair.new.header(), pair.old.header()),
        columns_removed: only(pair.old.header(), pair.new.header()),
        rows_added: paired.added.len() as u64,
        rows_removed: paired.removed.len() as u64,
        rows_changed: paired.changed.len() as u64,
        notes: pair.notes(&paired),
        ..TableDiff::default()
    };
    cells::fill(&mut found, &mut pair, &paired, &options.limits)?;
    Ok((found, pair.key_use))
}
