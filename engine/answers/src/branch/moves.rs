//! What moved a branch, when, by whom, and why.

use engine::Result;
use repos::store::{BranchChange, BranchMove, MovedBy};
use repos::{Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, RepoName, RunId};

use crate::run::cause_words;
use crate::short::ShortIds;

/// What became of a branch.
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
    /// What became of it.
    pub change: MoveKind,
    /// Its head before.
    pub from: Option<CommitId>,
    /// Its head from then on.
    pub to: Option<CommitId>,
    /// Who, as the change says; `null` for what an engine did, and for a deletion.
    pub author: Option<String>,
    /// Whom the store authenticated.
    pub committer: Option<String>,
    /// The job whose output it is.
    pub job: Option<String>,
    /// The run that moved it.
    pub run: Option<RunId>,
    /// What the change was, and why.
    pub cause: String,
    /// The message of the change; else of the commit that it made.
    pub message: String,
    /// `from` as people type it.
    #[serde(skip)]
    pub short_from: Option<String>,
    /// `to` as people type it.
    #[serde(skip)]
    pub short_to: Option<String>,
}

/// The moves of a branch since a time, the newest first, also of one that was deleted; each is read as it is asked for.
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
    // Why: the message of the commit it came to, as far as the change made that commit.
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
