//! Trials: other commits, specs or code in place of the present ones.
//!
//! A trial moves no branch, is never a pipeline's newest job, and nothing waits for it; only its results are shared, so what was tried
//! costs nothing once it is made the present. Its run and its jobs are on record, whole trials make commits (`REPO@RUN`).
//! - `request` from what is asked for to commits and pipelines
//! - `select`  which pipelines a trial runs, and with which inputs
//! - `sample`  which datums, when not all
//! - `kept`    trials that are on record
//! - `ephemeral`   trials of which nothing is kept: with folders of the host, to a folder of the host, or with a shell inside
//!
//! Not here: how a job's datums are executed (`execution`), what a spec becomes (`apply`), how what was tried compares with the present
//! (`answers::trial`).

mod ephemeral;
mod kept;
mod request;
mod sample;
mod select;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use repos::documents::RecipeInput;
use repos::{RepoError, Store};
use specs::{CommitId, DatumId, Digest, Glob, PipelineName, RepoName, RunId};
use tokio::sync::watch;

pub use ephemeral::EphemeralTrial;
pub use request::{Replacement, TrialRequest};

use crate::datums::DatumKey;
use crate::datums::DatumMap;
use crate::error::{EngineError, Result};
use crate::execution::Outputs;
use crate::graph::{BranchOf, Graph, Pipeline};
use crate::live::{Counts, JobState};
use crate::run::Actor;
use crate::scheduler::Engine;

/// What is to be tried.
#[derive(Debug, Clone)]
pub struct Request {
    /// All pipelines, those among them that are tried in place of the present ones.
    pub graph: Arc<Graph>,
    /// Which these are.
    pub specs: BTreeSet<PipelineName>,
    /// Commits in place of the heads of branches.
    pub commits: BTreeMap<BranchOf, CommitId>,
    /// The pipelines that are asked for; empty for all that is touched.
    pub names: BTreeSet<PipelineName>,
    /// Which datums.
    pub sample: Sample,
    /// The same in the words of who asked, for the record.
    pub refs: Vec<String>,
}

/// Which datums are tried.
#[derive(Debug, Clone, Default)]
pub enum Sample {
    /// All.
    #[default]
    All,
    /// This many, spread evenly.
    Some(usize),
    /// Those of which an input path matches.
    Matching(Glob),
    /// Those that failed in the pipeline's newest job.
    Failed,
}

impl Sample {
    /// Whether it is the whole.
    pub fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// A try that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Its run; `None` when nothing is kept.
    pub run: Option<RunId>,
    /// The order that its jobs have among the living.
    pub order: u64,
}

/// Told that a try begins.
pub type OnBegin<'a> = &'a (dyn Fn(Begun) + Send + Sync);

/// What came of a try.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Its run; `None` when nothing is kept.
    pub run: Option<RunId>,
    /// Its jobs, in the order in which data flows.
    pub jobs: Vec<TriedJob>,
    /// Pipelines that it would have touched further down, if it had made commits.
    pub left_out: Vec<PipelineName>,
}

/// What came of one pipeline.
#[derive(Debug, Clone)]
pub struct TriedJob {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The version of it.
    pub version: u32,
    /// How it ended.
    pub state: JobState,
    /// Why so, unless it succeeded.
    pub reason: Option<String>,
    /// Its datums.
    pub counts: Counts,
    /// From its start to its end.
    pub seconds: f64,
    /// Its output; a sample has none.
    pub commit: Option<CommitId>,
    /// The pipeline's present output, beside which all this stands; `None` while it has none.
    pub present: Option<CommitId>,
    /// What it gave.
    pub output: TriedOutput,
}

/// What a trial of one pipeline gave.
#[derive(Debug, Clone)]
pub enum TriedOutput {
    /// It did not run.
    Nothing,
    /// Datums with results that are in the store.
    Kept {
        /// Their map.
        datums: DatumMap,
        /// Whether they are some only of those that there would be.
        is_sample: bool,
    },
    /// Datums of which no result is kept.
    EphemeralTrial {
        /// Each of them.
        datums: Vec<EphemeralDatum>,
        /// All files that they wrote.
        files: Outputs,
    },
}

/// A datum that ran, of which no result is kept.
#[derive(Debug, Clone)]
pub struct EphemeralDatum {
    /// Its key in the map of datums.
    pub key: DatumKey,
    /// Its id.
    pub id: DatumId,
    /// What it read.
    pub inputs: Vec<RecipeInput>,
    /// Root of the map of its outputs; `None` when it failed.
    pub outputs: Option<Digest>,
}

/// A pipeline's present output; `None` while it has none.
fn present(store: &Store, pipeline: &Pipeline) -> Result<Option<CommitId>, RepoError> {
    let (repo, branch) = pipeline.output_branch();
    if !store.has_repo(&repo)? {
        return Ok(None);
    }
    Ok(store.find_branch(&repo, &branch)?.and_then(|row| row.commit))
}

/// The branches of a repository that pipelines read.
///
/// `Usage` when that is none or more than one: then it is not clear what another commit would be in place of.
pub fn branch_read(graph: &Graph, repo: &RepoName) -> Result<BranchOf> {
    let all = graph.pipelines.values().flat_map(|pipeline| pipeline.input_branches());
    let read: BTreeSet<BranchOf> = all.filter(|(read, _)| read == repo).collect();
    match (read.first(), read.len()) {
        (Some(branch), 1) => Ok(branch.clone()),
        (None, _) => Err(EngineError::Usage {
            what: format!("no pipeline reads repository `{repo}`"),
            hint: Some("pv pipeline list lists all pipelines".to_owned()),
        }),
        _ => {
            let names: Vec<String> = read.iter().map(|(repo, branch)| format!("`{repo}@{branch}`")).collect();
            let what = format!("pipelines read several branches of `{repo}`: {}", names.join(", "));
            let hint = Some(format!(
                "name the branch to replace: --with {repo}@{}=REV",
                read.iter().next().map_or("BRANCH", |(_, branch)| branch.as_str())
            ));
            Err(EngineError::Usage { what, hint })
        }
    }
}

/// Tries what a request comes to. `stop` ends it: what is done stays in the cache. `on_begin` is told before anything is executed.
///
/// Runs on the engine's [runtime](Engine::runtime). `Usage` when the request comes to nothing, `NotFound` when no datum is left of it.
pub async fn try_out(
    engine: &Engine,
    request: &Request,
    ephemeral: &EphemeralTrial,
    by: &Actor,
    stop: watch::Receiver<bool>,
    on_begin: OnBegin<'_>,
) -> Result<Tried> {
    if ephemeral.is_any() {
        return ephemeral::run(engine, request, ephemeral, stop, on_begin).await;
    }
    kept::run(engine, request, by, stop, on_begin).await
}
