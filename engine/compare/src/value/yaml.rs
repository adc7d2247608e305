//! YAML with the core schema of version 1.2, and integers of any size.
//!
//! Words that only YAML 1.1 reads as values, such as `yes`, are texts.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::Node;
use super::number::{Exact, is_beyond_floats};
use crate::error::{Fit, Unfit};
use crate::limits::Limits;

/// The document in `text`; for several, the list of them.
pub(super) fn parse(text: &str, limits: &Limits) -> Fit<Node> {
    let mut builder =
        Builder { left: limits.values, values: limits.values, deepest: limits.nesting, ..Builder::default() };
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| Unfit::malformed("YAML", error))?;
        builder.event(event)?;
    }
    let mut documents = builder.documents;
    Ok(if documents.len() == 1 { documents.remove(0) } else { Node::List(documents) })
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    /// Number of values that may still follow: a few nested aliases could expand to billions.
    left: usize,
    values: usize,
    deepest: usize,
}

struct Open {
    anchor: usize,
    value: Node,
    /// The key whose value comes next.
    key: Option<Box<str>>,
    /// The entries merged with `<<`, which come after the mapping's own.
    merged: Vec<(Box<str>, Node)>,
    /// A tag outside the core schema.
    tag: Option<String>,
    /// Number of values in it.
    size: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>) -> Fit<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = tagged_scalar(&text, style, tag.as_deref())?;
                self.finish(value, 1, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.start(anchor, Node::List(Vec::new()), tag.as_deref()),
            Event::MappingStart(anchor, tag) => self.start(anchor, Node::Mapping(Vec::new()), tag.as_deref()),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.close(open),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let found = self.anchors.get(&anchor).map(|(value, size)| (value, *size));
                let (value, size) =
                    found.ok_or_else(|| Unfit::malformed("YAML", "an alias is inside its own anchor"))?;
                self.left = self.left.checked_sub(size).ok_or_else(|| Unfit::too_many_values(self.values))?;
                let value = value.clone();
                self.finish(value, size, 0)
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, anchor: usize, value: Node, tag: Option<&Tag>) -> Fit<()> {
        if self.open.len() >= self.deepest {
            return Err(Unfit::too_deep());
        }
        let tag = tag.filter(|tag| !is_core(tag)).map(name);
        self.open.push(Open { anchor, value, key: None, merged: Vec::new(), tag, size: 1 });
        Ok(())
    }

    fn close(&mut self, open: Open) -> Fit<()> {
        let Open { anchor, mut value, merged, tag, size, .. } = open;
        if let Node::Mapping(entries) = &mut value {
            for (key, value) in merged {
                if !entries.iter().any(|(other, _)| *other == key) {
                    entries.push((key, value));
                }
            }
        }
        // A value with a custom tag differs from one without.
        let value = match tag {
            Some(tag) => Node::Mapping(vec![(tag.into(), value)]),
            None => value,
        };
        self.finish(value, size, anchor)
    }

    fn finish(&mut self, value: Node, size: usize, anchor: usize) -> Fit<()> {
        let too_many = || Unfit::too_many_values(self.values);
        self.left = self.left.checked_sub(1).ok_or_else(too_many)?;
        if anchor > 0 {
            // An anchored value is stored twice.
            self.left = self.left.checked_sub(size).ok_or_else(too_many)?;
            self.anchors.insert(anchor, (value.clone(), size));
        }
        let Some(parent) = self.open.last_mut() else {
            self.documents.push(value);
            return Ok(());
        };
        parent.size += size;
        match &mut parent.value {
            Node::List(items) => items.push(value),
            Node::Mapping(entries) => match (parent.key.take(), value) {
                (None, value) => parent.key = Some(key_text(value)),
                (Some(key), Node::Mapping(merged)) if &*key == "<<" => parent.merged.extend(merged),
                (Some(key), Node::List(maps)) if &*key == "<<" && maps.iter().all(|map| map.entries().is_some()) => {
                    let entries =
                        maps.into_iter().filter_map(|map| if let Node::Mapping(map) = map { Some(map) } else { None });
                    parent.merged.extend(entries.flatten());
                }
                (Some(key), value) => entries.push((key, value)),
            },
            _ => {}
        }
        Ok(())
    }
}

fn key_text(value: Node) -> Box<str> {
    match value {
        Node::Text(text) => text,
        Node::Number(text) => text,
        other => other.json(usize::MAX).to_string().into(),
    }
}

fn name(tag: &Tag) -> String {
    format!("!{}", tag.suffix)
}

fn is_core(tag: &Tag) -> bool {
    matches!(&*tag.suffix, "str" | "int" | "float" | "bool" | "null" | "map" | "seq")
}

fn tagged_scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Fit<Node> {
    match tag {
        Some(tag) if tag.suffix == "str" => Ok(Node::Text(text.into())),
        Some(tag) if is_core(tag) => scalar(text),
        Some(tag) => Ok(Node::Text(format!("{} {text}", name(tag)).into())),
        None if style == ScalarStyle::Plain => scalar(text),
        None => Ok(Node::Text(text.into())),
    }
}

/// The meaning of an unquoted word.
fn scalar(text: &str) -> Fit<Node> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Node::Null,
        "true" | "True" | "TRUE" => Node::Bool(true),
        "false" | "False" | "FALSE" => Node::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Node::Number("NaN".into()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Node::Number("Infinity".into()),
        "-.inf" | "-.Inf" | "-.INF" => Node::Number("-Infinity".into()),
        _ => match number(text) {
            Some(number) if Exact::of(&number).is_some_and(|exact| is_beyond_floats(&number, &exact)) => {
                return Err(Unfit::malformed("YAML", format_args!("a number out of the range of floats: {number}")));
            }
            Some(number) => Node::Number(number.into()),
            None => Node::Text(text.into()),
        },
    })
}

/// A number of the core schema in JSON notation.
fn number(text: &str) -> Option<Cow<'_, str>> {
    let radix =
        |digits: &str, radix| u128::from_str_radix(digits, radix).ok().map(|value| Cow::Owned(value.to_string()));
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| !digits.starts_with('+')) {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o").filter(|digits| !digits.starts_with('+')) {
        return radix(digits, 8);
    }
    if Exact::of(text).is_some_and(|number| matches!(number, Exact::Finite { .. })) {
        return Some(Cow::Borrowed(text));
    }
    // Allowed in the schema but not in JSON: a plus sign, leading zeros, no digit before or after the decimal point.
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = unsigned.split_at(digits(unsigned));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let (whole, fraction) =
        (if whole.is_empty() { "0" } else { whole }, if fraction.is_empty() { "0" } else { fraction });
    let is_integer = unsigned.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_integer { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}{rest}") };
    Exact::of(&number).is_some().then_some(Cow::Owned(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        parse(text, &Limits::default()).map_or_else(|unfit| unfit.0, |node| node.json(100).to_string())
    }

    #[test]
    fn scalars_are_those_of_the_core_schema() {
        let cases = [
            ("[True, FALSE, ~, null, yes, no]", r#"[true,false,null,null,"yes","no"]"#),
            ("[.5, 5., +1, 012, 1e3, 0x10, 0o17, -.5]", "[0.5,5.0,1,12,1000.0,16,15,-0.5]"),
            ("[.nan, -.inf, 1.2.3, 1_000, 2026-11-29]", r#"["NaN","-Infinity","1.2.3","1_000","2026-11-29"]"#),
            ("id: 18446744073709551617", r#"{"id":"18446744073709551617"}"#),
            ("a: !!str 1\nb: !!int \"1\"\nc: !own 1", r#"{"a":"1","b":1,"c":"!own 1"}"#),
            ("a: 1\na: 2", r#"{"a":1,"a#2":2}"#),
            ("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}", r#"{"x":{"a":1,"b":2},"y":{"b":3,"a":1}}"#),
            ("x: &x {a: 1}\nz: &z {c: 1}\ny: {<<: [*x, *z]}", r#"{"x":{"a":1},"z":{"c":1},"y":{"a":1,"c":1}}"#),
        ];
        for (text, json) in cases {
            let (found, expected): (serde_json::Value, serde_json::Value) =
                (serde_json::from_str(&read(text)).unwrap(), serde_json::from_str(json).unwrap());
            assert_eq!(found, expected, "{text}");
        }
        assert!(read("a: 1.0e400").contains("a number out of the range of floats"));
    }
}
