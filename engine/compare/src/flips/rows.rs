//! One column of two tables: in which rows its value changed.

use std::collections::{BTreeMap, HashMap};

use super::{FileFlips, Flip, NoRecords};
use crate::content::Watched;
use crate::error::{Fit, Unfit};
use crate::kind::Kind;
use crate::limits::Limits;
use crate::options::{KeyUse, Options};
use crate::table::{Pair, Paired, Sheet, TableDiff, cells};
use crate::value::{canonical_cell, shown_cell};

/// Maximum number of distinct values in a column.
const VALUES: usize = 100_000;

/// Each distinct value once.
#[derive(Default)]
struct Values {
    numbers: HashMap<(u8, Vec<u8>), u32>,
    texts: Vec<String>,
}

impl Values {
    fn number(&mut self, value: &[u8]) -> Fit<u32> {
        let (sort, text) = canonical_cell(value);
        let named = (sort, text.into_owned());
        if let Some(number) = self.numbers.get(&named) {
            return Ok(*number);
        }
        if self.texts.len() >= VALUES {
            return Err(Unfit(format!("too much: the column has more than {VALUES} different values")));
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(shown_cell(value));
        self.numbers.insert(named, number);
        Ok(number)
    }

    fn text(&self, number: u32) -> String {
        self.texts[number as usize].clone()
    }
}

/// The index of a column; the error lists the existing ones.
fn column(sheet: &Sheet<'_, '_>, name: &str) -> Result<usize, NoRecords> {
    let place = sheet.header().iter().position(|other| other == name);
    place.ok_or_else(|| NoRecords { why: format!("there is no column `{name}`"), fields: sheet.header().to_vec() })
}

/// Number of rows for each value of a column in one table.
pub(crate) fn values(
    kind: Kind,
    side: &mut Watched<'_>,
    field: &str,
    limits: &Limits,
) -> Result<BTreeMap<String, u64>, NoRecords> {
    let mut sheet = Sheet::open(kind, side, limits)?;
    let at = column(&sheet, field)?;
    let (mut values, mut counts) = (Values::default(), HashMap::<u32, u64>::new());
    sheet.each(|_, row| {
        *counts.entry(values.number(row.get(at).unwrap_or_default())?).or_default() += 1;
        Ok(true)
    })?;
    Ok(counts.into_iter().map(|(number, count)| (values.text(number), count)).collect())
}

/// Compares a column, row by row. The column itself is never used as a key.
pub(crate) fn flips<'c>(
    kind: Kind,
    old: &mut Watched<'c>,
    new: &mut Watched<'c>,
    field: &str,
    options: &Options,
) -> Result<(FileFlips, KeyUse), NoRecords> {
    let mut pair = Pair::open(kind, old, new, options, Some(field))?;
    let (old_at, new_at) = (column(&pair.old, field)?, column(&pair.new, field)?);
    let paired = pair.rows()?;
    let mut values = Values::default();
    let old_values = column_values(&mut pair.old, old_at, &mut values)?;
    let new_values = column_values(&mut pair.new, new_at, &mut values)?;
    let (mut found, mut unchanged) = (FileFlips::default(), HashMap::<u32, u64>::new());
    let mut flipped = Vec::new();
    for (old, new) in paired.equal.iter().chain(&paired.changed) {
        let (old_value, new_value) = (old_values[*old as usize], new_values[*new as usize]);
        if old_value == new_value {
            *unchanged.entry(old_value).or_default() += 1;
        } else {
            *found.moves.entry((values.text(old_value), values.text(new_value))).or_default() += 1;
            flipped.push((*old, *new));
        }
    }
    found.unchanged = unchanged.into_iter().map(|(value, count)| (values.text(value), count)).collect();
    paired
        .removed
        .iter()
        .for_each(|row| *found.old_only.entry(values.text(old_values[*row as usize])).or_default() += 1);
    paired.added.iter().for_each(|row| *found.new_only.entry(values.text(new_values[*row as usize])).or_default() += 1);
    flipped.sort_unstable();
    flipped.truncate(options.limits.listed);
    let mut told = TableDiff::default();
    cells::fill(&mut told, &mut pair, &Paired { changed: flipped.clone(), ..Paired::default() }, &options.limits)?;
    for ((old, new), row) in flipped.into_iter().zip(told.changed) {
        let fields = row.cells.into_iter().filter(|cell| cell.column != field).collect();
        let (old, new) = (values.text(old_values[old as usize]), values.text(new_values[new as usize]));
        found.flipped.push(Flip { key: row.key, old, new, fields, fields_left_out: 0 });
    }
    Ok((found, pair.key_use))
}

/// The value of each row.
fn column_values(sheet: &mut Sheet<'_, '_>, at: usize, values: &mut Values) -> Fit<Vec<u32>> {
    let mut found = Vec::new();
    sheet.each(|_, row| {
        found.push(values.number(row.get(at).unwrap_or_default())?);
        Ok(true)
    })?;
    Ok(found)
}
