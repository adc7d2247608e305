//! Workers: other machines that execute datums for the engine of this process, each over a conversation of its own; and pods that this
//! engine created.
//!
//! What a worker and the engine say to each other is up to `sandbox::remote`; here is only who may join, and for how long: while the token
//! allows it, and until the server stops. The token of a pod is no token of the store: the engine made it for this pod alone.

use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::WebSocket;
use axum::http::HeaderMap;
use axum::middleware;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use repos::access::{Access, Role};
use sandbox::{ExecutorKind, Link, Workers};
use specs::ErrorKind;
use tokio::sync::watch;
use tracing::{Instrument, Span};

use crate::app::App;
use crate::caller::{Call, Needs, authenticate, bearer, named, wrong_token};
use crate::conversation::{self, Asked};
use crate::problem::{Problem, Result};

/// The names of the operations.
const NAME: &str = "joinAsWorker";
const OF_POD: &str = "joinAsPod";
/// How often it is looked whether the token of a worker still allows it.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// The route. It is not in the OpenAPI document, which cannot describe a conversation.
pub(crate) fn route(app: &App) -> MethodRouter<App> {
    let needs = Needs { role: Role::Worker, ..Needs::to_read(NAME) };
    named(NAME, get(join).layer(middleware::from_fn_with_state((app.clone(), needs), authenticate)))
}

/// The same for pods.
pub(crate) fn route_of_pods() -> MethodRouter<App> {
    named(OF_POD, get(join_as_pod))
}

async fn join_as_pod(State(app): State<App>, headers: HeaderMap, asked: Asked) -> Result<Response> {
    let workers = app.engine().workers().clone();
    let Some(name) = workers.pod_with(bearer(&headers)?) else {
        app.metrics().wrong_token();
        return Err(wrong_token());
    };
    let upgrade = conversation::upgrade(asked, "pods of the executor kubernetes use it")?;
    let (span, stopping) = (Span::current(), app.stopping());
    let talk = move |socket: WebSocket| {
        let attended =
            conversation::hold(socket, move |from, to| attend_pod(workers, name, stopping, Link { to, from }));
        attended.instrument(span)
    };
    Ok(upgrade.on_upgrade(talk))
}

/// Attends to a pod until its connection ends, or the server stops.
async fn attend_pod(workers: Workers, name: String, mut stopping: watch::Receiver<bool>, link: Link) {
    tokio::select! {
        attended = workers.attend_pod(link, &name) => {
            if let Err(error) = attended {
                tracing::warn!("the connection of pod {name} ended: {error}");
            }
        }
        // An error: the server is gone.
        _ = stopping.wait_for(|is_stopping| *is_stopping) => {}
    }
}

async fn join(State(app): State<App>, call: Call, asked: Asked) -> Result<Response> {
    ensure_may_join(call.access())?;
    let upgrade = conversation::upgrade(asked, "pv worker join URL uses it")?;
    let workers = used_workers(&app)?;
    let span = Span::current();
    let talk = move |socket: WebSocket| {
        let attended = conversation::hold(socket, move |from, to| attend(workers, call, Link { to, from }));
        attended.instrument(span)
    };
    Ok(upgrade.on_upgrade(talk))
}

fn ensure_may_join(access: &Access) -> Result<()> {
    if access.may_join() {
        return Ok(());
    }
    let needs = "to join as a worker needs a token of role worker, or of role admin for all repositories";
    Err(Problem::new(ErrorKind::Refused, format!("{needs}; `{}` is a {}", access.who, access.role))
        .hint("ask an administrator of this store for: pv token create NAME --role worker"))
}

/// The workers, if the engine gives them anything to do.
fn used_workers(app: &App) -> Result<Workers> {
    let kind = app.engine().executor().kind;
    if kind == ExecutorKind::Workers {
        return Ok(app.engine().workers().clone());
    }
    let what = format!("the executor of this store is {kind}, so it has nothing for a worker to do");
    Err(Problem::new(ErrorKind::Conflict, what)
        .hint("set it where the store is, and start the server again: pv config set executor workers"))
}

/// Attends to a worker until its connection ends, its token does, or the server stops.
async fn attend(workers: Workers, call: Call, link: Link) {
    let who = &call.access().who;
    tokio::select! {
        attended = workers.attend(link, who) => {
            if let Err(error) = attended {
                tracing::warn!("the connection of a worker with the token `{who}` ended: {error}");
            }
        }
        () = until_invalid(&call) => tracing::warn!("the token `{who}` of a worker is not valid any more"),
        () = until_stopped(&call) => {}
    }
}

async fn until_invalid(call: &Call) {
    while call.ensure_still_valid().is_ok() {
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

async fn until_stopped(call: &Call) {
    // An error: the server is gone.
    call.stopping().wait_for(|is_stopping| *is_stopping).await.ok();
}
