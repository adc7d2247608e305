//! Records in which a field has a value: which of them are new or changed in a file.
//!
//! A record is an object of JSON that has the field, at any depth, or a row of a table that has the column. Two records are the same if all
//! of them is; so a record counts as changed if any of its fields is. The kind of a file follows from its name.

use std::collections::HashMap;

use compare::is_same_value;
use repos::hash::digest_of;
use serde_json::{Map, Value};
use specs::Digest;

use crate::rule::Field;

/// A file of more bytes is not read.
pub(crate) const MOST_BYTES: u64 = 64 << 20;
/// Of each change, this many records are kept; the others are counted.
pub(crate) const KEPT: usize = 20;
/// A record of more bytes is reduced to its field.
const RECORD_BYTES: usize = 4 << 10;

/// The kinds of files with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Documents, one after the other.
    Json,
    /// Rows of cells, below a header.
    Table {
        /// Between two cells.
        delimiter: u8,
    },
}

impl Form {
    /// By the ending of a file's name; `None` for a file without records.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            "csv" => Some(Self::Table { delimiter: b',' }),
            "tsv" => Some(Self::Table { delimiter: b'\t' }),
            _ => None,
        }
    }
}

/// A record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// Where in its file: `row 3`, or the way to it through JSON, such as `/flags/0`; empty for a whole document.
    pub(crate) place: String,
    /// All of it.
    pub(crate) record: Value,
}

/// The first records with this value that are in `new` but not in `old`, and how many there are.
pub(crate) fn new_records(form: Form, old: Option<&[u8]>, new: &[u8], field: &Field) -> (Vec<Found>, u64) {
    let mut known: HashMap<Digest, u32> = HashMap::new();
    if let Some(old) = old {
        each(form, old, field, &mut |found| *known.entry(id(&found.record)).or_default() += 1);
    }
    let (mut first, mut count) = (Vec::new(), 0);
    each(form, new, field, &mut |found| {
        if let Some(left) = known.get_mut(&id(&found.record)).filter(|left| **left > 0) {
            *left -= 1;
            return;
        }
        count += 1;
        if first.len() < KEPT {
            first.push(reduced(found, field));
        }
    });
    (first, count)
}

/// What is equal for equal records.
fn id(record: &Value) -> Digest {
    // Keys of objects are sorted.
    digest_of(record.to_string().as_bytes())
}

/// A large record without the rest of its fields.
fn reduced(found: Found, field: &Field) -> Found {
    if found.record.to_string().len() <= RECORD_BYTES {
        return found;
    }
    let value = look_up(&found.record, &field.name).cloned().unwrap_or_default();
    let value = if value.to_string().len() > RECORD_BYTES { Value::from(field.value.clone()) } else { value };
    Found { record: Value::Object(Map::from_iter([(field.name.clone(), value)])), ..found }
}

/// Visits each record with the value. What cannot be parsed has none.
fn each(form: Form, bytes: &[u8], field: &Field, visit: &mut dyn FnMut(Found)) {
    match form {
        Form::Json => each_document(bytes, field, visit),
        Form::Table { delimiter } => each_row(bytes, delimiter, field, visit),
    }
}

fn each_document(bytes: &[u8], field: &Field, visit: &mut dyn FnMut(Found)) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let documents = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let mut documents = documents.map_while(Result::ok).enumerate().peekable();
    while let Some((number, document)) = documents.next() {
        let place =
            if number == 0 && documents.peek().is_none() { String::new() } else { format!("line {}", number + 1) };
        collect(document, &place, field, visit);
    }
}

fn collect(value: Value, place: &str, field: &Field, visit: &mut dyn FnMut(Found)) {
    if let Some(found) = look_up(&value, &field.name) {
        if is_value(found, &field.value) {
            visit(Found { place: place.to_owned(), record: value });
        }
        return;
    }
    match value {
        Value::Object(fields) => {
            fields.into_iter().for_each(|(key, value)| collect(value, &format!("{place}/{key}"), field, visit));
        }
        Value::Array(items) => {
            let items = items.into_iter().enumerate();
            items.for_each(|(number, item)| collect(item, &format!("{place}/{number}"), field, visit));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A field of an object; with dots, one within another.
fn look_up<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let object = value.as_object()?;
    if let Some(found) = object.get(name) {
        return Some(found);
    }
    let mut dots = name.match_indices('.').map(|(at, _)| (&name[..at], &name[at + 1..]));
    dots.find_map(|(outer, inner)| look_up(object.get(outer)?, inner))
}

fn is_value(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted || is_same_value(text, wanted),
        Value::Null | Value::Bool(_) | Value::Number(_) => is_same_value(&value.to_string(), wanted),
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn each_row(bytes: &[u8], delimiter: u8, field: &Field, visit: &mut dyn FnMut(Found)) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(bytes);
    let text = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
    let Ok(header) = reader.byte_headers().map(|header| header.iter().map(text).collect::<Vec<_>>()) else { return };
    let Some(at) = header.iter().position(|name| *name == field.name) else { return };
    for (number, row) in reader.into_byte_records().map_while(Result::ok).enumerate() {
        let is_it = row.get(at).is_some_and(|cell| {
            let cell = text(cell);
            cell == field.value || is_same_value(&cell, &field.value)
        });
        if is_it {
            let cells = header.iter().cloned().zip(row.iter().map(|cell| Value::from(text(cell))));
            visit(Found { place: format!("row {}", number + 1), record: Value::Object(cells.collect()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn field(name: &str, value: &str) -> Field {
        Field { name: name.to_owned(), value: value.to_owned() }
    }

    fn places(name: &str, old: Option<&str>, new: &str, wanted: (&str, &str)) -> Vec<String> {
        let form = Form::of(name).unwrap();
        let (found, count) = new_records(form, old.map(str::as_bytes), new.as_bytes(), &field(wanted.0, wanted.1));
        assert_eq!(count, found.len() as u64);
        found.into_iter().map(|found| found.place).collect()
    }

    #[test]
    fn the_kind_follows_from_the_name() {
        assert_eq!(Form::of("a.JSON"), Some(Form::Json));
        assert_eq!(Form::of("a.b.jsonl"), Some(Form::Json));
        assert_eq!(Form::of("a.tsv"), Some(Form::Table { delimiter: b'\t' }));
        assert_eq!((Form::of("a.png"), Form::of("json")), (None, None));
    }

    #[test]
    fn records_are_found_at_any_depth_and_in_lines() {
        let label = ("label", "gun");
        assert_eq!(places("a.json", None, r#"{"label":"gun","score":0.9}"#, label), [""]);
        assert_eq!(places("a.json", None, r#"{"flags":[{"label":"cat"},{"label":"gun"}]}"#, label), ["/flags/1"]);
        assert_eq!(places("a.jsonl", None, "{\"label\":\"cat\"}\n{\"label\":\"gun\"}\n", label), ["line 2"]);
        assert_eq!(places("a.json", None, r#"[{"a":{"b":1}},{"a.b":1.0},{"a":{"b":2}}]"#, ("a.b", "1")), ["/0", "/1"]);
        assert_eq!(places("a.json", None, r#"{"label":["gun"]}"#, label), Vec::<String>::new());
        assert_eq!(places("a.json", None, r#"{"label":"#, label), Vec::<String>::new());
        assert_eq!(places("a.json", None, r#"{"ok":true}"#, ("ok", "True")), [""]);
    }

    #[test]
    fn rows_are_found_by_their_column() {
        let table = "id,label\n1,cat\n2,gun\n3,\"gun\"\n";
        assert_eq!(places("a.csv", None, table, ("label", "gun")), ["row 2", "row 3"]);
        assert_eq!(places("a.tsv", None, "id\tlabel\n1\tgun\n", ("label", "gun")), ["row 1"]);
        assert_eq!(places("a.csv", None, table, ("other", "gun")), Vec::<String>::new());
        assert_eq!(places("a.csv", None, table, ("id", "2.0")), ["row 2"]);
        let (found, _) = new_records(Form::of("a.csv").unwrap(), None, table.as_bytes(), &field("id", "2"));
        assert_eq!(found[0].record, json!({"id": "2", "label": "gun"}));
    }

    #[test]
    fn only_new_and_changed_ones_count() {
        let old = r#"[{"label":"gun","n":1},{"label":"cat","n":2},{"label":"gun","n":3}]"#;
        let new = r#"[{"label":"gun","n":3},{"label":"gun","n":1},{"label":"gun","n":2},{"label":"gun","n":1}]"#;
        assert_eq!(places("a.json", Some(old), new, ("label", "gun")), ["/2", "/3"]);
        assert_eq!(places("a.json", Some(old), old, ("label", "gun")), Vec::<String>::new());
        let (old, new) = ("id,label\n1,gun\n", "id,label\n0,cat\n1,gun\n2,gun\n");
        assert_eq!(places("a.csv", Some(old), new, ("label", "gun")), ["row 3"]);
    }

    #[test]
    fn many_are_counted_and_large_ones_reduced() {
        let many: Vec<String> = (0..1000).map(|n| json!({"label": "gun", "n": n}).to_string()).collect();
        let many = many.join("\n");
        let (found, count) = new_records(Form::Json, None, many.as_bytes(), &field("label", "gun"));
        assert_eq!((found.len(), count), (KEPT, 1000));
        let large = json!({"label": "gun", "pixels": "x".repeat(RECORD_BYTES)}).to_string();
        let (found, _) = new_records(Form::Json, None, large.as_bytes(), &field("label", "gun"));
        assert_eq!(found[0].record, json!({"label": "gun"}));
    }

    proptest! {
        #[test]
        fn nothing_panics_and_a_file_has_no_new_records_against_itself(
            text in "[a-z0-9,\"{}\\[\\]:\\n]{0,60}", name in "a\\.(json|csv|tsv)", wanted in "[a-z0-9]{1,2}"
        ) {
            let form = Form::of(&name).unwrap();
            let field = field("a", &wanted);
            new_records(form, None, text.as_bytes(), &field);
            prop_assert_eq!(new_records(form, Some(text.as_bytes()), text.as_bytes(), &field).1, 0);
        }
    }
}
