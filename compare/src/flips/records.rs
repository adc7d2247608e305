//! Records of JSON.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{FileFlips, Flip, Query};
use crate::Limits;
use crate::metrics;
use crate::table::CellChange;
use crate::text::shortened;

/// Other fields of a record that are told.
const FIELDS: usize = 100;

/// Records by key; several with one key in their order.
type Records<'v> = BTreeMap<Vec<String>, Vec<(String, &'v Value)>>;

pub(super) fn flips(old: Option<&Value>, new: Option<&Value>, query: &Query, limits: &Limits) -> FileFlips {
    let (old, mut new) = (records(old, query), records(new, query));
    let mut found = FileFlips::default();
    for (key, old) in old {
        let mut new = new.remove(&key).unwrap_or_default().into_iter();
        for (value, record) in old {
            match new.next() {
                None => *found.old_only.entry(value).or_default() += 1,
                Some((new_value, _)) if new_value == value => *found.unchanged.entry(value).or_default() += 1,
                Some((new_value, new_record)) => {
                    if found.flipped.len() < query.listed {
                        let fields = other_fields(record, new_record, query, limits);
                        let (old, new) = (value.clone(), new_value.clone());
                        found.flipped.push(Flip { key: key.clone(), old, new, fields });
                    }
                    *found.moves.entry((value, new_value)).or_default() += 1;
                }
            }
        }
        new.for_each(|(value, _)| *found.new_only.entry(value).or_default() += 1);
    }
    for (value, _) in new.into_values().flatten() {
        *found.new_only.entry(value).or_default() += 1;
    }
    found
}

fn records<'v>(document: Option<&'v Value>, query: &Query) -> Records<'v> {
    let mut records = Records::new();
    let Some(document) = document else { return records };
    let mut add = |key: Vec<String>, record: &'v Value| {
        if let Some(value) = field(record, &query.field) {
            records.entry(key).or_default().push((text(value), record));
        }
    };
    match document {
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                let key = query.key.iter().map(|name| field(item, name).map(text).unwrap_or_default());
                add(if query.key.is_empty() { vec![(number + 1).to_string()] } else { key.collect() }, item);
            }
        }
        record if field(record, &query.field).is_some() => add(Vec::new(), record),
        Value::Object(entries) => entries.iter().for_each(|(name, item)| add(vec![name.clone()], item)),
        _ => {}
    }
    records
}

/// The value of a field; one whose own name has dots comes first.
fn field<'v>(record: &'v Value, name: &str) -> Option<&'v Value> {
    let of = |value: &'v Value, part: &str| match value {
        Value::Object(entries) => entries.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    };
    let own = record.as_object().and_then(|entries| entries.get(name));
    own.or_else(|| name.split('.').try_fold(record, of))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn other_fields(old: &Value, new: &Value, query: &Query, limits: &Limits) -> Vec<CellChange> {
    let told = |value: Option<Value>| value.map(|value| shortened(&text(&value), limits.shown_characters));
    let changes = metrics::difference(old, new, &Limits { listed: FIELDS, ..limits.clone() }).values.into_iter();
    let others = changes.filter(|change| change.path != query.field);
    let change = |change: metrics::MetricChange| CellChange {
        column: change.path,
        old: told(change.old).unwrap_or_default(),
        new: told(change.new).unwrap_or_default(),
    };
    others.map(change).collect()
}
