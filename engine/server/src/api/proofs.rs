//! What others can check: documents, bundles, checkpoints, and claimed results that are executed again.

use std::fs::File;
use std::io::{BufWriter, Read, Seek};

use ::repos::Store;
use ::repos::access::{Right, Role};
use answers::commit::{CertificateView, CertifiedStage};
use answers::object::{document_of, subject};
use answers::proof::{self, CheckpointView, Contents, Repeat, Shows};
use answers::setting::JOBS;
use answers::sorted::Sorted;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{ErrorKind, Reference};

use super::content::{piped, stored};
use super::questions::Source;
use super::upkeep::{Started, start};
use crate::caller::Call;
use crate::operation::{Description, Operation, Part, get, post};
use crate::parts::{Answer, Json, Query};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/document", ("readDocument", "Read the exact bytes of a document, whose SHA-256 is its id"), document),
        get("/bundle", ("readBundle", "Read the provenance of a file and its proof as one archive"), bundle),
        get("/checkpoint", ("signCheckpoint", "Sign the current state of the journal"), checkpoint)
            .needs_right(Right::Check),
        post("/reruns", ("verifyByRerun", "Execute a result and everything it depends on again"), rerun)
            .needs(Role::Writer),
    ]
}

/// Bytes under a name.
#[derive(Debug)]
struct Sent(&'static str, String, Body);

impl IntoResponse for Sent {
    fn into_response(self) -> Response {
        let Self(media_type, name, body) = self;
        let mut headers = stored(&name);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        (headers, body).into_response()
    }
}

/// A document as an answer.
struct Document(Sent);
/// An archive as an answer.
struct Archive(Sent);

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
impl IntoResponse for Archive {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

const BYTES: &str = "application/octet-stream";
const ZIP: &str = "application/zip";

impl Part for Document {
    fn describe(of: &mut Description<'_>) {
        of.gives_bytes(StatusCode::OK, "The document", &[BYTES]);
    }
}
impl Part for Archive {
    fn describe(of: &mut Description<'_>) {
        of.gives_bytes(StatusCode::OK, "The archive", &[ZIP]);
    }
}

/// A document.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfDocument {
    /// A commit, a version (`detect@v3`), or any id.
    of: Source,
}

async fn document(call: Call, Query(OfDocument { of }): Query<OfDocument>) -> Result<Document> {
    let bytes = call.ask(move |store, live| document_of(store, &subject(store, Some(live), &of.0, true)?)).await?;
    Ok(Document(Sent(BYTES, "document".to_owned(), Body::from(bytes))))
}

/// What to bundle.
#[derive(Debug, Deserialize, JsonSchema)]
struct Bundled {
    /// A commit, or a file or directory in it.
    of: Reference,
    /// Include the contents of files, and logs.
    #[serde(default)]
    data: bool,
    /// Leave out the code of the stages.
    #[serde(default)]
    no_code: bool,
}

async fn bundle(call: Call, Query(Bundled { of, data, no_code }): Query<Bundled>) -> Result<Archive> {
    let file = call.ask(move |store, _| {
        let at = store.resolve(&of)?;
        let case = proof::gather(store, &at, Contents { data, code: !no_code })?;
        let mut file = BufWriter::new(unnamed(store).map_err(|error| unwritable(&error))?);
        case.write(store, &mut file)?;
        let mut file = file.into_inner().map_err(|error| unwritable(error.error()))?;
        file.rewind().map_err(|error| unwritable(&error))?;
        Ok::<_, Problem>(file)
    });
    let mut file = file.await?;
    let body = piped(move |pipe| {
        loop {
            let mut piece = vec![0; 256 << 10];
            let read = file.read(&mut piece)?;
            piece.truncate(read);
            if read == 0 || pipe.blocking_send(Ok(Bytes::from(piece))).is_err() {
                return Ok(());
            }
        }
    });
    Ok(Archive(Sent(ZIP, "bundle.zip".to_owned(), body)))
}

fn unwritable(error: &std::io::Error) -> Problem {
    Problem::new(ErrorKind::Unavailable, format!("the bundle cannot be written: {error}"))
}

/// A file in the store's folder that is gone when it is closed.
fn unnamed(store: &Store) -> std::io::Result<File> {
    let path = store.folder().join(format!("{}.part", ::repos::random_hex()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// What a checkpoint proves besides the state.
#[derive(Debug, Deserialize, JsonSchema)]
struct Proven {
    /// That the journal has the record of this commit: a C2SP tlog-proof.
    #[serde(default)]
    inclusion: Option<Reference>,
    /// That the state with so many records is a prefix of this one, for a C2SP tlog-witness.
    #[serde(default)]
    since: Option<u64>,
}

async fn checkpoint(call: Call, Query(of): Query<Proven>) -> Result<Answer<CheckpointView>> {
    let signed = call.ask(move |store, _| match (&of.inclusion, of.since) {
        (None, None) => Ok(proof::checkpoint(store, Shows::State)?),
        (Some(reference), None) => Ok(proof::checkpoint(store, Shows::Inclusion(reference))?),
        (None, Some(old)) => Ok(proof::checkpoint(store, Shows::Since(old))?),
        (Some(_), Some(_)) => Err(Problem::usage("two proofs are wanted", "send one of `inclusion` and `since`")),
    });
    signed.await.map(Answer)
}

/// What to execute again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Claimed {
    /// An output commit, or a file or directory in it.
    of: Reference,
    /// Also execute stages that use the network.
    #[serde(default)]
    network: bool,
}

async fn rerun(call: Call, Json(Claimed { of, network }): Json<Claimed>) -> Result<Started> {
    call.ensure(Role::Writer, true, "this")?;
    let (machine, engine, committer) = (call.machine()?, call.engine(), call.access().who.clone());
    start(&call, "verify --rerun", move |store, progress| {
        // What it executes writes; that is not collected meanwhile.
        let _operation = store.operation();
        let at = store.resolve(&of)?;
        let told = std::sync::atomic::AtomicU64::new(0);
        let stage = |_: &CertifiedStage| {
            let done = told.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            progress.tell("stages", done, 0);
        };
        let set = store.setting(&JOBS)?.map(|jobs| usize::try_from(jobs.get()).unwrap_or(usize::MAX));
        let repeat = Repeat {
            executors: machine.executors.clone(),
            jobs: set.filter(|jobs| *jobs > 0).unwrap_or(engine.limit()),
            committer: committer.clone(),
            network,
            on_plan: &|_| {},
            on_stage: &stage,
        };
        let (id, certificate) = engine.runtime().block_on(proof::rerun(store, &at, repeat))?;
        Ok::<_, Problem>(Sorted(CertificateView { id, certificate }))
    })
}
