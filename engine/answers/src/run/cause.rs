//! Why a run was created, in one form for all programs: in runs, jobs and traces.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use repos::journal::CauseKind;
use repos::{RepoError, RunRow, Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::RunId;

/// Why a run was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CauseView {
    /// The kind of change.
    pub kind: CauseKind,
    /// The claimed author of the change.
    pub author: Option<String>,
    /// The identity that the store authenticated.
    pub committer: String,
    /// When the change was requested.
    pub at: Timestamp,
    /// The reason in the user's words, or the message of the commit that was made. May be empty.
    pub message: String,
    /// References to what changed, such as `images@main`.
    pub refs: Vec<String>,
    /// The reason, as its author wrote it.
    #[serde(skip)]
    pub reason: Option<String>,
}

/// What was looked up of runs for one answer: the record of a run names all its jobs, so it is not read again for each of them.
#[derive(Debug, Default)]
pub struct Causes {
    causes: HashMap<RunId, CauseView>,
    short: HashMap<RunId, String>,
}

impl Causes {
    /// Why a run was created.
    pub(crate) fn of(&mut self, store: &Store, run: &RunId) -> Result<CauseView, RepoError> {
        if let Some(known) = self.causes.get(run) {
            return Ok(known.clone());
        }
        let cause = CauseView::of(store, &store.run(run)?)?;
        self.causes.insert(*run, cause.clone());
        Ok(cause)
    }

    /// A unique short form of a run's id.
    pub(crate) fn short(&mut self, store: &Store, run: &RunId) -> Result<&str, RepoError> {
        Ok(match self.short.entry(*run) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(store.short_run(run)?),
        })
    }
}

impl CauseView {
    /// Why a run was created.
    pub fn of(store: &Store, run: &RunRow) -> Result<Self, RepoError> {
        let cause = run.cause.clone();
        let reason = cause.message.clone();
        let message = match cause.message {
            Some(message) => message,
            None => message_of(store, run)?,
        };
        let (kind, author, committer, at, refs) = (cause.kind, cause.author, cause.committer, cause.at, cause.refs);
        Ok(Self { kind, author, committer, at, message, refs, reason })
    }

    /// The author of the change, as far as known.
    pub fn who(&self) -> &str {
        self.author.as_deref().unwrap_or(&self.committer)
    }
}

/// The message of the commit that a run made first.
fn message_of(store: &Store, run: &RunRow) -> Result<String, RepoError> {
    let made = run.moves.iter().find_map(|moved| moved.to).map(|id| store.commit(&id)).transpose()?;
    Ok(made.filter(|commit| commit.run == run.run).map(|commit| commit.message).unwrap_or_default())
}

/// The change in words: `commit images@main`, `retry detect @90c4d5e1`.
pub fn cause_words(kind: CauseKind, refs: &[String]) -> String {
    let mut words = vec![kind.word().to_owned()];
    words.extend(refs.iter().map(|text| match text.strip_prefix('@').map(str::parse::<RunId>) {
        Some(Ok(run)) => format!("@{}", run.short(8)),
        _ => text.clone(),
    }));
    words.join(" ")
}
