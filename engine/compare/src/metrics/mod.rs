//! Compares JSON and YAML, value by value.
//!
//! Mappings are compared key by key, lists as `pairing` defines. `walk` traverses both documents at once.

mod walk;

use schemars::JsonSchema;
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct MetricsDiff {
    /// Number of values that changed.
    pub changed: usize,
    /// Number of values only on the new side; a record in a list counts as one.
    pub added: usize,
    /// Number of values only on the old side.
    pub removed: usize,
    /// Number of equal values; if all are equal and no list is reordered, the sides differ only in formatting.
    pub unchanged: usize,
    /// The first differing values, ordered by path.
    pub values: Vec<MetricChange>,
    /// How list items were paired, for lists that differ and are not compared item by item.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ListPairing>,
    /// Duplicate keys in one mapping: each occurrence is compared, although most readers take only the last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repeated_keys: Vec<String>,
    /// Number of lists and duplicate keys that are left out.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ListPairing {
    /// The path of the list; `(all)` if it is the whole document.
    pub path: String,
    /// The method.
    pub by: PairedBy,
    /// The key fields, if they were used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Number of items on the old side.
    pub old_items: usize,
    /// Number of items on the new side.
    pub new_items: usize,
    /// Whether the order of paired items differs.
    pub reordered: bool,
    /// Whether a key was given that none of these records has.
    #[serde(skip_serializing_if = "is_false")]
    pub lacks_key: bool,
    /// Whether the search for records that differ in only one field was skipped because they have too many fields.
    #[serde(skip_serializing_if = "is_false")]
    pub limited: bool,
}

/// A value that differs between the sides.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct MetricChange {
    /// Keys and indexes joined by dots: `model.layers.0.units`. A key that contains a dot is quoted, `key#2` is the second occurrence of a
    /// key, and `[id=7]` is the list record with that key. Indexes are those of the new side; for removed items, of the old side.
    pub path: String,
    /// The old value; absent if it was added. A list or mapping if it is empty, or an item of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// The new value; absent if it was removed. A number that JSON readers would round is given as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
    /// New minus old, for numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<f64>,
    /// The change relative to the absolute old value; absent if that is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
    /// The types of both, if they differ: `["text", "number"]`.
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

/// How the requested key was used; `None` if none was requested, or there is no list of records.
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
