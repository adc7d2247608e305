//! Content that a client sends: the server's side. A client asks which content is missing, and sends only that.
//!
//! One request at a time, in a thread where waiting for a disk holds up nobody.

use bytes::Bytes;
use repos::store::{MAX_CHUNK, MOST_ASKED, MOST_CHUNKS, Sender};
use repos::{RepoError, Store};
use specs::{Digest, Reference};
use tokio::task::JoinHandle;

use super::protocol::{Malformed, ToClient, ToServer};

/// Most bytes of chunks that are taken together.
const TOGETHER: usize = 18 << 20;
/// What has arrived is stored once it has more bytes, while the rest is on its way.
const EARLY: usize = 4 << 20;

/// The content of one client.
pub(super) struct Objects {
    /// As the client sees it.
    store: Store,
    name: String,
    chunks: Vec<(Digest, Bytes)>,
    /// How many bytes these have.
    waiting: usize,
    /// How many bytes came since the last request.
    bytes: usize,
    /// What stores the chunks that came before these.
    storing: Option<JoinHandle<Result<(), RepoError>>>,
    parts: Vec<(Digest, u32)>,
    working: Option<JoinHandle<ToClient>>,
}

impl Objects {
    /// For a client of this name, which has this handle of the store.
    pub(super) fn new(store: Store, name: String) -> Self {
        Self { store, name, chunks: Vec::new(), waiting: 0, bytes: 0, storing: None, parts: Vec::new(), working: None }
    }

    /// Handles a request, or a part of one.
    pub(super) fn hear(&mut self, message: ToServer) -> Result<(), Malformed> {
        if self.working.is_some() {
            return Err(Malformed); // the client waits for an answer before it asks again
        }
        match message {
            ToServer::Ask { digests, like } if digests.len() <= MOST_ASKED => {
                let like = references(&like)?;
                self.work(move |store, from| Ok(ToClient::Missing(store.missing(from, &digests, &like)?)));
            }
            ToServer::Chunks(chunks) => self.take(chunks)?,
            ToServer::ChunksEnd => {
                let stored = self.store();
                self.bytes = 0;
                self.work(move |_, _| wait(stored).map(|()| ToClient::Received));
            }
            ToServer::Parts(parts) if self.parts.len() + parts.len() <= MOST_CHUNKS => self.parts.extend(parts),
            ToServer::Compose { file, like } => {
                let (parts, like) = (std::mem::take(&mut self.parts), references(&like)?);
                self.work(move |store, from| store.compose(from, file, &parts, &like).map(|_| ToClient::Received));
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }

    fn take(&mut self, chunks: Vec<(Digest, Bytes)>) -> Result<(), Malformed> {
        if chunks.iter().any(|(_, bytes)| bytes.len() > MAX_CHUNK) {
            return Err(Malformed);
        }
        let bytes: usize = chunks.iter().map(|(_, bytes)| bytes.len()).sum();
        (self.bytes, self.waiting) = (self.bytes + bytes, self.waiting + bytes);
        self.chunks.extend(chunks);
        if self.bytes > TOGETHER {
            return Err(Malformed);
        }
        if self.waiting > EARLY {
            self.storing = Some(self.store());
        }
        Ok(())
    }

    /// Begins to store what has arrived, after what came before it.
    fn store(&mut self) -> JoinHandle<Result<(), RepoError>> {
        let (store, name, before) = (self.store.clone(), self.name.clone(), self.storing.take());
        let chunks = std::mem::take(&mut self.chunks);
        self.waiting = 0;
        tokio::task::spawn_blocking(move || {
            before.map_or(Ok(()), wait)?;
            with_sender(&store, &name, |from| store.receive(from, &chunks))
        })
    }

    fn work(&mut self, work: impl FnOnce(&Store, &Sender<'_>) -> Result<ToClient, RepoError> + Send + 'static) {
        let (store, name) = (self.store.clone(), self.name.clone());
        self.working = Some(tokio::task::spawn_blocking(move || {
            let done = with_sender(&store, &name, |from| work(&store, from));
            done.unwrap_or_else(|error| ToClient::ObjectsFailed {
                kind: error.kind(),
                message: error.to_string(),
                hint: error.hint(),
            })
        }));
    }

    /// The answer to the request, when it is there; never, without a request.
    pub(super) async fn answer(&mut self) -> ToClient {
        let Some(working) = &mut self.working else { return std::future::pending().await };
        let answer = working.await;
        self.working = None;
        answer.unwrap_or_else(|error| ToClient::ObjectsFailed {
            kind: specs::ErrorKind::Unavailable,
            message: format!("the server could not take the content: {error}"),
            hint: None,
        })
    }
}

/// Waits in a thread where that holds up nobody.
fn wait(stored: JoinHandle<Result<(), RepoError>>) -> Result<(), RepoError> {
    let stored = tokio::runtime::Handle::current().block_on(stored);
    stored.unwrap_or_else(|panic| std::panic::resume_unwind(Box::new(panic)))
}

/// Calls `work` with a client of this name, which sees what this handle sees.
pub(crate) fn with_sender<T>(store: &Store, name: &str, work: impl FnOnce(&Sender<'_>) -> T) -> T {
    let sees = |repo: &specs::RepoName| store.sees(repo);
    work(&Sender { name, sees: store.is_limited().then_some(&sees) })
}

fn references(texts: &[String]) -> Result<Vec<Reference>, Malformed> {
    texts.iter().map(|text| text.parse().map_err(|_| Malformed)).collect()
}
