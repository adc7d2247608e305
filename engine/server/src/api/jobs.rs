//! Jobs, their datums and logs.

use ::repos::access::Role;
use ::repos::{JobRow, Store};
use answers::datum::{self, DatumState, DatumView, find_datum};
use answers::job::{self, JobDetails, JobView, job_details, job_view_among, live_job};
use answers::logs::{self, DatumLog, LogView, TryLog};
use answers::named::find_job;
use answers::run::Causes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::feed::Printed;
use engine::{EngineError, apply};
use schemars::JsonSchema;
use serde::Deserialize;
use specs::reference::IdPrefix;
use specs::{DatumRef, Glob, JobRef, PipelineName, RunId};

use super::content::stored;
use super::operate::StartedRun;
use crate::caller::Call;
use crate::lists::{Listed, Wanted, list};
use crate::operation::{Description, Operation, Part, get, post};
use crate::parts::{Answer, Created, Json, Path, Query};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/jobs", ("listJobs", "List jobs, newest first"), all),
        get("/jobs/{job}", ("showJob", "Show a job"), show),
        get("/jobs/{job}/datums", ("listDatums", "List the datums of a job"), datums),
        get("/jobs/{job}/logs", ("readLogs", "Read what the datums of a job printed"), logs).reads(),
        get("/jobs/{job}/datums/{datum}/log", ("readLog", "Read what a datum printed, try after try, as text"), log)
            .reads(),
        post("/jobs/{job}/stop", ("stopJob", "Stop a job; finished datums stay in the cache"), stop)
            .needs(Role::Writer),
        post("/jobs/{job}/retry", ("retryJob", "Run a failed job again"), retry).needs(Role::Writer),
    ]
}

/// Which jobs to list.
#[derive(Debug, Deserialize, JsonSchema)]
struct Which {
    /// Only those of a pipeline, `detect`, or of a run, `@RUN`.
    #[serde(default)]
    of: Option<JobRef>,
}

async fn all(call: Call, Query(which): Query<Which>, wanted: Wanted) -> Result<Listed<JobView>> {
    list(call, wanted, move |store, live, cursor, items| {
        let after: Option<Key> = cursor.after_as()?;
        let after = after.as_ref().map(|Key(pipeline, run)| (pipeline, run));
        let mut causes = Causes::default();
        for row in job::jobs_after(store, which.of.as_ref(), after)? {
            let row = row?;
            if items
                .push(&key(&row), job_view_among(store, &row, live_job(Some(live), &row).as_ref(), &mut causes)?)
                .is_break()
            {
                break;
            }
        }
        Ok::<_, Problem>(())
    })
    .await
}

/// The pipeline and the run of a job, from its id.
struct Key(PipelineName, RunId);

impl std::str::FromStr for Key {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (pipeline, run) = text.split_once('@').ok_or(())?;
        Ok(Self(pipeline.parse().map_err(drop)?, run.parse().map_err(drop)?))
    }
}

fn key(row: &JobRow) -> String {
    engine::live::job_id(&row.pipeline, &row.run)
}

/// A job.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct OfJob {
    /// `PIPELINE@RUN`, or `PIPELINE` for its newest job.
    pub(super) job: JobRef,
}

async fn show(call: Call, Path(OfJob { job }): Path<OfJob>) -> Result<Answer<JobDetails>> {
    call.ask(move |store, live| job_details(store, &find_job(store, &job)?, Some(live))).await.map(Answer)
}

/// Which datums to list.
#[derive(Debug, Deserialize, JsonSchema)]
struct WhichDatums {
    /// Only those in this state.
    #[serde(default)]
    state: Option<DatumState>,
}

async fn datums(
    call: Call,
    Path(OfJob { job }): Path<OfJob>,
    Query(which): Query<WhichDatums>,
    wanted: Wanted,
) -> Result<Listed<DatumView>> {
    list(call, wanted, move |store, live, cursor, items| {
        let job = find_job(store, &job)?;
        items.pin(&key(&job));
        let after = cursor.after.clone();
        let mut is_before = after.is_some();
        let datums = datum::datum_list(store, Some(live), &job, (which.state, None))?;
        let rest = datums.skip_while(move |datum| {
            let skip = is_before;
            is_before = is_before && datum.as_ref().is_ok_and(|datum| Some(datum.id.to_string()) != after);
            skip
        });
        items.extend(rest, |datum| datum.id.to_string()).map_err(Problem::from)
    })
    .await
}

/// Whose output is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
struct WhichLogs {
    /// Only of failed datums.
    #[serde(default)]
    failed: bool,
}

async fn logs(
    call: Call,
    Path(OfJob { job }): Path<OfJob>,
    Query(which): Query<WhichLogs>,
    wanted: Wanted,
) -> Result<Listed<LogView>> {
    list(call, wanted, move |store, live, cursor, items| {
        let job = find_job(store, &job)?;
        items.pin(&key(&job));
        let skip: usize = cursor.after.as_ref().and_then(|after| after.parse().ok()).unwrap_or(0);
        let mut number = 0;
        for log in logs::logs_of_job(store, Some(live), &job, logs::Wanted { failed: which.failed, own: false })? {
            for view in views(store, &job, log?)? {
                number += 1;
                if number > skip && items.push(&number, view).is_break() {
                    return Ok(());
                }
            }
        }
        Ok::<_, Problem>(())
    })
    .await
}

/// What a datum printed, one for each try.
fn views(store: &Store, job: &JobRow, log: DatumLog) -> engine::Result<Vec<LogView>> {
    match log {
        DatumLog::Ended(_, result) => {
            let job = logs::job_of(&result);
            let view = |one: TryLog| logs::log_view(&result.recipe, &job, one.number, Some(&one.end), &one.bytes);
            logs::tries_of(store, &result).map(|one| one.map(view)).collect()
        }
        DatumLog::AtWork(_, pieces) => {
            let view = |piece: &Printed| {
                logs::log_view(&piece.datum, &key(job), piece.try_number, piece.end.as_ref(), &piece.bytes)
            };
            Ok(pieces.iter().map(view).collect())
        }
    }
}

/// A datum of a job.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfDatum {
    /// `PIPELINE@RUN`, or `PIPELINE` for its newest job.
    job: JobRef,
    /// Its id, or a unique beginning of it.
    datum: IdPrefix,
}

/// A log as an answer.
struct Text(String, Vec<u8>);

impl IntoResponse for Text {
    fn into_response(self) -> Response {
        let mut headers = stored(&self.0);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(TEXT));
        (headers, self.1).into_response()
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

impl Part for Text {
    fn describe(of: &mut Description<'_>) {
        of.gives_bytes(StatusCode::OK, "What it printed", &[TEXT]);
    }
}

async fn log(call: Call, Path(OfDatum { job, datum }): Path<OfDatum>) -> Result<Text> {
    let read = call.ask(move |store, live| {
        let found = find_datum(store, Some(live), &DatumRef::InJob { job, id: datum })?;
        let mut text = Vec::new();
        for one in logs::tries_of(store, &found.result) {
            text.extend_from_slice(&one?.bytes);
        }
        Ok::<_, EngineError>(Text(format!("{}.log", found.view.id.short(16)), text))
    });
    read.await
}

/// Why a job is stopped.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Stop {
    /// The reason.
    message: Option<String>,
}

async fn stop(
    call: Call,
    Path(OfJob { job }): Path<OfJob>,
    Json(Stop { message }): Json<Stop>,
) -> Result<Answer<JobDetails>> {
    let (by, engine) = (call.actor(None), call.engine());
    let stopped = call.change(move |store| {
        let row = find_job(store, &job)?;
        if row.sealed.is_some() {
            let what = format!("job `{}` has already ended", key(&row));
            return Err(EngineError::Conflict { what, hint: None });
        }
        apply::stop_jobs(store, Some(&engine), std::slice::from_ref(&row), &by, message.as_deref())?;
        job_details(store, &row, Some(engine.live()))
    });
    stopped.await.map(Answer)
}

/// How to retry a job.
#[derive(Debug, Deserialize, JsonSchema)]
struct Retry {
    /// Only failed datums that read a matching path: they are executed again, and the others stay failed; with `skip_failed`, they are
    /// skipped, and the others are executed again.
    #[serde(default)]
    input: Option<Glob>,
    /// Why to continue without the failed datums, which are recorded as recovered; absent: they are executed again.
    #[serde(default)]
    #[schemars(length(min = 1))]
    skip_failed: Option<String>,
}

async fn retry(
    call: Call,
    Path(OfJob { job }): Path<OfJob>,
    Query(Retry { input, skip_failed }): Query<Retry>,
) -> Result<Created<StartedRun>> {
    if skip_failed.as_ref().is_some_and(String::is_empty) {
        return Err(Problem::usage("`skip_failed` is empty", "it is the reason, which is recorded"));
    }
    let by = call.actor(None);
    let started = call.change(move |store| {
        let job = find_job(store, &job)?;
        apply::retry(store, &job, input.as_ref(), &by, skip_failed.as_deref())
    });
    Ok(Created(StartedRun { run: started.await? }))
}
