//! Where a content or a name is and was.

use std::collections::BTreeSet;
use std::io::Read;

use engine::{EngineError, Result};
use repos::Store;
use repos::files::{self, Found, Period};
use repos::hash::Hasher;
use repos::history::What;
use repos::tree::PathKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, Digest, ErrorKind, FilePath, Glob, IdPrefix, RepoName};

use crate::named::{Files, Named, files_of, find_id};

/// Minimum number of digits of printed ids: shorter ones may well be names.
const PRINTED: usize = 8;
/// Most files of an id that are searched for.
const FILES: usize = 1_000;

/// A match. It may have been absent between its first and last commit: see the periods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundView {
    /// The repository.
    pub repo: RepoName,
    /// The path.
    pub path: FilePath,
    /// The file in the last commit.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The first commit with it.
    pub first: CommitId,
    /// The last commit with it.
    pub last: CommitId,
    /// Whether it is at the head of a branch.
    pub at_head: bool,
    /// Oldest first.
    pub periods: Vec<PeriodView>,
    /// Number of earlier periods that are left out.
    pub periods_before: u64,
}

/// Consecutive commits that each have the match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeriodView {
    /// The first of them.
    pub first: CommitId,
    /// The last of them.
    pub last: CommitId,
    /// The first commit without the match; `null` while the period reaches the head of a branch or tag.
    pub ended_by: Option<CommitId>,
    /// Whether one of them is the head of a branch.
    pub at_head: bool,
    /// As in the last commit.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
}

impl From<Found> for FoundView {
    fn from(found: Found) -> Self {
        let Found { repo, path, file, first, last, at_head, periods, periods_before } = found;
        let periods = periods.into_iter().map(|period| {
            let Period { first, last, file, ended_by, at_head } = period;
            PeriodView { first, last, ended_by, at_head, digest: file.digest, size_bytes: file.size }
        });
        let periods = periods.collect();
        Self { repo, path, digest: file.digest, size_bytes: file.size, first, last, at_head, periods, periods_before }
    }
}

/// What to search for.
#[derive(Debug, Clone)]
pub struct Sought {
    what: Vec<What>,
    /// The kind of id and the limit of searched files, if the id has more files.
    pub cut: Option<(&'static str, usize)>,
}

impl Sought {
    /// A content.
    pub fn content(digest: Digest) -> Self {
        Self { what: vec![What::Bytes(digest)], cut: None }
    }
}

/// Resolves a word: an id of at least the printed length, or a SHA-256; anything else is a glob, at any depth without `/`.
pub fn sought(store: &Store, word: &str) -> Result<Sought> {
    let digits = word.trim_start_matches("sha256:");
    if let Some(found) = by_id(store, digits)? {
        return Ok(found);
    }
    if let Ok(digest) = digits.parse() {
        return Ok(Sought::content(digest));
    }
    let glob = if word.contains('/') { word.to_owned() } else { format!("/{{**/,}}{word}") };
    let glob = Glob::parse(&glob).map_err(|error| EngineError::Usage { what: error.to_string(), hint: None })?;
    Ok(Sought { what: vec![What::Path(glob)], cut: None })
}

/// Reads a content and returns its SHA-256.
///
/// # Errors
/// Those of the reader.
pub fn digest_of(mut content: impl Read) -> std::io::Result<Digest> {
    let (mut hasher, mut buffer) = (Hasher::default(), vec![0; 1 << 16]);
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Where it is and was; `NotFound` if no commit ever had it. `word` is its name in errors.
pub fn find(store: &Store, sought: &Sought, word: &str) -> Result<Vec<FoundView>> {
    let mut found = Vec::new();
    for what in &sought.what {
        found.extend(files::find(store, what)?.into_iter().map(FoundView::from));
    }
    if found.is_empty() { Err(nothing(store, sought, word)) } else { Ok(found) }
}

fn nothing(store: &Store, sought: &Sought, word: &str) -> EngineError {
    let commit = if store.is_limited() { "commit that is visible to you" } else { "commit" };
    let (what, hint) = match sought.what.as_slice() {
        [What::Bytes(digest)] => (format!("no {commit} contains a file with SHA-256 {digest}"), None),
        [What::Path(_)] => (format!("no {commit} contains a file that matches `{word}`"), files::glob_hint(word)),
        _ => (format!("no {commit} contains any file of `{word}`"), None),
    };
    EngineError::NotFound { what, hint }
}

/// The files of an id; `None` if it is not an id or has no files: then it may be a name. An ambiguous id is an error.
fn by_id(store: &Store, digits: &str) -> Result<Option<Sought>> {
    let Some(prefix) = digits.parse::<IdPrefix>().ok().filter(|_| digits.len() >= PRINTED) else { return Ok(None) };
    let named = match find_id(store, &prefix) {
        Ok(named) => named,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match files_of(store, &named, None) {
        Ok(files) => Ok(Some(contents(store, &named, files, digits)?)),
        Err(_) => Ok(None),
    }
}

fn contents(store: &Store, named: &Named, files: Files, digits: &str) -> Result<Sought> {
    let (tree, path) = match files {
        Files::One { file, .. } => return Ok(Sought::content(file.digest)),
        Files::Commit(at) => (at.tree(), at.path.clone()),
        Files::Tree { tree, path, .. } => (tree, path),
    };
    let (mut files, mut cut) = (BTreeSet::new(), None);
    for file in files::list_tree(store, tree, digits, &path, true)? {
        let PathKind::File(file) = file?.kind else { continue };
        if files.len() < FILES {
            files.insert(file.digest);
        } else if !files.contains(&file.digest) {
            cut = Some((named.sort(), FILES));
            break;
        }
    }
    Ok(Sought { what: files.into_iter().map(What::Bytes).collect(), cut })
}
