//! Jobs that are brought to their end, and waited for.

use std::sync::Arc;
use std::time::Duration;

use ::repos::access::Role;
use ::repos::{JobRow, Store};
use answers::job::{self, EndedView, SealedState, Selected, awaited, awaited_jobs, ended_view, newest_of_version};
use engine::live::EngineEvent;
use engine::run::Actor;
use engine::{Engine, Phase, apply};
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{ErrorKind, PipelineName, RunRef, parse_target};
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;

use super::upkeep::{Started, start_waiting};
use crate::caller::Call;
use crate::operation::{Operation, get, post};
use crate::parts::{Answer, Json, Query};
use crate::problem::{Problem, Result};
use crate::works::Progress;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post("/run", ("runJobs", "Run pending jobs to completion"), run).needs(Role::Writer),
        get("/wait", ("waitForJobs", "Wait until jobs end"), wait),
    ]
}

/// How long a request waits for jobs, unless it says otherwise; and at most.
const TO_WAIT: Duration = Duration::from_mins(1);
const MOST_TO_WAIT: Duration = Duration::from_hours(1);
/// How often the store is looked at, should an event have been missed.
const LOOK: Duration = Duration::from_secs(1);

/// What to run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ToRun {
    /// Pipelines, with everything they depend on; empty for all pending jobs.
    pipelines: Vec<PipelineName>,
    /// A run instead: `@RUN`.
    run: Option<RunRef>,
    /// First retry failed jobs that are the newest of their pipeline.
    retry: bool,
}

async fn run(call: Call, Json(what): Json<ToRun>) -> Result<Started> {
    if what.run.is_some() && !what.pipelines.is_empty() {
        return Err(Problem::usage("both pipelines and a run are named", "name one of them"));
    }
    let (engine, by) = (call.engine(), call.actor(None));
    let (selected, jobs) = call.change(move |store| select(store, what, &by)).await?;
    if !engine.want(selected.selection) {
        return Err(Problem::new(ErrorKind::Unavailable, "the engine ends"));
    }
    start_waiting(&call, "run", move |store, progress| async move {
        until_ended(&engine, store.clone(), move |_| Ok(jobs.clone()), None, Some(&progress)).await
    })
}

/// The selection, and the jobs whose success decides.
fn select(store: &Store, what: ToRun, by: &Actor) -> Result<(Selected, Vec<JobRow>)> {
    let selected = match &what.run {
        Some(run) => Selected::of_run(store, run)?,
        None => Selected::of_pipelines(store, what.pipelines.into_iter().collect())?,
    };
    selected.names.iter().try_for_each(|name| store.ensure_may_run(name))?;
    if !what.retry {
        let jobs = selected.newest(store)?;
        return Ok((selected, jobs));
    }
    for name in &selected.names {
        let failed = newest_of_version(store, name)?.filter(|job| job.sealed == Some(SealedState::Failure));
        if let Some(job) = failed {
            apply::retry(store, &job, None, by, None)?;
        }
    }
    // A retry is a new run.
    let selected = Selected::of_pipelines(store, selected.names)?;
    let jobs = selected.newest(store)?;
    Ok((selected, jobs))
}

/// What to wait for.
#[derive(Debug, Deserialize, JsonSchema)]
struct ToWait {
    /// A commit (all jobs of its run), a job, or a run: `REF`, `PIPELINE[@RUN]` or `@RUN`.
    #[schemars(extend("format" = "pv-target"), length(min = 1))]
    of: String,
    /// Give up after this time: 504; at most an hour. Absent: a minute.
    #[serde(default)]
    timeout: Option<specs::Duration>,
}

async fn wait(call: Call, Query(ToWait { of, timeout }): Query<ToWait>) -> Result<Answer<EndedView>> {
    let timeout = timeout.map_or(TO_WAIT, specs::Duration::get).min(MOST_TO_WAIT);
    let deadline = Instant::now() + timeout;
    let target =
        parse_target(&of).map_err(|error| Problem::usage(error.to_string(), error.hint().unwrap_or_default()))?;
    let awaited = call.ask(move |store, _| awaited(store, &target)).await?;
    let jobs = move |store: &Store| awaited_jobs(store, &awaited);
    until_ended(&call.engine(), call.store(), jobs, Some(deadline), None).await.map(Answer)
}

/// Waits until jobs have ended, and returns them. `TimedOut` at the deadline; it also ends if the engine does, or somebody stops it.
async fn until_ended(
    engine: &Arc<Engine>,
    store: Store,
    jobs: impl Fn(&Store) -> engine::Result<Vec<JobRow>> + Send + Sync + 'static,
    deadline: Option<Instant>,
    progress: Option<&Progress>,
) -> Result<EndedView> {
    // Subscribed before it looks, so that no end is missed.
    let mut feed = engine.live().listen();
    let mut stop = progress.map(Progress::stopped);
    let jobs = Arc::new(jobs);
    loop {
        let (looking, jobs, live) = (store.clone(), jobs.clone(), engine.clone());
        let view = tokio::task::spawn_blocking(move || {
            let jobs = jobs(&looking)?;
            ended_view(&looking, &jobs, Some(live.live()))
        });
        let view = view.await.map_err(|error| Problem::new(ErrorKind::Failed, error.to_string()))??;
        let open = view.jobs.iter().filter(|job| is_open(job)).count() as u64;
        let total = view.jobs.len() as u64;
        if let Some(progress) = progress {
            progress.tell("jobs", total - open, total);
        }
        if open == 0 {
            return Ok(view);
        }
        if engine.phase() == Phase::Ended {
            return Err(Problem::new(ErrorKind::Unavailable, "the engine has ended"));
        }
        tokio::select! {
            () = news(&mut feed) => {}
            () = tokio::time::sleep(LOOK) => {}
            () = reached(deadline) => return Err(late()),
            () = stopped(stop.as_mut()) => return Err(Problem::new(ErrorKind::Failed, "it was stopped; the jobs go on")),
        }
    }
}

fn is_open(view: &job::JobView) -> bool {
    use job::JobState::{Failure, Killed, Success, Unrunnable};
    !matches!(view.state, Success | Failure | Killed | Unrunnable)
}

async fn news(feed: &mut Receiver<EngineEvent>) {
    while let Ok(EngineEvent::Changed(_) | EngineEvent::Trouble(_)) = feed.recv().await {}
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Ready once somebody stops the work.
async fn stopped(stop: Option<&mut tokio::sync::watch::Receiver<bool>>) {
    if let Some(stop) = stop
        && stop.wait_for(|is_stopped| *is_stopped).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

fn late() -> Problem {
    Problem::new(ErrorKind::TimedOut, "timed out").hint("ask again; GET /jobs shows which jobs have not ended")
}
