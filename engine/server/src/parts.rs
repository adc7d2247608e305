//! Parts of requests and answers: parameters, bodies, lists. Each knows how to read or write itself, and describes itself.

use std::fmt::{self, Write};
use std::marker::PhantomData;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use specs::ErrorKind;
use tokio::sync::SemaphorePermit;

use crate::app::{App, Work};
use crate::keyed::Key;
use crate::limits::SMALL_JSON_BYTES;
use crate::operation::{Description, Part, Place};
use crate::problem::{Problem, Result};

/// Parameters in the path: the fields of `T`.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let refused = |why: PathRejection| Problem::usage(why.body_text(), "check the names in the path");
        Ok(Self(axum::extract::Path::from_request_parts(parts, app).await.map_err(refused)?.0))
    }
}

impl<T: JsonSchema> Part for Path<T> {
    fn describe(of: &mut Description<'_>) {
        of.parameters::<T>(Place::Path);
    }
}

/// Refuses a request with a parameter that its operation does not have: a misspelt filter would otherwise filter nothing.
pub(crate) async fn refuse_unknown(State(known): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let names = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or_default());
    // A name that is written in another way is not one of these either.
    let unknown = names.into_iter().find(|name| !known.iter().any(|known| known == name)).map(str::to_owned);
    let Some(unknown) = unknown else { return next.run(request).await };
    let hint = match specs::nearest(&unknown, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "this operation has no parameters in the query".to_owned(),
        None => format!("it has: {}", known.join(", ")),
    };
    Problem::usage(format!("unknown parameter `{}`", unknown.escape_debug()), hint).into_response()
}

/// Parameters in the query: the fields of `T`. Unknown ones are refused before.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + JsonSchema + Send> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let refused =
            |why: QueryRejection| Problem::usage(why.body_text(), "the OpenAPI document lists all parameters");
        Ok(Self(axum::extract::Query::from_request_parts(parts, app).await.map_err(refused)?.0))
    }
}

impl<T: JsonSchema> Part for Query<T> {
    fn describe(of: &mut Description<'_>) {
        of.parameters::<T>(Place::Query);
    }
}

/// A body of JSON.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let refused = |why: JsonRejection| {
            let status = why.status();
            let problem = Problem::usage(why.body_text(), "the OpenAPI document has the schema of the body");
            if status == StatusCode::PAYLOAD_TOO_LARGE { problem.status(status) } else { problem }
        };
        let (parts, body) = request.into_parts();
        let (body, _turn) = begun(body, app).await?;
        let json = axum::Json::<Object<T>>::from_request(Request::from_parts(parts, body), app).await;
        Ok(Self(json.map_err(refused)?.0.0))
    }
}

/// Only an object: by itself serde also takes a list of a type's fields.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> std::result::Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// The body, once it is known to be small or has a turn: so the memory for bodies of JSON, which are read as a whole, is bounded.
async fn begun(body: Body, app: &App) -> Result<(Body, Option<SemaphorePermit<'_>>)> {
    let (mut body, mut begin, mut length) = (body.into_data_stream(), Vec::new(), 0);
    while length <= SMALL_JSON_BYTES {
        let Some(piece) = body.next().await else {
            return Ok((Body::from_stream(stream::iter(begin)), None));
        };
        length += piece.as_ref().map_or(SMALL_JSON_BYTES, Bytes::len);
        begin.push(piece);
    }
    let turn = app.turn(Work::Json).await?;
    Ok((Body::from_stream(stream::iter(begin).chain(body)), Some(turn)))
}

impl<T: JsonSchema> Part for Json<T> {
    fn describe(of: &mut Description<'_>) {
        of.takes::<T>();
    }
}

/// An answer of JSON, 200.
#[derive(Debug)]
pub(crate) struct Answer<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: JsonSchema> Part for Answer<T> {
    fn describe(of: &mut Description<'_>) {
        of.gives::<T>(StatusCode::OK, "The answer");
    }
}

/// Something new, 201.
#[derive(Debug)]
pub(crate) struct Created<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, axum::Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> Part for Created<T> {
    fn describe(of: &mut Description<'_>) {
        of.gives::<T>(StatusCode::CREATED, "It was created");
    }
}

/// Done, and nothing to say: 204.
#[derive(Debug)]
pub(crate) struct Done;

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Part for Done {
    fn describe(of: &mut Description<'_>) {
        of.gives_nothing(StatusCode::NO_CONTENT, "Done");
    }
}

/// Adds headers to an answer.
#[derive(Debug)]
pub(crate) struct With<T>(pub(crate) HeaderMap, pub(crate) T);

impl<T: IntoResponse> IntoResponse for With<T> {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

impl<T: Part> Part for With<T> {
    fn describe(of: &mut Description<'_>) {
        T::describe(of);
    }
}

/// The entity tag of something that an id names: the id in quotes.
pub(crate) fn etag(id: &impl std::fmt::Display) -> HeaderValue {
    let mut text = String::new();
    write!(text, "\"{id}\"").ok();
    HeaderValue::from_str(&text).expect("ids are hex digits")
}

/// Headers of what an id or digest names: it never changes.
pub(crate) fn immutable(id: &impl std::fmt::Display) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, etag(id));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    headers
}

/// Headers of what may change, in the state that `id` names.
pub(crate) fn current(id: &impl std::fmt::Display) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, etag(id));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers
}

/// The commit in `If-Match: "<commit id>"`: the head that a change expects.
#[derive(Debug, Default)]
pub(crate) struct IfMatch(pub(crate) Option<specs::CommitId>);

impl FromRequestParts<App> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        let id = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let id = id.and_then(|id| id.parse().ok());
        let wrong = || Problem::new(ErrorKind::Usage, "`If-Match` is not one commit id in double quotes");
        id.map(|id| Self(Some(id))).ok_or_else(|| wrong().hint("send the `ETag` of the branch as it was received"))
    }
}

/// The headers that [`IfMatch`] reads.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct IfMatchHeader {
    /// Make the change only if this is the branch's head: its commit id in double quotes, as in its `ETag`.
    #[schemars(rename = "If-Match", regex(pattern = "^\"[0-9a-f]{64}\"$"))]
    if_match: Option<String>,
}

impl Part for IfMatch {
    fn describe(of: &mut Description<'_>) {
        of.parameters::<IfMatchHeader>(Place::Header);
        of.gives::<Problem>(StatusCode::PRECONDITION_FAILED, "The branch has another head");
    }
}

/// The key of a request, if it has one, for those that make a run of it. All changes take one, so it is described for all.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(pub(crate) Option<Key>);

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        Key::of(&parts.headers).map(Self)
    }
}

impl Part for IdempotencyKey {
    fn describe(_: &mut Description<'_>) {}
}

/// One of two kinds of answers.
#[derive(Debug)]
pub(crate) enum Either<A, B> {
    One(A),
    Other(B),
}

impl<A: IntoResponse, B: IntoResponse> IntoResponse for Either<A, B> {
    fn into_response(self) -> Response {
        match self {
            Self::One(answer) => answer.into_response(),
            Self::Other(answer) => answer.into_response(),
        }
    }
}

impl<A: Part, B: Part> Part for Either<A, B> {
    fn describe(of: &mut Description<'_>) {
        A::describe(of);
        B::describe(of);
    }
}

impl<A: Part, B: Part> Part for (A, B) {
    fn describe(of: &mut Description<'_>) {
        A::describe(of);
        B::describe(of);
    }
}
