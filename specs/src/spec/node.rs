//! Parses YAML or JSON text to nodes with positions.
//!
//! JSON is read as YAML, with two additions for Pachyderm's own output: several objects in a row without `---` between them, and `\u`
//! escapes in surrogate pairs. After a broken document, reading continues at the next `---`.

use std::borrow::Cow;
use std::collections::hash_map::Entry as Known;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::limits::{MAX_PIPELINES, MAX_PROBLEMS};
use super::number;
use crate::diagnostics::{Place, Severity};

/// Maximum depth of nested containers.
const MAX_DEPTH: usize = 64;
/// Maximum number of nodes that aliases may add to a file; a few nested aliases could expand to billions.
const MAX_ALIASED: usize = 100_000;
/// Maximum number of nodes stored for aliases: nested anchors are stored several times.
const MAX_ANCHORED: usize = 1_000_000;
/// Text of this length counts as another node.
const BYTES_A_NODE: usize = 64;

/// A value in a file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
    /// Number of nodes in it, including itself; long texts count as several.
    size: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// `plain`: written without quotes, so it can be a number, boolean or null.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Node>),
    /// In file order, without duplicate keys: the last of equal keys wins.
    Mapping(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

/// A problem in the text itself, independent of the fields' meaning.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) place: Place,
    pub(super) severity: Severity,
    pub(super) message: String,
}

impl Node {
    /// The boolean value: `true` or `false` in one of YAML's three spellings, quoted or not.
    pub(super) fn boolean(&self) -> Option<bool> {
        let Value::Scalar { text, .. } = &self.value else { return None };
        match text.as_str() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    /// The whole number in any of YAML's unquoted forms (`0x10`, `010`, `1_000`), or as `3`, `3.0` or `3e1` as in JSON, quoted or not.
    pub(super) fn integer(&self) -> Option<i64> {
        let Value::Scalar { text, plain } = &self.value else { return None };
        (if *plain { number::of_yaml(text) } else { None }).or_else(|| number::of_json(text))
    }

    /// Whether this is `null`, `~` or empty.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether this is null, or an empty text, list or mapping: the same as absent.
    pub(super) fn is_empty(&self) -> bool {
        match &self.value {
            Value::Scalar { text, .. } => text.is_empty() || self.is_null(),
            Value::Sequence(items) => items.is_empty(),
            Value::Mapping(entries) => entries.is_empty(),
        }
    }

    /// The value of `key`, if this is a mapping with that key.
    pub(super) fn entry(&self, key: &str) -> Option<&Self> {
        let Value::Mapping(entries) = &self.value else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Describes the value for a message.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => "nothing".to_owned(),
            Value::Scalar { text, .. } => {
                let mut short: String = text.chars().take(40).collect();
                if short.len() < text.len() {
                    short.push('…');
                }
                format!("`{}`", short.escape_debug())
            }
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// The non-empty documents of a file, and everything that is wrong with the text itself.
pub(super) fn parse(text: &str) -> (Vec<Node>, Vec<Problem>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = if text.trim_start().starts_with(['{', '[']) { join_surrogates(text) } else { Cow::Borrowed(text) };
    let mut builder = Builder::default();
    let mut chunk = Chunk { text: &text, line: 1, column: 1 };
    while let Some(error) = builder.read(chunk) {
        if builder.problems.len() == MAX_PROBLEMS {
            break;
        }
        let next = chunk.further_object(&error).filter(|_| builder.between_documents());
        if next.is_none() {
            builder.problem(chunk.place(error.marker()), format!("not valid YAML or JSON: {}", error.info()));
        }
        let Some(next) = next.or_else(|| chunk.next_document(error.marker().line())) else { break };
        builder.forget_open_document();
        chunk = next;
    }
    (builder.documents, builder.problems)
}

/// The part of a file still to be read, and where it begins.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    text: &'a str,
    line: u32,
    column: u32,
}

impl Chunk<'_> {
    fn place(&self, marker: &Marker) -> Place {
        let line = self.line + u32::try_from(marker.line().saturating_sub(1)).unwrap_or(u32::MAX / 2);
        let column = u32::try_from(marker.col() + 1).unwrap_or(u32::MAX / 2);
        Place { line, column: if marker.line() <= 1 { self.column + column - 1 } else { column } }
    }

    /// A JSON object or array where the end of the file or `---` was expected.
    fn further_object(&self, error: &ScanError) -> Option<Self> {
        let marker = error.marker();
        let (start, _) = self.text.char_indices().nth(marker.index())?;
        let place = self.place(marker);
        let text = &self.text[start..];
        (start > 0 && text.starts_with(['{', '['])).then_some(Self { text, line: place.line, column: place.column })
    }

    /// The text from the first `---` line at or after `line` (from 1, in this chunk), but not at the first line.
    fn next_document(&self, line: usize) -> Option<Self> {
        let mut start = 0;
        for (number, content) in (1..).zip(self.text.split_inclusive('\n')) {
            if number >= line.max(2) && content.starts_with("---") {
                let line = self.line + u32::try_from(number - 1).ok()?;
                return Some(Self { text: &self.text[start..], line, column: 1 });
            }
            start += content.len();
        }
        None
    }
}

/// A container that is not closed yet.
struct Open {
    anchor: usize,
    place: Place,
    value: Value,
    size: usize,
    /// The key whose value comes next.
    key: Option<Node>,
    /// The mappings named by `<<`; their entries count only if the mapping lacks the key.
    merged: Vec<Node>,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    problems: Vec<Problem>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
    anchored: usize,
    in_document: bool,
}

impl Builder {
    fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.note(Severity::Error, place, message.into());
    }

    fn note(&mut self, severity: Severity, place: Place, message: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { place, severity, message });
        }
    }

    fn between_documents(&self) -> bool {
        !self.in_document
    }

    fn forget_open_document(&mut self) {
        self.open.clear();
        self.anchors.clear();
        self.in_document = false;
    }

    /// Reads documents up to the end, or up to the error that is returned.
    fn read(&mut self, chunk: Chunk<'_>) -> Option<ScanError> {
        for event in Parser::new_from_str(chunk.text) {
            if self.documents.len() > MAX_PIPELINES {
                return None; // one more than may be given, which is refused
            }
            match event {
                Ok((event, span)) => {
                    if let Err(message) = self.event(event, chunk.place(&span.start)) {
                        return Some(ScanError::new(span.start, message));
                    }
                }
                Err(error) => return Some(error),
            }
        }
        None
    }

    fn event(&mut self, event: Event<'_>, place: Place) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) => self.in_document = true,
            Event::DocumentEnd => self.in_document = false,
            Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
            Event::Scalar(text, style, anchor, _) => {
                let size = 1 + text.len() / BYTES_A_NODE;
                let value = Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.finish(Node { place, value, size }, anchor)?;
            }
            Event::SequenceStart(anchor, _) => self.start(anchor, place, Value::Sequence(Vec::new()))?,
            Event::MappingStart(anchor, _) => self.start(anchor, place, Value::Mapping(Vec::new()))?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { anchor, place, mut value, size, merged, .. }) = self.open.pop() {
                    if let Value::Mapping(entries) = &mut value {
                        for (at, message) in keep_last(entries) {
                            self.note(Severity::Warning, at, message);
                        }
                        merge(entries, merged);
                    }
                    self.finish(Node { place, value, size }, anchor)?;
                }
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or("an alias is inside its own anchor")?;
                self.aliased += node.size;
                if self.aliased > MAX_ALIASED {
                    return Err("aliases expand to more than 100,000 nodes".to_owned());
                }
                let node = node.clone();
                self.finish(node, 0)?;
            }
        }
        Ok(())
    }

    fn start(&mut self, anchor: usize, place: Place, value: Value) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err("lists and mappings are nested more than 64 deep".to_owned());
        }
        self.open.push(Open { anchor, place, value, size: 1, key: None, merged: Vec::new() });
        Ok(())
    }

    /// Adds a finished node to its container.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        if anchor > 0 {
            self.anchored += node.size;
            if self.anchored > MAX_ANCHORED {
                return Err("anchors expand to more than 1,000,000 nodes".to_owned());
            }
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            if !node.is_null() {
                self.documents.push(node);
            }
            return Ok(());
        };
        parent.size += node.size;
        match &mut parent.value {
            Value::Sequence(items) => items.push(node),
            Value::Scalar { .. } => {}
            Value::Mapping(entries) => match parent.key.take() {
                None => parent.key = Some(node),
                Some(key) => match entry_of(key, node) {
                    Ok(Part::Entry(entry)) => entries.push(entry),
                    Ok(Part::Merged(merged)) => parent.merged.push(merged),
                    Err((place, message)) => self.problem(place, message),
                },
            },
        }
        Ok(())
    }
}

/// The role of a key and value in a mapping.
enum Part {
    Entry(Entry),
    /// The value of `<<`.
    Merged(Node),
}

fn entry_of(key: Node, value: Node) -> Result<Part, (Place, String)> {
    let place = key.place;
    let message = format!("a key must be text, got {}", key.describe());
    match key.value {
        Value::Scalar { text, plain: true } if text == "<<" => Ok(Part::Merged(value)),
        Value::Scalar { text, .. } => Ok(Part::Entry(Entry { key: text, place, value })),
        _ => Err((place, message)),
    }
}

/// Removes every entry whose key occurs again later, as JSON readers do, and reports it at the later position.
fn keep_last(entries: &mut Vec<Entry>) -> Vec<(Place, String)> {
    let mut last: HashMap<&str, usize> = HashMap::with_capacity(entries.len());
    let mut gone = vec![false; entries.len()];
    let mut said = Vec::new();
    for (at, Entry { key, place, .. }) in entries.iter().enumerate() {
        match last.entry(key) {
            Known::Vacant(known) => drop(known.insert(at)),
            Known::Occupied(mut known) => {
                let before = known.insert(at);
                gone[before] = true;
                let message = format!(
                    "`{}` is given twice: this value is used, not the one at {}",
                    key.escape_debug(),
                    entries[before].place
                );
                said.push((*place, message));
            }
        }
    }
    if !said.is_empty() {
        let mut gone = gone.into_iter();
        entries.retain(|_| !gone.next().is_some_and(|gone| gone));
    }
    said
}

/// Adds entries from `<<` (a mapping or a list of mappings) for keys that the mapping lacks.
fn merge(entries: &mut Vec<Entry>, merged: Vec<Node>) {
    fn add(entries: &mut Vec<Entry>, known: &mut HashSet<String>, node: Node) {
        match node.value {
            Value::Mapping(others) => {
                entries.extend(others.into_iter().filter(|other| known.insert(other.key.clone())));
            }
            Value::Sequence(nodes) => nodes.into_iter().for_each(|node| add(entries, known, node)),
            Value::Scalar { .. } => {}
        }
    }
    if merged.is_empty() {
        return;
    }
    let mut known = entries.iter().map(|entry| entry.key.clone()).collect();
    for node in merged {
        add(entries, &mut known, node);
    }
}

/// Replaces each pair of `\u` surrogates, which YAML does not support, with the equivalent single escape.
fn join_surrogates(text: &str) -> Cow<'_, str> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut joined = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        at += found;
        let pair = unit(at).zip(unit(at + 6)).map(|(high, low)| [high, low]);
        match pair.and_then(|pair| char::decode_utf16(pair).next()?.ok().filter(|c| u32::from(*c) > 0xffff)) {
            Some(c) => {
                joined.push_str(&text[copied..at]);
                write!(joined, "\\U{:08x}", u32::from(c)).expect("a string takes all text");
                at += 12;
                copied = at;
            }
            None => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    if copied == 0 { Cow::Borrowed(text) } else { Cow::Owned(joined + &text[copied..]) }
}
