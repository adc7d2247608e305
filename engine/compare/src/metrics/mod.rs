//! JSON and YAML, value by value.
//!
//! Mappings are compared key by key, lists as `pairing` says. `walk` goes through both documents at once.

mod walk;

use serde::Serialize;
use serde_json::Value;

use crate::content::Watched;
use crate::error::Fit;
use crate::kind::Kind;
use crate::options::{KeyUse, Options};
use crate::pairing::PairedBy;
use crate::value::{Node, read};

pub(crate) use walk::difference;

/// How the values of two documents differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MetricsDiff {
    /// Values that are others now.
    pub changed: usize,
    /// Values that only the new side has; a record of a list is one.
    pub added: usize,
    /// Values that only the old side has.
    pub removed: usize,
    /// Values that are equal; when all are, and no list has another order, the sides differ in how they are written.
    pub unchanged: usize,
    /// The first that are not equal, in order of their paths.
    pub values: Vec<MetricChange>,
    /// How the items of lists were paired, of lists that differ and are not compared item by item.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ListPairing>,
    /// Keys that are given more than once in one mapping: each time is compared, while most readers take the last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repeated_keys: Vec<String>,
    /// Lists and repeated keys that are not told.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !value
}

/// How the items of a list were paired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListPairing {
    /// Where the list is: `(all)` when it is the document.
    pub path: String,
    /// How.
    pub by: PairedBy,
    /// The key fields, if these did it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Items of the old side.
    pub old_items: usize,
    /// Items of the new side.
    pub new_items: usize,
    /// Whether items of both sides stand in another order.
    pub reordered: bool,
    /// Whether a key was given that no record of these has.
    #[serde(skip_serializing_if = "is_false")]
    pub lacks_key: bool,
    /// Whether records that differ in one field alone were not looked for: they have too many fields.
    #[serde(skip_serializing_if = "is_false")]
    pub limited: bool,
}

/// A value that is not equal on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricChange {
    /// Keys and indexes with dots between: `model.layers.0.units`. A key with a dot in it stands in quotes, `key#2` is a key that is given
    /// a second time, and `[id=7]` the record of a list that its key names. The index is that of the new side, of what was removed that
    /// of the old one.
    pub path: String,
    /// The value before; absent when it was added. A list or mapping when it is empty, or an item of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// The value after; absent when it was removed. A number that readers of JSON would round is a text here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
    /// New less old, of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<f64>,
    /// The change as a share of the old value's size; absent when that is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
    /// The sorts of both, when they are of two: `["text", "number"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sorts: Option<[&'static str; 2]>,
}

pub(crate) fn compare(
    kind: Kind,
    old: &mut Watched<'_>,
    new: &mut Watched<'_>,
    options: &Options,
) -> Fit<(MetricsDiff, Option<KeyUse>)> {
    let old = read(kind, old, &options.limits).map_err(|unfit| unfit.on("old"))?;
    let new = read(kind, new, &options.limits).map_err(|unfit| unfit.on("new"))?;
    let found = difference(&old, &new, &options.key, &options.limits)?;
    Ok((found, key_use(&[&old, &new], &options.key)))
}

/// What became of the key that was asked for; nothing where none was, or there is no list of records.
pub(crate) fn key_use(documents: &[&Node], key: &[String]) -> Option<KeyUse> {
    if key.is_empty() {
        return None;
    }
    let mut records = Vec::new();
    for document in documents {
        collect_records(document, &mut records);
    }
    let first = records.first()?;
    let fields = first.entries().unwrap_or_default().iter().map(|(name, _)| name.to_string());
    let has = |field: &String| records.iter().any(|record| record.field(field).is_some());
    Some(KeyUse { lacking: key.iter().filter(|field| !has(field)).cloned().collect(), columns: fields.collect() })
}

/// The records of all lists.
fn collect_records<'n>(value: &'n Node, records: &mut Vec<&'n Node>) {
    match value {
        Node::List(items) => {
            records.extend(items.iter().filter(|item| item.entries().is_some()));
            for item in items {
                collect_records(item, records);
            }
        }
        Node::Mapping(entries) => entries.iter().for_each(|(_, value)| collect_records(value, records)),
        _ => {}
    }
}
