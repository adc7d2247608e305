//! Objects: content that a client has cut and hashed itself. It asks what is missing, sends that, and names digests in a commit. A cut
//! connection is mended by asking again.

use std::io::Read;

use ::repos::access::{Access, Role};
use ::repos::store::{MAX_CHUNK, Sender};
use ::repos::{RepoError, Store};
use answers::file::FileEntry;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{Digest, Reference, RepoName};

use super::upload::Upload;
use crate::caller::Call;
use crate::keyed::AfterCrash;
use crate::operation::{Operation, get, post};
use crate::parts::{Answer, Json, Path};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post("/objects/missing", ("findMissingObjects", "Find which contents a client must send"), missing)
            .needs(Role::Writer)
            .after_crash(AfterCrash::Repeat),
        post("/objects", ("sendObjects", "Send chunks of content"), receive)
            .needs(Role::Writer)
            .after_crash(AfterCrash::Repeat),
        post("/objects/compose", ("composeFile", "Make a file of chunks that were sent"), compose)
            .needs(Role::Writer)
            .after_crash(AfterCrash::Repeat),
        get("/objects/{digest}/chunks", ("listChunks", "List the chunks of a file that the token may read"), chunks),
    ]
}

/// Bytes of chunks that are stored at a time.
const BATCH_BYTES: usize = 16 << 20;

/// Calls `work` with the client as the store knows it.
pub(super) fn with_sender<T>(access: &Access, work: impl FnOnce(&Sender<'_>) -> T) -> T {
    let sees = |repo: &RepoName| access.sees(repo);
    let sees: Option<&(dyn Fn(&RepoName) -> bool + Sync)> = if access.sees_all() { None } else { Some(&sees) };
    work(&Sender { name: &access.client, sees })
}

/// Contents that a client would send.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// SHA-256 of each; at most 10,000.
    #[schemars(length(max = 10_000))]
    digests: Vec<Digest>,
    /// Files, as `REPO@BRANCH:/PATH`, whose chunks the client may have too.
    #[serde(default)]
    like: Vec<Reference>,
}

/// Contents that a client must send.
#[derive(Debug, Serialize, JsonSchema)]
struct Missing {
    /// SHA-256 of each, in the order of the request.
    missing: Vec<Digest>,
}

async fn missing(call: Call, Json(Asked { digests, like }): Json<Asked>) -> Result<Answer<Missing>> {
    let access = call.access().clone();
    let missing =
        call.change(move |store| with_sender(&access, |sender| store.missing(sender, &digests, &like))).await?;
    Ok(Answer(Missing { missing }))
}

/// What was received.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Received {
    /// Number of chunks.
    chunks: u64,
    /// Their bytes.
    size_bytes: u64,
}

async fn receive(call: Call, upload: Upload) -> Result<Answer<Received>> {
    Upload::ensure_space(&call).await?;
    let access = call.access().clone();
    let mut reader = upload.reader();
    let received = call.upload(move |store| {
        let mut received = Received::default();
        loop {
            let batch = batch(&mut reader)?;
            if batch.is_empty() {
                return Ok::<_, Problem>(received);
            }
            with_sender(&access, |sender| store.receive(sender, &batch))?;
            received.chunks += batch.len() as u64;
            received.size_bytes += batch.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        }
    });
    received.await.map(Answer)
}

/// The next chunks: each is its digest in 32 bytes, its length in 4 (big-endian), and its bytes.
fn batch(reader: &mut impl Read) -> Result<Vec<(Digest, Bytes)>> {
    let (mut batch, mut size) = (Vec::new(), 0);
    while size < BATCH_BYTES {
        let mut head = [0; 36];
        let read = read_up_to(reader, &mut head)?;
        if read == 0 {
            break;
        }
        let (digest, length) = head.split_at(32);
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        if read < head.len() || length > MAX_CHUNK {
            return Err(Problem::usage(
                "the body is not a list of chunks",
                "each is a digest in 32 bytes, a length in 4, and its bytes",
            ));
        }
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).map_err(|error| broken(&error))?;
        size += length;
        batch.push((Digest::from_bytes(digest.try_into().expect("32 bytes")), bytes.into()));
    }
    Ok(batch)
}

fn read_up_to(reader: &mut impl Read, into: &mut [u8]) -> Result<usize> {
    let mut length = 0;
    while length < into.len() {
        match reader.read(&mut into[length..]).map_err(|error| broken(&error))? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// A body that ended too early, or came too slowly.
pub(super) fn broken(error: &std::io::Error) -> Problem {
    Problem::usage(format!("the body is incomplete: {error}"), "ask what is missing, and send that")
}

/// A file to make of chunks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Composed {
    /// SHA-256 of the whole file.
    file: Digest,
    /// Digest and length of each chunk, in order; at least two.
    #[schemars(length(min = 2))]
    chunks: Vec<(Digest, u32)>,
    /// Files, as `REPO@BRANCH:/PATH`, whose chunks the client may have too.
    #[serde(default)]
    like: Vec<Reference>,
}

/// A file that was made.
#[derive(Debug, Serialize, JsonSchema)]
struct Size {
    /// Its length.
    size_bytes: u64,
}

async fn compose(call: Call, Json(Composed { file, chunks, like }): Json<Composed>) -> Result<Answer<Size>> {
    let access = call.access().clone();
    let size_bytes =
        call.change(move |store| with_sender(&access, |sender| store.compose(sender, file, &chunks, &like))).await?;
    Ok(Answer(Size { size_bytes }))
}

/// A content.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfContent {
    /// Its SHA-256.
    digest: Digest,
}

/// The chunks of a content.
#[derive(Debug, Serialize, JsonSchema)]
struct Chunks {
    /// Its length.
    size_bytes: u64,
    /// Digest and length of each chunk, in order; empty for a content that is one chunk.
    chunks: Vec<(Digest, u32)>,
}

async fn chunks(call: Call, Path(OfContent { digest }): Path<OfContent>) -> Result<Answer<Chunks>> {
    let access = call.access().clone();
    call.ask(move |store, _| {
        let file = readable(store, &access, digest)?;
        let chunks = store.open_file(&file)?.chunks().to_vec();
        Ok::<_, Problem>(Chunks { size_bytes: file.size, chunks })
    })
    .await
    .map(Answer)
}

/// The file with this content, if the client may name it.
fn readable(store: &Store, access: &Access, digest: Digest) -> Result<FileEntry> {
    let missing = with_sender(access, |sender| store.missing(sender, &[digest], &[]))?;
    let file = if missing.is_empty() { store.find_file(&digest)? } else { None };
    let what = format!("content {digest} not found");
    file.ok_or_else(|| RepoError::NotFound { what, hint: None }.into())
}
