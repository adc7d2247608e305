//! Records of JSON.

use super::{FileFlips, Flip, NoRecords, Query};
use crate::Limits;
use crate::error::Fit;
use crate::metrics;
use crate::pairing::{self, PairedBy, Wanted};
use crate::table::CellChange;
use crate::text::shortened;
use crate::value::{Names, Node};

/// Maximum number of other fields of a record that are listed.
const FIELDS: usize = 100;
/// Maximum number of field names listed if none is the requested one.
const NAMES: usize = 200;

/// A record of each side, or of only one, with what identifies it.
type Pair<'v> = (Vec<String>, Option<&'v Node>, Option<&'v Node>);

pub(super) fn flips(
    old: Option<&Node>,
    new: Option<&Node>,
    query: &Query,
    limits: &Limits,
) -> Result<FileFlips, NoRecords> {
    let mut found = FileFlips::default();
    for (key, old, new) in pairs(old, new, query)? {
        let value = |record: Option<&'_ Node>| record.and_then(|record| record.field(&query.field)).cloned();
        match (value(old), value(new)) {
            (None, None) => {}
            (Some(value), None) => *found.old_only.entry(value.shown()).or_default() += 1,
            (None, Some(value)) => *found.new_only.entry(value.shown()).or_default() += 1,
            (Some(old), Some(new)) if old.is_equal(&new) => *found.unchanged.entry(old.shown()).or_default() += 1,
            (Some(old_value), Some(new_value)) => {
                let (old_text, new_text) = (old_value.shown(), new_value.shown());
                if let (Some(old), Some(new), true) = (old, new, found.flipped.len() < query.listed) {
                    let (fields, fields_left_out) = other_fields(old, new, query, limits)?;
                    let (old, new) = (old_text.clone(), new_text.clone());
                    found.flipped.push(Flip { key, old, new, fields, fields_left_out });
                }
                *found.moves.entry((old_text, new_text)).or_default() += 1;
            }
        }
    }
    if found.is_empty() {
        let why = format!("no record has the field `{}`", query.field);
        return Err(NoRecords { why, fields: fields(&[old, new]) });
    }
    found.key_use = metrics::key_use(&[old, new].into_iter().flatten().collect::<Vec<_>>(), &query.key);
    Ok(found)
}

/// The paired records of both sides.
fn pairs<'v>(old: Option<&'v Node>, new: Option<&'v Node>, query: &Query) -> Fit<Vec<Pair<'v>>> {
    let has_field = |record: &Node| record.field(&query.field).is_some();
    let is_record = |document: &Node| document.entries().is_some() && has_field(document);
    if [old, new].into_iter().flatten().any(is_record) {
        return Ok(vec![(Vec::new(), old, new)]);
    }
    if let Some(items) = lists([old, new]) {
        return list_pairs(items, query);
    }
    let entries = |side: Option<&'v Node>| side.and_then(Node::entries).unwrap_or_default();
    let mut names: Vec<&str> = entries(old).iter().chain(entries(new)).map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.dedup();
    let mut found = Vec::new();
    for name in names {
        let of = |side: Option<&'v Node>| side.and_then(|side| side.get(name));
        let sides = [of(old), of(new)];
        match lists(sides) {
            // A named list of records.
            Some(items) => found.extend(list_pairs(items, query)?.into_iter().map(|(mut key, old, new)| {
                key.insert(0, name.to_owned());
                (key, old, new)
            })),
            None => found.push((vec![name.to_owned()], sides[0], sides[1])),
        }
    }
    Ok(found)
}

/// The items of both sides, if each side present is a list.
fn lists<'v>(sides: [Option<&'v Node>; 2]) -> Option<[&'v [Node]; 2]> {
    let mut found: [&'v [Node]; 2] = [&[], &[]];
    let mut is_list = false;
    for (side, into) in sides.into_iter().zip(&mut found) {
        match side {
            Some(Node::List(items)) => (*into, is_list) = (items, true),
            Some(_) => return None,
            None => {}
        }
    }
    is_list.then_some(found)
}

fn list_pairs<'v>([old, new]: [&'v [Node]; 2], query: &Query) -> Fit<Vec<Pair<'v>>> {
    let wanted = Wanted { key: &query.key, not_key: Some(&query.field) };
    let pairing = pairing::pair(old, new, &Names::default(), wanted)?;
    let key = |at: usize, item: &Node| -> Vec<String> {
        if pairing.by != PairedBy::Key {
            return vec![(at + 1).to_string()];
        }
        let null = Node::Null;
        pairing.key.iter().map(|field| item.field(field).unwrap_or(&null).shown()).collect()
    };
    let mut both: Vec<(usize, usize)> = pairing.equal.iter().chain(&pairing.changed).copied().collect();
    both.sort_unstable();
    let mut pairs: Vec<Pair<'v>> =
        both.into_iter().map(|(at, other)| (key(at, &old[at]), Some(&old[at]), Some(&new[other]))).collect();
    pairs.extend(pairing.removed.iter().map(|at| (key(*at, &old[*at]), Some(&old[*at]), None)));
    pairs.extend(pairing.added.iter().map(|at| (key(*at, &new[*at]), None, Some(&new[*at]))));
    Ok(pairs)
}

/// The field names of the records, for an error about a missing field.
fn fields(documents: &[Option<&Node>]) -> Vec<String> {
    let mut names = Vec::new();
    documents.iter().flatten().for_each(|document| collect(document, "", 3, &mut names));
    names.sort_unstable();
    names.dedup();
    names
}

fn collect(value: &Node, before: &str, depth: usize, names: &mut Vec<String>) {
    if depth == 0 || names.len() >= NAMES {
        return;
    }
    match value {
        Node::List(items) => items.iter().take(5).for_each(|item| collect(item, before, depth, names)),
        Node::Mapping(entries) => {
            for (key, value) in entries.iter().take(NAMES) {
                names.push(key.to_string());
                if !before.is_empty() {
                    names.push(format!("{before}{key}"));
                }
                collect(value, &format!("{before}{key}."), depth - 1, names);
            }
        }
        _ => {}
    }
}

/// The other differences between two records, and how many more there are.
fn other_fields(old: &Node, new: &Node, query: &Query, limits: &Limits) -> Fit<(Vec<CellChange>, usize)> {
    let told = |value: Option<serde_json::Value>| match value {
        Some(serde_json::Value::String(text)) => shortened(&text, limits.shown_characters),
        Some(value) => shortened(&value.to_string(), limits.shown_characters),
        None => String::new(),
    };
    let found = metrics::difference(old, new, &[], &Limits { listed: FIELDS, ..limits.clone() })?;
    let total = found.changed + found.added + found.removed;
    let left_out = total - found.values.len();
    let others = found.values.into_iter().filter(|change| change.path != query.field);
    let change = |change: metrics::MetricChange| CellChange {
        column: change.path,
        old: told(change.old),
        new: told(change.new),
    };
    Ok((others.map(change).collect(), left_out))
}
