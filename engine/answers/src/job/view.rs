//! A job, running or ended.

use repos::documents::{ExecutorKind, ExecutorStamp, JobDocument, VersionDocument};
use repos::journal::CauseKind;
use repos::{JobRow, RepoError, Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, PipelineName, RunId};

use crate::run::{CauseView, Causes};
use engine::Result;
use engine::graph::Pipeline;
use engine::inputs::{Readiness, WaitsFor, inputs_of};
use engine::live::{Counts, JobKey, JobState, Live, LiveJob, job_id};

/// A job, for programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields of the contract")]
pub struct JobView {
    pub id: String,
    pub pipeline: PipelineName,
    pub run: RunId,
    pub state: JobState,
    pub reason: Option<String>,
    /// Why its run was created.
    pub cause: CauseView,
    pub executor: Option<ExecutorKind>,
    pub pipeline_version: u32,
    pub datums_total: u64,
    pub datums_processed: u64,
    pub datums_cached: u64,
    pub datums_failed: u64,
    pub datums_recovered: u64,
    /// `None` if it has not ended, or ended without one.
    pub output_commit: Option<CommitId>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// From its start to its end.
    pub duration_seconds: Option<f64>,
    /// When it entered its state, if it has not ended.
    #[serde(skip)]
    pub since: Option<Timestamp>,
    /// Where its datums were executed; absent if it has not ended, or its details were dropped.
    #[serde(skip)]
    pub executed_on: Option<ExecutorStamp>,
    /// What it waits for, if that is known.
    #[serde(skip)]
    pub waits_for: Option<WaitsFor>,
    /// Its id with a short run id.
    #[serde(skip)]
    pub short: String,
}

/// Everything about a job. `live` is what an engine in this process knows of it; without one, an open job waits.
pub fn job_view(store: &Store, job: &JobRow, live: Option<&LiveJob>) -> Result<JobView> {
    job_view_among(store, job, live, &mut Causes::default())
}

/// Like [`job_view`], for one of many jobs: `causes` are those of the jobs before it.
pub fn job_view_among(store: &Store, job: &JobRow, live: Option<&LiveJob>, causes: &mut Causes) -> Result<JobView> {
    let mut view = JobView {
        id: job_id(&job.pipeline, &job.run),
        pipeline: job.pipeline.clone(),
        run: job.run,
        state: JobState::Waiting,
        reason: None,
        cause: causes.of(store, &job.run)?,
        executor: None,
        pipeline_version: job.version,
        datums_total: 0,
        datums_processed: 0,
        datums_cached: 0,
        datums_failed: 0,
        datums_recovered: 0,
        output_commit: job.commit,
        created_at: job.created_at,
        started_at: None,
        finished_at: job.sealed_at,
        duration_seconds: None,
        since: None,
        waits_for: None,
        executed_on: None,
        short: format!("{}@{}", job.pipeline, causes.short(store, &job.run)?),
    };
    match (job.sealed, live) {
        (Some(state), _) => {
            view.state = state.into();
            match job.document.map(|digest| store.document::<JobDocument>(&digest)).transpose() {
                Ok(Some(document)) => {
                    view.reason.clone_from(&document.reason);
                    view.executor = Some(document.executor.kind);
                    view.started_at = document.started_at;
                    view.executed_on = Some(document.executor.clone());
                    view.set_counts(counts_of(&document));
                }
                Ok(None) => {}
                // Retention may have dropped it; what the journal says stays.
                Err(RepoError::MissingObject { .. }) => {
                    view.reason = Some("its number of datums is no longer stored".to_owned());
                }
                Err(error) => return Err(error.into()),
            }
        }
        (None, Some(live)) => {
            view.state = live.state.into();
            view.waits_for = live.awaits().map(|what| what.seen_through(store));
            view.reason = view.waits_for.as_ref().map(ToString::to_string);
            view.since = Some(live.since);
            view.started_at = live.started_at;
            view.set_counts(live.counts);
        }
        // Nobody continues a trial: it was only meaningful while it ran.
        (None, None) if view.cause.kind == CauseKind::Try => {
            view.state = JobState::Killed;
            view.reason = Some("its try did not finish".to_owned());
        }
        (None, None) => {
            match waits_for(store, job)? {
                Ok(what) => (view.reason, view.waits_for) = (Some(what.to_string()), Some(what)),
                Err(never) => view.reason = Some(never),
            }
            view.since = Some(job.created_at);
        }
    }
    view.duration_seconds = view.finished_at.zip(view.started_at).map(|(end, start)| end.seconds_since(start));
    if view.executor.is_none() {
        view.executor = executor_of(store, job)?;
    }
    Ok(view)
}

/// A job with a short run id: `detect@6e0b2f17`.
pub fn short_job(store: &Store, job: &JobRow) -> Result<String> {
    Ok(format!("{}@{}", job.pipeline, store.short_run(&job.run)?))
}

/// What an engine in this process knows about a job.
pub fn live_job(live: Option<&Live>, job: &JobRow) -> Option<LiveJob> {
    live.and_then(|live| live.job(&JobKey { order: job.order, pipeline: job.pipeline.clone() }))
}

/// The record of a job's end; `None` if it has not ended.
pub fn document_of(store: &Store, job: &JobRow) -> Result<Option<JobDocument>> {
    Ok(job.document.map(|digest| store.document::<JobDocument>(&digest)).transpose()?)
}

impl JobView {
    fn set_counts(&mut self, counts: Counts) {
        self.datums_total = counts.total;
        self.datums_processed = counts.processed;
        self.datums_cached = counts.cached;
        self.datums_failed = counts.failed;
        self.datums_recovered = counts.recovered;
    }
}

fn counts_of(document: &JobDocument) -> Counts {
    Counts {
        total: document.datums_total,
        processed: document.datums_processed,
        cached: document.datums_cached,
        failed: document.datums_failed,
        recovered: document.datums_recovered,
    }
}

fn executor_of(store: &Store, job: &JobRow) -> Result<Option<ExecutorKind>> {
    let row = store.pipeline_version(&job.pipeline, job.version)?;
    let version: Option<VersionDocument> = row.map(|row| store.document(&row.document)).transpose()?;
    Ok(version.map(|version| version.executor))
}

/// What a job waits for if no engine runs; `Err` with the reason if it can never run.
fn waits_for(store: &Store, job: &JobRow) -> Result<Result<WaitsFor, String>> {
    // What it waits for may be hidden.
    let whole = store.whole();
    let pipeline = Pipeline::load_version(&whole, &job.pipeline, job.version)?;
    Ok(match inputs_of(&whole, &pipeline, job, &whole.open_jobs()?)? {
        Readiness::Waits(what) => Ok(what.seen_through(store)),
        Readiness::Unrunnable { reason } => Err(store.without_hidden(&reason)?),
        Readiness::Ready(_) => Ok(WaitsFor::Engine),
    })
}

/// The newest job of a pipeline's current version; `None` if there was no data to make one for.
pub fn newest_of_version(store: &Store, name: &PipelineName) -> Result<Option<JobRow>> {
    let version = store.pipeline(name)?.version;
    Ok(store.newest_job(name)?.filter(|job| job.sealed.is_none() || job.version == version))
}
