//! The moves of a branch: when, by whom, and why.

use engine::Result;
use repos::store::{BranchChange, BranchMove, MovedBy};
use repos::{Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, RepoName, RunId};

use crate::run::cause_words;

/// How a branch changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum MoveKind {
    Made,
    Moved,
    Deleted,
}

/// One move of a branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BranchMoveView {
    /// The repository.
    pub repo: RepoName,
    /// The branch.
    pub branch: BranchName,
    /// When it moved.
    pub at: Timestamp,
    /// How the branch changed.
    pub change: MoveKind,
    /// Its head before the move.
    pub from: Option<CommitId>,
    /// Its head after the move.
    pub to: Option<CommitId>,
    /// The claimed author; `null` for changes by an engine, and for a deletion.
    pub author: Option<String>,
    /// The identity that the store authenticated.
    pub committer: Option<String>,
    /// The job whose output it is.
    pub job: Option<String>,
    /// The run that moved it.
    pub run: Option<RunId>,
    /// What caused the change.
    pub cause: String,
    /// The message of the change; without one, that of the commit that it made.
    pub message: String,
    /// A unique short form of `from`.
    #[serde(skip)]
    pub short_from: Option<String>,
    /// A unique short form of `to`.
    #[serde(skip)]
    pub short_to: Option<String>,
}

/// The moves of a branch since a time, newest first, also of a deleted branch; read lazily.
pub fn branch_moves<'s>(
    store: &'s Store,
    repo: &'s RepoName,
    name: &'s BranchName,
    since: Option<Timestamp>,
) -> Result<impl Iterator<Item = Result<BranchMoveView>> + 's> {
    store.repo(repo)?;
    let moves = store.branch_moves(repo, name)?;
    if moves.is_empty() {
        store.branch(repo, name)?;
    }
    let moves = moves.into_iter().rev().take_while(move |moved| since.is_none_or(|since| moved.at >= since));
    Ok(moves.map(|moved| view(store, repo, name, moved)))
}

fn view(store: &Store, repo: &RepoName, name: &BranchName, moved: BranchMove) -> Result<BranchMoveView> {
    let (change, from, to) = match moved.change {
        BranchChange::Made(to) => (MoveKind::Made, None, to),
        BranchChange::Moved { from, to } => (MoveKind::Moved, from, to),
        BranchChange::Deleted { from } => (MoveKind::Deleted, from, None),
    };
    let short = |id: Option<CommitId>| id.map(|id| store.short_commit(&id)).transpose();
    // The message of the new commit, if this change made that commit.
    let made = to.map(|id| store.commit(&id)).transpose()?;
    let said = |run: &RunId| made.filter(|commit| commit.run == *run).map(|commit| commit.message).unwrap_or_default();
    let mut view = BranchMoveView {
        repo: repo.clone(),
        branch: name.clone(),
        at: moved.at,
        change,
        from,
        to,
        author: None,
        committer: None,
        job: None,
        run: None,
        cause: String::new(),
        message: String::new(),
        short_from: short(from)?,
        short_to: short(to)?,
    };
    match moved.by {
        MovedBy::Run(run, cause) => {
            view.message = cause.message.clone().unwrap_or_else(|| said(&run));
            view.cause = cause_words(cause.kind, &cause.refs);
            (view.author, view.committer, view.run) = (cause.author, Some(cause.committer), Some(run));
        }
        MovedBy::Job(pipeline, run) => {
            view.cause = format!("job {pipeline}@{}", store.short_run(&run)?);
            (view.job, view.run) = (Some(format!("{pipeline}@{run}")), Some(run));
        }
        MovedBy::Unnamed => {}
    }
    Ok(view)
}
