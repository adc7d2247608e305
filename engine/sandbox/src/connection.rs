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

/// How much of the agent's complaints is kept, in bytes.
const COMPLAINT_MAX: usize = 8 * 1024;
/// How long an agent that should end may take before it is left to its guard, whatever it still says.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that came from a sandbox.
#[derive(Debug)]
pub(super) enum Chunk {
    /// The agent's stdout: a piece of its frames.
    Frames(Bytes),
    /// The agent's stderr: why it cannot continue.
    Complaint(Bytes),
}

/// What the agent said.
#[derive(Debug)]
pub(super) enum Said {
    Message(FromAgent),
    Data(Bytes),
}

/// Frames to and from one agent; both halves may be at work at the same time.
pub(super) struct Connection {
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
}

/// Frames to an agent.
pub(super) struct Outgoing {
    stream: Pin<Box<dyn AsyncWrite + Send>>,
    /// Frames not yet sent; bounded by one data frame more than [`MAX_DATA`].
    pending: Vec<u8>,
}

/// Frames from an agent.
pub(super) struct Incoming {
    stream: BoxStream<'static, io::Result<Chunk>>,
    received: BytesMut,
    complaint: Vec<u8>,
}

/// Why something did not go out; the other half may know more.
#[derive(Debug)]
pub(super) enum SendError {
    /// The stream to the agent broke.
    Broken(io::Error),
    /// Another error, not of the connection.
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
                // It is asked again for complaints after its end.
                stream: incoming.fuse().boxed(),
                received: BytesMut::new(),
                complaint: Vec::new(),
            },
        }
    }

    /// The error for something that did not go out: what the agent complained of, if it did.
    pub(super) async fn explain(&mut self, error: SendError) -> ExecError {
        match error {
            SendError::Broken(error) => self.incoming.lost(&error).await,
            SendError::Other(error) => error,
        }
    }

    /// Ends the agent's input, which ends the agent, and waits for that.
    pub(super) async fn close(mut self) {
        // Errors mean that the agent is gone already, which is what is wanted.
        let _ = self.outgoing.stream.shutdown().await;
        drop(self.outgoing);
        let rest = async { while let Some(Ok(_)) = self.incoming.stream.next().await {} };
        // What it said is not wanted, and its guard takes care of one that does not end.
        timeout(PATIENCE, rest).await.ok();
    }
}

impl Outgoing {
    /// Adds a message to what is sent next.
    pub(super) async fn message(&mut self, message: &ToAgent) -> Result<(), SendError> {
        push_message(&mut self.pending, message)
            .map_err(|error| SendError::Other(ExecError::SandboxLost { why: error.to_string() }))?;
        self.flush_if_large().await
    }

    /// Adds data to what is sent next.
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

    /// Sends all that was added.
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

    /// The error for a connection that broke: what the agent complained of, if it did, else what the stream said.
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
