//! Giving up commits: pruning the files of old ones, deleting a head.
//!
//! Not here: what is garbage, and how it is collected (`repos::gc`).

use repos::Store;
use repos::gc::{self, Plan, Selection};
use repos::journal::{CauseKind, Entry, Move};
use specs::{BranchName, CommitId, Reference, RepoName, RunId};

use crate::changes::{ensure_not_output_branch, run_change};
use crate::error::{EngineError, Result};
use crate::graph::Graph;
use crate::run::{Actor, cause, new_run, retry_on_conflict};

/// Commits whose files are to be dropped.
#[derive(Debug, Clone)]
pub struct Prune {
    repo: RepoName,
    /// `None`: all branches.
    branch: Option<BranchName>,
    selection: Selection,
}

impl Prune {
    /// The commits of a repository or of one of its branches, except heads, which always keep their files.
    ///
    /// `Usage` for a path, or a revision that is not a branch; `NotFound` for what does not exist.
    pub fn of(store: &Store, of: &Reference) -> Result<Self> {
        let (repo, selection) = (of.repo.clone(), Selection::AllBut(1));
        if of.path.is_some() {
            let hint = format!("pv commit prune {repo} --keep 1");
            return Err(EngineError::usage("prune drops whole commits, not paths", hint));
        }
        store.repo(&repo)?;
        let Some(revision) = &of.revision else { return Ok(Self { repo, branch: None, selection }) };
        let branch = revision.as_branch().ok_or_else(|| {
            let hint = format!("pv commit prune {repo} --before {revision}");
            EngineError::usage(format!("`{revision}` is not a branch"), hint)
        })?;
        store.branch(&repo, &branch)?;
        Ok(Self { repo, branch: Some(branch), selection })
    }

    /// Restricts the commits to a selection.
    #[must_use]
    pub fn only(self, selection: Selection) -> Self {
        Self { selection, ..self }
    }

    /// The commits as of now.
    pub fn plan(&self, store: &Store) -> Result<Plan> {
        Ok(Plan::of_selection(store, &self.repo, self.branch.as_ref(), self.selection)?)
    }

    /// Drops the files of the commits. The plan is made again if one of them became a head or was tagged.
    pub fn commit(&self, store: &Store, by: &Actor) -> Result<Plan> {
        retry_on_conflict(store, || {
            let plan = self.plan(store)?;
            gc::give_up(store, &plan, &by.committer)?;
            Ok(plan)
        })
    }
}

/// A commit that can be deleted, and where its branch will point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletable {
    /// The branch of which it is the head.
    pub branch: BranchName,
    /// Where the branch will point.
    pub parent: Option<CommitId>,
}

/// Checks that a commit can be deleted: it is the head of one branch that no pipeline writes, and nothing else names it.
pub fn deletable(store: &Store, id: CommitId) -> Result<Deletable> {
    let commit = store.commit(&id)?;
    let repo = &commit.repo;
    let heads = store.branches(repo)?.into_iter().filter(|(_, row)| row.commit == Some(id));
    let heads: Vec<BranchName> = heads.map(|(branch, _)| branch).collect();
    let what = format!("commit {repo}@{}", id.short(12));
    let Some(branch) = heads.first() else {
        return Err(EngineError::Conflict {
            what: format!("{what} is not the head of a branch; only heads can be deleted"),
            hint: Some(
                "pv gc frees files that no branch or tag reaches; pv commit prune drops the files of old commits"
                    .to_owned(),
            ),
        });
    };
    let graph = Graph::whole(store)?;
    if let Some(writer) = graph.writer(&(repo.clone(), branch.clone())) {
        let error =
            EngineError::OutputBranch { pipeline: writer.name().clone(), repo: repo.clone(), branch: branch.clone() };
        return Err(error.hinted(format!("pv commit prune {repo} --keep 1 drops the files of old commits")));
    }
    ensure_not_output_branch(store, &graph, repo, branch)?;
    let named_by = gc::named_by(store, &id, &format!("branch {repo}@{branch}"))?;
    if !named_by.is_empty() {
        return Err(EngineError::InUse { what, by: named_by.join(", ") });
    }
    Ok(Deletable { branch: branch.clone(), parent: commit.parents.first().copied() })
}

/// Deletes a commit: its branch moves to its parent, as one run.
pub fn delete_commit(store: &Store, id: CommitId, by: &Actor) -> Result<RunId> {
    let run = new_run();
    retry_on_conflict(store, || {
        let Deletable { branch, parent } = deletable(store, id)?;
        let repo = store.commit(&id)?.repo;
        let refs = vec![format!("{repo}@{branch}")];
        let moved = Move { repo, branch, from: Some(id), to: parent };
        let mut change = run_change(store, run, cause(store, CauseKind::Move, by, refs), vec![moved])?;
        change.entries.push(Entry::CommitDelete { commit: id, committer: by.committer.clone() });
        store.publish(&change)?;
        Ok(run)
    })
}
