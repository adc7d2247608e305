//! Which rows belong together, and which of these differ.

use std::cmp::Ordering;

use super::Pair;
use super::key::Hash;
use super::read::Sheet;
use crate::error::Fit;

/// The rows of two tables, by their numbers from 0.
#[derive(Debug, Default)]
pub(super) struct Paired {
    pub(super) old_rows: u64,
    pub(super) new_rows: u64,
    /// Rows of both sides of which a cell differs, in the order of the old side.
    pub(super) changed: Vec<(u32, u32)>,
    /// Rows of the new side alone, in order.
    pub(super) added: Vec<u32>,
    /// Rows of the old side alone, in order.
    pub(super) removed: Vec<u32>,
}

impl Paired {
    /// Whether both sides have rows, and no two belong together.
    pub(super) fn is_disjoint(&self) -> bool {
        let added = self.added.len() as u64;
        added > 0 && added == self.new_rows && self.removed.len() as u64 == self.old_rows && self.old_rows > 0
    }
}

/// What is kept of a row.
struct Row {
    key: u128,
    content: u64,
    number: u32,
}

/// Pairs rows by key; of several with one key the first with the first, and so on.
pub(super) fn pair(pair: &mut Pair<'_, '_>) -> Fit<Paired> {
    let hash = Hash::default();
    let places = |key_only: bool, is_old: bool| -> Vec<usize> {
        let place = |(_, old, new): &(String, usize, usize)| if is_old { *old } else { *new };
        if key_only {
            pair.key.iter().map(|at| place(&pair.both[*at])).collect()
        } else {
            pair.both.iter().map(place).collect()
        }
    };
    let (old_key, old_all, new_key, new_all) =
        (places(true, true), places(false, true), places(true, false), places(false, false));
    let old = rows(&mut pair.old, &hash, &old_key, &old_all).map_err(|unfit| unfit.on("old"))?;
    let new = rows(&mut pair.new, &hash, &new_key, &new_all).map_err(|unfit| unfit.on("new"))?;
    let mut paired = Paired { old_rows: old.len() as u64, new_rows: new.len() as u64, ..Paired::default() };
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.key.cmp(&new.key),
        };
        let from_old = if order == Ordering::Greater { None } else { old.next() };
        let from_new = if order == Ordering::Less { None } else { new.next() };
        match (from_old, from_new) {
            (Some(old), Some(new)) if old.content != new.content => paired.changed.push((old.number, new.number)),
            (Some(old), None) => paired.removed.push(old.number),
            (None, Some(new)) => paired.added.push(new.number),
            _ => {}
        }
    }
    paired.changed.sort_unstable();
    paired.added.sort_unstable();
    paired.removed.sort_unstable();
    Ok(paired)
}

/// All rows of a side, sorted by key, then number.
fn rows(sheet: &mut Sheet<'_, '_>, hash: &Hash, key: &[usize], all: &[usize]) -> Fit<Vec<Row>> {
    let mut rows = Vec::new();
    sheet.each(|number, row| {
        let found_by = if key.is_empty() { u128::from(number) } else { hash.long(row, key) };
        rows.push(Row { key: found_by, content: hash.short(row, all), number });
        Ok(true)
    })?;
    rows.sort_unstable_by_key(|row| (row.key, row.number));
    Ok(rows)
}
