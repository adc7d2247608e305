//! A connection between engine and worker, whatever carries it.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

/// Messages in both directions, in order, bounded; the connection ends when either end is dropped. No message is longer than 1 MiB.
#[derive(Debug)]
pub struct Link {
    /// To the other side.
    pub to: mpsc::Sender<Bytes>,
    /// From the other side.
    pub from: mpsc::Receiver<Bytes>,
}

/// How a worker reaches its engine.
#[async_trait]
pub trait Dial: Send + Sync {
    /// A new connection.
    async fn dial(&self) -> Result<Link, DialError>;
}

/// Why no connection could be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialError {
    /// It is tried again.
    Later(String),
    /// It is not tried again, such as after a token that does not count.
    Never(String),
}
