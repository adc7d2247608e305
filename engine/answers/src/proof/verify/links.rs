//! What was checked of a claim, and what it adds up to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use specs::ErrorKind;

/// The sorts of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// A file's bytes have the digest that its tree says.
    Bytes,
    /// A path is in a commit's tree.
    Tree,
    /// A commit's document.
    Commit,
    /// A commit is signed.
    Signature,
    /// A commit says which result wrote a file.
    Lineage,
    /// A result gave these bytes.
    Result,
    /// A result is that of this recipe, and the recipe that of the commit's pipeline.
    Recipe,
    /// The code that a result was made with.
    Code,
    /// An input of a recipe is a file of a commit that the output commit depends on.
    Input,
    /// What a try printed.
    Log,
    /// Somebody committed a file.
    Source,
    /// Packs in which all this is.
    Pack,
    /// A bundle as a whole, and each of its entries.
    Bundle,
    /// A signed statement about a commit.
    Statement,
    /// The journal, which says where branches point.
    Journal,
    /// The journal contains a state of before that somebody signed.
    Checkpoint,
    /// The journal contains what this machine saw of it before.
    Seen,
}

impl LinkKind {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Tree => "tree",
            Self::Commit => "commit",
            Self::Signature => "signature",
            Self::Lineage => "lineage",
            Self::Result => "result",
            Self::Recipe => "recipe",
            Self::Code => "code",
            Self::Input => "input",
            Self::Log => "log",
            Self::Source => "source",
            Self::Pack => "pack",
            Self::Bundle => "bundle",
            Self::Statement => "statement",
            Self::Journal => "journal",
            Self::Checkpoint => "checkpoint",
            Self::Seen => "seen",
        }
    }
}

/// What came of checking a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state", content = "why")]
pub enum State {
    /// It holds.
    Holds,
    /// It holds as far as it can be checked: what cannot, and why.
    Noted(String),
    /// It does not hold: why.
    Fails(String),
    /// What it depends on is damaged or missing.
    Damaged(String),
}

/// One link that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Link {
    /// What sort it is.
    pub link: LinkKind,
    /// What it is about, such as `threat@90c4d5e1a2b3:/cam7/a.json`.
    pub subject: String,
    /// What came of it.
    #[serde(flatten)]
    pub state: State,
}

/// Links that are kept one by one; of more only those that do not hold.
const KEPT: usize = 60;
/// Links that do not hold, or not in full, of which more are only counted.
const KEPT_BAD: usize = 1000;

/// What was checked.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The first links that hold.
    pub links: Vec<Link>,
    /// Links that do not hold, or not in full.
    pub bad: Vec<Link>,
    /// How many links of each sort were checked.
    pub counts: BTreeMap<LinkKind, u64>,
    /// Links of each state but `Holds`: noted, failing, damaged.
    noted: u64,
    failing: u64,
    damaged: u64,
    /// Signatures that fit a key of which nothing says whose it is.
    pub(in crate::proof) unchecked_signers: u64,
    /// Commits that nobody signed, nor anything that names them.
    pub(in crate::proof) unsigned: u64,
}

/// What all links add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every link holds.
    Proven,
    /// Every link holds, but nothing says whose the keys are that signed.
    Whole,
    /// Every link holds, but nobody signed: by right, since there was no key yet.
    Unsigned,
    /// Some link does not.
    NotProven,
    /// Something that a link depends on is damaged or missing.
    Damaged,
}

impl Report {
    pub(in crate::proof) fn add(&mut self, link: LinkKind, subject: impl Into<String>, state: State) {
        *self.counts.entry(link).or_default() += 1;
        let count = match state {
            State::Holds if self.links.len() < KEPT => {
                self.links.push(Link { link, subject: subject.into(), state });
                return;
            }
            State::Holds => return,
            State::Noted(_) => &mut self.noted,
            State::Fails(_) => &mut self.failing,
            State::Damaged(_) => &mut self.damaged,
        };
        *count += 1;
        if self.bad.len() < KEPT_BAD {
            self.bad.push(Link { link, subject: subject.into(), state });
        }
    }

    /// Links that were checked.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Whether all links that hold are listed one by one.
    pub fn is_listed(&self) -> bool {
        self.links.len() + self.bad.len() == self.total() as usize
    }

    /// Links that hold only as far as they can be checked.
    pub fn noted(&self) -> u64 {
        self.noted
    }

    /// The first of these of each sort and reason, with how many there are of them among those that are kept.
    pub fn not_checked(&self) -> Vec<(&Link, u64)> {
        let mut found: Vec<(&Link, u64)> = Vec::new();
        for link in self.bad.iter().filter(|link| matches!(link.state, State::Noted(_))) {
            match found.iter_mut().find(|(first, _)| (first.link, &first.state) == (link.link, &link.state)) {
                Some((_, count)) => *count += 1,
                None => found.push((link, 1)),
            }
        }
        found
    }

    /// Takes in that what was given as a checkpoint is none.
    pub fn add_unread_checkpoint(&mut self, why: &str) {
        self.add(LinkKind::Checkpoint, "file", State::Fails(why.to_owned()));
    }

    /// Takes in what this machine saw of the store before: that it is still there, or what is there instead.
    pub fn add_seen(&mut self, subject: &str, found: Result<(), String>) {
        self.add(LinkKind::Seen, subject, found.map_or_else(State::Fails, |()| State::Holds));
    }

    /// What all links add up to.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self { damaged: 1.., .. } => Verdict::Damaged,
            Self { failing: 1.., .. } => Verdict::NotProven,
            Self { unsigned: 1.., .. } => Verdict::Unsigned,
            Self { unchecked_signers: 1.., .. } => Verdict::Whole,
            _ => Verdict::Proven,
        }
    }

    /// The first link that does not hold; damage before all else.
    pub fn worst(&self) -> Option<&Link> {
        let damaged = self.bad.iter().find(|link| matches!(link.state, State::Damaged(_)));
        damaged.or_else(|| self.bad.iter().find(|link| matches!(link.state, State::Fails(_))))
    }
}

impl Verdict {
    /// The kind of error that it is; `None` when it is none.
    pub fn error_kind(self) -> Option<ErrorKind> {
        match self {
            Self::Proven => None,
            Self::Whole | Self::Unsigned => Some(ErrorKind::Unchecked),
            Self::NotProven => Some(ErrorKind::Failed),
            Self::Damaged => Some(ErrorKind::Damaged),
        }
    }
}
