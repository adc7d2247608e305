//! Pipeline specs: from the text of files to values that are always valid, or to everything that is wrong with them.
//!
//! 1. `node` turns YAML or JSON into nodes with positions (`number`: whole numbers in them);
//! 2. `fields` is the table of every field and how it is handled, `reader` follows it;
//! 3. `read`, `read_input`, `read_env` and `read_placement` make a [`PipelineSpec`] (`types`, `input`, `memory`, `placement`) from a document
//!    and check everything that does not depend on other specs;
//! 4. `graph` checks all specs together: duplicate names, cycles;
//! 5. `limits` defines size limits;
//! 6. `schema` generates the JSON Schema from the same table, [`guide`] the documentation.
//!
//! Nothing stops at the first problem. Not here: checks that need a store (missing repositories, whether the version is new) or an image.

mod fields;
mod graph;
pub mod guide;
mod input;
mod limits;
mod memory;
mod node;
mod number;
mod placement;
mod read;
mod read_env;
mod read_input;
mod read_placement;
mod reader;
mod schema;
#[cfg(test)]
mod tests;
mod types;

pub use self::graph::{LOOP_HINT, find_cycles, find_loops, in_words, loop_in_words};
pub use self::input::{CronInput, Input, PfsInput, Trigger};
pub use self::limits::MAX_FILE_BYTES;
pub use self::memory::{MemoryGrowth, MemoryLimit};
pub use self::placement::{Placement, Scheduling, TaintEffect, Toleration, TolerationOperator};
pub use self::read_input::is_shell_name;
pub use self::schema::schema;
pub use self::types::{
    DEFAULT_CODE_PATH, DEFAULT_DATUM_TRIES, Gpu, Limits, Metadata, Network, PipelineSpec, Reprocess, Resources,
    SecretUse, Transform,
};

use std::collections::HashMap;
use std::sync::Arc;

use self::limits::{MAX_PIPELINES, MAX_PROBLEMS, grouped};
use self::node::{Node, Value};
use self::read::Document;
use self::reader::{Notes, Reader};
use crate::diagnostics::{Diagnostic, Place, Severity};

/// A spec and its origin, so that later checks can point to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The file's name, as the caller gave it.
    pub file: String,
    /// The whole text of the file, which may contain more than this spec.
    pub text: Arc<str>,
    /// The spec.
    pub spec: PipelineSpec,
    /// The positions of its fields.
    pub places: Places,
}

/// The positions of a spec's fields in its file; of the values, not the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The whole spec.
    pub pipeline: Place,
    /// `pipeline.name`.
    pub name: Place,
    /// `transform`.
    pub transform: Place,
    /// `transform.image`.
    pub image: Option<Place>,
    /// `transform.cmd`.
    pub cmd: Option<Place>,
    /// `transform.code`.
    pub code: Option<Place>,
    /// One for each of `transform.secrets`.
    pub secrets: Vec<Place>,
    /// One for each of [`Input::leaves`].
    pub leaves: Vec<LeafPlaces>,
}

/// The positions of the fields of one `pfs` input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafPlaces {
    /// `repo`.
    pub repo: Place,
    /// `name`, if given.
    pub name: Option<Place>,
    /// `branch`, if given.
    pub branch: Option<Place>,
    /// `glob`.
    pub glob: Place,
}

impl Parsed {
    /// An error at a position in this spec's file.
    pub fn error(&self, place: Place, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
        Diagnostic { file: self.file.clone(), place, severity: Severity::Error, message: message.into(), hint }
    }

    /// A warning at a position in this spec's file.
    pub fn warning(&self, place: Place, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..self.error(place, message, hint) }
    }
}

/// All specs of some files, and everything that is wrong with them.
#[derive(Debug, Default)]
pub struct SpecSet {
    /// The specs that are valid on their own, in the order of files and documents.
    pub specs: Vec<Parsed>,
    /// Errors and warnings, by file in the given order, then by position.
    pub diagnostics: Vec<Diagnostic>,
}

impl SpecSet {
    /// Whether anything prevents these files from being applied.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Parses every spec in `files`, each given as its name and its text.
///
/// A file contains one or more documents in YAML or JSON, each a spec or a list of specs.
pub fn parse_specs(files: &[(String, String)]) -> SpecSet {
    let mut notes = Notes::default();
    let mut documents = Vec::new();
    for (file, text) in files {
        if text.len() > MAX_FILE_BYTES {
            notes.push(too_large(file, text.len()));
            continue;
        }
        let whole: Arc<str> = text.as_str().into();
        let (roots, problems) = node::parse(text);
        if roots.iter().all(Node::is_empty) && problems.is_empty() {
            notes.push(whole_file(file, "this file contains no pipeline spec"));
        }
        for node::Problem { place, severity, message } in problems {
            notes.push(Diagnostic { file: file.clone(), place, severity, message, hint: None });
        }
        for node in roots.iter().flat_map(specs_in) {
            if documents.len() == MAX_PIPELINES {
                notes.push(too_many(file, node.place));
                break;
            }
            let mut reader = Reader::new(file, node, &mut notes);
            documents.push((file.as_str(), read::document(&mut reader, node, &whole)));
        }
    }
    for problem in graph::names_held_twice(&documents) {
        notes.push(problem);
    }
    let specs: Vec<_> = documents.into_iter().filter_map(|(_, Document { parsed, .. })| parsed).collect();
    for problem in graph::cycles(&specs) {
        notes.push(problem);
    }
    let mut diagnostics = notes.diagnostics;
    let order: HashMap<&str, usize> = files.iter().map(|(name, _)| name.as_str()).zip(0..).collect();
    diagnostics.sort_by_key(|diagnostic| (order.get(diagnostic.file.as_str()), diagnostic.place));
    if diagnostics.len() >= MAX_PROBLEMS {
        let last = diagnostics.last().expect("there are a thousand").clone();
        let message = format!("only the first {} problems are listed", grouped(MAX_PROBLEMS));
        diagnostics.push(Diagnostic { severity: Severity::Error, message, hint: None, ..last });
    }
    SpecSet { specs, diagnostics }
}

fn too_large(file: &str, bytes: usize) -> Diagnostic {
    let message = format!("this file has {} bytes; a spec file may have at most 4 MiB", grouped(bytes));
    let hint = Some("split the pipelines into several files: `-f` accepts many files, and folders".to_owned());
    Diagnostic { severity: Severity::Error, hint, ..whole_file(file, &message) }
}

fn too_many(file: &str, place: Place) -> Diagnostic {
    let message = format!("more than {} pipelines at a time", grouped(MAX_PIPELINES));
    Diagnostic { file: file.to_owned(), place, severity: Severity::Error, message, hint: None }
}

fn whole_file(file: &str, message: &str) -> Diagnostic {
    let message = message.to_owned();
    Diagnostic { file: file.to_owned(), place: Place::START, severity: Severity::Warning, message, hint: None }
}

/// A document is a spec, or a list of specs.
fn specs_in(document: &Node) -> &[Node] {
    match &document.value {
        Value::Sequence(specs) => specs,
        _ => std::slice::from_ref(document),
    }
}
