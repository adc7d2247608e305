//! Small pictures of images: decoded here within bounds, and written anew, so a browser never decodes what somebody stored only to show a
//! grid. They are found by commit and path, so a caller who may not see these gets no picture.

use answers::file::{FileView, file_in, shown};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use repos::hash::digest_of;
use serde::Deserialize;
use specs::{CommitId, ErrorKind, FilePath, Reference, RepoName, Revision, RevisionBase};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::caller::Call;
use crate::parts::{Path, etag, immutable};
use crate::problem::{Problem, Result};

/// The lengths that a longer side may have: others would only fill caches.
const SIDES: [u32; 2] = [192, 1280];
/// Images that are decoded at the same time: each may take a few hundred megabytes.
static DECODING: Semaphore = Semaphore::const_new(2);

/// A turn to decode images.
pub(super) async fn turn_to_decode() -> Result<SemaphorePermit<'static>> {
    DECODING.acquire().await.map_err(|_| Problem::new(ErrorKind::Unavailable, "the server stops"))
}

/// A picture of a file.
#[derive(Debug, Deserialize)]
pub(super) struct OfPicture {
    repo: RepoName,
    commit: CommitId,
    side: u32,
    path: String,
}

/// A picture; 415 with the reason if there is none.
pub(super) async fn picture(call: Call, Path(of): Path<OfPicture>, request: Request) -> Result<Response> {
    if !SIDES.contains(&of.side) {
        return Err(Problem::usage(format!("there are no pictures of {} pixels", of.side), "ask for 192 or 1280"));
    }
    let wrong = |error: specs::PathError| Problem::usage(error.to_string(), "follow a link to a file");
    let path: FilePath = format!("/{}", of.path).parse().map_err(wrong)?;
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let file = call.ask(move |store, _| {
        let base = RevisionBase::Word(of.commit.to_string());
        let revision = Some(Revision { base, back: 0 });
        let at = store.resolve(&Reference { repo: of.repo, revision, path: Some(path.clone()) })?;
        Ok::<_, Problem>(FileView::new(path, file_in(store, &at)?))
    });
    let file = file.await?;
    // The same content has the same picture, unless this program changes.
    let id = digest_of(format!("picture 1 {} {}", of.side, file.digest).as_bytes());
    let mut headers = immutable(&id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    if known.is_some_and(|known| known == etag(&id)) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let _turn = turn_to_decode().await?;
    let drawn = call.ask(move |store, _| shown::picture(store, &file, of.side)).await?;
    let drawn = drawn.map_err(|why| {
        let problem = Problem::usage(format!("there is no picture: {why}"), "download the file");
        problem.status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    })?;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(drawn.media_type));
    Ok((headers, Body::from(drawn.bytes)).into_response())
}
