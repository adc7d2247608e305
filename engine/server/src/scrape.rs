//! `/metrics`, for Prometheus and its like.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Router, middleware};
use specs::ErrorKind;

use crate::app::App;
use crate::caller::{Call, Needs, authenticate, named};
use crate::logs;
use crate::metrics::OPENMETRICS;
use crate::problem::{Problem, Result};

/// The name of the operation.
const NAME: &str = "metrics";

/// The route, which needs a token.
pub(crate) fn routes(app: &App) -> Router<App> {
    let needs = Needs::to_read(NAME);
    let route: MethodRouter<App> =
        get(metrics).layer(middleware::from_fn_with_state((app.clone(), needs), authenticate));
    Router::new().route("/metrics", named(NAME, route))
}

/// What is counted is about all repositories, so only who sees all of them sees it.
async fn metrics(State(app): State<App>, call: Call) -> Result<Response> {
    if !call.access().sees_all() {
        let detail = format!("`{NAME}` needs a token for all repositories; `{}` is limited to some", call.access().who);
        return Err(Problem::new(ErrorKind::Refused, detail)
            .hint("pv token create prometheus --role reader makes a token for all repositories"));
    }
    // Without a turn: metrics are wanted most when the server is busy.
    let text = tokio::task::spawn_blocking(logs::here(move || app.metrics().text(app.engine()))).await;
    let text = text.map_err(|_| Problem::new(ErrorKind::Unavailable, "the metrics could not be collected"))??;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, text).into_response())
}
