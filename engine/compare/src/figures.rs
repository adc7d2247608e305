//! The figures of one file: named values, such as the metrics of a model or the parameters that it was made with.
//!
//! JSON and YAML yield their values, JSON lines those of the last record, and a short text of one word yields that word. Lists are only
//! named, not searched. Not here: two files side by side (`metrics`), which files are read (`engine`).

use serde_json::Value;

use crate::content::{Side, Watched};
use crate::error::{CompareError, Fit};
use crate::kind::Kind;
use crate::limits::Limits;
use crate::value::{self, Node, sorted};

/// Maximum size in bytes of a text that may be a single value.
const WORD: u64 = 256;

/// The figures in a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Figures {
    /// Its values.
    Values(Values),
    /// A file of another kind: text of several words, a table, an image, ….
    Other,
    /// It should have values, but cannot be read, for this reason.
    Unfit(String),
}

/// The values of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    /// Texts, numbers, `true`, `false` and `null` by path, as in [`crate::MetricChange`]; the path is empty if the whole file is one value.
    pub leaves: Vec<(String, Value)>,
    /// Paths of non-empty lists.
    pub lists: Vec<String>,
    /// Number of records, of which these are the values of the last; only for JSON lines.
    pub records: Option<usize>,
}

/// Whether a file with this name and length can have figures; others need not be read.
pub fn may_have_figures(name: &str, size_bytes: u64) -> bool {
    match Kind::of(name, b"") {
        Kind::Text => size_bytes <= WORD,
        kind => kind.has_values(),
    }
}

/// The figures of a file. Fails only if the file cannot be read.
pub fn figures(side: Side<'_>, limits: &Limits) -> Result<Figures, CompareError> {
    let mut side = Watched::new(side);
    let found = read(&mut side, limits);
    side.check()?;
    Ok(found.unwrap_or_else(|unfit| Figures::Unfit(unfit.0)))
}

fn read(side: &mut Watched<'_>, limits: &Limits) -> Fit<Figures> {
    let start = side.start(WORD)?;
    let kind = Kind::of(side.name(), &start);
    let value = match kind {
        Kind::Text if side.size_bytes() <= WORD => return Ok(word(&start)),
        kind if kind.has_values() => value::read(kind, side, limits)?,
        _ => return Ok(Figures::Other),
    };
    let mut values = Values::default();
    match (kind, value) {
        (Kind::JsonLines, Node::List(records)) => {
            values.records = Some(records.len());
            if let Some(last) = records.last() {
                values.add(&mut String::new(), last);
            }
        }
        (_, value) => values.add(&mut String::new(), &value),
    }
    Ok(Figures::Values(values))
}

/// A text of one word, interpreted as in YAML: `0.5` is a number.
fn word(text: &[u8]) -> Figures {
    let Ok(text) = std::str::from_utf8(text) else { return Figures::Other };
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(word), None) => {
            let value = number(word).unwrap_or_else(|| Value::String(word.to_owned()));
            Figures::Values(Values { leaves: vec![(String::new(), value)], ..Values::default() })
        }
        _ => Figures::Other,
    }
}

fn number(word: &str) -> Option<Value> {
    match word {
        "true" | "True" => return Some(Value::Bool(true)),
        "false" | "False" => return Some(Value::Bool(false)),
        _ => {}
    }
    let is_number = word.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let integer = word.parse::<i64>().ok().map(Value::from);
    let float = || serde_json::Number::from_f64(word.parse().ok()?).map(Value::Number);
    if is_number { integer.or_else(float) } else { None }
}

impl Values {
    fn add(&mut self, path: &mut String, value: &Node) {
        match value {
            Node::List(items) if !items.is_empty() => self.lists.push(path.clone()),
            Node::Mapping(entries) => {
                let entries = sorted(entries);
                for (at, (key, value)) in entries.iter().enumerate() {
                    // Of duplicate keys the last one counts, as for most readers.
                    if entries.get(at + 1).is_some_and(|(next, _)| next == key) {
                        continue;
                    }
                    let length = path.len();
                    push(path, key);
                    self.add(path, value);
                    path.truncate(length);
                }
            }
            Node::List(_) => {}
            leaf => self.leaves.push((path.clone(), leaf.json(usize::MAX))),
        }
    }
}

/// Adds a part to a path; a part with a dot is put in quotes.
fn push(path: &mut String, part: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    if part.contains(['.', '"']) || part.is_empty() { path.push_str(&format!("{part:?}")) } else { path.push_str(part) }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use serde_json::json;

    use super::*;

    fn of(name: &str, text: &str) -> Figures {
        let mut content = Cursor::new(text.as_bytes());
        let side = Side { name, size_bytes: text.len() as u64, content: &mut content, pieces: Vec::new() };
        figures(side, &Limits::default()).unwrap()
    }

    fn leaves(name: &str, text: &str) -> Vec<(String, Value)> {
        let Figures::Values(values) = of(name, text) else { panic!("{name}: {:?}", of(name, text)) };
        values.leaves
    }

    #[test]
    fn values_are_named_by_their_path_and_lists_are_left_out_by_name() {
        let text = r#"{"acc": 0.5, "val": {"loss": 1, "a.b": true}, "matrix": [[1]], "empty": []}"#;
        let Figures::Values(values) = of("m.json", text) else { panic!() };
        let expected = [("acc", json!(0.5)), ("val.\"a.b\"", json!(true)), ("val.loss", json!(1))];
        let found: Vec<(&str, Value)> =
            values.leaves.iter().map(|(path, value)| (path.as_str(), value.clone())).collect();
        assert_eq!(found, expected);
        assert_eq!(values.lists, ["matrix"]);
        assert_eq!(leaves("m.yml", "lr: 0.1\nname: a\n").len(), 2);
    }

    #[test]
    fn of_json_lines_the_last_record_counts() {
        let Figures::Values(values) = of("log.jsonl", "{\"epoch\": 1}\n{\"epoch\": 2}\n") else { panic!() };
        assert_eq!((values.leaves, values.records), (vec![("epoch".to_owned(), json!(2))], Some(2)));
    }

    #[test]
    fn a_text_of_one_word_is_a_value_and_no_other_text_is() {
        assert_eq!(leaves("threshold", "30\n"), [(String::new(), json!(30))]);
        assert_eq!(leaves("rate", "-.5e-3"), [(String::new(), json!(-0.0005))]);
        assert_eq!(leaves("kind", "linear\n"), [(String::new(), json!("linear"))]);
        for (name, text) in [("a", "two words"), ("a", ""), ("a.csv", "1"), ("a.png", "\0")] {
            assert_eq!(of(name, text), Figures::Other, "{name} {text:?}");
        }
        assert!(matches!(of("a.json", "{"), Figures::Unfit(_)));
    }
}
