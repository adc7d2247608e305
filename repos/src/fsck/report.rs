//! What a check found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use specs::{CommitId, Digest, FilePath};

use crate::base::error::RepoError;
use crate::base::kind::Kind;
use crate::base::pack_name::PackName;

/// How many dependents a problem names; the rest is counted.
pub(super) const NAMED: usize = 100;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// All that is wrong; empty for a sound store.
    pub problems: Vec<Problem>,
    /// What is not as it might be and does no harm, such as the half of a record that a dead writer left.
    pub notes: Vec<String>,
    /// What was looked at.
    pub counts: Counts,
    /// Packs that hold something damaged.
    pub(crate) damaged_packs: BTreeSet<PackName>,
}

/// One thing that is wrong.
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
    /// The file that says which layout the store has.
    Format,
    /// The journal.
    Journal,
    /// A record of the journal, by its number.
    Record(u64),
    /// A pack beside its objects: header, index, footer, all of it.
    Pack(PackName),
    /// The index, which can be rebuilt.
    Index,
    /// An object.
    Object(Kind, Digest),
}

impl Subject {
    /// The object's kind and digest, when it is one.
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
    /// In words; the path is not among them.
    pub place: String,
    /// The commit, when it is one.
    pub commit: Option<CommitId>,
    /// The file of the commit, when it is one.
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

/// Problems by what they are about: an object that many need is one problem.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: BTreeMap<Subject, Problem>,
    pub(super) notes: Vec<String>,
    pub(super) counts: Counts,
    pub(super) damaged_packs: BTreeSet<PackName>,
}

impl Findings {
    /// Several things can be wrong with one: the first reason is most often that of the others.
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

    /// Whether anything is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Whether a pack may lack some of what the index says is in it.
    pub(super) fn is_suspect(&self, pack: &PackName) -> bool {
        self.damaged_packs.contains(pack) || self.problems.contains_key(&Subject::Pack(*pack))
    }

    /// An object that could not be read when `needed_by` was looked at; `expected` is what was to be read.
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
        // What is behind a row that cannot be read is not known to be damaged.
        let is_of_index = error.is_of_index();
        let subject = if is_of_index { Subject::Index } else { Subject::Object(kind, digest) };
        self.add(subject, why);
        if !is_of_index {
            self.add_dependent(subject, needed_by);
        }
        subject
    }

    /// Somebody else who needs what is damaged.
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

    /// What is wrong here and was wrong before: damage does not disappear.
    pub(super) fn confirmed_by(mut self, before: &Self) -> Self {
        self.problems.retain(|subject, _| before.problems.contains_key(subject));
        self
    }

    pub(super) fn into_report(self) -> Report {
        let Self { problems, notes, counts, damaged_packs } = self;
        Report { problems: problems.into_values().collect(), notes, counts, damaged_packs }
    }
}
