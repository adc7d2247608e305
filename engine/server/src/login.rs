//! The address of a login link: a browser that opens it gets its session.

use std::net::IpAddr;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use repos::tokens::AuditLine;

use crate::app::App;
use crate::caller::{Peer, REQUEST_ID, address_of, named};
use crate::problem::{Problem, Result};

/// The name of this operation, which is not in the OpenAPI document.
const NAME: &str = "logIn";

/// The route. It needs no token: the link is one.
pub(crate) fn route() -> MethodRouter<App> {
    named(NAME, get(log_in))
}

async fn log_in(
    State(app): State<App>,
    method: Method,
    Path(code): Path<String>,
    headers: HeaderMap,
    peer: Option<Extension<Peer>>,
) -> Result<Response> {
    if method == Method::HEAD {
        // Programs look at links before people do.
        return Ok(StatusCode::OK.into_response());
    }
    let from = address_of(&app, peer.as_deref(), &headers);
    let now = app.store().clock().now();
    let access = app.logins().open(&code).and_then(|client| app.tokens().of_client(&client, now).ok());
    let wrong = "unknown, used or old link";
    note_login(&app, &headers, from, access.as_ref().map_or(Err(wrong), |access| Ok((200, access.who.as_str()))))?;
    let Some(access) = access else {
        let problem = Problem::new(specs::ErrorKind::Refused, "this login link is unknown, was used, or is too old");
        return Err(problem.status(StatusCode::UNAUTHORIZED).hint("`pv login --link URL` makes another one"));
    };
    let cookie = app.logins().begin(&access.client)?;
    // A link, since a browser does not send a new cookie with a redirect of what came from elsewhere.
    let mut response = Html(web::frame::welcome(&app.options().base_path, &access.who)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::SET_COOKIE, cookie);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(web::frame::POLICY));
    Ok(response)
}

/// Notes in the audit log that somebody logged in, or tried to; an error if there were too many wrong tries from this address. `outcome`:
/// the status and who it is, or what was wrong.
pub(crate) fn note_login(
    app: &App,
    headers: &HeaderMap,
    from: IpAddr,
    outcome: std::result::Result<(u16, &str), &str>,
) -> Result<()> {
    let (status, who) = outcome.unwrap_or((401, ""));
    let line = AuditLine {
        at: app.store().clock().now(),
        who: who.to_owned(),
        from: Some(from.to_string()),
        operation: NAME.to_owned(),
        on: None,
        outcome: status,
        why: outcome.err().map(str::to_owned),
        request: headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).map(str::to_owned),
    };
    if let Err(error) = app.audit().append(&line) {
        tracing::error!("the audit log cannot be written: {error}");
    }
    if outcome.is_err() {
        app.metrics().wrong_token();
        app.ensure_few_wrong_tokens(from)?;
    }
    Ok(())
}
