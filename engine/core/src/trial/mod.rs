//! Trials: runs with other commits, specs or code instead of the current ones.
//!
//! A trial moves no branch, is never a pipeline's newest job, and nothing waits for it; only its results are shared, so a trial costs
//! nothing again once it becomes current. Its run and its jobs are recorded, and complete trials make commits (`REPO@RUN`).
//! - `request` from the request to commits and pipelines
//! - `select` which pipelines a trial runs, and with which inputs
//! - `sample` which datums, if not all
//! - `kept` recorded trials
//! - `room` folders for what a machine elsewhere mounts
//! - `ephemeral` trials of which nothing is kept: with folders of the host, with output to a folder of the host, or with a shell
//!
//! Not here: how a job's datums are executed (`execution`), how a spec becomes a version (`apply`), how the results compare with the
//! current output (`answers::trial`).

mod ephemeral;
mod kept;
mod request;
mod room;
mod sample;
mod select;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use repos::access::Right;
use repos::documents::RecipeInput;
use repos::files::GetItem;
use repos::tree::FileEntry;
use repos::{RepoError, Store};
use specs::{CommitId, DatumId, Digest, FilePath, Glob, PipelineName, RepoName, RunId};
use tokio::sync::watch;

pub use ephemeral::{EphemeralTrial, Out};
pub use request::{Replacement, TrialRequest, upload_mount, upload_mounts};
pub use room::Room;

use crate::datums::DatumKey;
use crate::datums::DatumMap;
use crate::error::{EngineError, Result};
use crate::execution::Outputs;
use crate::graph::{BranchOf, Graph, Pipeline};
use crate::live::{Counts, JobState};
use crate::run::Actor;
use crate::scheduler::Engine;

/// What to try.
#[derive(Debug, Clone)]
pub struct Request {
    /// All pipelines, including those to try in place of the current ones.
    pub graph: Arc<Graph>,
    /// The pipelines to try in place of the current ones.
    pub specs: BTreeSet<PipelineName>,
    /// Commits in place of the heads of branches.
    pub commits: BTreeMap<BranchOf, CommitId>,
    /// The requested pipelines; empty for everything affected.
    pub names: BTreeSet<PipelineName>,
    /// Which datums.
    pub sample: Sample,
    /// The request in the user's words, for the record.
    pub refs: Vec<String>,
    /// The handle of who makes it: an engine's own has no limits.
    store: Store,
}

/// Which datums to try.
#[derive(Debug, Clone, Default)]
pub enum Sample {
    /// Number of datums.
    #[default]
    All,
    /// This many, evenly spread.
    Some(usize),
    /// Those with a matching input path.
    Matching(Glob),
    /// Those that failed in the pipeline's newest job.
    Failed,
}

impl Sample {
    /// Whether it covers all datums.
    pub fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// A trial that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Its run; `None` if nothing is kept.
    pub run: Option<RunId>,
    /// The order of its jobs among the live ones.
    pub order: u64,
}

/// Called when a trial begins.
pub type OnBegin<'a> = &'a (dyn Fn(Begun) + Send + Sync);

/// The outcome of a trial.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Its run; `None` if nothing is kept.
    pub run: Option<RunId>,
    /// Its jobs, in the order of data flow.
    pub jobs: Vec<TriedJob>,
    /// Downstream pipelines that it would have affected if it had made commits.
    pub left_out: Vec<PipelineName>,
}

impl Tried {
    /// All files that it wrote, for another machine to get, if its results are not kept.
    pub fn loose_files(&self) -> Vec<GetItem> {
        let of_job = |job: &TriedJob| match &job.output {
            TriedOutput::EphemeralTrial { files, .. } => files.iter().filter_map(item).collect(),
            TriedOutput::Nothing | TriedOutput::Kept { .. } => Vec::new(),
        };
        self.jobs.iter().flat_map(of_job).collect()
    }
}

fn item((path, file): (&FilePath, &FileEntry)) -> Option<GetItem> {
    Some(GetItem { path: path.below(&FilePath::root())?.to_owned(), file: *file })
}

/// The outcome of one pipeline.
#[derive(Debug, Clone)]
pub struct TriedJob {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// Its version.
    pub version: u32,
    /// How it ended.
    pub state: JobState,
    /// The reason, unless it succeeded.
    pub reason: Option<String>,
    /// Its datums.
    pub counts: Counts,
    /// From its start to its end.
    pub seconds: f64,
    /// Its output; absent for a sample.
    pub commit: Option<CommitId>,
    /// The pipeline's current output, for comparison; `None` if there is none.
    pub present: Option<CommitId>,
    /// Its results.
    pub output: TriedOutput,
}

/// The results of trying one pipeline.
#[derive(Debug, Clone)]
pub enum TriedOutput {
    /// It did not run.
    Nothing,
    /// Datums with results that are in the store.
    Kept {
        /// The datums map.
        datums: DatumMap,
        /// Whether they are only some of the datums.
        is_sample: bool,
    },
    /// Datums whose results are not kept.
    EphemeralTrial {
        /// Each of them.
        datums: Vec<EphemeralDatum>,
        /// All files that they wrote.
        files: Outputs,
    },
}

/// A datum that ran, whose result is not kept.
#[derive(Debug, Clone)]
pub struct EphemeralDatum {
    /// Its key in the datums map.
    pub key: DatumKey,
    /// Its id.
    pub id: DatumId,
    /// What it read.
    pub inputs: Vec<RecipeInput>,
    /// Root of the map of its outputs; `None` if it failed.
    pub outputs: Option<Digest>,
}

/// A pipeline's current output; `None` if there is none.
fn present(store: &Store, pipeline: &Pipeline) -> Result<Option<CommitId>, RepoError> {
    let (repo, branch) = pipeline.output_branch();
    if !store.has_repo(&repo)? {
        return Ok(None);
    }
    Ok(store.find_branch(&repo, &branch)?.and_then(|row| row.commit))
}

/// The branch of a repository that pipelines read.
///
/// `Usage` if there is none or more than one: then it is unclear what another commit would replace.
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

/// Runs a trial. `stop` ends it: what is done stays in the cache. `on_begin` is called before anything is executed.
///
/// Runs on the engine's [runtime](Engine::runtime). `Usage` if the request selects nothing, `NotFound` if no datum is left, `Refused` for
/// one that is tied to the host without the right to.
pub async fn try_out(
    engine: &Engine,
    request: &Request,
    ephemeral: &EphemeralTrial,
    by: &Actor,
    stop: watch::Receiver<bool>,
    on_begin: OnBegin<'_>,
) -> Result<Tried> {
    if ephemeral.is_any() {
        if ephemeral.uses_host() {
            request.store.ensure_may(Right::Host)?;
        }
        return ephemeral::run(engine, request, ephemeral, stop, on_begin).await;
    }
    kept::run(engine, request, by, stop, on_begin).await
}
