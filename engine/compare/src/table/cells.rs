//! The differences within the changed rows.

use std::collections::HashMap;

use csv::ByteRecord;

use super::rows::Paired;
use super::{CellChange, ColumnChange, Pair, RowChange, TableDiff};
use crate::error::Fit;
use crate::limits::Limits;
use crate::text::{lossless, shortened, shortened_pair};
use crate::value::canonical_cell;

/// Reads the changed rows again and reports their differences. Holds one batch of changed rows of the old side at a time; for each batch
/// the new side is read once.
pub(crate) fn fill(found: &mut TableDiff, pair: &mut Pair<'_, '_>, paired: &Paired, limits: &Limits) -> Fit<()> {
    let mut counts = vec![0; pair.both.len()];
    let mut left = paired.changed.as_slice();
    while !left.is_empty() {
        let (held, count) = hold(pair, left, limits)?;
        compare(found, pair, &held, &left[..count], &mut counts, limits)?;
        left = &left[count..];
    }
    found.cells_changed = counts.iter().sum();
    let columns = pair.both.iter().zip(counts).filter(|(_, cells)| *cells > 0);
    found.columns = columns.map(|((column, ..), cells)| ColumnChange { column: column.clone(), cells }).collect();
    let (old_places, new_places): (Vec<usize>, Vec<usize>) =
        pair.key.iter().map(|at| (pair.both[*at].1, pair.both[*at].2)).unzip();
    found.removed = keys(&mut pair.old, &paired.removed, &old_places, limits)?;
    found.added = keys(&mut pair.new, &paired.added, &new_places, limits)?;
    Ok(())
}

/// Rows of the old side, by the number of their partner on the new side.
type Held = HashMap<u32, ByteRecord>;

/// As many of the first `changed` rows as memory allows, at least one, and their number.
fn hold(pair: &mut Pair<'_, '_>, changed: &[(u32, u32)], limits: &Limits) -> Fit<(Held, usize)> {
    let mut held = Held::new();
    let mut bytes = 0;
    pair.old.each(|number, row| {
        let Some((old, new)) = changed.get(held.len()) else { return Ok(false) };
        if *old == number {
            bytes += row.as_slice().len() + row.len() * size_of::<usize>() + size_of::<ByteRecord>();
            held.insert(*new, row.clone());
        }
        Ok(bytes < limits.held_bytes && held.len() < changed.len())
    })?;
    let count = held.len().max(1);
    Ok((held, count))
}

fn compare(
    found: &mut TableDiff,
    pair: &mut Pair<'_, '_>,
    held: &Held,
    changed: &[(u32, u32)],
    counts: &mut [u64],
    limits: &Limits,
) -> Fit<()> {
    let Pair { new, both, key, .. } = pair;
    // The rows to list: the first of the old side.
    let room = limits.listed - found.changed.len().min(limits.listed);
    let told: HashMap<u32, u32> = changed.iter().take(room).map(|(old, new)| (*new, *old)).collect();
    let mut rows: Vec<(u32, RowChange)> = Vec::new();
    let mut left = held.len();
    new.each(|number, row| {
        let Some(old_row) = held.get(&number) else { return Ok(true) };
        let (mut cells, mut unchanged) = (Vec::new(), Vec::new());
        for ((column, old_at, new_at), count) in both.iter().zip(counts.iter_mut()) {
            let (old, new) = (old_row.get(*old_at).unwrap_or_default(), row.get(*new_at).unwrap_or_default());
            if old == new || canonical_cell(old) == canonical_cell(new) {
                if unchanged.len() < limits.unchanged_cells && told.contains_key(&number) {
                    unchanged.push((column.clone(), shortened(&lossless(new), limits.shown_characters)));
                }
                continue;
            }
            *count += 1;
            if told.contains_key(&number) {
                let (old, new) = shortened_pair(&lossless(old), &lossless(new), limits.shown_characters);
                cells.push(CellChange { column: column.clone(), old, new });
            }
        }
        if let Some(old_number) = told.get(&number) {
            let places: Vec<usize> = key.iter().map(|at| both[*at].1).collect();
            let key = key_of(old_row, *old_number, &places, limits);
            rows.push((*old_number, RowChange { key, cells, unchanged }));
        }
        left -= 1;
        Ok(left > 0)
    })?;
    rows.sort_by_key(|(old_number, _)| *old_number);
    found.changed.extend(rows.into_iter().map(|(_, row)| row));
    Ok(())
}

/// The keys of the first of these rows.
fn keys(sheet: &mut super::Sheet<'_, '_>, numbers: &[u32], places: &[usize], limits: &Limits) -> Fit<Vec<Vec<String>>> {
    let wanted = &numbers[..numbers.len().min(limits.listed)];
    let mut keys = Vec::with_capacity(wanted.len());
    if wanted.is_empty() {
        return Ok(keys);
    }
    sheet.each(|number, row| {
        if wanted[keys.len()] == number {
            keys.push(key_of(row, number, places, limits));
        }
        Ok(keys.len() < wanted.len())
    })?;
    Ok(keys)
}

fn key_of(row: &ByteRecord, number: u32, places: &[usize], limits: &Limits) -> Vec<String> {
    if places.is_empty() {
        return vec![(u64::from(number) + 1).to_string()];
    }
    places.iter().map(|at| text(row.get(*at).unwrap_or_default(), limits)).collect()
}

fn text(cell: &[u8], limits: &Limits) -> String {
    shortened(&lossless(cell), limits.shown_characters)
}
