//! Giving up commits: pruning the files of old ones, deleting a head.
//!
//! Not here: what is garbage, and collecting it (`repos::gc`).

use repos::gc::{self, Plan};
use repos::journal::{CauseKind, Entry, Move};
use repos::{RepoError, Store};
use specs::{BranchName, CommitId, RunId};

use crate::changes::{ensure_not_output_branch, run_change};
use crate::error::{EngineError, Result};
use crate::graph::Graph;
use crate::run::{Actor, cause, new_run, retry_on_conflict};

/// Gives up the files of the plan's commits. The plan is made again when one of them has become a head or got a tag.
pub fn prune(store: &Store, by: &Actor, mut plan: impl FnMut() -> Result<Plan, RepoError>) -> Result<Plan> {
    retry_on_conflict(store, || {
        let plan = plan()?;
        gc::give_up(store, &plan, &by.committer)?;
        Ok(plan)
    })
}

/// A commit that can be deleted, and what becomes of its branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletable {
    /// The branch whose head it is.
    pub branch: BranchName,
    /// Where the branch moves.
    pub parent: Option<CommitId>,
}

/// Looks whether a commit can be deleted: it is the head of one branch that no pipeline writes, and nothing else names it.
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
    let graph = Graph::load(store)?;
    if let Some(writer) = graph.writer(&(repo.clone(), branch.clone())) {
        return Err(EngineError::Conflict {
            what: format!("only pipeline `{}` moves its output branch `{repo}@{branch}`", writer.name()),
            hint: Some(format!("pv commit prune {repo} --keep 1 drops the files of old commits")),
        });
    }
    ensure_not_output_branch(&graph, repo, branch)?;
    let named_by = gc::named_by(store, &id, &format!("branch {repo}@{branch}"))?;
    if !named_by.is_empty() {
        return Err(EngineError::InUse { what, by: named_by.join(", ") });
    }
    Ok(Deletable { branch: branch.clone(), parent: commit.parents.first().copied() })
}

/// Deletes a commit: its branch goes to its parent, as one run.
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
