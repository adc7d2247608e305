//! Runs: everything that one change caused.

use ::repos::access::Role;
use ::repos::{JobRow, Store};
use answers::named::find_jobs;
use answers::run::{self, RunView};
use engine::{EngineError, apply};
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{JobRef, PipelineName, RunId, RunRef};

use crate::caller::Call;
use crate::lists::{Listed, Wanted, list};
use crate::operation::{Operation, get, post};
use crate::parts::{Answer, Json, Path};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/runs", ("listRuns", "List runs, newest first"), all),
        get("/runs/{run}", ("showRun", "Show a run with its jobs"), show),
        post("/runs/{run}/stop", ("stopRun", "Stop jobs of a run; finished datums stay in the cache"), stop)
            .needs(Role::Writer),
    ]
}

async fn all(call: Call, wanted: Wanted) -> Result<Listed<RunView>> {
    list(call, wanted, |store, live, cursor, items| {
        let after: Option<RunId> = cursor.after_as()?;
        let runs = run::runs_before(store, Some(live), after.as_ref())?;
        items.extend(runs, |run| run.id.to_string()).map_err(Problem::from)
    })
    .await
}

/// A run.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfRun {
    /// Its id, or a unique beginning of it.
    #[schemars(regex(pattern = r"^@?[0-9a-f]{4,64}$"))]
    run: String,
}

async fn show(call: Call, Path(OfRun { run }): Path<OfRun>) -> Result<Answer<RunView>> {
    let run = run_ref(&run)?;
    call.ask(move |store, live| run::find_run(store, &run, Some(live))).await.map(Answer)
}

/// Which jobs of a run to stop, and why.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct JobsToStop {
    /// Only the jobs of these pipelines; empty for all that have not ended.
    pipelines: Vec<PipelineName>,
    /// The reason.
    message: Option<String>,
}

async fn stop(
    call: Call,
    Path(OfRun { run }): Path<OfRun>,
    Json(JobsToStop { pipelines, message }): Json<JobsToStop>,
) -> Result<Answer<RunView>> {
    let (run, by, engine) = (run_ref(&run)?, call.actor(None), call.engine());
    let stopped = call.change(move |store| {
        let jobs = open_jobs(store, &run, &pipelines)?;
        apply::stop_jobs(store, Some(&engine), &jobs, &by, message.as_deref())?;
        run::find_run(store, &run, Some(engine.live()))
    });
    stopped.await.map(Answer)
}

/// The jobs of a run that have not ended, in the order of the data flow; with `pipelines`, only theirs.
fn open_jobs(store: &Store, run: &RunRef, pipelines: &[PipelineName]) -> engine::Result<Vec<JobRow>> {
    let mut jobs = find_jobs(store, &JobRef::Run(run.clone()))?;
    if let Some(name) = pipelines.iter().find(|name| jobs.iter().all(|job| job.pipeline != **name)) {
        let what = format!("run `{run}` has no job of pipeline `{name}`");
        return Err(EngineError::NotFound { what, hint: Some(format!("pv job list {run}")) });
    }
    jobs.retain(|job| job.sealed.is_none() && (pipelines.is_empty() || pipelines.contains(&job.pipeline)));
    if jobs.is_empty() {
        let what = format!("no such job of run `{run}` is open");
        return Err(EngineError::Conflict { what, hint: Some(format!("pv job list {run}")) });
    }
    Ok(jobs)
}

/// A run in a request's path.
fn run_ref(text: &str) -> Result<RunRef> {
    let wrong = |error: specs::reference::ReferenceError| {
        let problem = Problem::new(specs::ErrorKind::Usage, error.to_string());
        error.hint().map_or(problem.clone(), |hint| problem.hint(hint))
    };
    format!("@{}", text.trim_start_matches('@')).parse().map_err(wrong)
}
