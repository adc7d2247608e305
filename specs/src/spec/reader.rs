//! Reads fields by their table: handles each by its class, parses values of the expected shape, and reports every problem on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use super::fields::{Class, DETAILS, Field, OBJECTS, Object, camel_case, snake_case};
use super::limits::{MAX_ENTRIES, MAX_PROBLEMS, grouped, shortened};
use super::node::{Entry, Node, Value};
use crate::diagnostics::{Diagnostic, Place, Severity, nearest};
use crate::duration::Duration;
use crate::quantity::Quantity;

/// Collects problems. Shared by all files, so that a warning is given only once.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) diagnostics: Vec<Diagnostic>,
    errors: usize,
    warned: BTreeSet<String>,
}

impl Notes {
    /// Adds a problem, unless the list is full. A problem that is not listed still counts.
    pub(super) fn push(&mut self, mut problem: Diagnostic) {
        self.errors += usize::from(problem.is_error());
        if !self.is_full() {
            problem.message = shortened(problem.message);
            self.diagnostics.push(problem);
        }
    }

    fn is_full(&self) -> bool {
        self.diagnostics.len() >= MAX_PROBLEMS
    }
}

/// Reads one document.
pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    notes: &'a mut Notes,
    /// Whether the file uses `camelCase`; messages then do too.
    camel: bool,
    /// The pipeline's name as written, for messages.
    pipeline: Option<String>,
}

/// The fields of a mapping that have an effect.
pub(super) struct Fields<'n> {
    object: &'static Object,
    pub(super) place: Place,
    found: Vec<(&'static Field, &'n Entry)>,
}

impl<'n> Fields<'n> {
    /// The value of a field, if present and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        debug_assert!(
            self.object.field(name).is_some_and(|field| field.class == Class::Acts),
            "`{name}` is no field that acts"
        );
        self.found
            .iter()
            .find(|(field, _)| field.name == name)
            .map(|(_, entry)| &entry.value)
            .filter(|node| !node.is_empty())
    }

    /// The position of a field's value, if present.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        self.get(name).map(|node| node.place)
    }

    /// The keys and values present, in file order.
    pub(super) fn found(&self) -> impl Iterator<Item = (&'static str, &'n Entry)> {
        self.found.iter().filter(|(_, entry)| !entry.value.is_empty()).map(|(field, entry)| (field.name, *entry))
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a str, document: &Node, notes: &'a mut Notes) -> Self {
        let mut styles = (0, 0);
        count_styles(document, &mut styles);
        let (camel, snake) = styles;
        Self { file, notes, camel: camel > snake, pipeline: written_name(document) }
    }

    /// Number of errors so far, in all files.
    pub(super) fn errors(&self) -> usize {
        self.notes.errors
    }

    fn note(&mut self, severity: Severity, place: Place, message: String, hint: Option<String>) {
        self.notes.push(Diagnostic { file: self.file.to_owned(), place, severity, message, hint });
    }

    pub(super) fn error(&mut self, place: Place, message: impl Into<String>) {
        self.note(Severity::Error, place, message.into(), None);
    }

    pub(super) fn error_with_hint(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.note(Severity::Error, place, message.into(), Some(hint.into()));
    }

    pub(super) fn warn(&mut self, place: Place, message: impl Into<String>, hint: Option<String>) {
        self.note(Severity::Warning, place, message.into(), hint);
    }

    /// Warns, unless the same warning was given for any file.
    pub(super) fn warn_once(&mut self, place: Place, message: String, hint: Option<String>) {
        if self.notes.warned.insert(message.clone()) {
            self.warn(place, message, hint);
        }
    }

    /// A field's name in the style of the file.
    pub(super) fn styled(&self, name: &str) -> String {
        if self.camel { camel_case(name) } else { name.to_owned() }
    }

    /// How messages refer to an object.
    fn whole(&self, object: &Object) -> String {
        let pipeline = self.pipeline.as_ref().map(|name| format!("pipeline `{}`", name.escape_debug()));
        match (object.is_spec(), pipeline) {
            (true, Some(pipeline)) => pipeline,
            (true, None) => "a pipeline spec".to_owned(),
            (false, Some(pipeline)) if object.name != "pipeline" => {
                format!("`{}` of {pipeline}", self.styled(object.name))
            }
            (false, _) => format!("`{}`", self.styled(object.name)),
        }
    }

    /// Classifies the fields of a mapping: returns those that have an effect, and handles all others. `None` if it is not a mapping.
    pub(super) fn fields<'n>(&mut self, object: &'static Object, node: &'n Node) -> Option<Fields<'n>> {
        let Value::Mapping(entries) = &node.value else {
            let what = self.whole(object);
            self.error(node.place, format!("{what} must be a mapping of fields, got {}", node.describe()));
            return None;
        };
        let mut fields = Fields { object, place: node.place, found: Vec::new() };
        let mut status = Vec::new();
        self.sort_fields(entries, &mut fields, &mut status);
        if let Some((_, place)) = status.first() {
            let names: Vec<_> = status.iter().map(|(name, _)| format!("`{name}`")).collect();
            self.warn_once(*place, format!("ignored: {}: the status of an exported pipeline", names.join(", ")), None);
        }
        Some(fields)
    }

    fn sort_fields<'n>(&mut self, entries: &'n [Entry], fields: &mut Fields<'n>, status: &mut Vec<(&'n str, Place)>) {
        for entry in entries {
            if let (true, DETAILS, Value::Mapping(inner)) =
                (fields.object.is_spec(), entry.key.as_str(), &entry.value.value)
            {
                self.sort_fields(inner, fields, status);
                continue;
            }
            let Some(field) = fields.object.field(&entry.key) else {
                self.unknown(fields.object, entry);
                continue;
            };
            match field.class {
                Class::Status => status.push((&entry.key, entry.place)),
                Class::ForEditors => {}
                Class::Acts => match fields.found.iter().find(|(other, _)| other.name == field.name) {
                    None => fields.found.push((field, entry)),
                    Some((_, first)) => {
                        let message =
                            format!("`{}` is given twice; first as `{}` at {}", entry.key, first.key, first.place);
                        self.error(entry.place, message);
                    }
                },
                _ if is_harmless(&entry.value, field) => {}
                _ => self.not_read(field, entry),
            }
        }
    }

    /// Handles a field that has a value, but no effect.
    fn not_read(&mut self, field: &'static Field, entry: &Entry) {
        let key = &entry.key;
        match field.class {
            Class::Refused(why) => self.error(entry.place, format!("`{key}` is not supported by pv: {why}")),
            Class::IgnoredIf(value, why) if !asks_only_for(&entry.value, value) => {
                self.error(entry.place, format!("pv supports `{key}` only as `{value}`: {why}"));
            }
            Class::Ignored | Class::IgnoredIf(..) | Class::Acts | Class::Status | Class::ForEditors => {
                self.warn_once(entry.place, format!("ignored: `{key}`; results do not depend on it"), None);
            }
        }
    }

    fn unknown(&mut self, object: &'static Object, entry: &Entry) {
        if self.notes.is_full() {
            return self.error(entry.place, ""); // it is counted, not listed
        }
        let key = entry.key.escape_debug();
        let whole = self.whole(object);
        let word = snake_case(&entry.key);
        let known = |class: Class| !matches!(class, Class::Status | Class::ForEditors);
        let here = object.fields.iter().filter(|field| known(field.class)).map(|field| field.name);
        let elsewhere = OBJECTS.iter().find(|other| other.field(&entry.key).is_some_and(|field| known(field.class)));
        let hint = match (nearest(&word, here), elsewhere) {
            (_, Some(other)) if !other.is_spec() => Some(format!("it belongs in `{}`", self.styled(other.name))),
            (_, Some(_)) => Some("it belongs next to `pipeline`, not inside another field".to_owned()),
            (Some(near), None) => {
                let camel = entry.key.contains(|c: char| c.is_ascii_uppercase());
                let near = if camel {
                    camel_case(near)
                } else if entry.key.contains('_') {
                    near.to_owned()
                } else {
                    self.styled(near)
                };
                Some(format!("did you mean `{near}`?"))
            }
            (None, None) => None,
        };
        self.note(Severity::Error, entry.place, format!("unknown field `{key}` in {whole}"), hint);
    }

    fn mismatch(&mut self, node: &Node, name: &str, expected: &str) {
        let (name, got) = (self.styled(name), node.describe());
        self.error(node.place, format!("`{name}`: expected {expected}, got {got}"));
    }

    /// The text of a scalar as written, quoted or not.
    fn scalar<'n>(&mut self, node: &'n Node, name: &str) -> Option<&'n str> {
        match &node.value {
            Value::Scalar { text, .. } if !node.is_null() => Some(text),
            _ => {
                self.mismatch(node, name, "text");
                None
            }
        }
    }

    /// A text.
    pub(super) fn text(&mut self, fields: &Fields<'_>, name: &str) -> Option<String> {
        self.scalar(fields.get(name)?, name).map(str::to_owned)
    }

    /// A text parsed as a name, a glob or the like.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, fields: &Fields<'_>, name: &str) -> Option<T> {
        let node = fields.get(name)?;
        let text = self.scalar(node, name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let name = self.styled(name);
                self.error(node.place, format!("`{name}`: {error}"));
                None
            }
        }
    }

    /// An amount that is `allowed`.
    pub(super) fn amount(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        expected: &str,
        allowed: fn(&Quantity) -> bool,
    ) -> Option<Quantity> {
        let node = fields.get(name)?;
        let amount = self.scalar(node, name)?.parse::<Quantity>().ok().filter(allowed);
        if amount.is_none() {
            self.mismatch(node, name, expected);
        }
        amount
    }

    fn items<'n>(&mut self, node: &'n Node, name: &str) -> &'n [Node] {
        if let Value::Sequence(items) = &node.value {
            return items;
        }
        self.mismatch(node, name, "a list");
        &[]
    }

    /// The items of a list.
    pub(super) fn list<'n>(&mut self, fields: &Fields<'n>, name: &str) -> &'n [Node] {
        fields.get(name).map_or(&[], |node| self.items(node, name))
    }

    /// Whether a field has more entries than the limit; reports that.
    pub(super) fn has_too_many(&mut self, name: &str, place: Place, entries: usize) -> bool {
        let has_too_many = entries > MAX_ENTRIES;
        if has_too_many {
            let (name, entries) = (self.styled(name), grouped(entries));
            self.error(place, format!("`{name}` has {entries} entries; at most {} are allowed", grouped(MAX_ENTRIES)));
        }
        has_too_many
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, fields: &Fields<'_>, name: &str) -> Vec<String> {
        self.list(fields, name).iter().filter_map(|item| self.scalar(item, name).map(str::to_owned)).collect()
    }

    /// A mapping from text to text.
    pub(super) fn text_map(&mut self, fields: &Fields<'_>, name: &str) -> BTreeMap<String, String> {
        let Some(node) = fields.get(name) else { return BTreeMap::new() };
        let Value::Mapping(entries) = &node.value else {
            self.mismatch(node, name, "a mapping from text to text");
            return BTreeMap::new();
        };
        let mut map = BTreeMap::new();
        if self.has_too_many(name, node.place, entries.len()) {
            return map;
        }
        for Entry { key, value, .. } in entries {
            let (name, shown) = (self.styled(name), key.escape_debug());
            match &value.value {
                Value::Scalar { text, .. } if !value.is_null() => {
                    map.insert(key.clone(), text.clone());
                }
                Value::Scalar { .. } => {
                    let message = format!("`{name}`: `{shown}` has no value");
                    self.error_with_hint(value.place, message, format!("for an empty one write `{shown}: \"\"`"));
                }
                _ => {
                    let message = format!("`{name}`: `{shown}`: expected text, got {}", value.describe());
                    self.error(value.place, message);
                }
            }
        }
        map
    }

    /// A whole number accepted by `allowed`, quoted or not.
    fn integer<T: TryFrom<i64>>(
        &mut self,
        node: &Node,
        name: &str,
        expected: &str,
        allowed: fn(&T) -> bool,
    ) -> Option<T> {
        let number = node.integer().and_then(|number| T::try_from(number).ok()).filter(allowed);
        if number.is_none() {
            self.mismatch(node, name, expected);
        }
        number
    }

    /// A count of at least 1.
    pub(super) fn count(&mut self, fields: &Fields<'_>, name: &str) -> Option<u32> {
        self.integer(fields.get(name)?, name, "a whole number of at least 1", |count| *count >= 1)
    }

    /// A number of seconds.
    pub(super) fn seconds(&mut self, fields: &Fields<'_>, name: &str) -> Option<u32> {
        self.integer(fields.get(name)?, name, "a whole number of seconds", |_| true)
    }

    /// A duration that is not zero.
    pub(super) fn timeout(&mut self, fields: &Fields<'_>, name: &str) -> Option<Duration> {
        let timeout: Duration = self.parsed(fields, name)?;
        if timeout.get().is_zero() {
            let node = fields.get(name)?;
            self.mismatch(node, name, "a duration of more than zero, as in `30s`");
        }
        Some(timeout)
    }

    /// A list of exit codes.
    pub(super) fn exit_codes(&mut self, fields: &Fields<'_>, name: &str) -> BTreeSet<i32> {
        let items = self.list(fields, name).iter();
        let codes = items
            .filter_map(|item| self.integer(item, name, "exit codes from 0 to 255", |code| (0..=255).contains(code)));
        codes.filter(|code| *code != 0).collect()
    }

    /// `true` or `false`, also as `True` or `TRUE`, quoted or not; false if absent.
    pub(super) fn boolean(&mut self, fields: &Fields<'_>, name: &str) -> bool {
        let Some(node) = fields.get(name) else { return false };
        node.boolean().unwrap_or_else(|| {
            self.mismatch(node, name, "`true` or `false`");
            false
        })
    }

    /// One of several words.
    pub(super) fn one_of<T: Copy>(&mut self, fields: &Fields<'_>, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let word = self.text(fields, name)?;
        let found = choices.iter().find(|(choice, _)| *choice == word);
        if found.is_none() {
            let expected: Vec<_> = choices.iter().map(|(choice, _)| format!("`{choice}`")).collect();
            let node = fields.get(name)?;
            self.mismatch(node, name, &expected.join(" or "));
        }
        found.map(|(_, value)| *value)
    }
}

/// Counts the field keys in `node` written in `camelCase` and in `snake_case`; keys that look the same in both do not count.
fn count_styles(node: &Node, styles: &mut (usize, usize)) {
    match &node.value {
        Value::Scalar { .. } => {}
        Value::Sequence(items) => items.iter().for_each(|item| count_styles(item, styles)),
        Value::Mapping(entries) => {
            for Entry { key, value, .. } in entries {
                if OBJECTS.iter().any(|object| object.field(key).is_some()) {
                    styles.0 += usize::from(key.contains(|c: char| c.is_ascii_uppercase()));
                    styles.1 += usize::from(key.contains('_'));
                }
                count_styles(value, styles);
            }
        }
    }
}

/// `pipeline.name` of a document, valid or not.
fn written_name(document: &Node) -> Option<String> {
    let name = document.entry("pipeline")?.entry("name")?;
    match &name.value {
        Value::Scalar { text, .. } if !name.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// Whether a value requests nothing, so that ignoring it is harmless.
fn is_harmless(node: &Node, field: &Field) -> bool {
    let mapping_asks = matches!(field.class, Class::Refused(_)); // `spout: {}` is a spout
    match &node.value {
        Value::Scalar { text, .. } => node.is_empty() || node.boolean() == Some(false) || text == field.harmless,
        Value::Sequence(items) => items.is_empty(),
        Value::Mapping(entries) => !mapping_asks && entries.iter().all(|entry| is_harmless(&entry.value, field)),
    }
}

/// Whether a text, or each field of a mapping, is `value` or empty.
fn asks_only_for(node: &Node, value: &str) -> bool {
    match &node.value {
        Value::Scalar { text, .. } => node.is_empty() || text == value,
        Value::Sequence(items) => items.is_empty(),
        Value::Mapping(entries) => entries.iter().all(|entry| asks_only_for(&entry.value, value)),
    }
}
