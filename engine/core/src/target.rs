//! The branch that a request commits to, and the outcome of the request.

use std::path::PathBuf;

use repos::Store;
use repos::files::ChangeSummary;
use repos::tree::Tree;
use specs::{BranchName, CommitId, Reference, RepoName, Revision, RunId};

use crate::changes::{self, Committed};
use crate::error::{EngineError, Result};
use crate::graph::BranchOf;

/// A branch that can get commits, according to a check before the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetBranch {
    /// The repository, which is a user's.
    pub repo: RepoName,
    /// The branch: it exists, or it is the default branch.
    pub branch: BranchName,
    /// How the caller named it, without a path.
    named: Reference,
}

impl TargetBranch {
    /// The branch that a reference names. Ignores the reference's path.
    ///
    /// `Usage` for what is not a branch, `NotFound` for a branch that must be created first, `Conflict` for one that only pipelines or cron
    /// inputs commit to.
    pub fn of(store: &Store, reference: &Reference) -> Result<Self> {
        let repo = reference.repo.clone();
        let branch = match &reference.revision {
            None => store.default_branch()?,
            Some(revision) => revision.as_branch().ok_or_else(|| EngineError::Usage {
                what: format!("`{repo}@{revision}` is not a branch; only a branch can get new commits"),
                hint: Some(format!("pv branch list {repo} lists its branches")),
            })?,
        };
        changes::branch_to_commit_to(store, &repo, &branch)?;
        Ok(Self { named: Reference { path: None, ..reference.clone() }, repo, branch })
    }

    /// A branch that earlier steps of the same transaction create, so it is not in the store yet.
    pub(crate) fn created((repo, branch): BranchOf, reference: &Reference) -> Self {
        Self { named: Reference { path: None, ..reference.clone() }, repo, branch }
    }

    /// The commit of this repository that a revision names.
    pub fn revision(&self, store: &Store, revision: &Revision) -> Result<CommitId> {
        let reference = Reference { repo: self.repo.clone(), revision: Some(revision.clone()), path: None };
        Ok(store.resolve(&reference)?.id)
    }

    /// The current files of the branch.
    pub fn files(&self, store: &Store) -> Result<Tree> {
        let head = store.find_branch(&self.repo, &self.branch)?.and_then(|row| row.commit);
        Ok(head.map(|id| store.commit(&id)).transpose()?.map_or(Tree::empty(), |commit| Tree::at(commit.tree)))
    }

    /// The branch in full: `images@main`.
    pub fn place(&self) -> String {
        format!("{}@{}", self.repo, self.branch)
    }

    /// The branch as the caller named it: `images`.
    pub fn named(&self) -> &Reference {
        &self.named
    }
}

/// The outcome of a request that commits files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOutcome {
    /// The branch.
    pub target: TargetBranch,
    /// The commit, if there was a change.
    pub committed: Committed,
    /// What it changed.
    pub summary: ChangeSummary,
    /// The sources that could not be read, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

impl CommitOutcome {
    /// The run of the commit; `None` if nothing changed.
    pub fn run(&self) -> Option<RunId> {
        match self.committed {
            Committed::Made { run, .. } => Some(run),
            Committed::Unchanged { .. } => None,
        }
    }

    /// The head of the branch.
    pub fn head(&self) -> Option<CommitId> {
        match self.committed {
            Committed::Made { commit, .. } => Some(commit),
            Committed::Unchanged { head } => head,
        }
    }
}
