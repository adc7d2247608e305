//! The connections of a worker to its server, one after another. What is said on them is up to `sandbox::remote`.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use sandbox::{Dial, DialError, Link};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::connection::{Again, JOIN, JOIN_AS_POD, NoConnection, Socket, connect};
use crate::error::ServerError;
use crate::server::Server;

/// Messages that wait to be handed on, in each direction.
const WAITING: usize = 8;
/// How long the server may be silent: it sends a sign of life every 15 seconds.
const SILENCE: Duration = Duration::from_secs(50);
/// How long the server may take to take a message.
const STALL: Duration = Duration::from_mins(1);

/// The way to a server.
#[derive(Debug)]
pub struct Way {
    server: Server,
    address: &'static str,
    refusal: Mutex<Option<ServerError>>,
}

impl Way {
    /// To this server.
    pub fn to(server: Server) -> Self {
        Self { server, address: JOIN, refusal: Mutex::default() }
    }

    /// The same for a pod.
    pub fn of_pod(server: Server) -> Self {
        Self { address: JOIN_AS_POD, ..Self::to(server) }
    }

    /// Why it was no use to try again, if it was not.
    pub fn refusal(&self) -> Option<ServerError> {
        self.refusal.lock().expect("no panic under this lock").take()
    }
}

#[async_trait]
impl Dial for Way {
    async fn dial(&self) -> Result<Link, DialError> {
        let NoConnection { error, again } = match connect(&self.server, self.address).await {
            Ok(socket) => return Ok(link(socket)),
            Err(none) => none,
        };
        let why = error.to_string();
        if again != Again::Never {
            return Err(DialError::Later(why));
        }
        *self.refusal.lock().expect("no panic under this lock") = Some(error);
        Err(DialError::Never(why))
    }
}

/// Hands messages on until either end is dropped or the server is gone.
fn link(socket: Socket) -> Link {
    let (sink, stream) = socket.split();
    let (to, to_send) = mpsc::channel(WAITING);
    let (received, from) = mpsc::channel(WAITING);
    tokio::spawn(send(sink, to_send));
    tokio::spawn(receive(stream, received));
    Link { to, from }
}

async fn send(mut sink: SplitSink<Socket, Message>, mut from: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = from.recv().await {
        if !matches!(tokio::time::timeout(STALL, send_with_waiting(&mut sink, bytes, &mut from)).await, Ok(Ok(()))) {
            return;
        }
    }
    tokio::time::timeout(STALL, sink.close()).await.ok();
}

/// Sends a message together with those that wait behind it, so that many small ones are encrypted and written as one.
async fn send_with_waiting(
    sink: &mut SplitSink<Socket, Message>,
    first: Bytes,
    from: &mut mpsc::Receiver<Bytes>,
) -> tungstenite::Result<()> {
    sink.feed(Message::Binary(first)).await?;
    // Not without end: the time for all of them is limited.
    for _ in 0..WAITING {
        let Ok(bytes) = from.try_recv() else { break };
        sink.feed(Message::Binary(bytes)).await?;
    }
    sink.flush().await
}

async fn receive(mut stream: SplitStream<Socket>, to: mpsc::Sender<Bytes>) {
    while let Ok(Some(Ok(message))) = tokio::time::timeout(SILENCE, stream.next()).await {
        match message {
            Message::Binary(bytes) => {
                if to.send(bytes).await.is_err() {
                    return;
                }
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            Message::Text(_) | Message::Close(_) => return,
        }
    }
}
