//! Command lines of callers on other machines: a WebSocket for each, whose messages are handed on in both directions.
//!
//! What the messages mean is up to the one who runs commands (the crate `cli`); here are only the connection, its bounds and its end.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use repos::Timestamp;
use repos::access::Access;
use repos::tokens::TokenState;
use tokio::sync::mpsc;
use tracing::{Instrument, Span};

use crate::app::{App, CommandLines, Conversation, Validity};
use crate::caller::{Call, Needs, Peer, REQUEST_ID, address_of, authenticate, named};
use crate::problem::Problem;

/// Most bytes of a message.
const MESSAGE_BYTES: usize = 2 << 20;
/// Messages that wait to be handed on, in each direction.
const WAITING: usize = 8;
/// How often the client gets a sign of life, which it answers.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// How long a client may be silent.
const SILENCE: Duration = Duration::from_secs(50);
/// How long a client may go on sending after the command has ended.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long a client may take to take a message.
const STALL: Duration = Duration::from_mins(1);

/// The route. It is not in the OpenAPI document, which cannot describe a conversation.
pub(crate) fn route(app: &App) -> MethodRouter<App> {
    let needs = Needs::to_read("runCommand");
    named(needs.operation, get(run).layer(middleware::from_fn_with_state((app.clone(), needs), authenticate)))
}

async fn run(
    State(app): State<App>,
    call: Call,
    headers: HeaderMap,
    peer: Option<Extension<Peer>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|_| {
        let problem = Problem::usage("this address is for WebSockets alone", "pv --server URL uses it");
        problem.status(StatusCode::UPGRADE_REQUIRED)
    })?;
    let Some(lines) = app.command_lines().cloned() else {
        return Err(Problem::usage("this server runs no command lines", "use the operations of the API"));
    };
    let access = call.access().clone();
    let expires_at = expiry(&app, &access.who);
    let address = address_of(&app, peer.as_deref(), &headers).to_string();
    let request = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let about = (address, request, app.options().keeps_reads);
    let validity = Validity::new(move || call.ensure_still_valid().is_ok());
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES).max_frame_size(MESSAGE_BYTES);
    let span = Span::current();
    let talk = move |socket| converse(socket, access, (expires_at, validity), about, lines).instrument(span);
    Ok(upgrade.on_upgrade(talk))
}

/// Hands messages on until one side is done.
async fn converse(
    socket: WebSocket,
    access: Access,
    (expires_at, validity): (Option<Timestamp>, Validity),
    (address, request, keeps_reads): (String, String, bool),
    lines: Arc<dyn CommandLines>,
) {
    let (sink, stream) = socket.split();
    let (to_lines, from) = mpsc::channel(WAITING);
    let (to, from_lines) = mpsc::channel(WAITING);
    // When the client is gone, its messages end: then the command is cancelled. When the command is done, its own messages end.
    let mut receiving = tokio::spawn(receive(stream, to_lines));
    let sending = tokio::spawn(send(sink, from_lines));
    lines.attend(Conversation { access, address, request, keeps_reads, expires_at, validity, from, to }).await;
    sending.await.ok();
    // The client still says what it has taken. A connection that is closed with something unread loses what was sent last.
    tokio::time::timeout(FAREWELL, &mut receiving).await.ok();
    receiving.abort();
}

/// Receives until the client is gone, silent, or sends what is not a message.
async fn receive(mut stream: SplitStream<WebSocket>, to: mpsc::Sender<Bytes>) {
    while let Ok(Some(Ok(message))) = tokio::time::timeout(SILENCE, stream.next()).await {
        match message {
            // Nobody wants it once the command has ended, but it is read.
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
        if !matches!(tokio::time::timeout(STALL, sink.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
    tokio::time::timeout(STALL, sink.close()).await.ok();
}

/// When a token ends, if it does.
fn expiry(app: &App, name: &str) -> Option<Timestamp> {
    let now = app.store().clock().now();
    let rows = app.tokens().list().unwrap_or_default();
    let works = |state| matches!(state, TokenState::Valid | TokenState::EndsSoon);
    rows.iter().find(|row| row.name.as_str() == name && works(row.state(now)))?.expires_at
}
