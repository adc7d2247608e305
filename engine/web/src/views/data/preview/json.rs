//! JSON as a tree that folds. It is read from its own text, so that numbers keep their digits and fields their order.

use answers::file::shown::bytes;
use maud::{Markup, html};
use specs::words::plural;

use super::{JSON_BYTES, Part, text};
use crate::look::Look;
use crate::views::Result;
use crate::views::data::shared::shortened;

/// Most values that are shown.
const VALUES: usize = 5000;
/// Deepest nesting.
const DEPTH: usize = 64;
/// Most characters of a text.
const CHARACTERS: usize = 1000;
/// Lists and objects of at most so many values are open at the start, down to the second level.
const OPEN: usize = 50;

/// A value, with the text of its leaves as it is in the file.
#[derive(Debug, PartialEq)]
enum Value<'t> {
    Leaf(&'t str),
    List(Vec<Value<'t>>),
    Object(Vec<(&'t str, Value<'t>)>),
}

/// A tree; if it is none, its text with the reason.
pub(super) fn json(look: &Look<'_>, part: &Part<'_>) -> Result<Markup> {
    let content = bytes(look.store, part.file, 0, JSON_BYTES)?;
    let read = std::str::from_utf8(&content).map_err(|_| "it is not UTF-8").and_then(Reader::read);
    Ok(match &read {
        Ok(value) => html! { div .tree { (shown(value, 0)) } },
        Err(why) => html! { p .dim { "Shown as text: " (why) "." } (text::text(look, part)?) },
    })
}

fn shown(value: &Value<'_>, depth: usize) -> Markup {
    let (count, words) = match value {
        Value::Leaf(text) => return leaf(text),
        Value::List(values) => (values.len(), plural(values.len() as u64, "value", "values")),
        Value::Object(fields) => (fields.len(), plural(fields.len() as u64, "field", "fields")),
    };
    if count == 0 {
        return html! { code { (if matches!(value, Value::List(_)) { "[]" } else { "{}" }) } };
    }
    html! {
        details open[depth < 2 && count <= OPEN] {
            summary { (words) }
            ul {
                @match value {
                    Value::List(values) => { @for value in values { li { (shown(value, depth + 1)) } } }
                    Value::Object(fields) => {
                        @for (name, value) in fields { li { code .k { (shortened(name, CHARACTERS)) } ": " (shown(value, depth + 1)) } }
                    }
                    Value::Leaf(_) => {}
                }
            }
        }
    }
}

fn leaf(text: &str) -> Markup {
    let class = match text.as_bytes().first() {
        Some(b'"') => "s",
        Some(b't' | b'f' | b'n') => "w",
        _ => "n",
    };
    html! { code class=(class) { (shortened(text, CHARACTERS)) } }
}

/// What is left of a text.
struct Reader<'t> {
    rest: &'t str,
    values: usize,
}

type Read<T> = std::result::Result<T, &'static str>;

impl<'t> Reader<'t> {
    fn read(text: &'t str) -> Read<Value<'t>> {
        let mut reader = Self { rest: text.strip_prefix('\u{feff}').unwrap_or(text), values: 0 };
        let value = reader.value(0)?;
        reader.space();
        if reader.rest.is_empty() { Ok(value) } else { Err("something follows its value") }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Whether the next character is this one; takes it.
    fn takes(&mut self, sign: char) -> bool {
        self.space();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Read<Value<'t>> {
        self.values += 1;
        if self.values > VALUES {
            return Err("it has more values than fold");
        }
        if depth > DEPTH {
            return Err("it is nested too deep");
        }
        if self.takes('[') {
            let mut values = Vec::new();
            while !self.takes(']') {
                self.separate(values.is_empty())?;
                values.push(self.value(depth + 1)?);
            }
            return Ok(Value::List(values));
        }
        if self.takes('{') {
            let mut fields = Vec::new();
            while !self.takes('}') {
                self.separate(fields.is_empty())?;
                self.space();
                let name = self.leaf()?;
                if !name.starts_with('"') || !self.takes(':') {
                    return Err("it is not JSON");
                }
                fields.push((name, self.value(depth + 1)?));
            }
            return Ok(Value::Object(fields));
        }
        self.leaf().map(Value::Leaf)
    }

    fn separate(&mut self, is_first: bool) -> Read<()> {
        if is_first || self.takes(',') { Ok(()) } else { Err("it is not JSON") }
    }

    fn leaf(&mut self) -> Read<&'t str> {
        let length = if self.rest.starts_with('"') {
            end_of_text(self.rest).ok_or("a text in it has no end")?
        } else {
            self.rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(self.rest.len())
        };
        let (leaf, rest) = self.rest.split_at(length);
        self.rest = rest;
        let is_number = leaf.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if leaf.starts_with('"') || is_number || ["true", "false", "null"].contains(&leaf) {
            Ok(leaf)
        } else {
            Err("it is not JSON")
        }
    }
}

/// The length of a text with its quotes.
fn end_of_text(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().enumerate().skip(1).find_map(|(at, byte)| match byte {
        _ if is_escaped => {
            is_escaped = false;
            None
        }
        b'\\' => {
            is_escaped = true;
            None
        }
        b'"' => Some(at + 1),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_text_and_order() {
        let value = Reader::read(" {\"b\": [1.50, \"\\\"]\"], \"a\" : {}, \"c\":null}\n").unwrap();
        let list = Value::List(vec![Value::Leaf("1.50"), Value::Leaf("\"\\\"]\"")]);
        let fields = vec![("\"b\"", list), ("\"a\"", Value::Object(Vec::new())), ("\"c\"", Value::Leaf("null"))];
        assert_eq!(value, Value::Object(fields));
        for wrong in ["", "{", "[1 2]", "{\"a\" 1}", "{1: 2}", "\"a", "[1] x", "nul", "[,1]", &"[".repeat(100)] {
            assert!(Reader::read(wrong).is_err(), "{wrong}");
        }
    }
}
