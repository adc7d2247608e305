//! Content on its way out and in: ranges, digests, checks before a change.

use std::io::{Seek, SeekFrom};
use std::ops::Range;

use ::repos::Store;
use ::repos::store::FileReader;
use answers::file::FileEntry;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use specs::{BranchName, CommitId, Digest, ErrorKind, RepoName};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::logs;
use crate::operation::{Description, Part};
use crate::parts::{current, etag, immutable};
use crate::problem::{CurrentHead, Problem, Result};

/// Up to this length, content is sent as one piece.
const PIECE_BYTES: u64 = 1 << 20;

/// Refuses a change if the branch has another head than the expected one.
pub(super) fn ensure_head(
    store: &Store,
    repo: &RepoName,
    branch: &BranchName,
    expected: Option<CommitId>,
) -> Result<()> {
    let Some(expected) = expected else { return Ok(()) };
    let actual = store.find_branch(repo, branch)?.and_then(|row| row.commit);
    if actual == Some(expected) { Ok(()) } else { Err(other_head(store, repo, branch, expected, actual)) }
}

/// Says which head a branch has instead of the expected one: 412.
pub(super) fn other_head(
    store: &Store,
    repo: &RepoName,
    branch: &BranchName,
    expected: CommitId,
    actual: Option<CommitId>,
) -> Problem {
    let current = actual.and_then(|id| {
        let commit = store.commit(&id).ok()?;
        Some(CurrentHead { commit: id, author: commit.author, at: commit.created_at })
    });
    let error = engine::EngineError::NotExpected {
        repo: repo.clone(),
        branch: branch.clone(),
        expected: Some(expected),
        actual,
    };
    let problem = Problem::from(error).status(StatusCode::PRECONDITION_FAILED);
    match current {
        Some(current) => problem.current(current),
        None => problem,
    }
}

/// Content of a file as an answer.
#[derive(Debug)]
pub(super) struct Content(Response);

impl IntoResponse for Content {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Part for Content {
    fn describe(of: &mut Description<'_>) {
        of.gives_bytes(StatusCode::OK, "The content", &["application/octet-stream"]);
        of.gives_bytes(StatusCode::PARTIAL_CONTENT, "The requested range", &["application/octet-stream"]);
        of.gives_nothing(StatusCode::NOT_MODIFIED, "The client has it");
        of.gives::<Problem>(StatusCode::RANGE_NOT_SATISFIABLE, "The range lies outside of the content");
    }
}

impl Content {
    /// The content of `file`, or the part of it that the request's headers ask for. `name`: the file's own. `is_pinned`: this address will
    /// always have this content.
    pub(super) fn of(
        store: &Store,
        file: &FileEntry,
        name: &str,
        is_pinned: bool,
        request: &HeaderMap,
    ) -> Result<Self> {
        let mut headers = if is_pinned { immutable(&file.digest) } else { current(&file.digest) };
        headers.extend(stored(name));
        if is_known(request, &etag(&file.digest)) {
            return Ok(Self((StatusCode::NOT_MODIFIED, headers).into_response()));
        }
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let unchanged = request.get(header::IF_RANGE).is_none_or(|tag| *tag == etag(&file.digest));
        let range = request.get(header::RANGE).filter(|_| unchanged).and_then(|range| range.to_str().ok());
        let (status, range) = match range.map_or(Wanted::All, |range| range_of(range, file.size)) {
            Wanted::All => (StatusCode::OK, 0..file.size),
            Wanted::Outside => return Err(outside(file.size)),
            Wanted::Part(range) => {
                let shown = format!("bytes {}-{}/{}", range.start, range.end - 1, file.size);
                headers.insert(header::CONTENT_RANGE, HeaderValue::from_str(&shown).expect("digits"));
                (StatusCode::PARTIAL_CONTENT, range)
            }
        };
        headers.insert("repr-digest", digest_field(&file.digest));
        headers.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
        Ok(Self((status, headers, body(store, file, range)?).into_response()))
    }
}

fn outside(size: u64) -> Problem {
    Problem::new(ErrorKind::Usage, format!("the range lies outside of the content, which has {size} bytes"))
        .status(StatusCode::RANGE_NOT_SATISFIABLE)
        .hint("ask for a range within these bytes")
}

/// Headers that keep a browser from doing anything with what somebody stored.
pub(super) fn stored(name: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let policy = HeaderValue::from_static("sandbox; default-src 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let disposition = format!("attachment; filename*=UTF-8''{}", percent(name));
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    headers
}

/// A text in a header's parameter: RFC 8187.
fn percent(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// `Repr-Digest` of RFC 9530.
fn digest_field(digest: &Digest) -> HeaderValue {
    HeaderValue::from_str(&format!("sha-256=:{}:", STANDARD.encode(digest.as_bytes()))).expect("base64")
}

/// Whether a client has the content with this tag.
pub(super) fn is_known(request: &HeaderMap, tag: &HeaderValue) -> bool {
    has(request, &header::IF_NONE_MATCH, tag)
}

fn has(request: &HeaderMap, name: &header::HeaderName, tag: &HeaderValue) -> bool {
    let tags = request.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let own = tag.to_str().unwrap_or_default();
    tags.flat_map(|list| list.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || one.trim_start_matches("W/") == own
    })
}

/// Which part of a content is wanted.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// All of it, also if the header is not one range of bytes.
    All,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that it does not have.
    Outside,
}

/// The bytes that a `Range` header asks for.
fn range_of(text: &str, size: u64) -> Wanted {
    match bounds(text, size) {
        None => Wanted::All,
        Some(range) if range.start < size => Wanted::Part(range.start..range.end.min(size)),
        Some(_) => Wanted::Outside,
    }
}

/// The bounds in a `Range` header of one range; `None` for other headers.
fn bounds(text: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let length: u64 = last.parse().ok()?;
        return Some(size.saturating_sub(length)..size);
    }
    let start: u64 = first.parse().ok()?;
    let end = if last.is_empty() {
        u64::MAX
    } else {
        last.parse::<u64>().ok().filter(|last| *last >= start)?.saturating_add(1)
    };
    Some(start..end)
}

/// Bytes of a file: in one piece, or read while they are sent. An error cuts the connection off, so that no one takes it for the end.
fn body(store: &Store, file: &FileEntry, range: Range<u64>) -> Result<Body> {
    if range.end - range.start <= PIECE_BYTES {
        return Ok(Body::from(store.read_file(file, range)?));
    }
    let first = read_next(store.open_file(file)?, Some(range.start), range.end - range.start);
    // The next chunk is read while one is sent. A client that takes nothing keeps no thread.
    let chunks = stream::try_unfold(first, |reading| async {
        let Some((reader, chunk, left)) = reading.await.map_err(std::io::Error::other)?? else { return Ok(None) };
        Ok::<_, std::io::Error>(Some((chunk, read_next(reader, None, left))))
    });
    Ok(Body::from_stream(chunks))
}

/// The next chunk, up to so many bytes; and how many are left then. `None` at the end.
type Next = JoinHandle<std::io::Result<Option<(FileReader, Bytes, u64)>>>;

fn read_next(mut reader: FileReader, from: Option<u64>, left: u64) -> Next {
    tokio::task::spawn_blocking(logs::here(move || {
        if left == 0 {
            return Ok(None);
        }
        let chunk =
            next_chunk(&mut reader, from).inspect_err(|error| tracing::warn!("an answer was cut off: {error}"))?;
        let chunk = chunk.slice(..chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        let left = left - chunk.len() as u64;
        Ok(Some((reader, chunk, left)))
    }))
}

fn next_chunk(reader: &mut FileReader, from: Option<u64>) -> std::io::Result<Bytes> {
    if let Some(from) = from {
        reader.seek(SeekFrom::Start(from))?;
    }
    reader.next_chunk().map_err(std::io::Error::other)?.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

/// A body that a thread writes while it is sent. An error cuts the connection off, so that no one takes it for the end.
pub(super) fn piped(
    write: impl FnOnce(&mpsc::Sender<std::io::Result<Bytes>>) -> std::io::Result<()> + Send + 'static,
) -> Body {
    let (pipe, mut pieces) = mpsc::channel(4);
    tokio::task::spawn_blocking(logs::here(move || {
        if let Err(error) = write(&pipe) {
            tracing::warn!("an answer was cut off: {error}");
            pipe.blocking_send(Err(error)).ok();
        }
    }));
    Body::from_stream(stream::poll_fn(move |cx| pieces.poll_recv(cx)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        assert_eq!(range_of("bytes=0-3", 10), Wanted::Part(0..4));
        assert_eq!(range_of("bytes=4-", 10), Wanted::Part(4..10));
        assert_eq!(range_of("bytes=-3", 10), Wanted::Part(7..10));
        assert_eq!(range_of("bytes=-30", 10), Wanted::Part(0..10));
        assert_eq!(range_of("bytes=5-99", 10), Wanted::Part(5..10));
        assert_eq!(range_of("bytes=10-", 10), Wanted::Outside);
        assert_eq!(range_of("bytes=-0", 10), Wanted::Outside);
        assert_eq!(range_of("bytes=0-0", 0), Wanted::Outside);
        for ignored in
            ["items=0-3", "bytes=3-1", "bytes=a-b", "bytes=0-1,3-4", "bytes=", "bytes=0-18446744073709551616"]
        {
            assert_eq!(range_of(ignored, 10), Wanted::All, "{ignored}");
        }
        assert_eq!(range_of("bytes=0-18446744073709551615", 10), Wanted::Part(0..10));
    }

    #[test]
    fn names_survive_the_header() {
        assert_eq!(percent("a b\"\r\nä.txt"), "a%20b%22%0D%0A%C3%A4.txt");
    }
}
