//! The engine's end of the connection to an agent: frames over byte streams.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{BoxStream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::ExecError;
use crate::protocol::{FrameHead, FromAgent, MAX_DATA, ToAgent, data_head, parse_message, push_message};

/// Maximum number of bytes kept from the agent's stderr.
const COMPLAINT_MAX: usize = 8 * 1024;
/// How long an agent may take to end before its guard takes over, whatever it still sends.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes from a sandbox.
#[derive(Debug)]
pub(super) enum Chunk {
    /// The agent's stdout: a piece of its frames.
    Frames(Bytes),
    /// The agent's stderr: why it cannot continue.
    Complaint(Bytes),
}

/// A frame from the agent.
#[derive(Debug)]
pub(super) enum Said {
    Message(FromAgent),
    Data(Bytes),
}

/// Frames to and from one agent; both halves may work at the same time.
pub(super) struct Connection {
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
}

/// Frames to an agent.
pub(super) struct Outgoing {
    stream: Pin<Box<dyn AsyncWrite + Send>>,
    /// Frames not sent yet; bounded by one data frame more than [`MAX_DATA`].
    pending: Vec<u8>,
}

/// Frames from an agent.
pub(super) struct Incoming {
    stream: BoxStream<'static, io::Result<Chunk>>,
    received: BytesMut,
    complaint: Vec<u8>,
}

/// Why something was not sent; the other half may know more.
#[derive(Debug)]
pub(super) enum SendError {
    /// The stream to the agent broke.
    Broken(io::Error),
    /// Another error, unrelated to the connection.
    Other(ExecError),
}

impl Connection {
    pub(super) fn new(
        outgoing: impl AsyncWrite + Send + 'static,
        incoming: BoxStream<'static, io::Result<Chunk>>,
    ) -> Self {
        Self {
            outgoing: Outgoing { stream: Box::pin(outgoing), pending: Vec::new() },
            incoming: Incoming {
                // It is polled again for complaints after its end.
                stream: incoming.fuse().boxed(),
                received: BytesMut::new(),
                complaint: Vec::new(),
            },
        }
    }

    /// The error for a failed send: the agent's complaint, if there is one.
    pub(super) async fn explain(&mut self, error: SendError) -> ExecError {
        match error {
            SendError::Broken(error) => self.incoming.lost(&error).await,
            SendError::Other(error) => error,
        }
    }

    /// Closes the agent's input, which ends the agent, and waits for that.
    pub(super) async fn close(mut self) {
        // Errors mean that the agent is already gone, as intended.
        let _ = self.outgoing.stream.shutdown().await;
        drop(self.outgoing);
        let rest = async { while let Some(Ok(_)) = self.incoming.stream.next().await {} };
        // The agent's remaining output is ignored, and its guard handles an agent that does not end.
        timeout(PATIENCE, rest).await.ok();
    }
}

impl Outgoing {
    /// Queues a message.
    pub(super) async fn message(&mut self, message: &ToAgent) -> Result<(), SendError> {
        push_message(&mut self.pending, message)
            .map_err(|error| SendError::Other(ExecError::SandboxLost { why: error.to_string() }))?;
        self.flush_if_large().await
    }

    /// Queues data.
    pub(super) async fn data(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        for part in bytes.chunks(MAX_DATA) {
            self.pending.extend_from_slice(&data_head(part.len()));
            self.pending.extend_from_slice(part);
            self.flush_if_large().await?;
        }
        Ok(())
    }

    async fn flush_if_large(&mut self) -> Result<(), SendError> {
        if self.pending.len() >= MAX_DATA { self.flush().await } else { Ok(()) }
    }

    /// Sends everything queued.
    pub(super) async fn flush(&mut self) -> Result<(), SendError> {
        let sent = match self.stream.write_all(&self.pending).await {
            Ok(()) => self.stream.flush().await,
            Err(error) => Err(error),
        };
        self.pending.clear();
        sent.map_err(SendError::Broken)
    }
}

impl Incoming {
    /// Waits for the next frame.
    pub(super) async fn next(&mut self) -> Result<Said, ExecError> {
        loop {
            match self.take_frame() {
                Ok(Some(said)) => return Ok(said),
                Ok(None) => {}
                Err(error) => return Err(self.lost(&error).await),
            }
            match self.stream.next().await {
                Some(Ok(chunk)) => self.keep(chunk),
                Some(Err(error)) => return Err(self.lost(&error).await),
                None => return Err(self.lost(&io::ErrorKind::UnexpectedEof.into()).await),
            }
        }
    }

    fn keep(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Frames(bytes) => self.received.extend_from_slice(&bytes),
            Chunk::Complaint(bytes) => {
                let room = COMPLAINT_MAX.saturating_sub(self.complaint.len());
                self.complaint.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
        }
    }

    fn take_frame(&mut self) -> io::Result<Option<Said>> {
        let Some(head) = self.received.first_chunk().copied() else { return Ok(None) };
        let head = FrameHead::parse(head)?;
        if self.received.len() < FrameHead::BYTES + head.length {
            return Ok(None);
        }
        self.received.advance(FrameHead::BYTES);
        let body = self.received.split_to(head.length).freeze();
        if head.is_data { Ok(Some(Said::Data(body))) } else { parse_message(&body).map(Said::Message).map(Some) }
    }

    /// The error for a broken connection: the agent's complaint if there is one, otherwise the stream's error.
    async fn lost(&mut self, error: &io::Error) -> ExecError {
        let last_word = async {
            while let Some(Ok(chunk)) = self.stream.next().await {
                self.keep(chunk);
                if let Ok(Some(Said::Message(FromAgent::Broken { why }))) = self.take_frame() {
                    return Some(why);
                }
            }
            None
        };
        if let Ok(Some(why)) = timeout(PATIENCE, last_word).await {
            return ExecError::SandboxLost { why };
        }
        let complaint = String::from_utf8_lossy(&self.complaint).trim().to_owned();
        let why = match error.kind() {
            _ if !complaint.is_empty() => complaint,
            io::ErrorKind::UnexpectedEof => "it ended without a message".to_owned(),
            _ => error.to_string(),
        };
        ExecError::SandboxLost { why }
    }
}
