//! Verdicts of verifications that a form started, and traces as one file.

use answers::proof::VerifyView;
use answers::trace::{self, Reach};
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use schemars::JsonSchema;
use serde::Deserialize;
use specs::Reference;
use web::views::trace::{Verification, verdict};
use web::{Look, View};

use crate::app::App;
use crate::caller::{Call, named};
use crate::parts::Query;
use crate::problem::{Problem, Result};
use crate::works::WorkView;

/// The name of the operation that makes traces as one file.
const PAGE: &str = "tracePage";
/// What may be done with a trace that is opened in a browser: as it says itself, and no more.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox";

/// The route of traces as one file.
pub(super) fn page_route() -> MethodRouter<App> {
    named(PAGE, get(page))
}

/// What was verified.
#[derive(Debug, Deserialize)]
pub(super) struct Verified {
    of: String,
}

/// The verdict of the verification with this id.
pub(super) fn verdict_of(call: &Call, look: &Look<'_>, id: &str, Verified { of }: &Verified) -> View {
    let is = call.works().find(id, &call.access().client).map_or(Verification::Gone, verification);
    verdict(look, of, &is)
}

/// How far the work is. Other work than a verification is as good as none.
fn verification(work: WorkView) -> Verification {
    if work.kind() != "verify" {
        return Verification::Gone;
    }
    match work.outcome() {
        None => Verification::Running,
        Some(Err(problem)) => Verification::Failed(problem.detail().to_owned(), problem.hint_text().map(str::to_owned)),
        Some(Ok(result)) => match serde_json::from_value::<VerifyView>(result) {
            Ok(found) => Verification::Done(Box::new(found)),
            Err(error) => Verification::Failed(error.to_string(), None),
        },
    }
}

/// The file whose trace is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
struct Traced {
    file: Reference,
}

async fn page(call: Call, Query(Traced { file }): Query<Traced>) -> Result<Response> {
    let page = call.ask(move |store, _| {
        let at = store.resolve(&file)?;
        let found = trace::trace(store, &at, Reach::default())?;
        let exhibits = trace::exhibits(store, &found)?;
        Ok::<_, Problem>(trace::formats::page_in_utc(&found, &exhibits))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"trace.html\"")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from(page.await?)).into_response())
}
