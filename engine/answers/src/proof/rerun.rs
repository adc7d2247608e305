//! Executes the provenance of a claim again: each datum in a fresh sandbox, on its recorded inputs.
//!
//! The cache is not used, no branch moves, and no result is kept; the outcome is a certificate. Stages run one after another, upstream
//! first, and the datums of a stage in parallel. Sandboxes are closed one by one; nothing else is cleaned up, since an engine may be
//! running.
//!
//! Datums with network access can have external effects, such as a second mail: they are executed only if that is allowed, and otherwise
//! left out and reported. The verdict is then `left out`, with exit code 6, as for datums that cannot run.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use repos::documents::{
    Certificate, CertifiedStage, Commit, ExecutorKind, ExecutorStamp, Recipe, Repetition, ResultDocument, Transform,
};
use repos::store::Resolved;
use repos::tree::{Tree, path_of};
use repos::{RepoError, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, Digest, FilePath, Network, PipelineName};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::verify::evidence::StoreEvidence;
use super::verify::walk::Walk;
use crate::sight::ensure_sees_ancestry;
use engine::blocking;
use engine::execution::again;
use engine::executors::Executors;
use engine::{EngineError, Result, in_full};

/// Maximum number of differing paths of a stage that a certificate names.
const NAMED: usize = 100;

/// What to execute again, and how.
pub struct Repeat<'a> {
    /// The executors; each datum runs in the kind that made it.
    pub executors: Executors,
    /// Number of parallel datums.
    pub jobs: usize,
    /// The identity that the store authenticated.
    pub committer: String,
    /// Whether datums with network access are executed too.
    pub network: bool,
    /// Called with what will be executed and what is left out, before anything is executed.
    pub on_plan: &'a (dyn Fn(&[Intended]) + Sync),
    /// Called with each stage as it ends.
    pub on_stage: &'a (dyn Fn(&CertifiedStage) + Sync),
}

/// Datums of one stage that are executed the same way, or left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intended {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// Number of datums.
    pub datums: u64,
    /// What executes them.
    pub executor: ExecutorKind,
    /// Their network access.
    pub network: Network,
    /// Whether they are left out because of the network.
    pub is_left_out: bool,
}

/// Executes again the datums of a file, directory or commit, and everything they depend on, and stores the outcome; returns the certificate
/// and its digest. Must run on a multi-threaded runtime.
///
/// `NotFound` if no datum made what is asked about: a user committed it.
pub async fn rerun(store: &Store, at: &Resolved, repeat: Repeat<'_>) -> Result<(Digest, Certificate)> {
    let what = format!("{} cannot be executed again", at.place());
    blocking(|| ensure_sees_ancestry(store, at.id, &what))?;
    if let Some(stamp) = &at.commit.pipeline {
        blocking(|| store.ensure_may_run(&stamp.name))?;
    }
    let stages = blocking(|| stages(store, at))?;
    let Some(first) = stages.iter().find_map(|stage| stage.datums.first()).map(|datum| datum.result) else {
        let what = format!("no datum made {}:{}: a person committed it", at.place(), at.path);
        return Err(EngineError::NotFound { what, hint: None });
    };
    (repeat.on_plan)(&intended(&stages, repeat.network));
    let executor = stamp(store, &first, &repeat.executors).await?;
    let mut done = Vec::new();
    for stage in stages {
        let stage = stage.execute(store, &repeat).await?;
        (repeat.on_stage)(&stage);
        done.push(stage);
    }
    let certificate = Certificate {
        commit: at.id,
        path: Some(at.path.clone()).filter(|path| !path.is_root()),
        at: store.clock().now(),
        committer: repeat.committer,
        made_by: format!("pv {}", env!("CARGO_PKG_VERSION")),
        executor,
        outcome: done.iter().map(|stage| stage.outcome).max().unwrap_or(Repetition::Identical),
        stages: done,
    };
    let digest = blocking(|| store.put_certificate(&certificate))?;
    Ok((digest, certificate))
}

/// The current version of the executor of the datums.
async fn stamp(store: &Store, result: &Digest, executors: &Executors) -> Result<ExecutorStamp> {
    let kind = store.document::<ResultDocument>(result)?.executor.kind;
    let info = executors.of(kind).check().await;
    // An executor that does not respond is the reason why nothing can be executed, which each stage reports.
    let (version, host) = info.map(|info| (info.version, info.host)).unwrap_or_default();
    Ok(ExecutorStamp { kind, version, host })
}

/// The datums of one commit.
struct Stage {
    id: CommitId,
    commit: Commit,
    datums: Vec<StageDatum>,
}

/// A datum by its result, with what is needed to execute it again.
struct StageDatum {
    result: Digest,
    executor: ExecutorKind,
    network: Network,
}

impl StageDatum {
    /// An unreadable result is not executed, and reports why later.
    fn of(store: &Store, result: Digest) -> Self {
        let read = || {
            let document: ResultDocument = store.document(&result)?;
            let recipe: Recipe = store.document(&document.recipe.digest())?;
            let transform: Transform = store.document(&recipe.transform)?;
            Ok::<_, RepoError>((document.executor.kind, transform.network))
        };
        let (executor, network) = read().unwrap_or((ExecutorKind::Process, Network::None));
        Self { result, executor, network }
    }

    fn is_left_out(&self, network: bool) -> bool {
        self.network != Network::None && !network
    }
}

/// What will be executed, in this order, and what is left out.
fn intended(stages: &[Stage], network: bool) -> Vec<Intended> {
    let mut all: Vec<Intended> = Vec::new();
    for (stage, datum) in stages.iter().flat_map(|stage| stage.datums.iter().map(move |datum| (stage, datum))) {
        let Some(stamp) = &stage.commit.pipeline else { continue };
        let StageDatum { executor, network: reaches, .. } = *datum;
        let is_left_out = datum.is_left_out(network);
        let one = Intended { pipeline: stamp.name.clone(), datums: 1, executor, network: reaches, is_left_out };
        match all.iter_mut().find(|known| Intended { datums: 1, ..(*known).clone() } == one) {
            Some(known) => known.datums += 1,
            None => all.push(one),
        }
    }
    all
}

/// The provenance of a claim, upstream first.
fn stages(store: &Store, at: &Resolved) -> Result<Vec<Stage>> {
    let evidence = StoreEvidence::new(store, &[])?;
    let mut walk = Walk::new(&evidence);
    super::verify::claim(store, &mut walk, at)?;
    let mut results: BTreeMap<CommitId, Vec<Digest>> = BTreeMap::new();
    for (commit, result) in &walk.results {
        results.entry(*commit).or_default().push(*result);
    }
    let mut stages = Vec::new();
    for (id, mut results) in results {
        results.sort_unstable();
        let datums = results.into_iter().map(|result| StageDatum::of(store, result)).collect();
        stages.push(Stage { id, commit: store.commit(&id)?, datums });
    }
    let mut depths = HashMap::new();
    for stage in &stages {
        depth(store, stage.id, &mut depths)?;
    }
    stages.sort_by_key(|stage| (depths.get(&stage.id).copied(), stage.commit.repo.clone(), stage.id));
    Ok(stages)
}

/// Number of stages up to a commit, including its own.
fn depth(store: &Store, id: CommitId, known: &mut HashMap<CommitId, usize>) -> Result<usize, RepoError> {
    if let Some(depth) = known.get(&id) {
        return Ok(*depth);
    }
    let mut above = 0;
    for origin in store.commit(&id)?.provenance {
        above = above.max(depth(store, origin.commit, known)?);
    }
    known.insert(id, above + 1);
    Ok(above + 1)
}

/// The outcome of one datum.
enum Outcome {
    Same,
    Other(Vec<FilePath>),
    NotRun(String),
}

impl Stage {
    async fn execute(self, store: &Store, repeat: &Repeat<'_>) -> Result<CertifiedStage> {
        let turns = Arc::new(Semaphore::new(repeat.jobs.max(1)));
        let mut running = JoinSet::new();
        let (left_out, datums): (Vec<_>, Vec<_>) =
            self.datums.into_iter().partition(|datum| datum.is_left_out(repeat.network));
        let left_out = left_out.len() as u64;
        for StageDatum { result, .. } in datums {
            let (store, executors, turns) = (store.clone(), repeat.executors.clone(), turns.clone());
            running.spawn(async move {
                let _turn = turns.acquire_owned().await;
                one(&store, &result, &executors).await
            });
        }
        let mut why = (left_out > 0).then(|| "it uses the network".to_owned());
        let mut outcome = if left_out > 0 { Repetition::NotRun } else { Repetition::Identical };
        let (mut paths, mut datums, mut not_run) = (Vec::new(), 0, 0);
        while let Some(ended) = running.join_next().await {
            match ended.map_err(|error| EngineError::Stopped(error.to_string()))?? {
                Outcome::Same => datums += 1,
                Outcome::NotRun(reason) => {
                    not_run += 1;
                    outcome = outcome.max(Repetition::NotRun);
                    why.get_or_insert(reason);
                }
                Outcome::Other(others) => {
                    datums += 1;
                    outcome = Repetition::Differs;
                    paths.extend(others);
                }
            }
        }
        paths.sort_unstable();
        paths.dedup();
        let paths_more = paths.len().saturating_sub(NAMED) as u64;
        paths.truncate(NAMED);
        let stamp = self.commit.pipeline.ok_or_else(|| EngineError::Stopped("an output has a pipeline".to_owned()))?;
        let (commit, pipeline) = (self.id, stamp.name);
        Ok(CertifiedStage { commit, pipeline, datums, left_out, not_run, outcome, paths, paths_more, why })
    }
}

async fn one(store: &Store, digest: &Digest, executors: &Executors) -> Result<Outcome> {
    let now = match again(store, digest, executors).await {
        Ok(now) => now,
        Err(error) => return Ok(Outcome::NotRun(in_full(&error))),
    };
    blocking(|| {
        let then = store.document::<ResultDocument>(digest)?.outputs;
        if then == now {
            return Ok(Outcome::Same);
        }
        let (then, now) = (then.map_or(Tree::empty(), Tree::at), now.map_or(Tree::empty(), Tree::at));
        let others = then.diff(store, now)?.map(|change| Ok(path_of(&change?.key)?));
        Ok(Outcome::Other(others.collect::<Result<Vec<_>, RepoError>>()?))
    })
}
