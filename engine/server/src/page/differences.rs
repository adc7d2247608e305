//! What differs between two pictures, as a picture; and pictures that browsers cannot show, as PNG.
//!
//! Both sides are named by their commits, so an answer never changes. They are found with the reader's own handle of the store, as
//! everything else.

use std::io::Cursor;

use answers::diff::{Named, compare_files};
use answers::file::{FileEntry, file_in};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use compare::{Bounds, Limits, Options, Shown, Side};
use repos::Store;
use repos::hash::digest_of;
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{ErrorKind, Reference, RevisionBase};

use super::pictures::turn_to_decode;
use crate::app::App;
use crate::caller::{Call, named};
use crate::parts::{Query, etag, immutable};
use crate::problem::{Problem, Result};

/// The name of this operation.
const NAME: &str = "pictureDifference";
/// Larger files are not read.
const LARGEST: u64 = 64 << 20;
/// The longer side of a picture that is sent in place of one that browsers cannot show.
const SIDE: u32 = 4096;
/// What may be done with a picture, whatever is in it.
const POLICY: &str = "default-src 'none'; sandbox";

/// Two pictures, and what of them is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
struct Wanted {
    /// `REPO@COMMIT:/PATH`.
    old: String,
    /// `REPO@COMMIT:/PATH`.
    new: String,
    /// Which picture.
    show: Show,
}

/// One of the two pictures, or what differs.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Show {
    Difference,
    Old,
    New,
}

/// The route.
pub(super) fn route() -> MethodRouter<App> {
    named(NAME, get(picture))
}

async fn picture(call: Call, Query(wanted): Query<Wanted>, request: HeaderMap) -> Result<Response> {
    let Wanted { old, new, show } = wanted;
    // The sides are pinned, so the same address has the same picture, unless this program changes.
    let id = digest_of(format!("difference 1 {show:?} {old} {new}").as_bytes());
    let (old, new) = call.ask(move |store, _| Ok::<_, Problem>((file(store, &old)?, file(store, &new)?))).await?;
    let mut headers = immutable(&id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    if request.get(header::IF_NONE_MATCH).is_some_and(|known| *known == etag(&id)) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let _turn = turn_to_decode().await?;
    let drawn = call.ask(move |store, _| match show {
        Show::Difference => difference(store, &old, &new),
        Show::Old => shown(store, &old),
        Show::New => shown(store, &new),
    });
    let (bytes, media_type) = drawn.await?;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    Ok((headers, Body::from(bytes)).into_response())
}

/// A picture of a commit, which must be named by its whole id.
fn file(store: &Store, reference: &str) -> Result<Named> {
    let unfit = || Problem::usage("a side is not a file of a commit", "follow a link of the page");
    let reference: Reference = reference.parse().map_err(|_| unfit())?;
    let at = store.resolve(&reference)?;
    let is_pinned = reference.revision.is_some_and(|revision| {
        revision.back == 0 && matches!(revision.base, RevisionBase::Word(word) if word == at.id.to_string())
    });
    if !is_pinned {
        return Err(unfit());
    }
    let file = file_in(store, &at)?;
    if file.size > LARGEST {
        return Err(Problem::new(ErrorKind::Failed, "the picture is too large to be compared here"));
    }
    Ok(Named { path: at.path, file })
}

fn difference(store: &Store, old: &Named, new: &Named) -> Result<(Vec<u8>, &'static str)> {
    let options = Options { picture: true, ..Options::default() };
    let found = compare_files(store, old, new, &options)?.picture;
    let none = || {
        Problem::new(ErrorKind::NotFound, "the difference cannot be shown: the two are not pictures of the same size")
    };
    Ok((found.ok_or_else(none)?, "image/png"))
}

/// A picture as browsers can show it.
fn shown(store: &Store, Named { path, file }: &Named) -> Result<(Vec<u8>, &'static str)> {
    let FileEntry { size, .. } = *file;
    let mut content = Cursor::new(store.read_file(file, 0..size)?);
    let side = Side { name: path.name(), size_bytes: size, content: &mut content, pieces: Vec::new() };
    let bounds = Bounds { text_bytes: 16, picture_side: SIDE, tensors: 0 };
    match compare::show(side, &bounds, &Limits::default()) {
        Ok(Shown::Picture(picture)) => Ok((picture.bytes, picture.media_type)),
        Ok(Shown::Nothing(why)) => Err(Problem::new(ErrorKind::NotFound, format!("it is not a picture: {why}"))),
        Ok(_) => Err(Problem::new(ErrorKind::NotFound, "it is not a picture")),
        Err(error) => Err(Problem::new(ErrorKind::Failed, error.to_string())),
    }
}
