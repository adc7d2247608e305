//! What the API says about itself.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::caller::Call;
use crate::handbook;
use crate::openapi;
use crate::operation::{Description, Operation, Part, get};
use crate::parts::Answer;
use crate::problem::Result;
use ::repos::Timestamp;
use ::repos::access::Role;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/openapi.json", ("openapi", "This document"), document).for_anyone(),
        get("/docs", ("showDocs", "The same as a page for people"), docs).for_anyone(),
        get("/whoami", ("whoami", "Show who the token belongs to, and its rights"), whoami).needs(Role::Worker),
    ]
}

impl Part for State<App> {
    fn describe(_: &mut Description<'_>) {}
}

async fn document(State(app): State<App>) -> Result<Answer<Value>> {
    Ok(Answer(openapi::document(&super::operations(), &app.options().base_path)))
}

/// The page as an answer.
struct Html(String);

impl IntoResponse for Html {
    fn into_response(self) -> Response {
        let policy =
            HeaderValue::try_from(handbook::policy()).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        let headers = [
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        (headers, axum::response::Html(self.0)).into_response()
    }
}

impl Part for Html {
    fn describe(of: &mut Description<'_>) {
        of.answers.push((StatusCode::OK, "The page", vec![("text/html", json_schema!({ "type": "string" }))]));
    }
}

async fn docs(State(app): State<App>) -> Result<Html> {
    Ok(Html(handbook::page(&openapi::document(&super::operations(), &app.options().base_path))))
}

/// The owner of a token, and its rights.
#[derive(Debug, Serialize, JsonSchema)]
struct Who {
    /// The name of the token: the committer of its commits.
    name: String,
    /// Its role.
    role: Role,
    /// The repositories that it may see: globs.
    repos: Vec<String>,
    /// When it ends; `null` for never.
    expires_at: Option<Timestamp>,
}

async fn whoami(call: Call) -> Result<Answer<Who>> {
    let access = call.access();
    Ok(Answer(Who {
        name: access.who.clone(),
        role: access.role,
        repos: access.repos.texts().map(str::to_owned).collect(),
        expires_at: call.expires_at(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_every_type_has_its_place_and_every_link_leads_somewhere() {
        let document = openapi::document(&super::super::operations(), "/pv");
        let page = handbook::page(&document);
        for operation in super::super::operations() {
            assert!(page.contains(&format!("<h3 id=\"{}\">", operation.id)), "{}", operation.id);
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(page.contains(&format!("<h3 id=\"type-{name}\">")), "{name}");
        }
        for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(page.contains(&format!("id=\"{link}\"")), "{link}");
        }
        assert!(page.contains("<code>/pv/api/v1</code>"));
        assert!(!page.contains("http://") && !page.contains("https://"), "nothing is fetched from others");
    }
}
