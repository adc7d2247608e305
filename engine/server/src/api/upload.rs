//! Bodies of uploads: bytes that arrive while they are stored.

use std::io::{Error, ErrorKind as IoErrorKind, Read, Result as IoResult};

use ::repos::settings::MIN_FREE;
use answers::status::free_bytes;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::StreamExt;
use specs::ErrorKind;
use tokio::sync::mpsc;

use crate::app::App;
use crate::caller::Call;
use crate::operation::{Description, Part};
use crate::problem::{Problem, Result};

/// Most pieces of a body that wait for the disk.
const PIECES_AHEAD: usize = 8;

/// The body of a request, as bytes that arrive.
#[derive(Debug)]
pub(super) struct Upload(Body);

impl FromRequest<App> for Upload {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &App) -> Result<Self> {
        Ok(Self(request.into_body()))
    }
}

impl Part for Upload {
    fn describe(of: &mut Description<'_>) {
        of.takes_bytes("application/octet-stream");
        of.may_be_empty = true;
        of.gives::<Problem>(StatusCode::INSUFFICIENT_STORAGE, "The disk is full");
    }
}

impl Upload {
    /// The body of a request.
    pub(super) fn of(body: Body) -> Self {
        Self(body)
    }

    /// Refuses an upload, before it is read, while the disk has less free than the setting `min_free`: 507.
    pub(super) async fn ensure_space(call: &Call) -> Result<()> {
        Self::ensure_space_for(call, 0).await
    }

    /// Refuses so many bytes, if the disk would then have less free than that: 507.
    pub(super) async fn ensure_space_for(call: &Call, bytes: u64) -> Result<()> {
        call.ask(move |store, _| {
            let (least, free) = (store.setting(&MIN_FREE)?, free_bytes(&store.folder())?);
            let least = least.saturating_add(bytes);
            if least == 0 || free >= least {
                return Ok(());
            }
            let detail =
                format!("the disk is full: {} MB are free, {} MB are required", free / 1_000_000, least / 1_000_000);
            let problem = Problem::new(ErrorKind::Unavailable, detail).status(StatusCode::INSUFFICIENT_STORAGE);
            Err(problem.hint("free some space on the server, or lower its setting min_free").untouched())
        })
        .await
    }

    /// The bytes as they arrive, for a thread that reads.
    pub(super) fn reader(self) -> BodyReader {
        let (send, reader) = piped_reader();
        tokio::spawn(async move {
            let mut body = self.0.into_data_stream();
            while let Some(piece) = body.next().await {
                let is_broken = piece.is_err();
                if send.piece(piece.map_err(Error::other)).await.is_err() || is_broken {
                    return;
                }
            }
            send.end().await;
        });
        reader
    }
}

/// A reader, and where its bytes are sent to.
pub(super) fn piped_reader() -> (BodySender, BodyReader) {
    let (send, pieces) = mpsc::channel(PIECES_AHEAD);
    (BodySender(send), BodyReader { pieces, piece: Bytes::new(), has_ended: false })
}

/// Sends a body to its reader. Dropped without [`Self::end`], the body is incomplete: a server that stops must not turn a part of a file into
/// the file.
#[derive(Debug)]
pub(super) struct BodySender(mpsc::Sender<IoResult<Bytes>>);

/// The reader needs no more.
#[derive(Debug)]
pub(super) struct Unread;

impl BodySender {
    pub(super) async fn piece(&self, piece: IoResult<Bytes>) -> std::result::Result<(), Unread> {
        // An empty piece is the end.
        if piece.as_ref().is_ok_and(Bytes::is_empty) {
            return Ok(());
        }
        self.0.send(piece).await.map_err(|_| Unread)
    }

    /// All of the body was sent.
    pub(super) async fn end(self) {
        self.0.send(Ok(Bytes::new())).await.ok();
    }
}

/// Reads a body on a thread where waiting holds up no one.
#[derive(Debug)]
pub(super) struct BodyReader {
    pieces: mpsc::Receiver<IoResult<Bytes>>,
    piece: Bytes,
    has_ended: bool,
}

impl Read for BodyReader {
    fn read(&mut self, into: &mut [u8]) -> IoResult<usize> {
        if self.piece.is_empty() && !self.has_ended {
            self.piece = self.pieces.blocking_recv().unwrap_or_else(|| Err(IoErrorKind::UnexpectedEof.into()))?;
            self.has_ended = self.piece.is_empty();
        }
        let length = into.len().min(self.piece.len());
        into[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut reader: BodyReader) -> IoResult<Vec<u8>> {
        let reading = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes)
        });
        reading.await.unwrap()
    }

    #[tokio::test]
    async fn a_body_without_its_end_is_an_error_not_a_shorter_body() {
        for is_whole in [true, false] {
            let (send, reader) = piped_reader();
            for piece in ["ab", "", "c"] {
                send.piece(Ok(Bytes::from_static(piece.as_bytes()))).await.unwrap();
            }
            if is_whole {
                send.end().await;
                assert_eq!(read(reader).await.unwrap(), b"abc");
            } else {
                drop(send);
                assert_eq!(read(reader).await.unwrap_err().kind(), IoErrorKind::UnexpectedEof);
            }
        }
    }
}
