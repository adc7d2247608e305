//! Sessions of browsers: a link that begins one, and their end.

use ::repos::Timestamp;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::App;
use crate::caller::Call;
use crate::keyed::AfterCrash;
use crate::operation::{Description, Operation, Part, delete, post};
use crate::parts::{Created, Done, With};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post("/login-links", ("createLoginLink", "Make a link that logs a browser in as this token, once"), link)
            .after_crash(AfterCrash::Secret),
        delete("/session", ("logOut", "End the session of this browser"), log_out).after_crash(AfterCrash::Repeat),
    ]
}

/// A link that logs a browser in.
#[derive(Debug, Serialize, JsonSchema)]
struct LoginLink {
    /// Its path, below the server's URL.
    path: String,
    /// When it ends, unless it is used before.
    expires_at: Timestamp,
}

async fn link(call: Call) -> Result<Created<LoginLink>> {
    let (code, expires_at) = call.logins().link(&call.access().client)?;
    Ok(Created(LoginLink { path: format!("login/{code}"), expires_at }))
}

/// The cookies of a request.
#[derive(Debug)]
struct Cookies(HeaderMap);

impl FromRequestParts<App> for Cookies {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        Ok(Self(parts.headers.clone()))
    }
}

impl Part for Cookies {
    fn describe(_: &mut Description<'_>) {}
}

async fn log_out(call: Call, Cookies(headers): Cookies) -> Result<With<Done>> {
    let gone = call.logins().end(&headers)?;
    Ok(With(HeaderMap::from_iter([(header::SET_COOKIE, gone)]), Done))
}
