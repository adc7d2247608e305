//! The state of a pipeline, and its parts.

use std::fmt;
use std::ops::ControlFlow;

use repos::documents::{CodeStamp, ExecutorKind, ImageStamp, JobDocument, SpecDocument, Transform};
use repos::journal::SealedState;
use repos::{JobRow, PipelineRow, Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, PipelineName};

use crate::job::{JobView, job_view, job_view_among, live_job};
use crate::run::Causes;
use crate::sight::is_none;
use engine::Graph;
use engine::Result;
use engine::graph::Pipeline;
use engine::inputs::WaitsFor;
use engine::live::job_id;
use engine::live::{JobKey, Live, LiveState};

/// The state of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PipelineState {
    /// Its output is up to date with its inputs.
    Current,
    /// It has a job that is not running yet.
    Pending,
    /// One of its jobs is running.
    Running,
    /// Its newest job did not succeed.
    Failed,
    /// It gets no jobs.
    Stopped,
}

impl fmt::Display for PipelineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Current => "current",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        })
    }
}

/// A pipeline, for programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields of the contract")]
pub struct PipelineView {
    pub name: PipelineName,
    pub version: u32,
    pub state: PipelineState,
    pub reason: Option<String>,
    /// The id of its newest job.
    pub last_job: Option<String>,
    /// Number of runs since its last successful one.
    pub behind_runs: u64,
    /// The head of its output branch.
    pub output_commit: Option<CommitId>,
    /// When its cron inputs tick next; absent without one, and while it is stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_tick: Option<Timestamp>,
    /// What its oldest open job waits for.
    #[serde(skip)]
    pub waits_for: Option<WaitsFor>,
    /// Its newest job.
    #[serde(skip)]
    pub newest: Option<JobRow>,
    /// Its newest job that ended.
    #[serde(skip)]
    pub ended: Option<JobRow>,
}

/// The state of a pipeline; `live` is the activity of an engine in this process.
pub fn pipeline_view(store: &Store, name: &PipelineName, live: Option<&Live>) -> Result<PipelineView> {
    let row = store.pipeline(name)?;
    let pipeline = Pipeline::load(store, &row)?;
    view_of(store, &row, &pipeline, live)
}

fn view_of(store: &Store, row: &PipelineRow, pipeline: &Pipeline, live: Option<&Live>) -> Result<PipelineView> {
    let name = pipeline.name();
    let (repo, branch) = pipeline.output_branch();
    let mut since_good = Vec::new();
    let mut good = None;
    store.visit_jobs(name, u64::MAX, |job| {
        if job.sealed == Some(SealedState::Success) {
            good = Some(job);
            return ControlFlow::Break(());
        }
        since_good.push(job);
        ControlFlow::Continue(())
    })?;
    // An update creates a job, unless there is no data for it: then the jobs of older versions say nothing about this one.
    let has_no_data = since_good.first().is_some_and(|job| job.sealed.is_some() && job.version != row.version);
    let (state, reason, waits_for) = if row.is_stopped() {
        (PipelineState::Stopped, None, None)
    } else if has_no_data {
        (PipelineState::Current, Some(format!("no data for version {} yet", row.version)), None)
    } else {
        state_of(store, &since_good, live)?
    };
    let newest = since_good.first().or(good.as_ref()).cloned();
    let ended = since_good.iter().chain(&good).find(|job| job.sealed.is_some()).cloned();
    Ok(PipelineView {
        name: name.clone(),
        version: row.version,
        state,
        reason,
        last_job: newest.as_ref().map(|job| job_id(&job.pipeline, &job.run)),
        behind_runs: if has_no_data { 0 } else { since_good.len() as u64 },
        output_commit: store.find_branch(&repo, &branch)?.and_then(|row| row.commit),
        next_tick: engine::time::next_tick(row, pipeline, store.clock().now()),
        waits_for,
        newest,
        ended,
    })
}

/// A pipeline with its jobs in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineLine {
    /// The pipeline.
    #[serde(flatten)]
    pub pipeline: PipelineView,
    /// Its newest job.
    #[serde(skip)]
    pub newest: Option<JobView>,
    /// Its newest job that ended.
    #[serde(skip)]
    pub ended: Option<JobView>,
    /// A unique short form of its output commit's id.
    #[serde(skip)]
    pub output: Option<String>,
}

/// All pipelines, each after those that it reads from.
pub fn pipelines(store: &Store, live: Option<&Live>) -> Result<Vec<PipelineView>> {
    let graph = Graph::load(store)?;
    let view = |pipeline: &Pipeline| view_of(store, &store.pipeline(pipeline.name())?, pipeline, live);
    graph.in_order().into_iter().map(|pipeline| view(pipeline)).collect()
}

/// The pipelines after one whose names have this text, by name; without one, from the first. What is not taken is not read.
pub fn pipelines_after<'s>(
    store: &'s Store,
    live: Option<&'s Live>,
    after: Option<&PipelineName>,
    part: &str,
) -> Result<impl Iterator<Item = Result<PipelineView>> + use<'s>> {
    let graph = Graph::load(store)?;
    let later = graph.pipelines.iter().filter(|(name, _)| after.is_none_or(|after| *name > after));
    let wanted: Vec<_> = later.filter(|(name, _)| name.as_str().contains(part)).map(|(_, one)| one.clone()).collect();
    Ok(wanted.into_iter().map(move |pipeline| view_of(store, &store.pipeline(pipeline.name())?, &pipeline, live)))
}

/// Pipelines with their jobs in short: several times the work of the pipelines alone, so only for those that are shown.
pub fn pipeline_lines<'s>(
    store: &'s Store,
    live: Option<&'s Live>,
    pipelines: impl IntoIterator<Item = PipelineView> + 's,
) -> impl Iterator<Item = Result<PipelineLine>> + 's {
    let mut causes = Causes::default();
    pipelines.into_iter().map(move |pipeline| line(store, live, pipeline, &mut causes))
}

fn line(store: &Store, live: Option<&Live>, pipeline: PipelineView, causes: &mut Causes) -> Result<PipelineLine> {
    let mut view = |job: &JobRow| job_view_among(store, job, live_job(live, job).as_ref(), causes);
    let newest = pipeline.newest.as_ref().map(&mut view).transpose()?;
    let ended = if pipeline.ended == pipeline.newest {
        newest.clone()
    } else {
        pipeline.ended.as_ref().map(view).transpose()?
    };
    let output = pipeline.output_commit.map(|id| store.short_commit(&id)).transpose()?;
    Ok(PipelineLine { pipeline, newest, ended, output })
}

/// State, reason, and what it waits for; from the jobs since the last successful one, newest first.
fn state_of(
    store: &Store,
    jobs: &[JobRow],
    live: Option<&Live>,
) -> Result<(PipelineState, Option<String>, Option<WaitsFor>)> {
    let Some(newest) = jobs.first() else { return Ok((PipelineState::Current, None, None)) };
    for job in jobs.iter().filter(|job| job.sealed.is_none()) {
        let key = JobKey { order: job.order, pipeline: job.pipeline.clone() };
        if let Some(running) = live.and_then(|live| live.job(&key)).filter(|live| live.state != LiveState::Waiting) {
            let counts = running.counts;
            let awaits = running.awaits().map_or_else(String::new, |what| format!("; {what}"));
            return Ok((PipelineState::Running, Some(format!("{} of {}{awaits}", counts.done(), counts.total)), None));
        }
    }
    if newest.sealed.is_some() {
        let document = newest.document.map(|digest| store.document::<JobDocument>(&digest)).transpose()?;
        return Ok((PipelineState::Failed, document.and_then(|document| document.reason), None));
    }
    let oldest = jobs.iter().rev().find(|job| job.sealed.is_none()).unwrap_or(newest);
    let oldest = job_view(store, oldest, live_job(live, oldest).as_ref())?;
    Ok((PipelineState::Pending, oldest.reason, oldest.waits_for))
}

/// The parts of a pipeline in its newest version.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct PipelineDetails {
    #[serde(flatten)]
    pub view: PipelineView,
    pub description: String,
    pub applied_at: Timestamp,
    pub executor: ExecutorKind,
    pub image: Option<ImageStamp>,
    pub code: Option<CodeStamp>,
    /// What is executed.
    pub transform: Transform,
    /// The image's entrypoint, if the spec has no `cmd`.
    pub entrypoint: Vec<String>,
    /// The branches that it reads, `REPO@BRANCH`.
    pub inputs: Vec<String>,
    /// How many of its inputs are not visible to the one who asks; in the spec, other names stand for them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub inputs_not_visible: u64,
    /// The branch that it writes, `REPO@BRANCH`.
    pub output: String,
    /// The spec in its normal form.
    pub spec: serde_json::Value,
}

/// Everything about a pipeline.
pub fn pipeline_details(store: &Store, name: &PipelineName, live: Option<&Live>) -> Result<PipelineDetails> {
    let view = pipeline_view(store, name, live)?;
    let row = store.pipeline(name)?;
    let pipeline = Pipeline::load(store, &row)?;
    let SpecDocument(spec) = store.document(&pipeline.version.spec)?;
    let (repo, branch) = pipeline.output_branch();
    let (seen, hidden): (Vec<_>, Vec<_>) =
        pipeline.input_branches().into_iter().partition(|(repo, _)| store.sees(repo));
    Ok(PipelineDetails {
        view,
        description: pipeline.spec.description.clone(),
        applied_at: row.applied_at,
        executor: pipeline.version.executor,
        image: pipeline.version.image.clone(),
        code: pipeline.version.code.as_ref().map(CodeStamp::checked),
        transform: store.document(&pipeline.version.transform)?,
        entrypoint: pipeline.version.entrypoint.clone(),
        inputs: seen.iter().map(|(repo, branch)| format!("{repo}@{branch}")).collect(),
        inputs_not_visible: hidden.len() as u64,
        output: format!("{repo}@{branch}"),
        spec,
    })
}
