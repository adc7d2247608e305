//! One column of two tables: which rows have another value there.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use super::key::Hash;
use super::read::{Sheet, delimiter};
use super::rows::Paired;
use super::{Pair, TableDiff, cells};
use crate::Options;
use crate::content::Watched;
use crate::error::{Fit, Unfit};
use crate::flips::{FileFlips, Flip};
use crate::kind::Kind;
use crate::limits::Limits;

/// Different values of a column.
const VALUES: usize = 100_000;

/// Each different value once.
#[derive(Default)]
struct Values {
    numbers: HashMap<Vec<u8>, u32>,
    texts: Vec<String>,
}

impl Values {
    fn number(&mut self, value: &[u8]) -> Fit<u32> {
        if let Some(number) = self.numbers.get(value) {
            return Ok(*number);
        }
        if self.texts.len() >= VALUES {
            return Err(Unfit(format!("too much: the column has more than {VALUES} different values")));
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(String::from_utf8_lossy(value).into_owned());
        self.numbers.insert(value.to_vec(), number);
        Ok(number)
    }

    fn text(&self, number: u32) -> String {
        self.texts[number as usize].clone()
    }
}

struct Row {
    key: u128,
    number: u32,
    value: u32,
}

fn column(sheet: &Sheet<'_, '_>, name: &str) -> Fit<usize> {
    let place = sheet.header().iter().position(|other| other == name);
    place.ok_or_else(|| Unfit(format!("there is no column `{name}`")))
}

/// How many rows of one table have which value.
pub(crate) fn values(kind: Kind, side: &mut Watched<'_>, field: &str, limits: &Limits) -> Fit<BTreeMap<String, u64>> {
    let delimiter = delimiter(kind, side)?;
    let mut sheet = Sheet::open(side, delimiter, limits)?;
    let at = column(&sheet, field)?;
    let (mut values, mut counts) = (Values::default(), HashMap::<u32, u64>::new());
    sheet.each(|_, row| {
        *counts.entry(values.number(row.get(at).unwrap_or_default())?).or_default() += 1;
        Ok(true)
    })?;
    Ok(counts.into_iter().map(|(number, count)| (values.text(number), count)).collect())
}

/// Compares a column, row by row.
pub(crate) fn flips<'c>(
    kind: Kind,
    old: &mut Watched<'c>,
    new: &mut Watched<'c>,
    field: &str,
    options: &Options,
) -> Fit<FileFlips> {
    let mut pair = Pair::open(kind, old, new, options)?;
    let (old_at, new_at) = (column(&pair.old, field)?, column(&pair.new, field)?);
    // A decision does not tell records apart.
    if options.key.is_empty() {
        let both = &pair.both;
        if pair.key.iter().any(|at| both[*at].0 == field) {
            pair.key.clear();
        }
    }
    let (old_key, new_key): (Vec<usize>, Vec<usize>) =
        pair.key.iter().map(|at| (pair.both[*at].1, pair.both[*at].2)).unzip();
    let (hash, mut values) = (Hash::default(), Values::default());
    let old_rows = rows(&mut pair.old, &hash, &old_key, old_at, &mut values)?;
    let new_rows = rows(&mut pair.new, &hash, &new_key, new_at, &mut values)?;
    let mut found = FileFlips::default();
    let mut flipped = join(old_rows, new_rows, &values, &mut found);
    flipped.sort_unstable_by_key(|(old, _)| old.number);
    flipped.truncate(options.limits.listed);
    let changed = flipped.iter().map(|(old, new)| (old.number, new.number)).collect();
    let mut told = TableDiff::default();
    cells::fill(&mut told, &mut pair, &Paired { changed, ..Paired::default() }, &options.limits)?;
    for ((old, new), row) in flipped.into_iter().zip(told.changed) {
        let fields = row.cells.into_iter().filter(|cell| cell.column != field).collect();
        let (old, new) = (values.text(old.value), values.text(new.value));
        found.flipped.push(Flip { key: row.key, old, new, fields });
    }
    Ok(found)
}

fn rows(sheet: &mut Sheet<'_, '_>, hash: &Hash, key: &[usize], at: usize, values: &mut Values) -> Fit<Vec<Row>> {
    let mut rows = Vec::new();
    sheet.each(|number, row| {
        let key = if key.is_empty() { u128::from(number) } else { hash.long(row, key) };
        rows.push(Row { key, number, value: values.number(row.get(at).unwrap_or_default())? });
        Ok(true)
    })?;
    rows.sort_unstable_by_key(|row| (row.key, row.number));
    Ok(rows)
}

/// Counts all rows, and returns those with another value.
fn join(old: Vec<Row>, new: Vec<Row>, values: &Values, found: &mut FileFlips) -> Vec<(Row, Row)> {
    let mut flipped = Vec::new();
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    let mut unchanged = HashMap::<u32, u64>::new();
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
            (Some(old), Some(new)) if old.value == new.value => *unchanged.entry(old.value).or_default() += 1,
            (Some(old), Some(new)) => {
                *found.moves.entry((values.text(old.value), values.text(new.value))).or_default() += 1;
                flipped.push((old, new));
            }
            (Some(old), None) => *found.old_only.entry(values.text(old.value)).or_default() += 1,
            (None, Some(new)) => *found.new_only.entry(values.text(new.value)).or_default() += 1,
            (None, None) => {}
        }
    }
    found.unchanged = unchanged.into_iter().map(|(value, count)| (values.text(value), count)).collect();
    flipped
}
