//! `Idempotency-Key`: a change that is sent again with its key is made once, and gets the first answer again.
//!
//! What was answered is kept on the store's shelf for a day, before it is sent; so it is there after a `kill -9`. A key belongs to the token
//! that used it, and to one request: method, address, `If-Match`, and the SHA-256 of the body. The same key with another request is refused;
//! of two at once the second waits.
//!
//! ```text
//! a <client, 16 bytes> <SHA-256 of the key>                     Row, as JSON
//! t <client, 16 bytes> <when, 8 bytes> <SHA-256 of the key>     length of that row: the oldest go first
//! ```
//! A row is written when a request begins, and again with its answer. If the process dies between the two, nobody knows whether the change
//! was made, and each operation says what a repetition may then do: [`AfterCrash`]. An answer that refuses a request only for now (busy, too many
//! requests, a body that was cut off) is not kept. What may have been half done is not kept either, but treated like the death of the process.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use repos::hash::{Hasher, digest_of};
use repos::store::Shelf;
use repos::{Store, Timestamp};
use serde::{Deserialize, Serialize};
use specs::{Digest, ErrorKind};
use tokio::sync::Notify;

use crate::limits::{KEYS_BYTES, KEYS_KEPT, TURN};
use crate::logs;
use crate::problem::{Problem, Result, Untouched};

/// The header with the key.
const HEADER: &str = "idempotency-key";
/// Set in an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The longest answer that is kept.
const ANSWER_BYTES: usize = 256 << 10;
/// How much of a body is read that an operation did not need.
const REST_BYTES: u64 = 1 << 20;
/// What a row takes besides its bytes.
const ROW_BYTES: u64 = 200;
/// Most answers with something secret, which are kept in memory alone.
const SECRET_ANSWERS: usize = 1000;
/// How often old rows are removed.
const THIN_OUT: Duration = Duration::from_hours(1);

/// What a repeated request with an `Idempotency-Key` may do when the server died before it kept the first answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterCrash {
    /// Everything: to do this again changes nothing, or nothing of it outlives the server.
    Repeat,
    /// Everything: the run that it makes has the id of the key, and is found if it was made.
    Find,
    /// Everything, if no record was added to the journal since: then it was not done. Else somebody has to look.
    IfUnchanged,
    /// Nothing: the journal does not show whether it was done.
    Ask,
    /// As `Ask`; besides, its answer holds something secret, and is on no disk.
    Secret,
}

/// The key of a request.
#[derive(Debug, Clone)]
pub(crate) struct Key(String);

impl Key {
    /// The longest key.
    const LONGEST: usize = 200;

    /// The key in a request's headers, if there is one.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>> {
        let Some(value) = headers.get(HEADER) else { return Ok(None) };
        let text = value.to_str().unwrap_or_default();
        if text.is_empty() || text.len() > Self::LONGEST {
            let detail = "`Idempotency-Key` is not a text of 1 to 200 characters";
            return Err(Problem::usage(detail, "send a new UUID for each change"));
        }
        Ok(Some(Self(text.to_owned())))
    }

    /// The run that this key of a client makes: always the same one, so a repeated commit is found in the journal, also after a crash.
    pub(crate) fn run(&self, client: &str) -> specs::RunId {
        run_of("pv idempotency key", client, &self.0)
    }
}

/// A run that something always makes, however often it is tried.
pub(crate) fn run_of(kind: &str, client: &str, name: &str) -> specs::RunId {
    let digest = digest_of(format!("{kind}\0{client}\0{name}").as_bytes());
    let (first, _) = digest.as_bytes().split_at(16);
    specs::RunId::from_bytes(first.try_into().expect("16 bytes"))
}

/// A key of a client, as it is kept: neither can be read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Id {
    client: [u8; 16],
    key: [u8; 32],
}

impl Id {
    fn of(client: &str, key: &Key) -> Self {
        let mut of_client = [0; 16];
        of_client.copy_from_slice(&digest_of(client.as_bytes()).as_bytes()[..16]);
        Self { client: of_client, key: *digest_of(key.0.as_bytes()).as_bytes() }
    }

    fn row(&self) -> Vec<u8> {
        [b"a".as_slice(), &self.client, &self.key].concat()
    }

    fn time(&self, at: Timestamp) -> Vec<u8> {
        [b"t".as_slice(), &self.client, &at.as_micros().to_be_bytes(), &self.key].concat()
    }
}

/// When a row of `t` was made, and the key of its row of `a`.
fn parts_of(time: &[u8]) -> Option<(Timestamp, Vec<u8>)> {
    let (client, rest) = time.get(1..)?.split_at_checked(16)?;
    let (at, key) = rest.split_first_chunk()?;
    Some((Timestamp::from_micros(i64::from_be_bytes(*at)), [b"a".as_slice(), client, key].concat()))
}

/// A request with a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    /// When it began.
    at: Timestamp,
    /// What was asked, but for the body.
    head: Digest,
    /// The length of the journal when it began.
    records: u64,
    /// How it was answered; absent if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
}

/// What was answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    /// SHA-256 of the request's body; absent if it was not read to its end.
    body: Option<Digest>,
    status: u16,
    headers: Vec<(String, String)>,
    /// Absent if it was too long to keep, or secret.
    content: Option<String>,
}

/// Requests with keys.
#[derive(Debug)]
pub(crate) struct Keyed {
    store: Store,
    /// Those that are being answered.
    running: Mutex<HashSet<Id>>,
    /// One of them has been answered.
    ended: Notify,
    /// Bytes of rows of each client, once they were counted.
    kept: Mutex<HashMap<[u8; 16], u64>>,
    /// Answers that are not written to a disk.
    secret: Mutex<BTreeMap<(Timestamp, Vec<u8>), String>>,
    thinned_out_at: Mutex<Option<Timestamp>>,
}

/// A request that is being answered; others with its key wait until this is dropped.
struct Running<'k> {
    keyed: &'k Keyed,
    id: Id,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.keyed.running().remove(&self.id);
        self.keyed.ended.notify_waiters();
    }
}

impl Keyed {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            store: store.clone(),
            running: Mutex::default(),
            ended: Notify::new(),
            kept: Mutex::default(),
            secret: Mutex::default(),
            thinned_out_at: Mutex::default(),
        }
    }

    /// Answers a change of this client: by `next`, or as it was answered before.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        client: &str,
        after_crash: AfterCrash,
        request: Request,
        next: Next,
    ) -> Response {
        match self.answer_once(client, after_crash, request, next).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        }
    }

    async fn answer_once(
        self: &Arc<Self>,
        client: &str,
        after_crash: AfterCrash,
        request: Request,
        next: Next,
    ) -> Result<Response> {
        let Some(key) = Key::of(request.headers())? else { return Ok(next.run(request).await) };
        let (id, head) = (Id::of(client, &key), head_of(&request));
        let _running = self.claim(id).await?;
        let row = self.begin(id, head, after_crash).await?;
        let (request, sent) = Sent::measure(request);
        if row.answer.is_some() {
            return self.repeat(id, row, &sent).await;
        }
        repos::stop_at("server.before_change");
        let response = next.run(request).await;
        self.end(id, row, after_crash, &sent, response).await
    }

    /// Waits until no other request with this key is being answered.
    async fn claim(&self, id: Id) -> Result<Running<'_>> {
        let claimed = async {
            loop {
                let ended = self.ended.notified();
                if self.running().insert(id) {
                    return Running { keyed: self, id };
                }
                ended.await;
            }
        };
        tokio::time::timeout(TURN, claimed).await.map_err(|_| {
            let problem = Problem::new(ErrorKind::Conflict, "a request with this key is still being answered");
            problem.hint("send it again later").retry_after(TURN.as_secs())
        })
    }

    /// The row of a request: the one that is known, or a new one.
    async fn begin(self: &Arc<Self>, id: Id, head: Digest, after_crash: AfterCrash) -> Result<Row> {
        self.on_a_thread(move |keyed, on_disk| {
            let (now, records) = (keyed.store.clock().now(), keyed.store.position().records);
            let known = on_disk.get(&id.row())?.and_then(|row| serde_json::from_slice::<Row>(&row).ok());
            match known.filter(|row| is_kept(row.at, now)) {
                Some(row) if row.head != head => Err(another_request()),
                Some(row) if row.answer.is_some() => Ok(row),
                Some(row) if may_go_on(after_crash, row.records == records) => Ok(row),
                Some(_) => Err(unknown_outcome()),
                None => {
                    let row = Row { at: now, head, records, answer: None };
                    keyed.write(on_disk, id, &row)?;
                    Ok(row)
                }
            }
        })
        .await
    }

    /// The first answer again, to the same request.
    async fn repeat(&self, id: Id, row: Row, sent: &Sent) -> Result<Response> {
        let Row { at, answer: Some(answer), .. } = row else { return Err(unknown_outcome()) };
        if let Some(first) = answer.body
            && sent.digest().await? != first
        {
            return Err(another_request());
        }
        let secret = || self.secret().get(&(at, id.row())).cloned();
        let content = answer.content.or_else(secret).ok_or_else(|| {
            let problem = Problem::new(ErrorKind::Conflict, "this was done, and its answer is not kept");
            problem.hint("look at what was done; send a new key to do it again")
        })?;
        let mut response = (StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK), content).into_response();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        for (name, value) in &answer.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                headers.append(name, value);
            }
        }
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }

    /// Keeps an answer, before it is sent.
    async fn end(
        self: &Arc<Self>,
        id: Id,
        row: Row,
        after_crash: AfterCrash,
        sent: &Sent,
        response: Response,
    ) -> Result<Response> {
        let body = sent.rest().await;
        let may_go_on = may_go_on(after_crash, self.store.position().records == row.records);
        match outcome(&response, body.is_some(), may_go_on) {
            Outcome::Final => {}
            Outcome::NotDone => {
                self.on_a_thread(move |keyed, on_disk| keyed.remove(on_disk, id, row.at)).await?;
                return Ok(response);
            }
            Outcome::Unknown => return Ok(response),
        }
        let (parts, content) = response.into_parts();
        let is_short = content.size_hint().exact().is_some_and(|length| length <= ANSWER_BYTES as u64);
        let (content, rest) = if is_short {
            let bytes = to_bytes(content, ANSWER_BYTES).await.unwrap_or_default();
            (String::from_utf8(bytes.to_vec()).ok(), Body::from(bytes))
        } else {
            (None, content)
        };
        let text =
            |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
        let headers = parts.headers.iter().filter_map(text).collect();
        if content.is_none() && after_crash == AfterCrash::Repeat {
            // Too long to keep, and nothing speaks against making it again.
            self.on_a_thread(move |keyed, on_disk| keyed.remove(on_disk, id, row.at)).await?;
            return Ok(Response::from_parts(parts, rest));
        }
        let mut answer = Answer { body, status: parts.status.as_u16(), headers, content };
        if after_crash == AfterCrash::Secret
            && let Some(content) = answer.content.take()
        {
            self.keep_secret(id, row.at, content);
        }
        let row = Row { answer: Some(answer), ..row };
        repos::stop_at("server.before_answer");
        self.on_a_thread(move |keyed, on_disk| keyed.write(on_disk, id, &row)).await?;
        repos::stop_at("server.after_answer");
        Ok(Response::from_parts(parts, rest))
    }

    fn keep_secret(&self, id: Id, at: Timestamp, content: String) {
        let mut secret = self.secret();
        secret.insert((at, id.row()), content);
        while secret.len() > SECRET_ANSWERS {
            secret.pop_first();
        }
    }

    fn write(&self, on_disk: &Shelf, id: Id, row: &Row) -> Result<()> {
        let bytes = serde_json::to_vec(row).expect("rows have a JSON form");
        let (length, before) = (bytes.len() as u64 + ROW_BYTES, length_of(on_disk, id, row.at)?);
        let rows = [(id.row(), bytes), (id.time(row.at), length.to_be_bytes().to_vec())];
        let mut kept = self.kept.lock().expect("no panic under this lock");
        let mut bytes = match kept.get(&id.client) {
            Some(bytes) => *bytes,
            None => rows_of(on_disk, &id.client)?.map(|(_, length)| length).sum(),
        };
        on_disk.change(&rows, &[])?;
        bytes = (bytes + length).saturating_sub(before);
        if bytes > KEYS_BYTES {
            bytes -= forget_oldest(on_disk, &id.client, bytes - KEYS_BYTES * 9 / 10)?;
        }
        kept.insert(id.client, bytes);
        Ok(())
    }

    fn remove(&self, on_disk: &Shelf, id: Id, at: Timestamp) -> Result<()> {
        let mut kept = self.kept.lock().expect("no panic under this lock");
        let length = length_of(on_disk, id, at)?;
        on_disk.change(&[], &[id.row(), id.time(at)])?;
        kept.entry(id.client).and_modify(|bytes| *bytes = bytes.saturating_sub(length));
        Ok(())
    }

    /// Forgets what is older than a day; looks now and then.
    pub(crate) fn thin_out(&self) -> Result<()> {
        let now = self.store.clock().now();
        {
            let mut last = self.thinned_out_at.lock().expect("no panic under this lock");
            if last.is_some_and(|last| now.seconds_since(last) < THIN_OUT.as_secs_f64()) {
                return Ok(());
            }
            *last = Some(now);
        }
        self.secret().retain(|(at, _), _| is_kept(*at, now));
        let Some(on_disk) = self.store.find_shelf()? else { return Ok(()) };
        let mut gone = Vec::new();
        on_disk.visit(b"t", |time, _| {
            match parts_of(time) {
                Some((at, _)) if is_kept(at, now) => {}
                Some((_, row)) => gone.extend([row, time.to_vec()]),
                None => gone.push(time.to_vec()),
            }
            ControlFlow::Continue(())
        })?;
        if !gone.is_empty() {
            on_disk.change(&[], &gone)?;
            self.kept.lock().expect("no panic under this lock").clear();
        }
        Ok(())
    }

    async fn on_a_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self, &Shelf) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let keyed = self.clone();
        let done = tokio::task::spawn_blocking(logs::here(move || work(&keyed, &*keyed.store.shelf()?)));
        done.await.map_err(|_| Problem::new(ErrorKind::Failed, "a part of the server stopped unexpectedly"))?
    }

    fn running(&self) -> MutexGuard<'_, HashSet<Id>> {
        self.running.lock().expect("no panic under this lock")
    }

    fn secret(&self) -> MutexGuard<'_, BTreeMap<(Timestamp, Vec<u8>), String>> {
        self.secret.lock().expect("no panic under this lock")
    }
}

fn is_kept(at: Timestamp, now: Timestamp) -> bool {
    now.seconds_since(at) < KEYS_KEPT.as_secs_f64()
}

/// The length of a row that is kept; 0 without it.
fn length_of(on_disk: &Shelf, id: Id, at: Timestamp) -> Result<u64> {
    let length = on_disk.get(&id.time(at))?;
    Ok(length.and_then(|length| Some(u64::from_be_bytes(length.try_into().ok()?))).unwrap_or(0))
}

/// The rows of `t` of a client, the oldest first, with their lengths.
fn rows_of(on_disk: &Shelf, client: &[u8]) -> Result<impl Iterator<Item = (Vec<u8>, u64)> + use<>> {
    let mut rows = Vec::new();
    on_disk.visit(&[b"t", client].concat(), |time, length| {
        rows.push((time.to_vec(), length.try_into().map(u64::from_be_bytes).unwrap_or_default()));
        ControlFlow::Continue(())
    })?;
    Ok(rows.into_iter())
}

/// Forgets the oldest rows of a client, at least this many bytes; returns how many it were.
fn forget_oldest(on_disk: &Shelf, client: &[u8], most: u64) -> Result<u64> {
    let (mut gone, mut bytes) = (Vec::new(), 0);
    for (time, length) in rows_of(on_disk, client)? {
        if bytes >= most {
            break;
        }
        gone.extend(parts_of(&time).map(|(_, row)| row));
        gone.push(time);
        bytes += length;
    }
    on_disk.change(&[], &gone)?;
    Ok(bytes)
}

/// What a request asks for, but for its body.
fn head_of(request: &Request) -> Digest {
    let text = |name: HeaderName| request.headers().get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    let parts = [
        request.method().as_str().as_bytes(),
        request.uri().path().as_bytes(),
        request.uri().query().unwrap_or_default().as_bytes(),
        text(header::IF_MATCH),
    ];
    digest_of(&parts.join(&b'\0'))
}

/// Whether a request may be made again whose outcome is not known.
fn may_go_on(after_crash: AfterCrash, is_unchanged: bool) -> bool {
    match after_crash {
        AfterCrash::Repeat | AfterCrash::Find => true,
        AfterCrash::IfUnchanged => is_unchanged,
        AfterCrash::Ask | AfterCrash::Secret => false,
    }
}

/// What is known about a change after its answer.
enum Outcome {
    /// This is its answer for good.
    Final,
    /// It was not made.
    NotDone,
    /// It may have been made.
    Unknown,
}

fn outcome(response: &Response, is_whole: bool, may_go_on: bool) -> Outcome {
    let status = response.status();
    match status.as_u16() {
        _ if response.extensions().get::<Untouched>().is_some() => Outcome::NotDone,
        200..400 => Outcome::Final,
        401 | 403 | 408 | 425 | 429 => Outcome::NotDone,
        400..500 if is_whole => Outcome::Final,
        400..500 => Outcome::NotDone,
        _ if may_go_on => Outcome::NotDone,
        _ => Outcome::Unknown,
    }
}

fn another_request() -> Problem {
    let problem = Problem::new(ErrorKind::Failed, "this `Idempotency-Key` was used for another request");
    problem.hint("send a new key for each change, and the same key only with the same request")
}

fn unknown_outcome() -> Problem {
    let detail = "the server stopped while it made this change, so it is not known whether it was made";
    Problem::new(ErrorKind::Conflict, detail).hint("look whether it was; if not, send it with a new key")
}

/// The body of a request, which is hashed while it is read.
#[derive(Clone)]
struct Sent(Arc<Mutex<Measured>>);

struct Measured {
    body: BodyDataStream,
    hasher: Option<Hasher>,
    /// Set at its end.
    digest: Option<Digest>,
    bytes: u64,
}

impl Sent {
    /// The same request, and its body.
    fn measure(request: Request) -> (Request, Self) {
        let (parts, body) = request.into_parts();
        let digest = body.is_end_stream().then(|| digest_of(b""));
        let measured = Measured { body: body.into_data_stream(), hasher: Some(Hasher::default()), digest, bytes: 0 };
        let sent = Self(Arc::new(Mutex::new(measured)));
        (Request::from_parts(parts, Body::from_stream(sent.clone())), sent)
    }

    /// Reads the rest and returns the SHA-256 of all.
    async fn digest(&self) -> Result<Digest> {
        let mut sent = self.clone();
        while let Some(piece) = sent.next().await {
            piece.map_err(|error| Problem::usage(format!("the body is incomplete: {error}"), "send it again"))?;
        }
        self.known().ok_or_else(|| Problem::usage("the body is incomplete", "send it again"))
    }

    /// The SHA-256 of all; `None` if more than a little was not read, or the body was cut off.
    async fn rest(&self) -> Option<Digest> {
        let mut sent = self.clone();
        let limit = self.measured().bytes + REST_BYTES;
        while self.known().is_none() && self.measured().bytes < limit {
            sent.next().await?.ok()?;
        }
        self.known()
    }

    fn known(&self) -> Option<Digest> {
        self.measured().digest
    }

    fn measured(&self) -> MutexGuard<'_, Measured> {
        self.0.lock().expect("no panic under this lock")
    }
}

impl Stream for Sent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut measured = self.measured();
        let Some(mut hasher) = measured.hasher.take() else { return Poll::Ready(None) };
        if measured.digest.is_some() {
            return Poll::Ready(None);
        }
        let piece = match measured.body.poll_next_unpin(cx) {
            Poll::Pending => {
                measured.hasher = Some(hasher);
                return Poll::Pending;
            }
            Poll::Ready(piece) => piece,
        };
        match &piece {
            None => measured.digest = Some(hasher.finish()),
            Some(Err(_)) => {}
            Some(Ok(bytes)) => {
                hasher.update(bytes);
                measured.bytes += bytes.len() as u64;
                measured.hasher = Some(hasher);
            }
        }
        Poll::Ready(piece)
    }
}
