//! The result of a check.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use specs::{CommitId, Digest, FilePath};

use crate::base::error::RepoError;
use crate::base::kind::Kind;
use crate::base::pack_name::PackName;

/// Maximum number of dependents listed for a problem; the rest is counted.
pub(super) const NAMED: usize = 100;

/// The result of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// All damage; empty for an intact store.
    pub problems: Vec<Problem>,
    /// Harmless irregularities, such as half a record left by a crashed writer.
    pub notes: Vec<String>,
    /// How much was checked.
    pub counts: Counts,
    /// Packs with damage.
    pub(crate) damaged_packs: BTreeSet<PackName>,
}

/// One damaged thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is damaged.
    pub subject: Subject,
    /// What is wrong with it.
    pub why: String,
    /// Who needs it; at most a hundred, newest commits first.
    pub needed_by: Vec<Dependent>,
    /// How many more need it.
    pub needed_by_more: u64,
}

/// A part of a store that can be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// The file that states the version of the store's layout.
    Format,
    /// The journal.
    Journal,
    /// A record of the journal, by its number.
    Record(u64),
    /// A pack apart from its objects: header, index, footer, or all of it.
    Pack(PackName),
    /// The index, which can be rebuilt.
    Index,
    /// An object.
    Object(Kind, Digest),
}

impl Subject {
    /// The kind and digest if this is an object.
    pub fn object(&self) -> Option<(Kind, Digest)> {
        if let Self::Object(kind, digest) = self { Some((*kind, *digest)) } else { None }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("format"),
            Self::Journal => f.write_str("journal"),
            Self::Record(number) => write!(f, "record {number} of the journal"),
            Self::Pack(name) => write!(f, "pack {name}"),
            Self::Index => f.write_str("index"),
            Self::Object(kind, digest) => write!(f, "{kind} {digest}"),
        }
    }
}

/// Who needs something, such as `images@c07d5e21ab34:/cam7/1.jpg`, `images@main`, `pipeline detect version 3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependent {
    /// As text, without the path.
    pub place: String,
    /// The commit, if it is one.
    pub commit: Option<CommitId>,
    /// The file of the commit, if it is one.
    pub path: Option<FilePath>,
}

impl Dependent {
    pub(super) fn of(place: impl Into<String>) -> Self {
        Self { place: place.into(), commit: None, path: None }
    }
}

impl fmt::Display for Dependent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}:{path}", self.place),
            None => f.write_str(&self.place),
        }
    }
}

/// How much was checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of records in the journal.
    pub records: u64,
    /// Finished packs.
    pub packs: u64,
    /// Objects in them, counting every copy.
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

/// Problems by subject: an object that many need is one problem.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: BTreeMap<Subject, Problem>,
    pub(super) notes: Vec<String>,
    pub(super) counts: Counts,
    pub(super) damaged_packs: BTreeSet<PackName>,
}

impl Findings {
    /// A subject may have several faults: the first reason usually explains the others.
    pub(super) fn add(&mut self, subject: Subject, why: impl Into<String>) -> &mut Problem {
        self.problems.entry(subject).or_insert_with(|| Problem {
            subject,
            why: why.into(),
            needed_by: Vec::new(),
            needed_by_more: 0,
        })
    }

    /// Whether an object is known to be damaged.
    pub(super) fn is_damaged(&self, kind: Kind, digest: &Digest) -> bool {
        self.problems.contains_key(&Subject::Object(kind, *digest))
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Whether a pack may lack objects that the index finds in it.
    pub(super) fn is_suspect(&self, pack: &PackName) -> bool {
        self.damaged_packs.contains(pack) || self.problems.contains_key(&Subject::Pack(*pack))
    }

    /// Adds an object that could not be read while `needed_by` was checked; `expected` is what should have been read.
    pub(super) fn add_error(&mut self, error: &RepoError, expected: (Kind, Digest), needed_by: &Dependent) -> Subject {
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
        // An unreadable row does not mean that its object is damaged.
        let is_of_index = error.is_of_index();
        let subject = if is_of_index { Subject::Index } else { Subject::Object(kind, digest) };
        self.add(subject, why);
        if !is_of_index {
            self.add_dependent(subject, needed_by);
        }
        subject
    }

    /// Adds another dependent of something damaged.
    pub(super) fn add_dependent(&mut self, subject: Subject, needed_by: &Dependent) {
        let Some(problem) = self.problems.get_mut(&subject) else { return };
        if problem.needed_by.contains(needed_by) {
            return;
        }
        if problem.needed_by.len() < NAMED {
            problem.needed_by.push(needed_by.clone());
        } else {
            problem.needed_by_more += 1;
        }
    }

    /// Keeps only problems that were also found before: damage does not disappear.
    pub(super) fn confirmed_by(mut self, before: &Self) -> Self {
        self.problems.retain(|subject, _| before.problems.contains_key(subject));
        self
    }

    pub(super) fn into_report(self) -> Report {
        let Self { problems, notes, counts, damaged_packs } = self;
        Report { problems: problems.into_values().collect(), notes, counts, damaged_packs }
    }
}
