//! The checked links of a claim, and the verdict.

use std::collections::BTreeMap;

use repos::{RepoError, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::ErrorKind;

/// The kinds of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// A file's content has the digest given in its tree.
    Bytes,
    /// A path is in a commit's tree.
    Tree,
    /// A commit's document.
    Commit,
    /// A commit is signed.
    Signature,
    /// A commit says which result wrote a file.
    Lineage,
    /// A result has this content.
    Result,
    /// A result belongs to this recipe, and the recipe to the commit's pipeline.
    Recipe,
    /// The code that a result was made with.
    Code,
    /// An input of a recipe is a file of a commit that the output commit depends on.
    Input,
    /// The output of a try.
    Log,
    /// A user committed a file.
    Source,
    /// The packs with all this.
    Pack,
    /// A bundle as a whole, and each of its entries.
    Bundle,
    /// A signed statement about a commit.
    Statement,
    /// The journal, which says where branches point.
    Journal,
    /// The journal contains an earlier state that was signed.
    Checkpoint,
    /// The journal contains what this machine saw of it before.
    Seen,
}

impl LinkKind {
    /// The word shown to people.
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

/// The outcome of checking a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state", content = "why")]
pub enum State {
    /// It holds.
    Holds,
    /// It holds as far as it can be checked: what cannot be checked, and why.
    Noted(String),
    /// It does not hold, for this reason.
    Fails(String),
    /// What it depends on is damaged or missing.
    Damaged(String),
}

/// One checked link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Its kind.
    pub link: LinkKind,
    /// Its subject, such as `threat@90c4d5e1a2b3:/cam7/a.json`.
    pub subject: String,
    /// The outcome.
    #[serde(flatten)]
    pub state: State,
}

/// What stands for a link, or its reason, that is not visible to the one who asks.
const HIDDEN: &str = "not visible to you";

impl Link {
    /// The same link without what is not visible; `None` if nothing of it is visible.
    fn seen_through(self, store: &Store) -> Result<Option<Self>, RepoError> {
        // Inputs are named by paths of their own repositories.
        let is_seen = self.link != LinkKind::Input && store.without_hidden(&self.subject)? == self.subject;
        Ok(if is_seen { Some(Self { state: self.state.seen_through(store)?, ..self }) } else { None })
    }

    fn hidden(self) -> Self {
        let why = |_| HIDDEN.to_owned();
        let state = match self.state {
            State::Holds => State::Holds,
            State::Noted(text) => State::Noted(why(text)),
            State::Fails(text) => State::Fails(why(text)),
            State::Damaged(text) => State::Damaged(why(text)),
        };
        Self { link: self.link, subject: HIDDEN.to_owned(), state }
    }
}

impl State {
    fn seen_through(self, store: &Store) -> Result<Self, RepoError> {
        Ok(match self {
            Self::Holds => Self::Holds,
            Self::Noted(why) => Self::Noted(store.without_hidden(&why)?),
            Self::Fails(why) => Self::Fails(store.without_hidden(&why)?),
            Self::Damaged(why) => Self::Damaged(store.without_hidden(&why)?),
        })
    }
}

impl Report {
    /// Removes what is not visible from the links; numbers and verdict stay those of everything.
    pub(super) fn hide(&mut self, store: &Store) -> Result<(), RepoError> {
        let links = std::mem::take(&mut self.links).into_iter();
        self.links = links.filter_map(|link| link.seen_through(store).transpose()).collect::<Result<_, _>>()?;
        let bad = std::mem::take(&mut self.bad).into_iter();
        let seen = |link: Link| Ok(link.clone().seen_through(store)?.unwrap_or_else(|| link.hidden()));
        self.bad = bad.map(seen).collect::<Result<_, RepoError>>()?;
        Ok(())
    }
}

/// Number of links kept one by one; beyond that only those that do not hold.
const KEPT: usize = 60;
/// Number of kept links that do not hold, or not completely; more are only counted.
const KEPT_BAD: usize = 1000;

/// The result of a check.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The first links that hold.
    pub links: Vec<Link>,
    /// Links that do not hold, or not completely.
    pub bad: Vec<Link>,
    /// Number of checked links by kind.
    pub counts: BTreeMap<LinkKind, u64>,
    /// Number of links in each state except `Holds`: noted, failing, damaged.
    noted: u64,
    failing: u64,
    damaged: u64,
    /// Number of valid signatures by keys whose owner is unknown.
    pub(in crate::proof) unchecked_signers: u64,
    /// Number of commits that nobody signed, and that no signed commit names.
    pub(in crate::proof) unsigned: u64,
}

/// The verdict over all links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every link holds.
    Proven,
    /// Every link holds, but nothing proves who owns the signing keys.
    Whole,
    /// Every link holds, but nothing is signed: legitimately, since there was no key yet.
    Unsigned,
    /// Some link does not hold.
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

    /// Number of checked links.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Whether all links are listed one by one.
    pub fn is_listed(&self) -> bool {
        self.links.len() + self.bad.len() == self.total() as usize
    }

    /// Number of links that hold only as far as they can be checked.
    pub fn noted(&self) -> u64 {
        self.noted
    }

    /// For each kind and reason the first link that could not be checked, with the number of such links among the kept ones.
    pub fn not_checked(&self) -> Vec<(&Link, u64)> {
        not_checked(&self.bad)
    }

    /// Records that the given checkpoint is not a checkpoint.
    pub fn add_unread_checkpoint(&mut self, why: &str) {
        self.add(LinkKind::Checkpoint, "file", State::Fails(why.to_owned()));
    }

    /// Records whether what this machine saw of the store before still exists, or what is there instead.
    pub fn add_seen(&mut self, subject: &str, found: Result<(), String>) {
        self.add(LinkKind::Seen, subject, found.map_or_else(State::Fails, |()| State::Holds));
    }

    /// The verdict over all links.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self { damaged: 1.., .. } => Verdict::Damaged,
            Self { failing: 1.., .. } => Verdict::NotProven,
            Self { unsigned: 1.., .. } => Verdict::Unsigned,
            Self { unchecked_signers: 1.., .. } => Verdict::Whole,
            _ => Verdict::Proven,
        }
    }

    /// The first link that does not hold; damage takes precedence.
    pub fn worst(&self) -> Option<&Link> {
        worst(&self.bad)
    }
}

/// For each kind and reason the first of these links that could not be checked, with their number.
pub(in crate::proof) fn not_checked(bad: &[Link]) -> Vec<(&Link, u64)> {
    let mut found: Vec<(&Link, u64)> = Vec::new();
    for link in bad.iter().filter(|link| matches!(link.state, State::Noted(_))) {
        match found.iter_mut().find(|(first, _)| (first.link, &first.state) == (link.link, &link.state)) {
            Some((_, count)) => *count += 1,
            None => found.push((link, 1)),
        }
    }
    found
}

/// The first of these links that does not hold; damage takes precedence.
pub(in crate::proof) fn worst(bad: &[Link]) -> Option<&Link> {
    let damaged = bad.iter().find(|link| matches!(link.state, State::Damaged(_)));
    damaged.or_else(|| bad.iter().find(|link| matches!(link.state, State::Fails(_))))
}

impl Verdict {
    /// The corresponding kind of error; `None` if it is not an error.
    pub fn error_kind(self) -> Option<ErrorKind> {
        match self {
            Self::Proven => None,
            Self::Whole | Self::Unsigned => Some(ErrorKind::Unchecked),
            Self::NotProven => Some(ErrorKind::Failed),
            Self::Damaged => Some(ErrorKind::Damaged),
        }
    }
}
