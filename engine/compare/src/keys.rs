//! Detects which columns, or fields of records, identify rows.
//!
//! A key is a set of columns such that no two different rows of a side have the same values there. Of several keys, the one that pairs the
//! most rows with the other side wins; among equals, the one with a name like `id`, then the leftmost one. Measurements (numbers with
//! digits after the decimal point) are never keys, and neither is a column that only counts the rows, unless it has such a name. A few
//! identical rows count as one: a table with some duplicate lines still has its key, but a log that repeats the same few lines has none.

use crate::error::Fit;

/// Number of rows of each side examined before all are.
pub(crate) const LOOKED_AT: usize = 4000;
/// Maximum number of columns tried.
pub(crate) const COLUMNS: usize = 64;
/// Maximum number of keys tried on all rows.
const TRIED: usize = 4;
/// Number of columns whose pairs are tried, and the maximum number of leading columns.
const PAIRED: usize = 6;
const LEADING: usize = 8;
/// A column that counts this many rows does not do so by chance.
const COUNTED: u64 = 10;

/// A row's hash over its key, and over all its cells.
pub(crate) type Named = (u64, u64);

/// What is known of a column from the first rows.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Whether it cannot be a key: a value is a measurement or missing, or there is another reason.
    pub(crate) is_out: bool,
}

/// The best key, as indexes into `columns`; `None` if there is none. `rows` returns the hashes of both sides' rows by some columns: of all
/// rows, or of the first of each side.
pub(crate) fn find(
    columns: &[Column],
    mut rows: impl FnMut(&[usize], bool) -> Fit<[Vec<Named>; 2]>,
) -> Fit<Vec<usize>> {
    let mut open: Vec<usize> = (0..columns.len().min(COLUMNS)).filter(|at| !columns[*at].is_out).collect();
    // A stable sort: columns with a key-like name come first, and within each group the leftmost.
    open.sort_by_key(|at| !is_named_so(&columns[*at].name));
    let singles: Vec<Vec<usize>> = open.iter().map(|at| vec![*at]).collect();
    if let Some(key) = best(&singles, columns, &mut rows)? {
        return Ok(key);
    }
    open.sort_unstable();
    best(&several(&open), columns, &mut rows).map(Option::unwrap_or_default)
}

/// Sets of two or more columns: leading ones, then pairs.
fn several(open: &[usize]) -> Vec<Vec<usize>> {
    let mut sets: Vec<Vec<usize>> = (2..=open.len().min(LEADING)).map(|count| open[..count].to_vec()).collect();
    for (at, one) in open.iter().enumerate().take(PAIRED) {
        sets.extend(open[at + 1..].iter().take(PAIRED).map(|other| vec![*one, *other]));
    }
    sets.sort_by_key(Vec::len);
    sets.dedup();
    sets
}

fn best(
    sets: &[Vec<usize>],
    columns: &[Column],
    rows: &mut impl FnMut(&[usize], bool) -> Fit<[Vec<Named>; 2]>,
) -> Fit<Option<Vec<usize>>> {
    let mut tried = 0;
    let mut found: Option<(usize, &Vec<usize>)> = None;
    // A key of all columns pairs only equal rows, which were already paired.
    for set in sets.iter().filter(|set| set.len() < columns.len()) {
        if !are_unique(&mut rows(set, false)?) {
            continue;
        }
        let mut all = rows(set, true)?;
        if !are_unique(&mut all) {
            continue;
        }
        let [old, new] = &all;
        let (again, fewest) = (shared(old, new), distinct(old).min(distinct(new)));
        // A column with few values can only identify rows if there are few different rows.
        let is_coarse = |side: &[Named]| distinct(side) * 2 <= side.len() && !side.is_empty();
        if is_coarse(old) || is_coarse(new) {
            continue;
        }
        let is_enough = again * 2 >= fewest || again > 0 && set.iter().any(|at| is_named_so(&columns[*at].name));
        if is_enough && again > 0 && found.is_none_or(|(most, _)| again > most) {
            found = Some((again, set));
        }
        tried += 1;
        if tried >= TRIED || again == fewest && again > 0 {
            break;
        }
    }
    Ok(found.map(|(_, set)| set.clone()))
}

/// Whether no two different rows of a side have the same key. Sorts them.
fn are_unique(sides: &mut [Vec<Named>; 2]) -> bool {
    sides.iter_mut().all(|side| {
        side.sort_unstable();
        side.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].1 == pair[1].1)
    })
}

fn distinct(side: &[Named]) -> usize {
    side.chunk_by(|one, other| one.0 == other.0).count()
}

/// Number of keys that both sorted sides have.
fn shared(old: &[Named], new: &[Named]) -> usize {
    let keys = |side: &[Named]| side.chunk_by(|one, other| one.0 == other.0).map(|rows| rows[0].0).collect::<Vec<_>>();
    let (old, new) = (keys(old), keys(new));
    old.iter().filter(|key| new.binary_search(key).is_ok()).count()
}

/// Detects whether a column only counts the rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counter {
    rows: u64,
    first: u64,
    broken: bool,
}

impl Counter {
    /// Takes the column's value in the next row; `None` if it is not a whole number.
    pub(crate) fn see(&mut self, value: Option<u64>) {
        match value {
            Some(first) if self.rows == 0 && first < 2 => self.first = first,
            Some(value) if self.rows > 0 && value == self.first + self.rows => {}
            _ => self.broken = true,
        }
        self.rows += 1;
    }

    /// Whether it counts the rows of a table that is not small, and has no key-like name.
    pub(crate) fn counts_rows(&self, name: &str) -> bool {
        !self.broken && self.rows >= COUNTED && !is_named_so(name)
    }
}

/// Whether a column's name is typical of keys.
fn is_named_so(name: &str) -> bool {
    const WHOLE: [&str; 9] = ["id", "key", "uuid", "guid", "name", "path", "file", "filename", "image"];
    const ENDS: [&str; 6] = ["_id", "-id", ".id", " id", "_key", "_uuid"];
    let lower = name.to_lowercase();
    WHOLE.contains(&&*lower)
        || ENDS.iter().any(|end| lower.ends_with(end))
        || name.ends_with("Id")
        || name.ends_with("ID")
}
