//! Command lines of callers on other machines: a conversation for each.
//!
//! What the messages mean is up to the one who runs commands (the crate `cli`); here is only who talks, and what they may do.

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocket;
use axum::http::HeaderMap;
use axum::middleware;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use tracing::{Instrument, Span};

use crate::app::{App, Conversation, Validity};
use crate::caller::{Call, Needs, Peer, REQUEST_ID, address_of, authenticate, named};
use crate::conversation::{self, Asked};
use crate::problem::Problem;

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
    asked: Asked,
) -> Result<Response, Problem> {
    let upgrade = conversation::upgrade(asked, "pv --server URL uses it")?;
    let Some(lines) = app.command_lines().cloned() else {
        return Err(Problem::usage("this server runs no command lines", "use the operations of the API"));
    };
    let access = call.access().clone();
    let expires_at = call.expires_at();
    let address = address_of(&app, peer.as_deref(), &headers).to_string();
    let request = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let keeps_reads = app.options().keeps_reads;
    let validity = Validity::new(move || call.ensure_still_valid().is_ok());
    let span = Span::current();
    let talk = move |socket: WebSocket| {
        let attended = conversation::hold(socket, move |from, to| {
            lines.attend(Conversation { access, address, request, keeps_reads, expires_at, validity, from, to })
        });
        attended.instrument(span)
    };
    Ok(upgrade.on_upgrade(talk))
}
