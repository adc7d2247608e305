//! Pairs the items of two lists.
//!
//! Lists of records (each item a mapping) are sets of rows, like tables:
//! 1. equal records are paired, whatever their positions;
//! 2. the others by their key, given or detected (`keys`); several with one key in their order;
//! 3. without a key, those that differ in only one field; then, if both lists are equally long and none of these moved, those at the same
//!    index;
//! 4. the rest was removed or added.
//!
//! All other lists are sequences: equally long ones are compared item by item, others by their longest common subsequence. Between common
//! items the first is paired with the first, and so on.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::Hasher;

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Fit;
use crate::keys::{self, Column, Counter, LOOKED_AT, Named};
use crate::sequence;
use crate::value::{Exact, Names, Node, feed};

/// Maximum number of fields of records that are compared field by field without a key; with more fields only equal records are paired.
const FIELDS: usize = 64;

/// How items or rows were paired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairedBy {
    /// By key columns or fields.
    Key,
    /// Equal ones first, then those that differ in only one place; then, if the counts are equal and none of these moved, by index.
    #[default]
    Content,
    /// In order.
    Sequence,
}

/// Options of a pairing.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    /// The given key fields; empty to detect them.
    pub(crate) key: &'a [String],
    /// A field that cannot be a key: the decision being compared.
    pub(crate) not_key: Option<&'a str>,
}

/// Which items belong together, by index from 0.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    pub(crate) by: PairedBy,
    pub(crate) key: Vec<String>,
    /// Whether a key was given that no record has.
    pub(crate) lacks_key: bool,
    pub(crate) equal: Vec<(usize, usize)>,
    /// In the order of the old side.
    pub(crate) changed: Vec<(usize, usize)>,
    pub(crate) removed: Vec<usize>,
    pub(crate) added: Vec<usize>,
    /// Whether the order of paired items differs.
    pub(crate) reordered: bool,
    /// Whether the search for records that differ in only one field was skipped, since they have too many.
    pub(crate) limited: bool,
}

/// Whether a list contains only records.
pub(crate) fn are_records(items: &[Node]) -> bool {
    items.iter().all(|item| item.entries().is_some())
}

/// Pairs the items of two lists.
pub(crate) fn pair(old: &[Node], new: &[Node], names: &Names, wanted: Wanted<'_>) -> Fit<Pairing> {
    let is_set = are_records(old) && are_records(new) && !(old.is_empty() && new.is_empty());
    if is_set { records(old, new, names, wanted) } else { Ok(in_sequence(old, new, names)) }
}

/// Pairs records.
fn records(old: &[Node], new: &[Node], names: &Names, wanted: Wanted<'_>) -> Fit<Pairing> {
    let has = |field: &String| old.iter().chain(new).any(|record| record.field(field).is_some());
    let lacks_key = !wanted.key.iter().all(has);
    let key = if wanted.key.is_empty() || lacks_key { find_key(old, new, wanted)? } else { wanted.key.to_vec() };
    let by = if key.is_empty() { PairedBy::Content } else { PairedBy::Key };
    let mut found = Pairing { by, key, lacks_key, ..Pairing::default() };
    let name = |side: &[Node]| side.iter().map(|item| names.of(item)).collect::<Vec<_>>();
    let (old_names, new_names) = (name(old), name(new));
    let numbered = |names: &[u128]| names.iter().copied().zip(0..).collect();
    let mut left = Left { old: (0..old.len()).collect(), new: (0..new.len()).collect(), limited: false };
    found.equal = left.take(numbered(&old_names), numbered(&new_names));
    if found.by == PairedBy::Key {
        let by_key = |side: &[Node], left: &[usize]| -> Vec<(u128, usize)> {
            left.iter().map(|at| (key_name(&side[*at], &found.key, names), *at)).collect()
        };
        let (old_names, new_names) = (by_key(old, &left.old), by_key(new, &left.new));
        found.changed = left.take(old_names, new_names);
    } else {
        found.changed = left.take_nearly_equal(old, new);
        let has_moved = found.equal.iter().chain(&found.changed).any(|(old, new)| old != new);
        if old.len() == new.len() && !has_moved {
            let by_number = |left: &[usize]| left.iter().map(|at| (*at as u128, *at)).collect();
            let (old_names, new_names) = (by_number(&left.old), by_number(&left.new));
            found.changed.extend(left.take(old_names, new_names));
        }
    }
    found.changed.sort_unstable();
    (found.removed, found.added, found.limited) = (left.old, left.new, left.limited);
    found.reordered = has_other_order(&found, old_names, new_names);
    Ok(found)
}

/// Whether the order of the pairs differs; among duplicates any may be the partner.
fn has_other_order(found: &Pairing, mut old: Vec<u128>, mut new: Vec<u128>) -> bool {
    if sequence::is_in_order(found.equal.iter().chain(&found.changed).copied()) {
        return false;
    }
    if !has_repeats(&old) && !has_repeats(&new) {
        return true;
    }
    for (name, (one, other)) in (0..).zip(&found.changed) {
        (old[*one], new[*other]) = (name, name);
    }
    sequence::is_reordered(&old, &new, found.equal.len() + found.changed.len())
}

fn has_repeats(names: &[u128]) -> bool {
    names.iter().collect::<HashSet<_>>().len() < names.len()
}

/// Items without a partner so far, in order.
struct Left {
    old: Vec<usize>,
    new: Vec<usize>,
    limited: bool,
}

impl Left {
    /// Pairs items with equal hashes, the first with the first, and so on.
    fn take(&mut self, mut old: Vec<(u128, usize)>, mut new: Vec<(u128, usize)>) -> Vec<(usize, usize)> {
        old.sort_unstable();
        new.sort_unstable();
        self.take_sorted(&old, &new)
    }

    /// Like [`Self::take`], for lists sorted by hash.
    fn take_sorted(&mut self, old: &[(u128, usize)], new: &[(u128, usize)]) -> Vec<(usize, usize)> {
        let pairs = join(old, new);
        let without = |left: &mut Vec<usize>, mut taken: Vec<usize>| {
            taken.sort_unstable();
            left.retain(|at| taken.binary_search(at).is_err());
        };
        without(&mut self.old, pairs.iter().map(|(old, _)| *old).collect());
        without(&mut self.new, pairs.iter().map(|(_, new)| *new).collect());
        pairs
    }

    /// Pairs records that differ in only one field, field by field. The result depends on their content, not on their positions.
    fn take_nearly_equal(&mut self, old: &[Node], new: &[Node]) -> Vec<(usize, usize)> {
        let (old_fields, new_fields) = (Fields::of_all(old, &self.old), Fields::of_all(new, &self.new));
        let mut names: Vec<&str> = old_fields.iter().flat_map(|record| record.by_name.keys().copied()).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() > FIELDS || names.len() < 2 {
            self.limited = names.len() > FIELDS && !self.new.is_empty();
            return Vec::new();
        }
        let mut pairs = Vec::new();
        for name in names {
            let without = |fields: &[Fields<'_>], left: &[usize]| -> Vec<(u128, usize)> {
                let open = fields.iter().filter(|record| left.binary_search(&record.at).is_ok());
                let mut open: Vec<(u128, u64, usize)> = open.filter_map(|record| record.without(name)).collect();
                open.sort_unstable();
                open.into_iter().map(|(rest, _, at)| (rest, at)).collect()
            };
            let (old_names, new_names) = (without(&old_fields, &self.old), without(&new_fields, &self.new));
            pairs.extend(self.take_sorted(&old_names, &new_names));
        }
        pairs
    }
}

/// Hashes of a record's fields, the same in every process: a collision at most pairs two records badly.
struct Fields<'n> {
    at: usize,
    sum: u64,
    by_name: HashMap<&'n str, u64>,
}

impl<'n> Fields<'n> {
    fn of_all(records: &'n [Node], numbers: &[usize]) -> Vec<Self> {
        numbers.iter().map(|at| Self::of(&records[*at], *at)).collect()
    }

    fn of(record: &'n Node, at: usize) -> Self {
        let mut found = Self { at, sum: 0, by_name: HashMap::new() };
        for (key, value) in record.entries().unwrap_or_default() {
            let mut hasher = DefaultHasher::new();
            hasher.write(key.as_bytes());
            feed(value, &mut hasher);
            let hash = hasher.finish();
            found.sum = found.sum.wrapping_add(hash);
            found.by_name.insert(key, hash);
        }
        found
    }

    /// The hash of all other fields, that of the field, and the record's index; `None` if the record lacks the field.
    fn without(&self, name: &str) -> Option<(u128, u64, usize)> {
        let hash = *self.by_name.get(name)?;
        Some((u128::from(self.sum.wrapping_sub(hash)), hash, self.at))
    }
}

/// Pairs items with equal hashes in two lists sorted by hash.
pub(crate) fn join<T: Copy>(old: &[(u128, T)], new: &[(u128, T)]) -> Vec<(T, T)> {
    let (mut one, mut other) = (0, 0);
    let mut pairs = Vec::new();
    while let (Some((old_name, old_at)), Some((new_name, new_at))) = (old.get(one), new.get(other)) {
        match old_name.cmp(new_name) {
            std::cmp::Ordering::Less => one += 1,
            std::cmp::Ordering::Greater => other += 1,
            std::cmp::Ordering::Equal => {
                pairs.push((*old_at, *new_at));
                (one, other) = (one + 1, other + 1);
            }
        }
    }
    pairs
}

fn key_name(record: &Node, key: &[String], names: &Names) -> u128 {
    let null = Node::Null;
    key.iter().fold(0_u128, |name, field| {
        let value = names.of(record.field(field).unwrap_or(&null));
        name.rotate_left(41) ^ value
    })
}

/// Fields that all records have, with scalar values, and that identify the records.
fn find_key(old: &[Node], new: &[Node], wanted: Wanted<'_>) -> Fit<Vec<String>> {
    let Some(entries) = old.first().or(new.first()).and_then(Node::entries) else { return Ok(Vec::new()) };
    let is_key = |value: &Node| match value {
        Node::Number(text) => Exact::of(text).is_some_and(|number| number.is_whole()),
        other => matches!(other, Node::Text(_)),
    };
    let is_everywhere = |name: &str| old.iter().chain(new).all(|record| record.get(name).is_some_and(is_key));
    let counts = |side: &[Node], name: &str| {
        let mut counter = Counter::default();
        for record in side {
            match record.get(name) {
                Some(Node::Number(text)) => counter.see(text.parse().ok()),
                _ => counter.see(None),
            }
        }
        counter.counts_rows(name)
    };
    let columns: Vec<Column> = entries
        .iter()
        .take(keys::COLUMNS)
        .map(|(name, _)| Column {
            name: name.to_string(),
            is_out: wanted.not_key == Some(&**name) || !is_everywhere(name) || counts(old, name) && counts(new, name),
        })
        .collect();
    let contents =
        [old, new].map(|side| side.iter().map(|record| short_name([record].into_iter())).collect::<Vec<_>>());
    let null = Node::Null;
    let places = keys::find(&columns, |places, all| {
        let name = |side: &[Node], contents: &[u64]| -> Vec<Named> {
            let rows = side.iter().zip(contents).take(if all { usize::MAX } else { LOOKED_AT });
            let key =
                |record: &Node| short_name(places.iter().map(|at| record.get(&columns[*at].name).unwrap_or(&null)));
            rows.map(|(record, content)| (key(record), *content)).collect()
        };
        Ok([name(old, &contents[0]), name(new, &contents[1])])
    })?;
    Ok(places.into_iter().map(|at| columns[at].name.clone()).collect())
}

fn short_name<'n>(values: impl Iterator<Item = &'n Node>) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.for_each(|value| feed(value, &mut hasher));
    hasher.finish()
}

/// Pairs sequences.
fn in_sequence(old: &[Node], new: &[Node], names: &Names) -> Pairing {
    let mut found = Pairing { by: PairedBy::Sequence, ..Pairing::default() };
    if old.len() == new.len() {
        found.pair_up(old, new, (0, 0), old.len());
        return found;
    }
    let name = |side: &[Node]| side.iter().map(|item| names.of(item)).collect::<Vec<_>>();
    let (mut one, mut other) = (0, 0);
    for (old_range, new_range) in sequence::differences(&name(old), &name(new)) {
        found.pair_up(old, new, (one, other), old_range.start - one);
        let paired = old_range.len().min(new_range.len());
        found.pair_up(old, new, (old_range.start, new_range.start), paired);
        (one, other) = (old_range.end, new_range.end);
        found.removed.extend(old_range.skip(paired));
        found.added.extend(new_range.skip(paired));
    }
    found.pair_up(old, new, (one, other), old.len() - one);
    found
}

impl Pairing {
    /// Pairs this many consecutive items, one by one.
    fn pair_up(&mut self, old: &[Node], new: &[Node], (one, other): (usize, usize), count: usize) {
        for (one, other) in (0..count).map(|at| (one + at, other + at)) {
            let is_equal = old[one].is_equal(&new[other]);
            if is_equal { &mut self.equal } else { &mut self.changed }.push((one, other));
        }
    }
}
