//! Content that is sent to a server: the client's side, for the halves of `put` and its like that cut and hash here.

use std::sync::Mutex;
use std::sync::mpsc as threads;

use bytes::Bytes;
use repos::RepoError;
use repos::files::ObjectSink;
use specs::{Digest, FilePath, Reference};
use tokio::sync::mpsc;

use super::protocol::{ToClient, ToServer, chunks_to_bytes, grouped};

/// Chunks of a file that are named in one message.
const NAMED: usize = 10_000;

/// A server that takes content, on a connection whose command waits for it.
pub(crate) struct Outgoing {
    to: mpsc::Sender<Bytes>,
    answers: Mutex<threads::Receiver<ToClient>>,
    /// The branch that similar files are on.
    target: Option<Reference>,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Outgoing {
    pub(super) fn new(to: mpsc::Sender<Bytes>, answers: threads::Receiver<ToClient>) -> Self {
        Self { to, answers: Mutex::new(answers), target: None }
    }

    /// Similar files are at their paths on this branch.
    pub(crate) fn for_target(self, target: Reference) -> Self {
        Self { target: Some(Reference { path: None, ..target }), ..self }
    }

    fn send(&self, message: &ToServer) -> Result<(), RepoError> {
        self.to.blocking_send(message.to_bytes()).map_err(|_| lost())
    }

    fn answer(&self) -> Result<ToClient, RepoError> {
        let answers = self.answers.lock().expect("no panic under this lock");
        match answers.recv().map_err(|_| lost())? {
            ToClient::ObjectsFailed { kind, message, hint } => {
                Err(RepoError::Remote { kind, message, hint, race: false, collected: false })
            }
            answer => Ok(answer),
        }
    }

    fn like(&self, paths: &[FilePath]) -> Vec<String> {
        let at = |target: &Reference| {
            let of = |path: &FilePath| Reference { path: Some(path.clone()), ..target.clone() }.to_string();
            paths.iter().map(of).collect()
        };
        self.target.as_ref().map(at).unwrap_or_default()
    }

    fn received(&self) -> Result<(), RepoError> {
        match self.answer()? {
            ToClient::Received => Ok(()),
            _ => Err(lost()),
        }
    }
}

/// The connection is gone; the one who waits for it says so too.
fn lost() -> RepoError {
    RepoError::AnswerLost
}

impl ObjectSink for Outgoing {
    fn missing(&self, digests: &[Digest], like: &[FilePath]) -> Result<Vec<Digest>, RepoError> {
        self.send(&ToServer::Ask { digests: digests.to_vec(), like: self.like(like) })?;
        match self.answer()? {
            ToClient::Missing(missing) => Ok(missing),
            _ => Err(lost()),
        }
    }

    fn send(&self, chunks: &[(Digest, &[u8])]) -> Result<(), RepoError> {
        for group in grouped(chunks) {
            self.to.blocking_send(chunks_to_bytes(group)).map_err(|_| lost())?;
        }
        Self::send(self, &ToServer::ChunksEnd)?;
        self.received()
    }

    fn compose(&self, file: &Digest, chunks: &[(Digest, u32)], like: &[FilePath]) -> Result<(), RepoError> {
        for parts in chunks.chunks(NAMED) {
            Self::send(self, &ToServer::Parts(parts.to_vec()))?;
        }
        Self::send(self, &ToServer::Compose { file: *file, like: self.like(like) })?;
        self.received()
    }
}
