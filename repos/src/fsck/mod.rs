//! Whether a store is sound: all bytes as they were written, and everything there that something else names.
//!
//! 1. `packs` reads the journal and every entry of every pack, and compares both with the index;
//! 2. `reach` goes from branches, tags, jobs and pipelines to all that they rest on, and names who needs what is damaged.
//!
//! Nothing is changed and nothing is locked: what others write meanwhile is left for the next time.
//! Not here: whether a claim is true, such as who made a file from what (`verify`, in `engine`).

use std::collections::BTreeMap;

use specs::Digest;

use crate::error::RepoError;
use crate::object::Kind;
use crate::store::{Result, Store};

mod packs;
mod reach;

/// How many dependents a problem names.
const NAMED: usize = 100;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// All that is wrong; empty for a sound store.
    pub problems: Vec<Problem>,
    /// What was looked at.
    pub counts: Counts,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The damaged thing in words, such as `chunk e07c11d9…`, `journal`, `index`.
    pub what: String,
    /// The object's digest, when it is one.
    pub digest: Option<Digest>,
    /// The object's kind, when it is one.
    pub kind: Option<Kind>,
    /// What is wrong with it.
    pub why: String,
    /// Who needs it, such as `images@c07d5e21ab34:/cam7/1.jpg`; at most a hundred, newest commits first.
    pub needed_by: Vec<String>,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records of the journal.
    pub records: u64,
    /// Finished packs.
    pub packs: u64,
    /// Objects in them, each time they occur.
    pub objects: u64,
    /// Bytes of these objects.
    pub size_bytes: u64,
    /// Commits that were reached.
    pub commits: u64,
    /// Results that were reached.
    pub results: u64,
    /// Different file contents that were reached.
    pub files: u64,
}

/// Tells how far a check is: what it looks at, how many it has seen, and how many there are (0 when that is not known).
pub type Progress<'a> = &'a (dyn Fn(&str, u64, u64) + Sync);

/// Checks everything. An error only when the store cannot be looked at; what is wrong is in the report.
pub fn check(store: &Store, progress: Progress<'_>) -> Result<Report> {
    let mut findings = Findings::default();
    packs::check(store, progress, &mut findings)?;
    reach::check(store, progress, &mut findings)?;
    Ok(Report { problems: findings.problems.into_values().collect(), counts: findings.counts })
}

/// Problems by what they are about: an object that many need is one problem.
#[derive(Debug, Default)]
struct Findings {
    problems: BTreeMap<(String, Option<Digest>), Problem>,
    counts: Counts,
}

impl Findings {
    fn add(&mut self, what: &str, why: impl Into<String>) {
        let problem =
            Problem { what: what.to_owned(), digest: None, kind: None, why: why.into(), needed_by: Vec::new() };
        // Several things can be wrong with one: the first reason is most often that of the others.
        self.problems.entry((what.to_owned(), None)).or_insert(problem);
    }

    fn add_object(&mut self, kind: Kind, digest: Digest, why: impl Into<String>) -> &mut Problem {
        let what = format!("{kind} {digest}");
        self.problems.entry((what.clone(), Some(digest))).or_insert_with(|| Problem {
            what,
            digest: Some(digest),
            kind: Some(kind),
            why: why.into(),
            needed_by: Vec::new(),
        })
    }

    /// Whether an object is known to be damaged.
    fn is_damaged(&self, kind: Kind, digest: &Digest) -> bool {
        !self.problems.is_empty() && self.problems.contains_key(&(format!("{kind} {digest}"), Some(*digest)))
    }

    /// An object that could not be read when `needed_by` was looked at; `expected` is what was to be read.
    fn add_error(&mut self, error: &RepoError, expected: (Kind, Digest), needed_by: &str) {
        let (kind, digest) = match error {
            RepoError::DamagedObject { kind, digest, .. } | RepoError::MissingObject { kind, digest } => {
                (*kind, *digest)
            }
            _ => expected,
        };
        let why = match error {
            RepoError::DamagedObject { why, .. } => why.clone(),
            RepoError::MissingObject { .. } => "it is missing".to_owned(),
            error => error.to_string(),
        };
        let problem = self.add_object(kind, digest, why);
        if problem.needed_by.len() < NAMED && !problem.needed_by.iter().any(|known| known == needed_by) {
            problem.needed_by.push(needed_by.to_owned());
        }
    }
}
