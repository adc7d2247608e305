//! Long work: it is started, goes on by itself, and is asked for its progress and result.

use ::repos::access::Right;
use ::repos::{fsck, gc};
use answers::proof::{self, VerifyView, verify_view};
use answers::sorted::Sorted;
use answers::upkeep::{GcView, ReportView, gc_view, report_view};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use specs::Reference;

use crate::caller::Call;
use crate::keyed::AfterCrash;
use crate::operation::{Description, Operation, Part, delete, get, post};
use crate::parts::{Answer, Done, Json, Path};
use crate::problem::{Problem, Result};
use crate::works::{Progress, Work, WorkView};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post("/gc", ("collectGarbage", "Collect garbage"), collect)
            .needs_right(Right::Collect)
            .after_crash(AfterCrash::Repeat),
        post("/fsck", ("check", "Check that the store is intact"), check)
            .needs_right(Right::Check)
            .after_crash(AfterCrash::Repeat),
        post("/verify", ("verify", "Check that provenance and signatures are true"), verify)
            .needs_right(Right::Check)
            .after_crash(AfterCrash::Repeat),
        get("/operations", ("listOperations", "List long work that was started with this token"), all),
        get("/operations/{id}", ("showOperation", "Show the progress or the result of long work"), show),
        delete(
            "/operations/{id}",
            ("stopOperation", "Stop long work that can be stopped: a run's wait, a trial"),
            stop,
        ),
    ]
}

/// Work that was started: 202, with the address that tells of its progress.
pub(super) struct Started(pub(super) WorkView);

impl IntoResponse for Started {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        if let Ok(place) = HeaderValue::from_str(&format!("operations/{}", self.0.id)) {
            headers.insert(header::LOCATION, place);
        }
        (StatusCode::ACCEPTED, headers, axum::Json(self.0)).into_response()
    }
}

impl Part for Started {
    fn describe(of: &mut Description<'_>) {
        of.gives::<WorkView>(StatusCode::ACCEPTED, "It was started; `Location` tells of its progress");
    }
}

/// What to collect.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Collect {
    /// Only say what would be freed.
    dry_run: bool,
}

async fn collect(call: Call, Json(Collect { dry_run }): Json<Collect>) -> Result<Started> {
    let by = call.access().who.clone();
    start(&call, "gc", move |store, progress| {
        let collected = gc::collect(store, &by, dry_run, &|what, done, total| progress.tell(what, done, total))?;
        Ok::<GcView, Problem>(gc_view(&collected, dry_run))
    })
}

/// Nothing to say.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Nothing {}

async fn check(call: Call, Json(Nothing {}): Json<Nothing>) -> Result<Started> {
    start(&call, "fsck", move |store, progress| {
        let report = fsck::check(store, &|what, done, total| progress.tell(what, done, total))?;
        Ok::<ReportView, Problem>(report_view(&report, &[]))
    })
}

/// What to verify.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Verify {
    /// A commit or a file; absent: the heads of all branches.
    of: Option<Reference>,
}

async fn verify(call: Call, Json(Verify { of }): Json<Verify>) -> Result<Started> {
    start(&call, "verify", move |store, _| {
        let at = of.as_ref().map(|of| store.resolve(of)).transpose()?;
        let report = proof::verify(store, at.as_ref(), &[])?;
        let subject = of.map_or_else(|| "the heads of all branches".to_owned(), |of| of.to_string());
        Ok::<Sorted<VerifyView>, Problem>(verify_view(&subject, &report, None))
    })
}

/// Starts work on a thread of its own.
pub(super) fn start<T: Serialize>(
    call: &Call,
    kind: &'static str,
    work: impl FnOnce(&::repos::Store, &Progress) -> Result<T> + Send + 'static,
) -> Result<Started> {
    let store = call.store();
    let json = move |progress: &Progress| -> Result<Value> {
        let result = work(&store, progress)?;
        serde_json::to_value(result).map_err(|error| Problem::new(specs::ErrorKind::Failed, error.to_string()))
    };
    call.works().start(kind, &call.access().client, Work::new(json)).map(Started)
}

/// Starts work that waits for the engine, and can be stopped.
pub(super) fn start_waiting<T: Serialize, F>(
    call: &Call,
    kind: &'static str,
    work: impl FnOnce(::repos::Store, Progress) -> F + Send + 'static,
) -> Result<Started>
where
    F: Future<Output = Result<T>> + Send + 'static,
{
    let store = call.store();
    let json = move |progress| async move {
        let result = work(store, progress).await?;
        serde_json::to_value(result).map_err(|error| Problem::new(specs::ErrorKind::Failed, error.to_string()))
    };
    call.works().start(kind, &call.access().client, Work::waits(json)).map(Started)
}

async fn all(call: Call) -> Result<Answer<Vec<WorkView>>> {
    Ok(Answer(call.works().of(&call.access().client)))
}

/// Long work.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfWork {
    /// Its id.
    id: String,
}

async fn show(call: Call, Path(OfWork { id }): Path<OfWork>) -> Result<Answer<WorkView>> {
    let found = call.works().find(&id, &call.access().client);
    found.map(Answer).ok_or_else(|| missing(&id))
}

async fn stop(call: Call, Path(OfWork { id }): Path<OfWork>) -> Result<Done> {
    let stopped = call.works().stop(&id, &call.access().client);
    stopped.ok_or_else(|| missing(&id))?.map(|()| Done)
}

fn missing(id: &str) -> Problem {
    Problem::new(specs::ErrorKind::NotFound, format!("operation `{id}` not found"))
        .hint("finished operations are kept for a day, or until the server stops")
}
