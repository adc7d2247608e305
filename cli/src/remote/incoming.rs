//! Content that is fetched from a server: the client's side of a `get`.

use std::collections::HashMap;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc as threads;
use std::sync::{Arc, Mutex};

use bytes::{Buf, Bytes};
use repos::RepoError;
use repos::files::Download;
use specs::Digest;
use tokio::sync::mpsc;

use super::protocol::{Fetch, ToServer};

/// A piece of a file; `None` at its end.
type Piece = Result<Option<Bytes>, RepoError>;

/// The files that are being fetched, each with its reader.
#[derive(Debug, Clone, Default)]
pub(super) struct Fetches {
    open: Arc<Mutex<HashMap<u32, threads::Sender<Piece>>>>,
}

impl Fetches {
    /// Hands a piece to its reader; false if it has none any more.
    pub(super) fn hand_on(&self, id: u32, piece: Piece) -> bool {
        let open = self.open.lock().expect("no panic under this lock");
        open.get(&id).is_some_and(|reader| reader.send(piece).is_ok())
    }

    /// Ends all readers: the connection is lost.
    pub(super) fn end(&self) {
        self.open.lock().expect("no panic under this lock").clear();
    }
}

/// A server that gives content, on a connection whose command waits for it.
#[derive(Debug)]
pub(crate) struct Incoming {
    to: mpsc::Sender<Bytes>,
    fetches: Fetches,
    next: AtomicU32,
}

impl Incoming {
    pub(super) fn new(to: mpsc::Sender<Bytes>, fetches: Fetches) -> Self {
        Self { to, fetches, next: AtomicU32::new(0) }
    }
}

impl Download for Incoming {
    fn open(&self, digest: &Digest, range: Range<u64>) -> Result<Box<dyn Read + '_>, RepoError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, pieces) = threads::channel();
        self.fetches.open.lock().expect("no panic under this lock").insert(id, sender);
        let reader = Reader { of: self, id, pieces, piece: Bytes::new(), is_over: false };
        let fetch = Fetch { id, digest: *digest, from: range.start, to: range.end };
        self.to.blocking_send(ToServer::Fetch(fetch).to_bytes()).map_err(|_| RepoError::AnswerLost)?;
        Ok(Box::new(reader))
    }
}

/// The bytes of one file.
struct Reader<'a> {
    of: &'a Incoming,
    id: u32,
    pieces: threads::Receiver<Piece>,
    piece: Bytes,
    is_over: bool,
}

impl Reader<'_> {
    fn took(&self, bytes: usize) {
        // If the connection is lost, the next read notices.
        self.of.to.blocking_send(ToServer::Took(bytes as u32).to_bytes()).ok();
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.is_over {
            match self.pieces.recv() {
                Ok(Ok(Some(piece))) => {
                    self.took(piece.len());
                    self.piece = piece;
                }
                Ok(Ok(None)) => self.is_over = true,
                Ok(Err(error)) => return Err(io::Error::other(error)),
                Err(_) => return Err(io::Error::other(RepoError::AnswerLost)),
            }
        }
        let length = into.len().min(self.piece.len());
        self.piece.split_to(length).copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.of.fetches.open.lock().expect("no panic under this lock").remove(&self.id);
        let unread: usize = self.pieces.try_iter().filter_map(|piece| Some(piece.ok()??.len())).sum();
        if unread > 0 {
            self.took(unread);
        }
    }
}
