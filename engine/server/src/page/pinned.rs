//! From a name that moves to the commit that it stands for now: an address that is shared stays what it is.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use specs::{BranchName, FilePath, Reference, RepoName, Revision};
use web::address;

use super::act::way_back;
use crate::app::App;
use crate::caller::Call;
use crate::parts::Path;
use crate::problem::{Problem, Result};

/// A path of a revision.
#[derive(Debug, Deserialize)]
pub(super) struct OfRevision {
    repo: RepoName,
    revision: String,
    #[serde(default)]
    path: String,
}

/// A path of a branch.
#[derive(Debug, Deserialize)]
pub(super) struct OfBranch {
    repo: RepoName,
    branch: BranchName,
    #[serde(default)]
    path: String,
}

/// On to a revision's commit.
pub(super) async fn revision(
    State(app): State<App>,
    call: Call,
    Path(of): Path<OfRevision>,
    request: Request,
) -> Result<Response> {
    let revision = of.revision.parse().map_err(|error: specs::ReferenceError| {
        Problem::usage(error.to_string(), "write a branch, a tag or a commit")
    })?;
    go(&app, &call, (of.repo, revision), &of.path, request.uri().query()).await
}

/// On to the head of a branch.
pub(super) async fn branch(
    State(app): State<App>,
    call: Call,
    Path(of): Path<OfBranch>,
    request: Request,
) -> Result<Response> {
    go(&app, &call, (of.repo, Revision::branch(&of.branch)), &of.path, request.uri().query()).await
}

async fn go(
    app: &App,
    call: &Call,
    (repo, revision): (RepoName, Revision),
    path: &str,
    query: Option<&str>,
) -> Result<Response> {
    let wrong = |error: specs::PathError| Problem::usage(error.to_string(), "follow a link to a file");
    let path: FilePath = format!("/{}", path.trim_end_matches('/')).parse().map_err(wrong)?;
    let reference = Reference { repo: repo.clone(), revision: Some(revision), path: None };
    let at = call.ask(move |store, _| store.resolve(&reference)).await?;
    let mut next = address::files(&repo, &at.id, Some(&path)).under("");
    if let Some(query) = query {
        next = format!("{next}?{query}");
    }
    let headers = HeaderMap::from_iter([(header::LOCATION, way_back(app, &next))]);
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}
