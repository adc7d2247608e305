//! Conversations: web sockets whose messages are handed on in both directions.
//!
//! What the messages mean is up to those who talk; here are only the connection, its bounds and its end.

use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;

use crate::problem::{Problem, Result};

/// Most bytes of a message.
const MESSAGE_BYTES: usize = 2 << 20;
/// Bytes that are read at a time. Before each read as many are set to zero, and each connection keeps them in memory.
const READ_BYTES: usize = 32 << 10;
/// Messages that wait to be handed on, in each direction.
const WAITING: usize = 8;
/// How often the client gets a sign of life, which it answers.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// How long a client may be silent.
const SILENCE: Duration = Duration::from_secs(50);
/// How long a client may go on sending after the conversation has ended.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long a client may take to take a message.
const STALL: Duration = Duration::from_mins(1);

/// What a request for a conversation asks for, if it asks for one.
pub(crate) type Asked = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// The beginning of a conversation; an error if the request asks for none, with a hint at who asks for it.
pub(crate) fn upgrade(asked: Asked, hint: &str) -> Result<WebSocketUpgrade> {
    let upgrade = asked.map_err(|_| {
        Problem::usage("this address is for WebSockets alone", hint).status(StatusCode::UPGRADE_REQUIRED)
    })?;
    Ok(upgrade.max_message_size(MESSAGE_BYTES).max_frame_size(MESSAGE_BYTES).read_buffer_size(READ_BYTES))
}

/// Hands messages on until one side is done. `talk` gets those of the client, which end when it is gone, and a sender of those for it.
pub(crate) async fn hold<T: Future<Output = ()>>(
    socket: WebSocket,
    talk: impl FnOnce(mpsc::Receiver<Bytes>, mpsc::Sender<Bytes>) -> T,
) {
    let (sink, stream) = socket.split();
    let (received, from) = mpsc::channel(WAITING);
    let (to, to_send) = mpsc::channel(WAITING);
    let mut receiving = tokio::spawn(receive(stream, received));
    let sending = tokio::spawn(send(sink, to_send));
    talk(from, to).await;
    sending.await.ok();
    // The client still says what it has taken. A connection that is closed with something unread loses what was sent last.
    tokio::time::timeout(FAREWELL, &mut receiving).await.ok();
    receiving.abort();
}

/// Receives until the client is gone, silent, or sends what is not a message.
async fn receive(mut stream: SplitStream<WebSocket>, to: mpsc::Sender<Bytes>) {
    while let Ok(Some(Ok(message))) = tokio::time::timeout(SILENCE, stream.next()).await {
        match message {
            // Nobody wants it once the conversation has ended, but it is read.
            Message::Binary(bytes) => drop(to.send(bytes).await),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Text(_) | Message::Close(_) => return,
        }
    }
}

/// Sends until there is nothing more, or the client takes nothing.
async fn send(mut sink: SplitSink<WebSocket, Message>, mut from: mpsc::Receiver<Bytes>) {
    let mut signs = tokio::time::interval(SIGN_OF_LIFE);
    loop {
        let message = tokio::select! {
            message = from.recv() => match message {
                Some(bytes) => Message::Binary(bytes),
                None => break,
            },
            _ = signs.tick() => Message::Ping(Bytes::new()),
        };
        if !matches!(tokio::time::timeout(STALL, send_with_waiting(&mut sink, message, &mut from)).await, Ok(Ok(()))) {
            return;
        }
    }
    tokio::time::timeout(STALL, sink.close()).await.ok();
}

/// Sends a message together with those that wait behind it, so that many small ones are encrypted and written as one.
async fn send_with_waiting(
    sink: &mut SplitSink<WebSocket, Message>,
    first: Message,
    from: &mut mpsc::Receiver<Bytes>,
) -> Result<(), axum::Error> {
    sink.feed(first).await?;
    // Not without end: the time for all of them is limited.
    for _ in 0..WAITING {
        let Ok(bytes) = from.try_recv() else { break };
        sink.feed(Message::Binary(bytes)).await?;
    }
    sink.flush().await
}
