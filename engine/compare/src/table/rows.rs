//! Pairs the rows of two tables, and finds the pairs that differ.
//!
//! Equal rows are paired first, whatever their positions; then those with the same key or, without a key, those that differ in only one
//! cell; then, without a key, if the counts are equal and none of these moved, those with the same number.

use super::Pair;
use super::key::{Hash, fixed_hash};
use super::read::Sheet;
use crate::error::Fit;
use crate::pairing::join;
use crate::sequence::{is_in_order, is_reordered};

/// Maximum number of cells of unpaired rows in memory during the search for rows that differ in only one cell.
const CELLS: usize = 8 << 20;
/// Maximum number of columns for that search.
const COLUMNS: usize = 64;

/// The paired rows of two tables, by their numbers from 0.
#[derive(Debug, Default)]
pub(crate) struct Paired {
    pub(crate) old_rows: u64,
    pub(crate) new_rows: u64,
    /// Pairs that are equal in all common columns.
    pub(crate) equal: Vec<(u32, u32)>,
    /// Pairs with a differing cell, in the order of the old side.
    pub(crate) changed: Vec<(u32, u32)>,
    /// Rows only on the new side, in order.
    pub(crate) added: Vec<u32>,
    /// Rows only on the old side, in order.
    pub(crate) removed: Vec<u32>,
    /// Whether the order of paired rows differs.
    pub(crate) reordered: bool,
    /// Whether the search for rows that differ in only one cell was skipped, because there are too many rows or columns.
    pub(crate) limited: bool,
}

impl Paired {
    /// Whether both sides have rows, but none are paired.
    pub(crate) fn is_disjoint(&self) -> bool {
        self.equal.is_empty() && self.changed.is_empty() && self.old_rows > 0 && self.new_rows > 0
    }

    /// Pairs rows with equal hashes; the lists are sorted by hash.
    fn take(&mut self, old: &[(u128, u32)], new: &[(u128, u32)]) -> Vec<(u32, u32)> {
        let pairs = join(old, new);
        without(&mut self.removed, pairs.iter().map(|(old, _)| *old).collect());
        without(&mut self.added, pairs.iter().map(|(_, new)| *new).collect());
        pairs
    }
}

fn without(rows: &mut Vec<u32>, mut taken: Vec<u32>) {
    taken.sort_unstable();
    rows.retain(|row| taken.binary_search(row).is_err());
}

/// Pairs all rows.
pub(crate) fn pair(pair: &mut Pair<'_, '_>) -> Fit<Paired> {
    let hash = Hash::default();
    let (old_all, new_all): (Vec<usize>, Vec<usize>) = pair.both.iter().map(|(_, old, new)| (*old, *new)).unzip();
    let old = names(&mut pair.old, None, |row| hash.name(row, &old_all)).map_err(|unfit| unfit.on("old"))?;
    let new = names(&mut pair.new, None, |row| hash.name(row, &new_all)).map_err(|unfit| unfit.on("new"))?;
    let count = |rows: &[(u128, u32)]| u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let mut paired = Paired {
        old_rows: old.len() as u64,
        new_rows: new.len() as u64,
        removed: (0..count(&old)).collect(),
        added: (0..count(&new)).collect(),
        ..Paired::default()
    };
    paired.equal = paired.take(&old, &new);
    let repeats = (has_repeats(&old) || has_repeats(&new)).then(|| (by_row(&old), by_row(&new)));
    drop((old, new));
    pair_others(pair, &mut paired, &hash, (&old_all, &new_all))?;
    paired.reordered = has_other_order(&paired, repeats);
    Ok(paired)
}

/// Whether the order of the pairs differs; among duplicates any may be the partner.
fn has_other_order(paired: &Paired, repeats: Option<(Vec<u64>, Vec<u64>)>) -> bool {
    if is_in_order(paired.equal.iter().chain(&paired.changed).copied()) {
        return false;
    }
    let Some((mut old, mut new)) = repeats else { return true };
    for (name, (old_row, new_row)) in (0..).zip(&paired.changed) {
        (old[*old_row as usize], new[*new_row as usize]) = (name, name);
    }
    is_reordered(&old, &new, paired.equal.len() + paired.changed.len())
}

fn has_repeats(sorted: &[(u128, u32)]) -> bool {
    sorted.windows(2).any(|pair| pair[0].0 == pair[1].0)
}

/// Hashes in row order; half of each is enough to compare the order.
fn by_row(names: &[(u128, u32)]) -> Vec<u64> {
    let mut names: Vec<(u32, u64)> = names.iter().map(|(name, row)| (*row, *name as u64)).collect();
    names.sort_unstable();
    names.into_iter().map(|(_, name)| name).collect()
}

/// Pairs rows that are not equal.
fn pair_others(
    pair: &mut Pair<'_, '_>,
    paired: &mut Paired,
    hash: &Hash,
    (old_all, new_all): (&[usize], &[usize]),
) -> Fit<()> {
    let places = |all: &[usize]| pair.key.iter().map(|at| all[*at]).collect::<Vec<_>>();
    let (old_key, new_key) = (places(old_all), places(new_all));
    if paired.removed.is_empty() || paired.added.is_empty() {
        return Ok(());
    }
    if pair.key.is_empty() {
        nearly_equal(pair, paired, (old_all, new_all))?;
        by_number(paired);
    } else {
        let old = names(&mut pair.old, Some(&paired.removed), |row| hash.name(row, &old_key))?;
        let new = names(&mut pair.new, Some(&paired.added), |row| hash.name(row, &new_key))?;
        paired.changed = paired.take(&old, &new);
    }
    paired.changed.sort_unstable();
    Ok(())
}

/// Hashes of all or some rows, sorted; equal hashes by row number.
fn names(
    sheet: &mut Sheet<'_, '_>,
    rows: Option<&[u32]>,
    name: impl Fn(&csv::ByteRecord) -> u128,
) -> Fit<Vec<(u128, u32)>> {
    let mut names = Vec::new();
    sheet.each(|number, row| {
        if rows.is_none_or(|rows| rows.binary_search(&number).is_ok()) {
            names.push((name(row), number));
        }
        Ok(rows.is_none_or(|rows| names.len() < rows.len()))
    })?;
    names.sort_unstable();
    Ok(names)
}

/// Pairs rows that differ in only one cell, column by column. The result depends on their content, not on their positions.
fn nearly_equal(pair: &mut Pair<'_, '_>, paired: &mut Paired, (old_all, new_all): (&[usize], &[usize])) -> Fit<()> {
    let columns = pair.both.len();
    let cells = (paired.removed.len() + paired.added.len()).saturating_mul(columns);
    if !(2..=COLUMNS).contains(&columns) || cells > CELLS {
        paired.limited = columns > 1;
        return Ok(());
    }
    let old = Cells::read(&mut pair.old, &paired.removed, old_all)?;
    let new = Cells::read(&mut pair.new, &paired.added, new_all)?;
    let mut by_name: Vec<usize> = (0..columns).collect();
    by_name.sort_by_key(|at| &pair.both[*at].0);
    for column in by_name {
        let (old, new) = (old.without(column, &paired.removed), new.without(column, &paired.added));
        let pairs = paired.take(&old, &new);
        paired.changed.extend(pairs);
    }
    Ok(())
}

/// Pairs rows with the same number, if both sides have equally many rows and none has moved so far.
fn by_number(paired: &mut Paired) {
    let has_moved = paired.equal.iter().chain(&paired.changed).any(|(old, new)| old != new);
    if paired.old_rows == paired.new_rows && !has_moved {
        let names = |rows: &[u32]| rows.iter().map(|row| (u128::from(*row), *row)).collect::<Vec<_>>();
        let (old, new) = (names(&paired.removed), names(&paired.added));
        let pairs = paired.take(&old, &new);
        paired.changed.extend(pairs);
    }
}

/// Hashes of the cells of some rows.
struct Cells {
    rows: Vec<u32>,
    columns: usize,
    hashes: Vec<u64>,
}

impl Cells {
    fn read(sheet: &mut Sheet<'_, '_>, rows: &[u32], places: &[usize]) -> Fit<Self> {
        let mut found = Self { rows: rows.to_vec(), columns: places.len(), hashes: Vec::new() };
        let mut left = rows.len();
        sheet.each(|number, row| {
            if rows.binary_search(&number).is_ok() {
                let cells = places.iter().enumerate();
                found.hashes.extend(cells.map(|(at, place)| fixed_hash(at, row.get(*place).unwrap_or_default())));
                left -= 1;
            }
            Ok(left > 0)
        })?;
        Ok(found)
    }

    /// The unpaired rows, hashed by all cells except one; equal hashes are sorted by that cell.
    fn without(&self, column: usize, open: &[u32]) -> Vec<(u128, u32)> {
        let rows = self.rows.iter().zip(self.hashes.chunks_exact(self.columns));
        let rows = rows.filter(|(row, _)| open.binary_search(row).is_ok());
        let sum = |cells: &[u64]| cells.iter().fold(0_u64, |sum, cell| sum.wrapping_add(*cell));
        let mut names: Vec<(u64, u64, u32)> =
            rows.map(|(row, cells)| (sum(cells).wrapping_sub(cells[column]), cells[column], *row)).collect();
        names.sort_unstable();
        names.into_iter().map(|(rest, _, row)| (u128::from(rest), row)).collect()
    }
}
