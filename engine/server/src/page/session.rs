//! Logging in by a token that is typed into the page. Logging out is an operation of the API.

use axum::Extension;
use axum::Form;
use axum::extract::{OriginalUri, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use repos::tokens::Token;
use serde::Deserialize;
use specs::ErrorKind;

use super::act::{own_address, way_back};
use super::documents::{GoOn, document};
use crate::app::App;
use crate::caller::{Needs, Peer, address_of, allowed};
use crate::login::note_login;
use crate::logins::ensure_no_foreign_page;
use crate::problem::{Problem, Result};

/// Where somebody wants to go once they are logged in.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    next: String,
}

/// The page that asks for a token.
pub(super) async fn ask(State(app): State<App>, Query(Wanted { next }): Query<Wanted>) -> Response {
    document(web::frame::login(&app.options().base_path, own_address(&next)))
}

/// The overview, for those who reload the address of a form.
pub(super) async fn home(State(app): State<App>) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, way_back(&app, "/"))]).into_response()
}

/// What is typed into that page.
#[derive(Deserialize)]
pub(super) struct Typed {
    token: String,
    #[serde(default)]
    next: String,
}

/// Begins a session of the token's owner, and goes on to where they wanted to go; or asks again.
pub(super) async fn log_in(
    State(app): State<App>,
    uri: OriginalUri,
    headers: HeaderMap,
    peer: Option<Extension<Peer>>,
    Form(typed): Form<Typed>,
) -> Response {
    let go_on = GoOn(own_address(&typed.next).to_owned());
    match begin(&app, &uri, &headers, peer.as_deref(), &typed) {
        Ok(response) => response,
        Err(problem) => (Extension(go_on), problem).into_response(),
    }
}

fn begin(app: &App, uri: &Uri, headers: &HeaderMap, peer: Option<&Peer>, typed: &Typed) -> Result<Response> {
    ensure_no_foreign_page(headers, uri)?;
    let from = address_of(app, peer, headers);
    let now = app.store().clock().now();
    let access = typed.token.trim().parse::<Token>().ok().and_then(|token| app.tokens().find(&token, now).ok());
    let wrong = "unknown, revoked or expired token";
    // A worker sees no page.
    let refusal = access.as_ref().and_then(|access| allowed(access, Needs::to_read("logIn")).err());
    let status = if refusal.is_some() { 403 } else { 303 };
    note_login(app, headers, from, access.as_ref().map_or(Err(wrong), |access| Ok((status, access.who.as_str()))))?;
    if let Some(problem) = refusal {
        return Err(problem);
    }
    let Some(access) = access else {
        let problem = Problem::new(ErrorKind::Refused, "this token is unknown, revoked or expired");
        return Err(problem
            .status(StatusCode::UNAUTHORIZED)
            .hint("ask an administrator of this store for a new token"));
    };
    let cookie = app.logins().begin(&access.client)?;
    let headers = [(header::SET_COOKIE, cookie), (header::LOCATION, way_back(app, &typed.next))];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}
