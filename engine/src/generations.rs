//! Which commits a job takes: never a mix of generations.
//!
//! For each input branch a job takes the commit of its own run, else the one of the newest earlier run that gave the branch a good one,
//! and waits while an earlier run's job there has not ended. In all that it rests on, no branch may occur with two different commits.

use std::collections::BTreeMap;

use repos::documents::Commit;
use repos::journal::SealedState;
use repos::tree::Tree;
use repos::{JobRow, Store};
use specs::CommitId;

use crate::error::Result;
use crate::graph::{BranchOf, Pipeline};
use crate::recipe::Leaf;

/// Whether a job can start.
#[derive(Debug, Clone)]
pub enum Readiness {
    /// With these inputs, one for each leaf of the spec.
    Ready(Vec<Leaf>),
    /// Not before something else has ended.
    Waits {
        /// For what, in words: `for detect`.
        reason: String,
    },
    /// Never.
    Unrunnable {
        /// Names the upstream.
        reason: String,
    },
}

/// Looks for the inputs of a job that has not ended. `open` are all jobs that have not ended, in the order of runs.
pub fn inputs_of(store: &Store, pipeline: &Pipeline, job: &JobRow, open: &[JobRow]) -> Result<Readiness> {
    if open.iter().any(|other| other.pipeline == job.pipeline && other.order < job.order) {
        return Ok(Readiness::Waits { reason: "for its earlier run".to_owned() });
    }
    let mut leaves = Vec::new();
    for input in pipeline.spec.input.leaves() {
        let branch = pipeline.input_branch(input);
        let writer = branch.0.as_pipeline();
        if let Some(upstream) = open.iter().find(|other| other.pipeline == writer && other.order <= job.order) {
            return Ok(Readiness::Waits { reason: format!("for {}", upstream.pipeline) });
        }
        // An upstream job of this very run that gave nothing: an older commit in its place would mix generations.
        if let Some(upstream) = store.job(job.order, &writer)? {
            let state = match upstream.sealed {
                Some(SealedState::Failure) => Some("failed"),
                Some(SealedState::Killed) => Some("was killed"),
                Some(SealedState::Unrunnable) => Some("is unrunnable"),
                Some(SealedState::Success) | None => None,
            };
            if let Some(state) = state {
                return Ok(Readiness::Unrunnable { reason: format!("{writer} {state}") });
            }
        }
        let commit = store.head_as_of(&branch.0, &branch.1, job.order)?.flatten();
        let tree =
            commit.map(|id| store.commit(&id)).transpose()?.map_or(Tree::empty(), |commit| Tree::at(commit.tree));
        leaves.push(Leaf { input: input.clone(), branch, commit, tree });
    }
    Ok(match mixed(store, &leaves)? {
        None => Readiness::Ready(leaves),
        Some(reason) => Readiness::Unrunnable { reason },
    })
}

/// Why a job can never take these inputs together; `None` when it can.
pub(crate) fn refusal(store: &Store, leaves: &[Leaf]) -> Result<Option<String>> {
    mixed(store, leaves)
}

/// A branch that occurs with two different commits in what the leaves rest on.
fn mixed(store: &Store, leaves: &[Leaf]) -> Result<Option<String>> {
    let mut seen: BTreeMap<BranchOf, (CommitId, String)> = BTreeMap::new();
    let mut open: Vec<(BranchOf, CommitId, String)> =
        leaves.iter().filter_map(|leaf| Some((leaf.branch.clone(), leaf.commit?, leaf.branch.0.to_string()))).collect();
    while let Some((branch, id, through)) = open.pop() {
        if let Some((other, other_through)) = seen.get(&branch) {
            if *other == id {
                continue;
            }
            return Ok(Some(format!(
                "`{}@{}` would come in two versions: {} through {through}, {} through {other_through}",
                branch.0,
                branch.1,
                id.short(8),
                other.short(8),
            )));
        }
        let commit: Commit = store.commit(&id)?;
        for origin in commit.provenance {
            open.push(((origin.repo, origin.branch), origin.commit, through.clone()));
        }
        seen.insert(branch, (id, through));
    }
    Ok(None)
}
