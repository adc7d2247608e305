//! How a branch moved, and who moved it: from the journal, so this also works for deleted branches.
//!
//! Each list reads the whole text of the journal and parses only the records that name the branch: O(bytes of the journal), without an
//! index. Where a branch was at one moment is a row of the index (`past`).

use specs::{AsOf, BranchName, CommitId, PipelineName, RepoName, RunId};

use super::past::Then;
use super::seen::seen_cause;
use super::{Result, Store};
use crate::base::error::RepoError;
use crate::base::time::Timestamp;
use crate::journal::{Cause, Entry, Record};

/// One move of a branch.
#[derive(Debug, Clone, PartialEq)]
pub struct BranchMove {
    /// When it happened.
    pub at: Timestamp,
    /// What happened to the branch.
    pub change: BranchChange,
    /// Who or what moved it.
    pub by: MovedBy,
}

/// What happened to a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchChange {
    /// It was created, with or without a commit.
    Made(Option<CommitId>),
    /// It got another commit, or its first.
    Moved {
        /// The commit before.
        from: Option<CommitId>,
        /// The commit after.
        to: Option<CommitId>,
    },
    /// It was deleted, on its own or with its repository.
    Deleted {
        /// The commit before.
        from: Option<CommitId>,
    },
}

/// Who or what moved a branch.
#[derive(Debug, Clone, PartialEq)]
pub enum MovedBy {
    /// A run, when it was created.
    Run(RunId, Box<Cause>),
    /// A job, when it ended.
    Job(PipelineName, RunId),
    /// Unknown: for a deletion, the journal records only when.
    Unnamed,
}

impl BranchChange {
    /// The branch's commit afterwards: the outer `None` if the branch does not exist.
    pub fn to(&self) -> Option<Option<CommitId>> {
        match self {
            Self::Made(to) | Self::Moved { to, .. } => Some(*to),
            Self::Deleted { .. } => None,
        }
    }
}

impl Store {
    /// All moves of a branch, oldest first. Scans the whole journal, but parses only records that mention the repository.
    pub fn branch_moves(&self, repo: &RepoName, branch: &BranchName) -> Result<Vec<BranchMove>> {
        let mut moves = Vec::new();
        let mut there: Option<Option<CommitId>> = None;
        let named = format!("\"repo\":\"{repo}\"");
        if !self.sees(repo) {
            return Ok(moves);
        }
        self.journal().visit_where(
            |line| line.contains(&named),
            |record| {
                for moved in moves_in(&record, repo, branch) {
                    let change = match (moved.change.to(), there) {
                        (None, None) => continue,
                        (None, Some(from)) => BranchChange::Deleted { from },
                        (Some(to), None) => BranchChange::Made(to),
                        (Some(to), Some(from)) => BranchChange::Moved { from, to },
                    };
                    there = change.to();
                    moves.push(BranchMove { change, by: self.seen_mover(moved.by), at: moved.at });
                }
                Ok(())
            },
        )?;
        Ok(moves)
    }

    /// Calls `visit` with the records that created versions of a pipeline, oldest first. Scans the whole journal, like
    /// [`Self::branch_moves`].
    pub fn visit_versions(&self, pipeline: &PipelineName, mut visit: impl FnMut(&Record)) -> Result<()> {
        let named = format!("\"pipeline\":\"{pipeline}\"");
        let kinds = ["\"kind\":\"pipeline_apply\"", "\"kind\":\"pipeline_try\""];
        let wants = |line: &str| line.contains(&named) && kinds.iter().any(|kind| line.contains(kind));
        if !self.sees_pipeline(pipeline) {
            return Ok(());
        }
        self.journal().visit_where(wants, |mut record| {
            record.entries.retain_mut(|entry| self.is_seen_entry(entry));
            visit(&record);
            Ok(())
        })
    }

    fn seen_mover(&self, by: MovedBy) -> MovedBy {
        match (by, self.limit()) {
            (MovedBy::Run(run, cause), Some(access)) => MovedBy::Run(run, Box::new(seen_cause(*cause, access))),
            (by, _) => by,
        }
    }

    /// The commit that a branch had at a time; the journal tells why it had none.
    pub(super) fn head_then(&self, repo: &RepoName, branch: Option<&BranchName>, time: &AsOf) -> Result<CommitId> {
        let branch = branch.cloned().map_or_else(|| self.default_branch(), Ok)?;
        let place = format!("{repo}@{branch}");
        let then = self.instant(time).ok_or_else(|| RepoError::Usage {
            what: format!("`{place}@{time}` is outside the supported range of years"),
            hint: None,
        })?;
        if let Some(commit) = self.branch_then(repo, &branch, Then::Time(then))?.and_then(|row| row.commit) {
            return Ok(commit);
        }
        let moves = self.branch_moves(repo, &branch)?;
        if moves.is_empty() {
            self.branch(repo, &branch)?;
        }
        let hint = Some(format!("pv branch log {place} shows its history"));
        let not_there =
            |why: String| RepoError::NotFound { what: format!("`{place}` had no commit at {then}: {why}"), hint };
        let Some(last) = moves.iter().rfind(|moved| moved.at <= then) else {
            let first = moves.first().map_or_else(String::new, |first| format!("it was created at {}", first.at));
            return Err(not_there(first));
        };
        Err(not_there(match last.change.to() {
            Some(_) => "it has no commits yet".to_owned(),
            None => format!("it was deleted at {}", last.at),
        }))
    }
}

/// The moves of a branch in a record; only the target of each is reliable.
fn moves_in(record: &Record, repo: &RepoName, branch: &BranchName) -> Vec<BranchMove> {
    let at = record.at;
    let is_it = |own: &RepoName, other: &BranchName| own == repo && other == branch;
    let deleted = || BranchMove { at, change: BranchChange::Deleted { from: None }, by: MovedBy::Unnamed };
    let mut moves = Vec::new();
    for entry in &record.entries {
        match entry {
            Entry::RepoDelete { repo: own } if own == repo => moves.push(deleted()),
            Entry::BranchDelete { repo: own, branch: other } if is_it(own, other) => moves.push(deleted()),
            Entry::Run { run, cause, moves: all, .. } => {
                let own = all.iter().filter(|one| is_it(&one.repo, &one.branch));
                moves.extend(own.map(|one| BranchMove {
                    at,
                    change: BranchChange::Moved { from: one.from, to: one.to },
                    by: MovedBy::Run(*run, Box::new(cause.clone())),
                }));
            }
            Entry::Job { pipeline, run, moved: Some(own), .. } if is_it(&own.repo, &own.branch) => {
                let change = BranchChange::Moved { from: own.from, to: own.to };
                moves.push(BranchMove { at, change, by: MovedBy::Job(pipeline.clone(), *run) });
            }
            _ => {}
        }
    }
    moves
}
