//! Lists: pages with a cursor, or everything as a stream of lines.
//!
//! A cursor is opaque to clients. It contains the key of the last item, and what the list was pinned to when it began (such as a commit), so
//! that no item comes twice and none is skipped while things change.

use std::ops::ControlFlow;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use engine::live::Live;
use futures_util::stream;
use repos::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;

use crate::app::{App, Work};
use crate::caller::{Call, stopped};
use crate::operation::{Description, Part, Place};
use crate::problem::{Problem, Result};

/// Items of a page, unless the request says otherwise.
const DEFAULT_LIMIT: u32 = 100;
/// Most items of a page.
const MAX_LIMIT: u32 = 1000;
/// Lines that are sent at once.
const LINES_BYTES: usize = 64 << 10;

/// The media type of a stream of JSON lines.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// Which part of a list is wanted, and how.
#[derive(Debug)]
pub(crate) struct Wanted {
    limit: usize,
    /// The position to go on from.
    pub(crate) cursor: Cursor,
    is_stream: bool,
    /// The request, without its cursor, for the link to the next page.
    here: String,
}

/// A position in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// What the list is pinned to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pin: Option<String>,
    /// The key of the last item of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
}

impl Cursor {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("two texts have a JSON form"))
    }

    fn decode(text: &str) -> Result<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        // A list of its fields would be read too.
        let object = bytes.filter(|bytes| bytes.starts_with(b"{"));
        let cursor = object.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        cursor.ok_or_else(|| Problem::usage("`cursor` is not one of this list", "start without it"))
    }

    /// The key of the last item of the page before.
    pub(crate) fn after_as<K: std::str::FromStr>(&self) -> Result<Option<K>> {
        let wrong = || Problem::usage("`cursor` is not one of this list", "start without it");
        self.after.as_ref().map(|after| after.parse().map_err(|_| wrong())).transpose()
    }

    /// Whether an item with this key, in a list sorted by keys, belongs to an earlier page.
    pub(crate) fn is_before(&self, key: &str) -> bool {
        self.after.as_deref().is_some_and(|after| key <= after)
    }
}

/// The parameters of [`Wanted`].
#[derive(Debug, Deserialize, JsonSchema)]
struct Parameters {
    /// Most items of the page; at most 1000.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// `next` of the page before.
    #[schemars(extend("format" = "pv-cursor"))]
    cursor: Option<String>,
}

impl FromRequestParts<App> for Wanted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let wrong = |why: axum::extract::rejection::QueryRejection| {
            Problem::usage(why.body_text(), "`limit` is a number from 1 to 1000")
        };
        let query = axum::extract::Query::<Parameters>::from_request_parts(parts, app).await.map_err(wrong)?.0;
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::usage(format!("`limit` is {limit}"), "it is a number from 1 to 1000"));
        }
        let accepts = |of: &str| {
            let accepted = parts.headers.get_all(header::ACCEPT).into_iter();
            accepted.filter_map(|value| value.to_str().ok()).any(|value| value.contains(of))
        };
        let rest = parts.uri.query().unwrap_or_default().split('&');
        let rest: Vec<_> = rest.filter(|pair| !pair.is_empty() && !pair.starts_with("cursor=")).collect();
        let here = format!("{}?{}", parts.uri.path(), rest.join("&"));
        Ok(Self {
            limit: limit as usize,
            cursor: query.cursor.as_deref().map(Cursor::decode).transpose()?.unwrap_or_default(),
            is_stream: accepts(NDJSON),
            here,
        })
    }
}

impl Part for Wanted {
    fn describe(of: &mut Description<'_>) {
        of.parameters::<Parameters>(Place::Query);
    }
}

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Page<T> {
    /// Its items.
    items: Vec<T>,
    /// The `cursor` of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A list as it is sent: a page, or a stream of lines.
#[derive(Debug)]
pub(crate) enum Listed<T> {
    /// A page, and the link to the next one.
    Page(Page<T>, Option<String>),
    /// Lines of JSON. Should an item fail, the last line is the problem document, and the connection is cut off.
    Stream(Body),
}

impl<T: JsonSchema> Part for Listed<T> {
    fn describe(of: &mut Description<'_>) {
        let page = of.schemas.subschema_for::<Page<T>>();
        let line = of.schemas.subschema_for::<T>();
        of.answers.push((
            StatusCode::OK,
            "A page, or a line for each item",
            vec![("application/json", page), (NDJSON, line)],
        ));
    }
}

impl<T: Serialize> IntoResponse for Listed<T> {
    fn into_response(self) -> Response {
        let mut response = match self {
            Self::Page(page, next) => {
                let mut response = axum::Json(page).into_response();
                if let Some(link) = next.and_then(|next| HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")).ok())
                {
                    response.headers_mut().insert(header::LINK, link);
                }
                response
            }
            Self::Stream(body) => ([(header::CONTENT_TYPE, NDJSON)], body).into_response(),
        };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        response
    }
}

/// Takes the items of a list, one after the other.
pub(crate) struct Items<T> {
    pin: Option<String>,
    into: Into<T>,
}

enum Into<T> {
    Page { limit: usize, items: Vec<T>, last: String, more: bool },
    Stream { lines: mpsc::Sender<std::io::Result<Bytes>>, buffer: Vec<u8>, begun: Option<oneshot::Sender<Result<()>>> },
}

impl<T: Serialize> Items<T> {
    /// Pins the list to this, so that further pages show the same state.
    pub(crate) fn pin(&mut self, to: &impl ToString) {
        self.pin = Some(to.to_string());
    }

    /// Adds an item. `key` finds it again: the next page starts after it. `Break`: no more are wanted.
    pub(crate) fn push(&mut self, key: &impl ToString, item: T) -> ControlFlow<()> {
        match &mut self.into {
            Into::Page { limit, items, last, more } => {
                if items.len() == *limit {
                    *more = true;
                    return ControlFlow::Break(());
                }
                *last = key.to_string();
                items.push(item);
                ControlFlow::Continue(())
            }
            Into::Stream { lines, buffer, begun } => {
                if serde_json::to_writer(&mut *buffer, &item).is_err() {
                    return ControlFlow::Break(());
                }
                buffer.push(b'\n');
                if let Some(begun) = begun.take() {
                    begun.send(Ok(())).ok();
                }
                if buffer.len() < LINES_BYTES || send(lines, buffer) {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            }
        }
    }

    /// Adds all items of an iterator, until no more are wanted or one fails.
    pub(crate) fn extend<E>(
        &mut self,
        items: impl IntoIterator<Item = std::result::Result<T, E>>,
        key: impl Fn(&T) -> String,
    ) -> std::result::Result<(), E> {
        for item in items {
            let item = item?;
            if self.push(&key(&item), item).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// False if the client has gone.
fn send(lines: &mpsc::Sender<std::io::Result<Bytes>>, buffer: &mut Vec<u8>) -> bool {
    lines.blocking_send(Ok(std::mem::take(buffer).into())).is_ok()
}

/// What makes a list: it starts after the cursor, and pushes items until no more are wanted.
type Produce<T> = Box<dyn FnOnce(&Store, &Live, &Cursor, &mut Items<T>) -> Result<()> + Send>;

/// Answers with a list. `produce` starts after the cursor, and pushes items until no more are wanted.
pub(crate) async fn list<T, E>(
    call: Call,
    wanted: Wanted,
    produce: impl FnOnce(&Store, &Live, &Cursor, &mut Items<T>) -> std::result::Result<(), E> + Send + 'static,
) -> Result<Listed<T>>
where
    T: Serialize + Send + 'static,
    E: std::convert::Into<Problem> + Send + 'static,
{
    let produce: Produce<T> =
        Box::new(|store, live, cursor, items| produce(store, live, cursor, items).map_err(std::convert::Into::into));
    if wanted.is_stream { stream_of(call, wanted.cursor, produce).await } else { page_of(call, wanted, produce).await }
}

async fn page_of<T: Serialize + Send + 'static>(call: Call, wanted: Wanted, produce: Produce<T>) -> Result<Listed<T>> {
    let Wanted { limit, cursor, here, .. } = wanted;
    call.ask(move |store, live| {
        let into = Into::Page { limit, items: Vec::new(), last: String::new(), more: false };
        let mut items = Items { pin: cursor.pin.clone(), into };
        produce(store, live, &cursor, &mut items)?;
        let Items { pin, into: Into::Page { items, last, more, .. } } = items else { unreachable!("it stays a page") };
        let next = more.then(|| Cursor { pin, after: Some(last) }.encode());
        let link =
            next.as_ref().map(|next| format!("{here}{}cursor={next}", if here.ends_with('?') { "" } else { "&" }));
        Ok::<_, Problem>(Listed::Page(Page { items, next }, link))
    })
    .await
}

async fn stream_of<T: Serialize + Send + 'static>(
    call: Call,
    cursor: Cursor,
    produce: Produce<T>,
) -> Result<Listed<T>> {
    let (lines, mut received) = mpsc::channel(4);
    let (begun, begins) = oneshot::channel();
    let streaming = async move {
        let done = call.ask_in(Work::Stream, move |store, live| {
            let into = Into::Stream { lines, buffer: Vec::new(), begun: Some(begun) };
            let mut items = Items { pin: cursor.pin.clone(), into };
            let done = produce(store, live, &cursor, &mut items);
            finish(items, done);
            Ok::<_, Problem>(())
        });
        done.await
    };
    let streaming = tokio::spawn(streaming.in_current_span());
    // An error before the first item has its own status.
    match begins.await {
        Ok(begun) => begun?,
        Err(_) => streaming.await.map_err(|_| stopped())??,
    }
    let lines = stream::poll_fn(move |cx| received.poll_recv(cx));
    Ok(Listed::Stream(Body::from_stream(lines)))
}

fn finish<T>(items: Items<T>, done: Result<()>) {
    let Into::Stream { lines, mut buffer, begun } = items.into else { return };
    match (begun, done) {
        (Some(begun), done) => drop(begun.send(done)),
        (None, Ok(())) => {}
        (None, Err(problem)) => {
            serde_json::to_writer(&mut buffer, &serde_json::json!({ "error": problem })).ok();
            buffer.push(b'\n');
            send(&lines, &mut buffer);
            lines.blocking_send(Err(std::io::Error::other("the list is incomplete"))).ok();
        }
    }
    send(&lines, &mut buffer);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_and_others_are_refused() {
        let cursor = Cursor { pin: Some("c07d".to_owned()), after: Some("/a b".to_owned()) };
        assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
        assert!(Cursor::decode("x").is_err());
        assert!(Cursor::decode(&URL_SAFE_NO_PAD.encode("[]")).is_err());
        assert!(cursor.is_before("/a") && cursor.is_before("/a b") && !cursor.is_before("/b"));
    }
}
