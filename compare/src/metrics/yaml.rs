//! YAML as the values of JSON, by the core schema.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

use crate::error::{Fit, Unfit};
use crate::limits::Limits;

/// The document of `text`; of several the list of them.
pub(super) fn parse(text: &str, limits: &Limits) -> Fit<Value> {
    let mut builder = Builder { left: limits.values, deepest: limits.nesting, ..Builder::default() };
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| Unfit::malformed("YAML", error))?;
        builder.event(event)?;
    }
    let mut documents = builder.documents;
    Ok(if documents.len() == 1 { documents.remove(0) } else { Value::Array(documents) })
}

#[derive(Default)]
struct Builder {
    documents: Vec<Value>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Value, usize)>,
    /// Values that may still come: a few nested aliases could ask for billions.
    left: usize,
    deepest: usize,
}

struct Open {
    anchor: usize,
    value: Value,
    /// The key whose value comes next.
    key: Option<String>,
    /// Values in it.
    size: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>) -> Fit<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let is_text = tag.as_deref().is_some_and(|tag: &Tag| tag.suffix == "str");
                let value = if is_plain && !is_text { scalar(&text) } else { Value::String(text.into_owned()) };
                self.finish(value, 1, anchor)
            }
            Event::SequenceStart(anchor, _) => self.start(anchor, Value::Array(Vec::new())),
            Event::MappingStart(anchor, _) => self.start(anchor, Value::Object(Map::new())),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { anchor, value, size, .. }) => self.finish(value, size, anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let found = self.anchors.get(&anchor).map(|(value, size)| (value, *size));
                let (value, size) =
                    found.ok_or_else(|| Unfit::malformed("YAML", "an alias stands inside its own anchor"))?;
                self.left = self.left.checked_sub(size).ok_or_else(too_many)?;
                let value = value.clone();
                self.finish(value, size, 0)
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, anchor: usize, value: Value) -> Fit<()> {
        if self.open.len() >= self.deepest {
            return Err(Unfit("too much: it is nested too deep".to_owned()));
        }
        self.open.push(Open { anchor, value, key: None, size: 1 });
        Ok(())
    }

    fn finish(&mut self, value: Value, size: usize, anchor: usize) -> Fit<()> {
        self.left = self.left.checked_sub(1).ok_or_else(too_many)?;
        if anchor > 0 {
            // What an anchor holds is held twice.
            self.left = self.left.checked_sub(size).ok_or_else(too_many)?;
            self.anchors.insert(anchor, (value.clone(), size));
        }
        let Some(parent) = self.open.last_mut() else {
            self.documents.push(value);
            return Ok(());
        };
        parent.size += size;
        match &mut parent.value {
            Value::Array(items) => items.push(value),
            Value::Object(entries) => match (parent.key.take(), value) {
                (None, value) => parent.key = Some(key_text(value)),
                (Some(key), Value::Object(merged)) if key == "<<" => {
                    for (key, value) in merged {
                        entries.entry(key).or_insert(value);
                    }
                }
                (Some(key), value) => drop(entries.insert(key, value)),
            },
            _ => {}
        }
        Ok(())
    }
}

fn too_many() -> Unfit {
    Unfit("too much: it has too many values".to_owned())
}

fn key_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// What a word without quotes means.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let radix = |digits: &str, radix| i64::from_str_radix(digits, radix).ok().map(Value::from);
    let special = text.strip_prefix("0x").and_then(|digits| radix(digits, 16));
    let special = special.or_else(|| text.strip_prefix("0o").and_then(|digits| radix(digits, 8)));
    if let Some(value) = special {
        return value;
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_digit());
    if is_number {
        let digits = text.strip_prefix('+').unwrap_or(text);
        if let Ok(integer) = digits.parse::<i64>() {
            return Value::from(integer);
        }
        if let Some(number) = digits.parse::<f64>().ok().and_then(Number::from_f64) {
            return Value::Number(number);
        }
    }
    Value::String(text.to_owned())
}
