//! How a job ends: its output commit, its document and the journal record, atomically.

use std::collections::BTreeMap;

use repos::documents::{Commit, CommitError, CommitKind, ExecutorStamp, JobDocument, Provenance};
use repos::journal::{CauseKind, Entry, Move, SealedState};
use repos::{Change, JobRow, RepoError, Store, Timestamp};
use specs::{BranchName, RepoName};

use super::output::Trees;
use crate::error::Result;
use crate::graph::{Graph, Pipeline};
use crate::live::Counts;
use crate::recipe::Leaf;
use crate::run::{Actor, cause};
use crate::triggers::runs_after;

/// What to seal.
#[derive(Debug)]
pub(crate) struct Sealing<'a> {
    pub(crate) store: &'a Store,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) job: &'a JobRow,
    pub(crate) by: &'a Actor,
    pub(crate) executor: ExecutorStamp,
}

/// How the job ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) state: SealedState,
    pub(crate) reason: Option<String>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) counts: Counts,
    /// Inputs and output; absent if it never ran.
    pub(crate) made: Option<(Vec<Leaf>, Trees)>,
}

/// Ends a job. The branch moves only to the commit of a successful job.
pub(crate) fn seal(sealing: &Sealing<'_>, ended: &Ended) -> Result<()> {
    let store = sealing.store;
    let _operation = store.operation();
    let mut entry = end_of(sealing, ended)?;
    let mut moves = Vec::new();
    if let Entry::Job { state: SealedState::Success, commit: Some(to), moved, .. } = &mut entry {
        let (repo, branch) = sealing.pipeline.output_branch();
        let from = store.find_branch(&repo, &branch)?.and_then(|row| row.commit);
        moves.push(Move { repo, branch, from, to: Some(*to) });
        *moved = moves.first().cloned();
    }
    repos::stop_at("job.before_seal");
    publish(sealing, &entry, &moves)
}

/// The entry that ends a job without moving a branch, after storing everything it names.
pub(crate) fn end_of(sealing: &Sealing<'_>, ended: &Ended) -> Result<Entry> {
    let Sealing { store, job, executor, .. } = sealing;
    let commit = match &ended.made {
        Some((leaves, trees)) => Some(store.put_commit(&output_commit(sealing, ended, leaves, trees)?)?),
        None => None,
    };
    let document = store.put_document(&JobDocument {
        pipeline: job.pipeline.clone(),
        run: job.run,
        version: job.version,
        executor: executor.clone(),
        reason: ended.reason.clone(),
        created_at: job.created_at,
        started_at: ended.started_at,
        finished_at: store.clock().now(),
        datums_total: ended.counts.total,
        datums_processed: ended.counts.processed,
        datums_cached: ended.counts.cached,
        datums_failed: ended.counts.failed,
        datums_recovered: ended.counts.recovered,
    })?;
    Ok(Entry::Job {
        pipeline: job.pipeline.clone(),
        run: job.run,
        state: ended.state,
        commit,
        document: Some(document),
        moved: None,
    })
}

/// Publishes the end of a job, with the runs of triggers that it fires.
fn publish(sealing: &Sealing<'_>, entry: &Entry, moves: &[Move]) -> Result<()> {
    let store = sealing.store;
    loop {
        let mut change = Change::of(vec![entry.clone()]);
        if !moves.is_empty() {
            let graph = Graph::load(store)?;
            let by =
                Actor { author: store.run(&sealing.job.run)?.cause.author.unwrap_or_default(), ..sealing.by.clone() };
            let triggered = runs_after(store, &graph, moves, &cause(store, CauseKind::Trigger, &by, Vec::new()))?;
            change.graph = Some(graph.number).filter(|_| !triggered.is_empty());
            change.entries.extend(triggered);
        }
        match store.publish(&change) {
            // Another pipeline may depend on it by now.
            Err(RepoError::GraphMoved) => store.refresh()?,
            // A scheduled trigger moved its branch first.
            Err(RepoError::BranchMoved { repo, branch, .. }) if is_other(moves, &repo, &branch) => store.refresh()?,
            done => return Ok(done?),
        }
    }
}

fn is_other(moves: &[Move], repo: &RepoName, branch: &BranchName) -> bool {
    moves.iter().all(|moved| (&moved.repo, &moved.branch) != (repo, branch))
}

fn output_commit(sealing: &Sealing<'_>, ended: &Ended, leaves: &[Leaf], trees: &Trees) -> Result<Commit> {
    let Sealing { store, pipeline, job, by, .. } = sealing;
    let (repo, branch) = pipeline.output_branch();
    let parent = store.find_branch(&repo, &branch)?.and_then(|row| row.commit);
    let provenance: BTreeMap<_, _> =
        leaves.iter().filter_map(|leaf| Some((leaf.branch.clone(), leaf.commit?))).collect();
    let provenance = provenance.into_iter().map(|((repo, branch), commit)| Provenance { repo, branch, commit });
    let error = match ended.state {
        SealedState::Success => None,
        SealedState::Killed => Some("killed"),
        SealedState::Failure | SealedState::Unrunnable => Some("failure"),
    };
    let cause = store.run(&job.run)?.cause;
    Ok(Commit {
        repo,
        branch,
        parents: parent.into_iter().collect(),
        tree: trees.tree.root(),
        lineage: Some(trees.lineage.root()),
        datums: Some(trees.datums.root()),
        run: job.run,
        kind: CommitKind::Output,
        author: cause.author.unwrap_or_default(),
        committer: by.committer.clone(),
        message: String::new(),
        created_at: store.clock().now(),
        provenance: provenance.collect(),
        sources: Vec::new(),
        origins: Vec::new(),
        pipeline: Some(pipeline.stamp()),
        job: Some(format!("{}@{}", job.pipeline, job.run)),
        error: error
            .map(|state| CommitError { state: state.to_owned(), message: ended.reason.clone().unwrap_or_default() }),
        journal: None,
    })
}
