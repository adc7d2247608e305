//! JSON and YAML, value by value.
//!
//! - `read` from text to values; `yaml` the same for YAML

mod read;
mod yaml;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::content::Watched;
use crate::error::Fit;
use crate::kind::Kind;
use crate::limits::Limits;
use crate::text::shortened;

pub(crate) use read::read;

/// How the values of two documents differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MetricsDiff {
    /// Values that are others now.
    pub changed: usize,
    /// Values that only the new side has.
    pub added: usize,
    /// Values that only the old side has.
    pub removed: usize,
    /// Values that are equal; when all are, the sides differ in how they are written.
    pub unchanged: usize,
    /// The first that are not equal, in order of their paths.
    pub values: Vec<MetricChange>,
}

/// A value that is not equal on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricChange {
    /// Keys and indexes with dots between: `model.layers.0.units`. A key with a dot in it stands in quotes.
    pub path: String,
    /// The value before; absent when it was added. A list or mapping only when it is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// The value after; absent when it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
    /// New less old, of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<f64>,
    /// The change as a share of the old value's size; absent when that is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
}

pub(crate) fn compare(kind: Kind, old: &mut Watched<'_>, new: &mut Watched<'_>, limits: &Limits) -> Fit<MetricsDiff> {
    let old = read(kind, old, limits).map_err(|unfit| unfit.on("old"))?;
    let new = read(kind, new, limits).map_err(|unfit| unfit.on("new"))?;
    Ok(difference(&old, &new, limits))
}

/// What differs between two values.
pub(crate) fn difference(old: &Value, new: &Value, limits: &Limits) -> MetricsDiff {
    let mut found = MetricsDiff::default();
    Walk { found: &mut found, limits, path: String::new() }.pair(Some(old), Some(new));
    found
}

struct Walk<'a> {
    found: &'a mut MetricsDiff,
    limits: &'a Limits,
    path: String,
}

/// What is inside a value that is no leaf.
enum Inside<'v> {
    Mapping(&'v Map<String, Value>),
    List(&'v [Value]),
}

fn inside(value: Option<&Value>) -> Option<Inside<'_>> {
    match value? {
        Value::Object(entries) if !entries.is_empty() => Some(Inside::Mapping(entries)),
        Value::Array(items) if !items.is_empty() => Some(Inside::List(items)),
        _ => None,
    }
}

impl Walk<'_> {
    fn pair(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (inside(old), inside(new)) {
            (None, None) => self.leaf(old, new),
            (Some(Inside::Mapping(old)), Some(Inside::Mapping(new))) => self.mappings(Some(old), Some(new)),
            (Some(Inside::List(old)), Some(Inside::List(new))) => self.lists(old, new),
            (old_inside, new_inside) => {
                // One after the other: nothing in them can be the same value. A leaf on one side is a leaf.
                match old_inside {
                    Some(Inside::Mapping(entries)) => self.mappings(Some(entries), None),
                    Some(Inside::List(items)) => self.lists(items, &[]),
                    None => self.leaf(old, None),
                }
                match new_inside {
                    Some(Inside::Mapping(entries)) => self.mappings(None, Some(entries)),
                    Some(Inside::List(items)) => self.lists(&[], items),
                    None => self.leaf(None, new),
                }
            }
        }
    }

    fn below(&mut self, part: &str, old: Option<&Value>, new: Option<&Value>) {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        if part.contains(['.', '"']) || part.is_empty() {
            self.path.push_str(&format!("{part:?}"));
        } else {
            self.path.push_str(part);
        }
        self.pair(old, new);
        self.path.truncate(length);
    }

    fn mappings(&mut self, old: Option<&Map<String, Value>>, new: Option<&Map<String, Value>>) {
        let keys = |side: Option<&Map<String, Value>>| side.map(|map| map.keys().cloned().collect::<Vec<_>>());
        let mut keys = [keys(old).unwrap_or_default(), keys(new).unwrap_or_default()].concat();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            self.below(&key, old.and_then(|map| map.get(&key)), new.and_then(|map| map.get(&key)));
        }
    }

    fn lists(&mut self, old: &[Value], new: &[Value]) {
        for at in 0..old.len().max(new.len()) {
            self.below(&at.to_string(), old.get(at), new.get(at));
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        let counter = match (old, new) {
            (None, None) => return,
            (Some(old), Some(new)) if is_equal(old, new) => {
                self.found.unchanged += 1;
                return;
            }
            (Some(_), Some(_)) => &mut self.found.changed,
            (None, Some(_)) => &mut self.found.added,
            (Some(_), None) => &mut self.found.removed,
        };
        *counter += 1;
        if self.found.values.len() < self.limits.listed {
            let told = |value: Option<&Value>| value.map(|value| short(value, self.limits.shown_characters));
            let (change, relative) = change(old, new);
            let path = if self.path.is_empty() { "(all)".to_owned() } else { self.path.clone() };
            self.found.values.push(MetricChange { path, old: told(old), new: told(new), change, relative });
        }
    }
}

/// Whether two leaves say the same; `1` and `1.0` do.
fn is_equal(old: &Value, new: &Value) -> bool {
    old == new
        || matches!((old, new), (Value::Number(_), Value::Number(_)) if change(Some(old), Some(new)).0 == Some(0.0))
}

fn short(value: &Value, most: usize) -> Value {
    match value {
        Value::String(text) => Value::String(shortened(text, most)),
        other => other.clone(),
    }
}

/// The change of two numbers, absolute and relative. Of integers it is exact before it is rounded.
fn change(old: Option<&Value>, new: Option<&Value>) -> (Option<f64>, Option<f64>) {
    let (Some(Value::Number(old)), Some(Value::Number(new))) = (old, new) else { return (None, None) };
    let (Some(old_float), Some(new_float)) = (old.as_f64(), new.as_f64()) else { return (None, None) };
    let change = match (old.as_i128(), new.as_i128()) {
        #[expect(clippy::cast_precision_loss, reason = "the difference is told as a float")]
        (Some(old), Some(new)) => (new - old) as f64,
        _ => new_float - old_float,
    };
    if !change.is_finite() {
        return (None, None);
    }
    let relative = change / old_float.abs();
    (Some(change), relative.is_finite().then_some(relative))
}
