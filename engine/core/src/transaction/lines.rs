//! The lines of a transaction: JSON objects, parsed into typed steps. All errors in all lines are reported at once.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use specs::{Diagnostic, FilePath, Place, Reference, Revision, Severity, nearest};

use repos::web::WebUrl;

use crate::graph::BranchOf;
use crate::put::{PutFiles, PutSource};

/// The format of the lines, as help text.
pub const FORMAT: &str = r#"One JSON object per line; its first field is the change:
  {"put": "images:/cam7", "from": ["batch", "x.jpg"]}
        optional: "as": "/PATH", "mirror": true, "exclude": ["*.tmp"],
        "files_from": "LIST", "checksum": true, "skip_unreadable": true
  {"rm": "images:/old.jpg"}
        or a list of paths; optional: "recursive": true
  {"mv": "images:/a", "to": "images:/b"}
  {"cp": "models@v2:/m.bin", "to": "images:/m.bin"}
        from any commit, to a branch
  {"branch_move": "images@release", "to": "images@main"}
  {"branch_create": "images@try", "at": "images@main~1"}
        default for "at": the head of the default branch

Every line may have "message": "TEXT". Every line except branch_create may
have "expect": "REV": the revision that its branch must have before the
transaction. The fields have the names and meanings of the flags of the
commands. Local paths are relative to the current folder.

Lines are applied in order: "images:/x" and "images@main" include the effects
of earlier lines. All changes to the files of a branch become one commit. After
a line that uses this commit ("branch_move" to it, or "cp" from it into another
repository), later lines cannot change its files.

Example: new images and matching rules, visible to all pipelines together
  {"put": "images", "from": "batch", "message": "camera 7 is back"}
  {"put": "rules", "from": "new.json", "as": "/rules.json", "expect": "v3"}
  {"branch_move": "rules@live", "to": "rules@main"}"#;

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its line number in the text, from 1.
    pub number: u32,
    /// The author's message.
    pub message: Option<String>,
    /// The revision that its branch must have before the transaction.
    pub expect: Option<Revision>,
    /// Its change.
    pub action: LineAction,
}

/// The change of a line as written; no name is resolved yet.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are named as those of the lines")]
pub enum LineAction {
    /// Puts files; `files_from` is a file with a list of paths.
    Put { on: Reference, files: Box<PutFiles>, files_from: Option<PathBuf> },
    /// Removes files, and with `recursive` directories.
    Rm { paths: Vec<FilePath>, on: Reference, recursive: bool },
    /// Moves a file or directory.
    Mv { from: FilePath, on: Reference, to: FilePath },
    /// Copies a file or directory of any commit.
    Cp { from: Reference, on: Reference, to: FilePath },
    /// Moves a branch.
    BranchMove { branch: BranchOf, to: Reference },
    /// Creates a branch.
    BranchCreate { branch: BranchOf, at: Option<Reference> },
}

/// The changes, each with its own fields besides the common ones.
const VERBS: [(&str, &[&str]); 6] = [
    ("put", &["from", "as", "mirror", "exclude", "files_from", "checksum", "skip_unreadable"]),
    ("rm", &["recursive"]),
    ("mv", &["to"]),
    ("cp", &["to"]),
    ("branch_move", &["to"]),
    ("branch_create", &["at"]),
];
const COMMON: [&str; 2] = ["message", "expect"];
/// No line has more fields.
const MAX_FIELDS: usize = 20;
/// Most problems reported for one line.
const MAX_PROBLEMS: usize = 100;

/// Parses all lines; skips empty ones. `file` is for the places of problems, all of which are reported at once.
pub fn lines_in(file: &str, text: &str) -> Result<Vec<Line>, Vec<Diagnostic>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Vec::new();
    let mut problems = Vec::new();
    for (number, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        let mut fields = Fields { file, number, text, values: Vec::new(), problems: Vec::new() };
        let line = fields.read();
        problems.append(&mut fields.problems);
        lines.extend(line);
    }
    if problems.is_empty() { Ok(lines) } else { Err(problems) }
}

/// The fields of one line, removed one by one.
struct Fields<'a> {
    file: &'a str,
    number: u32,
    text: &'a str,
    values: Vec<(String, Value)>,
    problems: Vec<Diagnostic>,
}

impl Fields<'_> {
    fn read(&mut self) -> Option<Line> {
        match parse_object(self.text) {
            Ok(values) => self.values = values,
            Err(error) => {
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
                self.problem_at(error.column(), message, None);
                return None;
            }
        }
        if self.values.len() > MAX_FIELDS {
            self.problem_at(1, format!("it has {} fields; a line has at most {MAX_FIELDS}", self.values.len()), None);
            return None;
        }
        self.check_repeats();
        let (verb, own) = self.verb()?;
        self.check_unknown(verb, own);
        let (message, expect) = (self.take_text("message"), self.parsed("expect"));
        if verb == "branch_create" && expect.is_some() {
            self.problem("expect", "`branch_create` creates a new branch: leave out `expect`".to_owned(), None);
        }
        let action = match verb {
            "put" => self.put(),
            "rm" => self.rm(),
            "mv" => self.mv(),
            "cp" => self.cp(),
            "branch_move" => self.branch_move(),
            _ => self.branch_create(),
        };
        let action = action.filter(|_| self.problems.is_empty())?;
        Some(Line { number: self.number, message, expect, action })
    }

    fn put(&mut self) -> Option<LineAction> {
        let target = self.required("put");
        let files_from = self.take_text("files_from").map(PathBuf::from);
        let sources: Vec<PathBuf> = self.texts("from").into_iter().map(PathBuf::from).collect();
        if sources.is_empty() && files_from.is_none() {
            self.problem("put", "`from` is missing: the files and directories to put".to_owned(), None);
        }
        if sources.iter().chain(&files_from).any(|source| source.as_os_str() == "-") {
            self.problem("from", "a transaction cannot read content from standard input: name a file".to_owned(), None);
        }
        let (as_path, mirror, exclude) = (self.parsed("as"), self.flag("mirror"), self.all_parsed("exclude"));
        let (checksum, skip_unreadable) = (self.flag("checksum"), self.flag("skip_unreadable"));
        let is_address = |source: &&PathBuf| source.to_str().is_some_and(WebUrl::is_meant_by);
        if let Some(address) = sources.iter().find(is_address) {
            let message = format!("a transaction cannot fetch content from the web: `{}`", address.display());
            self.problem("from", message, Some("put the file into a repository first, then `cp` it".to_owned()));
        }
        let on: Reference = target?;
        let sources = sources.into_iter().map(PutSource::Path).collect();
        let directory = on.path.clone();
        let files =
            PutFiles { directory, sources, as_path, mirror, exclude, skip_unreadable, checksum, ..PutFiles::default() };
        Some(LineAction::Put { on, files: Box::new(files), files_from })
    }

    fn rm(&mut self) -> Option<LineAction> {
        let recursive = self.flag("recursive");
        let references: Vec<Reference> = self.all_parsed("rm");
        let on = references.first()?.clone();
        let mut paths = Vec::new();
        for reference in references {
            if (&reference.repo, &reference.revision) != (&on.repo, &on.revision) {
                let message = format!("`{on}` and `{reference}` are on different branches: write a line for each");
                self.problem("rm", message, None);
            }
            paths.extend(self.path_of("rm", &reference));
        }
        Some(LineAction::Rm { paths, on, recursive })
    }

    fn mv(&mut self) -> Option<LineAction> {
        let (from, to) = (self.required::<Reference>("mv")?, self.required::<Reference>("to")?);
        if (&from.repo, &from.revision) != (&to.repo, &to.revision) {
            let message = format!("`{from}` and `{to}` are on different branches; a move stays on one branch");
            self.problem("mv", message, Some("cp, then rm".to_owned()));
        }
        let new_path = self.path_of("to", &to);
        Some(LineAction::Mv { from: self.path_of("mv", &from)?, on: to, to: new_path? })
    }

    fn cp(&mut self) -> Option<LineAction> {
        let (from, to) = (self.required::<Reference>("cp")?, self.required::<Reference>("to")?);
        self.path_of("cp", &from);
        let path = self.path_of("to", &to)?;
        Some(LineAction::Cp { from, on: to, to: path })
    }

    fn branch_move(&mut self) -> Option<LineAction> {
        Some(LineAction::BranchMove { branch: self.branch("branch_move")?, to: self.required("to")? })
    }

    fn branch_create(&mut self) -> Option<LineAction> {
        let at = self.parsed("at");
        Some(LineAction::BranchCreate { branch: self.branch("branch_create")?, at })
    }

    /// `REPO@NAME`
    fn branch(&mut self, field: &str) -> Option<BranchOf> {
        let OneBranch(branch) = self.required(field)?;
        Some(branch)
    }

    fn problem(&mut self, field: &str, message: String, hint: Option<String>) {
        if self.problems.len() == MAX_PROBLEMS {
            return;
        }
        let quoted = format!("\"{field}\"");
        self.problem_at(self.text.find(&quoted).map_or(1, |at| self.text[..at].chars().count() + 1), message, hint);
    }

    fn problem_at(&mut self, column: usize, message: String, hint: Option<String>) {
        let place = Place { line: self.number, column: u32::try_from(column.max(1)).unwrap_or(u32::MAX) };
        let (file, severity) = (self.file.to_owned(), Severity::Error);
        self.problems.push(Diagnostic { file, place, severity, message, hint });
    }

    fn check_repeats(&mut self) {
        let names: Vec<String> = self.values.iter().map(|(name, _)| name.clone()).collect();
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                self.problem(name, format!("`{name}` appears twice"), None);
            }
        }
    }

    /// The single change of the line.
    fn verb(&mut self) -> Option<(&'static str, &'static [&'static str])> {
        let has = |name: &str| self.values.iter().any(|(field, _)| field == name);
        let verbs: Vec<_> = VERBS.into_iter().filter(|(verb, _)| has(verb)).collect();
        let names = VERBS.map(|(verb, _)| verb);
        match verbs.as_slice() {
            [verb] => return Some(*verb),
            [] => {
                let near = self.values.iter().find_map(|(field, _)| nearest(field, names));
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                self.problem_at(
                    1,
                    format!("expected one of {}", names.map(|verb| format!("`{verb}`")).join(", ")),
                    hint,
                );
            }
            [(one, _), (other, _), ..] => {
                self.problem(other, format!("`{one}` and `{other}` are on one line: write a line for each"), None);
            }
        }
        None
    }

    fn check_unknown(&mut self, verb: &'static str, own: &'static [&'static str]) {
        let known: Vec<&str> = own.iter().chain(&COMMON).copied().collect();
        let unknown: Vec<String> = self.values.iter().map(|(field, _)| field.clone()).collect();
        for field in unknown.iter().filter(|field| **field != verb && !known.contains(&field.as_str())) {
            let hint = nearest(field, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let hint = hint.or_else(|| Some(format!("`{verb}` takes: {}", known.join(", "))));
            self.problem(field, format!("unknown field `{}`", field.escape_debug()), hint);
        }
    }

    fn take(&mut self, field: &str) -> Option<Value> {
        let at = self.values.iter().position(|(name, _)| name == field)?;
        Some(self.values.swap_remove(at).1).filter(|value| !value.is_null())
    }

    fn take_text(&mut self, field: &str) -> Option<String> {
        match self.take(field)? {
            Value::String(text) => Some(text),
            other => {
                self.problem(field, format!("`{field}` must be a string, not `{other}`"), None);
                None
            }
        }
    }

    /// A string, or a list of strings.
    fn texts(&mut self, field: &str) -> Vec<String> {
        let values = match self.take(field) {
            Some(Value::Array(values)) => values,
            value => value.into_iter().collect(),
        };
        let mut texts = Vec::new();
        for value in values {
            match value {
                Value::String(text) => texts.push(text),
                other => {
                    self.problem(
                        field,
                        format!("`{field}` must be a string or a list of strings, not `{other}`"),
                        None,
                    );
                }
            }
        }
        texts
    }

    fn flag(&mut self, field: &str) -> bool {
        match self.take(field) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => {
                self.problem(field, format!("`{field}` must be true or false, not `{other}`"), None);
                false
            }
        }
    }

    fn parse_as<T: FromStr<Err: Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        text.parse().map_err(|error: T::Err| self.problem(field, error.to_string(), None)).ok()
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, field: &str) -> Option<T> {
        let text = self.take_text(field)?;
        self.parse_as(field, &text)
    }

    fn all_parsed<T: FromStr<Err: Display>>(&mut self, field: &str) -> Vec<T> {
        let texts = self.texts(field);
        texts.iter().filter_map(|text| self.parse_as(field, text)).collect()
    }

    fn required<T: FromStr<Err: Display>>(&mut self, field: &str) -> Option<T> {
        if !self.values.iter().any(|(name, value)| name == field && !value.is_null()) {
            self.problem_at(1, format!("`{field}` is missing"), None);
        }
        self.parsed(field)
    }

    fn path_of(&mut self, field: &str, reference: &Reference) -> Option<FilePath> {
        if reference.path.is_none() {
            self.problem(field, format!("`{reference}` has no path"), Some(format!("write {reference}:/PATH")));
        }
        reference.path.clone()
    }
}

/// The branch in a line that creates or moves one.
struct OneBranch(BranchOf);

impl FromStr for OneBranch {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (repo, name) = text.split_once('@').ok_or_else(|| format!("`{text}` has no name: write `{text}@NAME`"))?;
        let repo = repo.parse().map_err(|error: specs::NameError| error.to_string())?;
        Ok(Self((repo, name.parse().map_err(|error: specs::NameError| error.to_string())?)))
    }
}

/// The fields of a JSON object in order, including duplicates.
fn parse_object(text: &str) -> serde_json::Result<Vec<(String, Value)>> {
    struct Object;
    impl<'de> Visitor<'de> for Object {
        type Value = Vec<(String, Value)>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a JSON object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while let Some(field) = map.next_entry()? {
                fields.push(field);
            }
            Ok(fields)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let fields = reader.deserialize_map(Object)?;
    reader.end()?;
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_are_told_of_the_lines_is_what_is_read() {
        let objects = FORMAT.lines().filter_map(|line| {
            let line = line.trim();
            Some(&line[..=line.rfind('}').filter(|_| line.starts_with('{'))?])
        });
        for object in objects {
            assert!(lines_in("FORMAT", object).is_ok(), "{object}: {:?}", lines_in("FORMAT", object).err());
        }
        let fields = VERBS.iter().flat_map(|(verb, fields)| fields.iter().chain([verb])).chain(&COMMON);
        for field in fields {
            assert!(FORMAT.contains(&format!("\"{field}\"")), "{field}");
        }
    }
}
