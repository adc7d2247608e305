//! Values of JSON and YAML, and the one rule of equality for values, decisions and table cells.
//!
//! Numbers are equal if they are the same number, whatever their notation and length; `true` in any spelling that the format allows is
//! `true`; texts are equal if their characters are; mappings regardless of the order of their keys; a text never equals a number.
//! - `number`: exact numbers
//! - `read`: from bytes to values; `json` and `yaml`: the formats
//! - `cell`: the meaning of table cells

mod cell;
mod json;
mod number;
mod read;
mod yaml;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use serde_json::{Map, Value};

use crate::text::shortened;

pub(crate) use cell::{canonical_cell, hash_cell, is_value_cell, shown_cell};
pub(crate) use number::Exact;
pub(crate) use read::read;

/// A value as written in a file.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    /// As written; `NaN`, `Infinity` and `-Infinity` too.
    Number(Box<str>),
    Text(Box<str>),
    List(Vec<Node>),
    /// In file order, with duplicate keys kept.
    Mapping(Vec<(Box<str>, Node)>),
}

impl Node {
    /// Whether both have the same meaning.
    pub(crate) fn is_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one == other || Exact::of(one) == Exact::of(other),
            (Self::List(one), Self::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_equal(other))
            }
            (Self::Mapping(one), Self::Mapping(other)) => {
                let (one, other) = (sorted(one), sorted(other));
                let is_same =
                    |(one, other): (&(&str, &Node), &(&str, &Node))| one.0 == other.0 && one.1.is_equal(other.1);
                one.len() == other.len() && one.iter().zip(&other).all(is_same)
            }
            _ => false,
        }
    }

    /// Its entries, if it is a mapping.
    pub(crate) fn entries(&self) -> Option<&[(Box<str>, Node)]> {
        match self {
            Self::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key; of duplicates the last, which most readers take.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()?.iter().rev().find(|(name, _)| **name == *key).map(|(_, value)| value)
    }

    /// The value of a field, with dots for nested ones; a field whose own name has dots takes precedence.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        self.get(name).or_else(|| name.split('.').try_fold(self, Self::inner))
    }

    fn inner<'v>(&'v self, part: &str) -> Option<&'v Self> {
        match self {
            Self::Mapping(_) => self.get(part),
            Self::List(items) => items.get(part.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The type of the value, as text.
    pub(crate) fn sort(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "number",
            Self::Text(_) => "text",
            Self::List(_) => "list",
            Self::Mapping(_) => "mapping",
        }
    }

    /// The value as JSON. A number that JSON readers would round becomes a text with all its digits, a duplicate key gets its occurrence
    /// number appended, and long texts are cut.
    pub(crate) fn json(&self, most: usize) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(text) => {
                let number = Exact::of(text).and_then(|number| number.json(text));
                number.map_or_else(|| Value::String(text.to_string()), Value::Number)
            }
            Self::Text(text) => Value::String(shortened(text, most)),
            Self::List(items) => Value::Array(items.iter().map(|item| item.json(most)).collect()),
            Self::Mapping(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let mut name = key.to_string();
                    let mut count = 1;
                    while map.contains_key(&name) {
                        count += 1;
                        name = format!("{key}#{count}");
                    }
                    map.insert(name, value.json(most));
                }
                Value::Object(map)
            }
        }
    }

    /// The value as displayed: texts without quotes, unless they would look like something else.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Text(text) => {
                let looks_otherwise = matches!(&**text, "true" | "false" | "null" | "") || Exact::of(text).is_some();
                if looks_otherwise { format!("{text:?}") } else { text.to_string() }
            }
            Self::Number(text) => Exact::of(text).map_or_else(|| text.to_string(), |number| number.plain()),
            other => other.json(usize::MAX).to_string(),
        }
    }
}

/// Entries sorted by key; duplicates in their order.
pub(crate) fn sorted(entries: &[(Box<str>, Node)]) -> Vec<(&str, &Node)> {
    let mut sorted: Vec<(&str, &Node)> = entries.iter().map(|(key, value)| (&**key, value)).collect();
    sorted.sort_by_key(|(key, _)| *key);
    sorted
}

/// Hashes values: equal values have equal hashes, different values collide with a probability of 2^-128. Valid within one process.
#[derive(Default)]
pub(crate) struct Names {
    states: [RandomState; 2],
}

impl Names {
    /// The hash of a value.
    pub(crate) fn of(&self, value: &Node) -> u128 {
        let [one, other] = &self.states;
        let hash = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            feed(value, &mut hasher);
            u128::from(hasher.finish())
        };
        hash(one) << 64 | hash(other)
    }
}

/// Hashes a value so that equal values have equal hashes.
pub(crate) fn feed(value: &Node, hasher: &mut impl Hasher) {
    let mut text = |sort: u8, text: &str| {
        hasher.write_u8(sort);
        hasher.write_usize(text.len());
        hasher.write(text.as_bytes());
    };
    match value {
        Node::Null => text(0, ""),
        Node::Bool(value) => text(1 + u8::from(*value), ""),
        Node::Number(written) => match Exact::of(written) {
            Some(number) => text(3, &number.canonical()),
            None => text(3, written),
        },
        Node::Text(value) => text(4, value),
        Node::List(items) => {
            hasher.write_u8(5);
            hasher.write_usize(items.len());
            for item in items {
                feed(item, hasher);
            }
        }
        Node::Mapping(entries) => {
            hasher.write_u8(6);
            hasher.write_usize(entries.len());
            for (key, value) in sorted(entries) {
                hasher.write_usize(key.len());
                hasher.write(key.as_bytes());
                feed(value, hasher);
            }
        }
    }
}
