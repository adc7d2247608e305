//! Which columns tell rows apart.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use csv::ByteRecord;

use super::read::Sheet;
use crate::error::{Fit, Unfit};

/// Leading columns that are tried.
const TRIED: usize = 8;

/// Hashes cells, so that two rows with other cells have other hashes but for a chance of one in 2^64 or 2^128.
#[derive(Clone, Default)]
pub(crate) struct Hash {
    states: [RandomState; 2],
}

impl Hash {
    /// A hash for comparing two rows that are paired already.
    pub(super) fn short(&self, row: &ByteRecord, columns: &[usize]) -> u64 {
        hash(&self.states[0], row, columns)
    }

    /// A hash for finding a row among all.
    pub(super) fn long(&self, row: &ByteRecord, columns: &[usize]) -> u128 {
        let [one, other] = &self.states;
        u128::from(hash(one, row, columns)) << 64 | u128::from(hash(other, row, columns))
    }
}

fn hash(state: &RandomState, row: &ByteRecord, columns: &[usize]) -> u64 {
    let mut hasher = state.build_hasher();
    for at in columns {
        let cell = row.get(*at).unwrap_or_default();
        hasher.write_usize(cell.len());
        hasher.write(cell);
    }
    hasher.finish()
}

/// Places among `names` of the columns that were given; `None` when none were.
pub(crate) fn columns_named(given: &[String], names: &[&str]) -> Fit<Option<Vec<usize>>> {
    if given.is_empty() {
        return Ok(None);
    }
    let place = |name: &String| {
        let place = names.iter().position(|other| other == name);
        place.ok_or_else(|| Unfit(format!("there is no column `{name}` on both sides")))
    };
    given.iter().map(place).collect::<Fit<_>>().map(Some)
}

/// The fewest leading columns of the old side, as places in `both`, that no two rows of a side share; none when even the first
/// eight are shared.
pub(crate) fn find(
    old: &mut Sheet<'_, '_>,
    new: &mut Sheet<'_, '_>,
    both: &[(String, usize, usize)],
) -> Fit<Vec<usize>> {
    // Behind a column that only the old side has there is no leading one.
    let leading = both.iter().enumerate().take_while(|(at, (_, old, _))| at == old).count().min(TRIED);
    let hash = Hash::default();
    for count in 1..=leading {
        let places = |side: fn(&(String, usize, usize)) -> usize| both[..count].iter().map(side).collect::<Vec<_>>();
        let (old_places, new_places) = (places(|(_, at, _)| *at), places(|(.., at)| *at));
        if is_unique(old, &hash, &old_places).map_err(|unfit| unfit.on("old"))?
            && is_unique(new, &hash, &new_places).map_err(|unfit| unfit.on("new"))?
        {
            return Ok((0..count).collect());
        }
    }
    Ok(Vec::new())
}

fn is_unique(sheet: &mut Sheet<'_, '_>, hash: &Hash, columns: &[usize]) -> Fit<bool> {
    let mut seen = HashSet::new();
    let mut unique = true;
    sheet.each(|_, row| {
        unique = seen.insert(hash.long(row, columns));
        Ok(unique)
    })?;
    Ok(unique)
}
