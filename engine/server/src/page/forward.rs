//! Requests of the page that are requests of the API: who calls and from where is passed on, so the operation decides and records.

use axum::body::Body;
use axum::extract::OriginalUri;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use serde::Deserialize;
use specs::{BranchName, CommitId, FilePath, RepoName};
use tower::ServiceExt;
use web::address::{self, Address};

use super::act::{pass_on_peer, passed_on, way_back};
use super::documents::GoOn;
use crate::app::App;
use crate::parts::Path;
use crate::problem::{Problem, Result};

/// Headers of the request itself that its operation reads, besides those that say who calls.
const PASSED: [&str; 5] = ["content-type", "content-length", "range", "if-range", "if-none-match"];

/// The operations, for routes that pass requests on.
#[derive(Debug, Clone)]
pub(super) struct Operations {
    app: App,
    api: Router,
}

impl Operations {
    pub(super) fn new(app: &App, api: &Router) -> Self {
        Self { app: app.clone(), api: api.clone() }
    }

    /// Calls an operation for the one who asks. `operation`: its address, as `web` builds it.
    async fn call(&self, method: Method, operation: &Address, from: Parts, body: Body) -> Result<Response> {
        let path = operation.under("");
        let path = path.strip_prefix("/api/v1").unwrap_or(&path);
        let uri: Uri = path.parse().map_err(|_| Problem::usage("this address is none", "follow a link of the page"))?;
        let mut inner = axum::extract::Request::new(body);
        (*inner.method_mut(), *inner.uri_mut()) = (method, uri.clone());
        let original = from.extensions.get::<OriginalUri>().map_or(uri, |OriginalUri(uri)| uri.clone());
        let headers = inner.headers_mut();
        *headers = passed_on(&self.app, &from.headers, &original);
        headers.remove(header::CONTENT_TYPE);
        for name in PASSED {
            for value in from.headers.get_all(name) {
                headers.append(HeaderName::from_static(name), value.clone());
            }
        }
        pass_on_peer(&from.extensions, inner.extensions_mut());
        inner.extensions_mut().insert(OriginalUri(original));
        match self.api.clone().oneshot(inner).await {
            Ok(answer) => Ok(answer),
            Err(never) => match never {},
        }
    }

    /// On to another view, if an operation was done; else its problem. Who has to log in first goes back to the `form`.
    fn then(&self, mut answer: Response, next: &Address, form: &Address) -> Response {
        if !answer.status().is_success() {
            answer.extensions_mut().insert(GoOn(form.under("")));
            return answer;
        }
        let headers = HeaderMap::from_iter([(header::LOCATION, way_back(&self.app, &next.under("")))]);
        (StatusCode::SEE_OTHER, headers).into_response()
    }
}

/// A branch in a path.
#[derive(Debug, Deserialize)]
pub(super) struct OfBranch {
    repo: RepoName,
    branch: BranchName,
}

/// Commits the files of a form: it is the operation's own form, with a message and a directory before the files.
pub(super) async fn upload(
    Extension(operations): Extension<Operations>,
    Path(OfBranch { repo, branch }): Path<OfBranch>,
    request: axum::extract::Request,
) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let commits = address::api(["repos", repo.as_str(), "branches", branch.as_str(), "commits"]);
    let answer = operations.call(Method::POST, &commits, parts, body).await?;
    let next = address::repo(&repo).with("branch", branch.as_str());
    Ok(operations.then(answer, &next, &next))
}

/// A repository in a path.
#[derive(Debug, Deserialize)]
pub(super) struct OfRepo {
    repo: RepoName,
}

/// A branch to create. Its name is a part of the operation's address, which a form cannot make.
#[derive(Debug, Deserialize)]
pub(super) struct NewBranch {
    branch: BranchName,
    #[serde(default)]
    commit: String,
}

/// Creates a branch.
pub(super) async fn new_branch(
    Extension(operations): Extension<Operations>,
    Path(OfRepo { repo }): Path<OfRepo>,
    request: axum::extract::Request,
) -> Result<Response> {
    let (mut parts, body) = request.into_parts();
    let wrong =
        |why: &dyn std::fmt::Display| Problem::usage(format!("the form is wrong: {why}"), "go back, and correct it");
    let text = axum::body::to_bytes(body, 64 << 10).await.map_err(|error| wrong(&error))?;
    let NewBranch { branch, commit } = serde_urlencoded::from_bytes(&text).map_err(|error| wrong(&error))?;
    let body =
        if commit.trim().is_empty() { serde_json::json!({}) } else { serde_json::json!({ "commit": commit.trim() }) };
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.remove(header::CONTENT_LENGTH);
    let operation = address::api(["repos", repo.as_str(), "branches", branch.as_str()]);
    let answer = operations.call(Method::PUT, &operation, parts, Body::from(body.to_string())).await?;
    let form = address::repo(&repo);
    Ok(operations.then(answer, &form.clone().with("branch", branch.as_str()), &form))
}

/// A file in a path.
#[derive(Debug, Deserialize)]
pub(super) struct OfFile {
    repo: RepoName,
    commit: CommitId,
    path: String,
}

impl OfFile {
    fn path(&self) -> Result<FilePath> {
        let wrong = |error: specs::PathError| Problem::usage(error.to_string(), "follow a link to a file");
        format!("/{}", self.path).parse().map_err(wrong)
    }
}

/// How a PDF begins.
const START_OF_PDF: &[u8] = b"%PDF-";
/// The policy of a PDF. A browser shows none in a sandbox; its viewer is an object with styles in a document of its own. Nothing that is in
/// the file may load anything, and only pages of this server may frame it.
const POLICY_OF_PDF: &str = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'";

/// The content of a file, as the API has it, with the type of its name: browsers play only what is said to be playable. Everything else
/// about it stays: it is sandboxed, but for what is certainly a PDF, and nobody guesses its type.
pub(super) async fn media(
    Extension(operations): Extension<Operations>,
    Path(of): Path<OfFile>,
    request: axum::extract::Request,
) -> Result<Response> {
    let path = of.path()?;
    let Some(media_type) = web::media::type_of(&path) else {
        let problem =
            Problem::usage(format!("`{}` is not named like a picture, sound, film or PDF", path.name()), "download it");
        return Err(problem.status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    };
    let (parts, body) = request.into_parts();
    let content = address::content(&of.repo, &of.commit, &path);
    if media_type == web::media::PDF && !may_be_pdf(&operations, &content, parts.clone()).await? {
        let problem = Problem::usage(format!("`{}` is named like a PDF, but is none", path.name()), "download it");
        return Err(problem.status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let mut answer = operations.call(parts.method.clone(), &content, parts, body).await?;
    // "Not modified" has headers too, and browsers keep those.
    if answer.status().is_success() || answer.status() == StatusCode::NOT_MODIFIED {
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
        if media_type == web::media::PDF {
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY_OF_PDF));
        }
    }
    Ok(answer)
}

/// Whether a file begins as a PDF does, or cannot be had at all: then the operation says why.
async fn may_be_pdf(operations: &Operations, content: &Address, mut from: Parts) -> Result<bool> {
    from.headers.remove(header::IF_NONE_MATCH);
    from.headers.remove(header::IF_RANGE);
    from.headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-4"));
    let start = operations.call(Method::GET, content, from, Body::empty()).await?;
    if !start.status().is_success() {
        // An empty file has no such range.
        return Ok(start.status() != StatusCode::RANGE_NOT_SATISFIABLE);
    }
    // A body that is longer is not what was asked for.
    let bytes = axum::body::to_bytes(start.into_body(), START_OF_PDF.len()).await.unwrap_or_default();
    Ok(bytes == START_OF_PDF)
}
