//! Transactions: several changes of files and branches that become visible together, as one run, or not at all.
//!
//! `lines` parses the input; `request` resolves the names in the lines, stores their content and so makes steps of them, without a lock.
//! `draft` combines the steps in order, each on the result of those before it, with nothing visible. Then one journal record moves every
//! branch. If another change moved one of them first, all steps are combined again from the new heads.
//!
//! Rules for the steps of one transaction:
//! - all changes to a branch's files become one commit; once a step refers to that commit (a branch moves to it, or it is the source of a
//!   copy into another repository), no later step changes it;
//! - a reference to a branch means the result of earlier steps; ids and tags mean what is in the store;
//! - `expect` refers to the head before the transaction.

use std::collections::BTreeSet;

use specs::{BranchName, CommitId, FilePath, Reference, RepoName, RunId};

use repos::files::{ChangeSummary, Edits};
use repos::journal::{CauseKind, Move};
use repos::{Change, Store};

use crate::changes::run_entries;
use crate::error::{EngineError, Result};
use crate::graph::{BranchOf, Graph};
use crate::put::MirrorOf;
use crate::run::{Actor, cause, new_run, retry_on_conflict};

mod draft;
mod lines;
mod request;

pub use lines::{FORMAT, Line, LineAction, lines_in};
pub use request::{
    Listings, NotFoundThere, PreparedTransaction, TransactionRequest, prepare, prepare_listed, preview, preview_listed,
    upload,
};

use draft::Draft;

/// Changes to make together.
#[derive(Debug)]
pub struct Transaction<'a> {
    /// Who makes them.
    pub by: &'a Actor,
    /// The message for commits whose steps have none.
    pub message: &'a str,
    /// The steps, in order.
    pub steps: &'a [Step],
}

/// One change of a transaction.
#[derive(Debug, Clone)]
pub struct Step {
    /// The line in the user's text, for errors.
    pub line: u32,
    /// The author's message; a commit gets the messages of all steps on its branch.
    pub message: Option<String>,
    /// The head that the branch must have before the transaction; `None` for any.
    pub expect: Option<CommitId>,
    /// The branch that is changed.
    pub branch: BranchOf,
    /// The action on it.
    pub action: Action,
}

/// What a step does to its branch.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub enum Action {
    /// Puts files whose content is already in the store; with `mirror`, also removes files missing from them.
    Put { edits: Edits, mirror: Option<MirrorOf> },
    /// Removes files, and with `recursive` directories.
    Rm { paths: Vec<FilePath>, recursive: bool },
    /// Moves a file or directory.
    Mv { from: FilePath, to: FilePath },
    /// Copies a file or directory of any commit.
    Cp { from: Reference, to: FilePath },
    /// Moves the branch to another commit of its repository.
    Move { to: Reference },
    /// Creates the branch, at a commit; `None` for the head of the default branch.
    Create { at: Option<Reference> },
}

/// A mirror that removes so much that it may be a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drastic {
    /// The line.
    pub line: u32,
    /// The directory: `images@main:/cam7`.
    pub place: String,
    /// Number of files removed.
    pub removed: u64,
    /// Number of files that existed before.
    pub total_before: u64,
}

/// The change of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchChange {
    /// The repository.
    pub repo: RepoName,
    /// The branch.
    pub branch: BranchName,
    /// Its commit before.
    pub from: Option<CommitId>,
    /// Its commit afterwards; in a preview, the id of the future commit is meaningless.
    pub to: Option<CommitId>,
    /// Whether it is new or was moved.
    pub is_moved: bool,
    /// What its commit changes; all zero if it only moved.
    pub summary: ChangeSummary,
}

/// What a transaction does, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its run; `None` if nothing changes, and for a preview.
    pub run: Option<RunId>,
    /// Every branch that steps name, in the order of first use.
    pub branches: Vec<BranchChange>,
    /// Mirrors that the caller should confirm.
    pub drastic: Vec<Drastic>,
}

impl Transaction<'_> {
    /// What it would do. Nothing becomes visible.
    ///
    /// `Lines` if steps are not possible.
    pub fn preview(&self, store: &Store) -> Result<Outcome> {
        Ok(self.draft(store, &*Graph::whole(store)?, new_run())?.outcome(None))
    }

    /// Does everything or nothing; retried as a whole if another change comes first on one of its branches.
    ///
    /// `Lines` if steps are not possible.
    pub fn publish(&self, store: &Store) -> Result<Outcome> {
        let run = new_run();
        retry_on_conflict(store, || {
            let graph = Graph::whole(store)?;
            let outcome = self.draft(store, &graph, run)?.outcome(Some(run));
            let moves: Vec<Move> = outcome.branches.iter().filter_map(as_move).collect();
            if moves.is_empty() {
                return Ok(Outcome { run: None, ..outcome });
            }
            let refs = moves.iter().map(|moved| format!("{}@{}", moved.repo, moved.branch)).collect();
            let cause = cause(store, CauseKind::Txn, self.by, refs);
            let entries = run_entries(store, &graph, run, cause, moves, &BTreeSet::new())?;
            store.publish(&Change { entries, graph: Some(graph.number) })?;
            Ok(outcome)
        })
    }

    /// All steps combined on the current heads.
    fn draft<'s>(&'s self, store: &'s Store, graph: &'s Graph, run: RunId) -> Result<Draft<'s>> {
        let mut draft = Draft::new(store, graph, self, run);
        let mut problems = Vec::new();
        for step in self.steps {
            match draft.take(step) {
                // An error of the disk, not of the step.
                Err(error) if !is_of_the_step(&error) => return Err(error),
                Err(error) => problems.push((step.line, error)),
                Ok(()) => {}
            }
        }
        if problems.is_empty() {
            draft.name_commits()?;
            return Ok(draft);
        }
        Err(EngineError::Lines(problems))
    }
}

fn is_of_the_step(error: &EngineError) -> bool {
    use specs::ErrorKind::{Conflict, NotFound, Refused, Usage};
    matches!(error.kind(), Usage | NotFound | Conflict | Refused)
}

fn as_move(change: &BranchChange) -> Option<Move> {
    let BranchChange { repo, branch, from, to, .. } = change.clone();
    change.is_moved.then_some(Move { repo, branch, from, to })
}
