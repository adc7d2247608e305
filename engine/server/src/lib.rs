//! The HTTP side of pv: the API that programs and other machines talk to, and the page.
//!
//! The modules, from ground to roof. Each uses only modules listed before it; a test checks this (`tests/rooms.rs`):
//!
//! ```text
//! limits    the bounds on connections and requests
//! problem   failures as RFC 9457 documents
//! traces    traces of runs, for a collector
//! metrics   what is counted and measured
//! logs      which request a line of the log belongs to
//! events    follows the journal once for all listeners
//! works     long work: started by a request, asked for by others
//! keyed     changes that are sent again with their key, and made once
//! reads     the log of what is read
//! resumable uploads in parts, which go on after a cut
//! logins    sessions of browsers, and the links that begin them
//! app       what all requests share: the engine, tokens, the audit log, bounds on work
//! operation the form of an operation: method, path, role, and the types that describe it
//! caller    who asks: from a token to a handle of the store that shows no more than the token allows
//! login     the address of a login link
//! conversation WebSockets, whose messages are handed on in both directions
//! commands  command lines of callers on other machines
//! workers   machines that execute datums for the engine
//! parts     parameters, bodies and answers
//! lists     pages with a cursor, or a stream of lines
//! openapi   the document about all operations
//! handbook  the same as a page for people
//! api       the operations themselves, one file for each kind of resource
//! steady    cuts off clients that are too slow
//! listen    TCP, TLS, HTTP/1.1 and 2
//! scrape    `/metrics`
//! page      the page for people: views of `web`, forms
//! ```
//! A request passes `listen` → `number` → `steady` → `authenticate` → its handler in `api`, which asks `answers` or `engine` with a handle of
//! the store that is limited to the caller's rights. So no handler checks rights, and none can forget to.
//! Not here: any answer itself (`answers`), any change itself (`engine`), text for people (`cli`).

mod api;
mod app;
mod caller;
mod commands;
mod conversation;
mod events;
mod handbook;
mod keyed;
mod limits;
mod listen;
mod lists;
mod login;
mod logins;
mod logs;
mod metrics;
mod openapi;
mod operation;
mod page;
mod parts;
mod problem;
mod reads;
mod resumable;
mod scrape;
mod steady;
mod traces;
mod workers;
mod works;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, OriginalUri, Request};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::routing::get;
use axum::{Router, middleware};
use engine::Engine;
use engine::live::EngineEvent;
use notifications::Carrier;
use specs::ErrorKind;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tower::ServiceExt;

pub use api::operations;
pub use app::{CommandLines, Conversation, Machine, Options, Validity};
pub use limits::REQUESTS_PER_SECOND;
pub use listen::{Tls, TlsError};
pub use operation::Operation;
pub use traces::Traces;

use app::App;
use problem::Problem;

/// The OpenAPI document of the API. `base_path`: the path before `/api/v1`.
pub fn openapi(base_path: &str) -> serde_json::Value {
    openapi::document(&api::operations(), base_path)
}

/// How often counts of clients are thinned out.
const HOUSEKEEPING: Duration = Duration::from_mins(1);

/// A server that listens, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    tls: Option<Tls>,
    app: App,
}

impl Server {
    /// Listens on an address; port 0 takes a free one.
    pub async fn bind(
        engine: Arc<Engine>,
        address: SocketAddr,
        tls: Option<Tls>,
        options: Options,
    ) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, tls, app: App::new(engine, options) })
    }

    /// Also runs command lines of callers on other machines.
    #[must_use]
    pub fn with_command_lines(self, lines: Arc<dyn CommandLines>) -> Self {
        self.app.run_command_lines_by(lines);
        self
    }

    /// Also uses the executors of its machine, and places elsewhere.
    #[must_use]
    pub fn with_machine(self, machine: Machine) -> Self {
        self.app.use_machine(machine);
        self
    }

    /// Also sends messages to targets of notifications: tests of these.
    #[must_use]
    pub fn with_carrier(self, carrier: Arc<dyn Carrier>) -> Self {
        self.app.send_by(carrier);
        self
    }

    /// The address that it listens on.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Its URL, as far as it knows.
    pub fn url(&self) -> io::Result<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}{}", self.address()?, self.app.options().base_path))
    }

    /// Ends streams of events, which have no end of their own.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.app.clone())
    }

    /// Answers until `stop` is ready; requests that run then may end, within a bound.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let router = router(&self.app);
        let traffic = self.app.metrics().traffic().clone();
        self.app.reads().start();
        let stopper = self.stopper();
        let stop = async move {
            stop.await;
            stopper.stop();
        };
        let listening = listen::listen(self.listener, self.tls, router, traffic, stop);
        tokio::select! {
            () = listening => {}
            () = keep_house(&self.app) => {}
            () = count_jobs(&self.app) => {}
            () = self.app.events().follow(self.app.store()) => {}
        }
        self.app.reads().flush().await;
    }
}

/// Ends streams of events.
#[derive(Debug, Clone)]
pub struct Stopper(App);

impl Stopper {
    /// Ends them now; further ones end as soon as they have begun.
    pub fn stop(&self) {
        self.0.stop();
    }
}

async fn keep_house(app: &App) {
    loop {
        app.forget_old_counts();
        let of = app.clone();
        let thin_out = move || of.keyed().thin_out().and(of.uploads().thin_out()).and(of.logins().thin_out());
        let thinned = tokio::task::spawn_blocking(thin_out).await;
        if let Ok(Err(problem)) = thinned {
            tracing::warn!("what was kept of requests cannot be thinned out: {problem:?}");
        }
        let measured = app.clone();
        let measured = move || measured.metrics().measure_store(measured.store());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(measured).await {
            tracing::warn!("the store's size is not known: {error}");
        }
        tokio::time::sleep(HOUSEKEEPING).await;
    }
}

/// Counts jobs soon after they end, so that little is left to count when somebody asks. An event only wakes it, so none need be heard.
async fn count_jobs(app: &App) {
    let mut events = app.engine().live().listen();
    loop {
        match events.recv().await {
            Ok(EngineEvent::Changed(_) | EngineEvent::Trouble(_)) => continue,
            Ok(EngineEvent::Ended { .. } | EngineEvent::Look) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
        let counted = app.clone();
        let counted = move || counted.metrics().catch_up(counted.store());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(counted).await {
            tracing::warn!("jobs cannot be counted now: {error}");
        }
    }
}

/// Everything that the server answers.
fn router(app: &App) -> Router {
    let api = api::router(app)
        .merge(conversations(app))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(limits::JSON_BYTES));
    let routes = Router::new()
        .route("/healthz", caller::named("healthz", get(healthz)))
        .route("/readyz", caller::named("readyz", get(readyz)))
        .merge(scrape::routes(app))
        .merge(page::router(app, &api))
        .with_state(app.clone())
        .nest("/api/v1", api);
    let base = &app.options().base_path;
    let routes = if base.is_empty() {
        routes
    } else {
        // A nested router answers `/pv`, but not `/pv/`.
        let root = routes.clone().map_request(at_root);
        Router::new().nest(base, routes).route_service(&format!("{base}/"), root)
    };
    let of = app.clone();
    let nothing_here = async move |method: Method, OriginalUri(uri): OriginalUri, headers: HeaderMap| {
        page::nothing_here(&of, &method, &uri, &headers)
    };
    let numbered = middleware::from_fn_with_state(app.clone(), caller::number);
    routes.fallback(nothing_here).layer(middleware::from_fn(steady::watch_body)).layer(numbered)
}

/// The addresses of conversations.
fn conversations(app: &App) -> Router {
    let routes = Router::new()
        .route("/commands", commands::route(app))
        .route("/workers/join", workers::route(app))
        .route("/pods/join", workers::route_of_pods());
    routes.with_state(app.clone())
}

/// The same request for `/`.
fn at_root(mut request: Request) -> Request {
    let mut parts = request.uri().clone().into_parts();
    let query = request.uri().query().map_or_else(String::new, |query| format!("?{query}"));
    parts.path_and_query = format!("/{query}").parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

async fn wrong_method() -> Problem {
    Problem::usage("this address does not take this method", "/api/v1/openapi.json lists the methods of each address")
        .status(StatusCode::METHOD_NOT_ALLOWED)
}

/// The process lives.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The engine runs, and takes work.
async fn readyz(axum::extract::State(app): axum::extract::State<App>) -> Result<&'static str, Problem> {
    match app.engine().phase() {
        engine::Phase::Running => Ok("ok\n"),
        phase => Err(Problem::new(ErrorKind::Unavailable, format!("the engine is {phase:?}").to_lowercase())),
    }
}
