//! Who asks, and what they may do: from the token of a request to a handle of the store that shows no more than that.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use answers::worker::{self, WorkerView};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use engine::Engine;
use engine::live::{EngineEvent, Live};
use engine::run::Actor;
use notifications::Carrier;
use repos::access::{Access, Right, Role};
use repos::tokens::{AuditLine, Token, TokenState, WhyNot};
use repos::{Store, Timestamp};
use specs::ErrorKind;
use tokio::sync::{broadcast, watch};
use tracing::Instrument;

use crate::app::{App, Machine, Work};
use crate::events::Recorded;
use crate::keyed::AfterCrash;
use crate::logins::{Logins, ensure_no_foreign_page, ensure_own_page, has_cookie};
use crate::logs;
use crate::operation::{Description, Part};
use crate::problem::{Problem, Result};
use crate::resumable::Uploads;
use crate::works::Works;

/// The header with the number of a request.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// The address that a connection came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// What an operation needs of its caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    pub(crate) operation: &'static str,
    pub(crate) role: Role,
    /// The right on the whole store that it needs.
    pub(crate) right: Option<Right>,
    pub(crate) after_crash: AfterCrash,
    /// Whether it shows content.
    pub(crate) reads: bool,
}

impl Needs {
    /// Of something that is only read, by any token.
    pub(crate) fn to_read(operation: &'static str) -> Self {
        Self { operation, role: Role::Reader, right: None, after_crash: AfterCrash::Repeat, reads: false }
    }
}

/// An authenticated request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    app: App,
    access: Arc<Access>,
}

impl Call {
    /// Who asks, and what they may do.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// The store, as far as the caller may see and change it.
    pub(crate) fn store(&self) -> Store {
        self.app.store().seen_by((*self.access).clone())
    }

    /// The caller as the one who makes a change. `author`: the claimed author.
    pub(crate) fn actor(&self, author: Option<String>) -> Actor {
        let committer = self.access.who.clone();
        Actor { author: author.unwrap_or_else(|| committer.clone()), committer }
    }

    /// The path of the API on this server.
    pub(crate) fn base(&self) -> String {
        format!("{}/api/v1", self.app.options().base_path)
    }

    /// Refuses to go on with what takes long, once the token was revoked, has expired or allows something else.
    pub(crate) fn ensure_still_valid(&self) -> Result<()> {
        match self.app.tokens().named(&self.access.who, self.app.store().clock().now()) {
            Ok(access) if access == *self.access => Ok(()),
            _ => Err(wrong_token()),
        }
    }

    /// When the token ends, if it does.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        let now = self.app.store().clock().now();
        let rows = self.app.tokens().list().unwrap_or_default();
        let works = |state| matches!(state, TokenState::Valid | TokenState::EndsSoon);
        rows.iter().find(|row| row.name.as_str() == self.access.who && works(row.state(now)))?.expires_at
    }

    /// The workers that have joined.
    pub(crate) fn workers(&self) -> Vec<WorkerView> {
        worker::workers(self.app.engine().workers())
    }

    /// The records of the journal from now on.
    pub(crate) fn events(&self) -> broadcast::Receiver<Recorded> {
        self.app.events().listen()
    }

    /// The engine, without limits: only for what a handler has found with the limited store.
    pub(crate) fn engine(&self) -> Arc<Engine> {
        self.app.engine().clone()
    }

    /// What the server uses of its machine. `Unavailable` if that is nothing.
    pub(crate) fn machine(&self) -> Result<Machine> {
        self.app.machine().cloned()
    }

    /// What sends messages to targets of notifications. `Unavailable` if nothing does.
    pub(crate) fn carrier(&self) -> Result<Arc<dyn Carrier>> {
        self.app.carrier()
    }

    /// Refuses what needs a role, or all repositories, besides the rights that the store's handle checks.
    pub(crate) fn ensure(&self, role: Role, is_for_all: bool, what: &str) -> Result<()> {
        let access = self.access();
        if access.role >= role && (access.sees_all() || !is_for_all) {
            return Ok(());
        }
        let extent = if is_for_all { " for all repositories" } else { "" };
        let detail = format!("{what} needs a token of role {role}{extent}; `{}` is a {}", access.who, access.role);
        Err(Problem::new(ErrorKind::Refused, detail)
            .hint("ask an administrator of this store for a token with more rights"))
    }

    /// Long work.
    pub(crate) fn works(&self) -> &Works {
        self.app.works()
    }

    /// Sessions of browsers.
    pub(crate) fn logins(&self) -> &Logins {
        self.app.logins()
    }

    /// Uploads that are not done.
    pub(crate) fn uploads(&self) -> Uploads {
        self.app.uploads().clone()
    }

    /// Becomes true when the server stops: what has no end of its own ends then.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.app.stopping()
    }

    /// What the engine does, from now on.
    pub(crate) fn live_events(&self) -> broadcast::Receiver<EngineEvent> {
        self.app.engine().live().listen()
    }

    /// Asks the store and the engine something, on a thread where waiting for a disk holds up no one.
    pub(crate) async fn ask<T, E>(
        &self,
        question: impl FnOnce(&Store, &Live) -> std::result::Result<T, E> + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        self.ask_in(Work::Short, question).await
    }

    /// Like [`Self::ask`], as work of this kind.
    pub(crate) async fn ask_in<T, E>(
        &self,
        work: Work,
        question: impl FnOnce(&Store, &Live) -> std::result::Result<T, E> + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let _turn = self.app.turn(work).await?;
        let (store, engine) = (self.store(), self.app.engine().clone());
        let answer = tokio::task::spawn_blocking(logs::here(move || question(&store, engine.live()))).await;
        answer.map_err(|_| stopped())?.map_err(Into::into)
    }

    /// Like [`Self::ask`], for a change: nothing that it writes is collected as garbage until it has ended.
    pub(crate) async fn change<T, E>(
        &self,
        change: impl FnOnce(&Store) -> std::result::Result<T, E> + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        self.change_in(Work::Short, change).await
    }

    /// Like [`Self::change`], for one that stores what the client sends.
    pub(crate) async fn upload<T, E>(
        &self,
        change: impl FnOnce(&Store) -> std::result::Result<T, E> + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        self.change_in(Work::Upload, change).await
    }

    async fn change_in<T, E>(
        &self,
        work: Work,
        change: impl FnOnce(&Store) -> std::result::Result<T, E> + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let done = self.ask_in(work, move |store, _| {
            let _operation = store.operation();
            change(store)
        });
        let done = done.await;
        // A change may be half of what an error names, so the engine looks after each.
        self.app.engine().look_again();
        self.app.events().look();
        done
    }
}

/// A panic in the work of one request: only this request fails.
pub(crate) fn stopped() -> Problem {
    Problem::new(ErrorKind::Failed, "a part of the server stopped unexpectedly")
        .status(StatusCode::INTERNAL_SERVER_ERROR)
        .hint("look into the log of the server")
}

impl FromRequestParts<App> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(no_token)
    }
}

impl Part for Call {
    fn describe(_: &mut Description<'_>) {}
}

/// Authenticates a request, checks the role, runs the operation, and records it: the middleware of each operation that needs a token.
pub(crate) async fn authenticate(State((app, needs)): State<(App, Needs)>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return attend(app, needs, request, next).await;
    }
    // A change is recorded, and its answer kept for a repeated request, also when its client has gone.
    let attending = tokio::spawn(attend(app, needs, request, next).in_current_span());
    attending.await.unwrap_or_else(|_| stopped().into_response())
}

async fn attend(app: App, needs: Needs, mut request: Request, next: Next) -> Response {
    let from = client_address(&app, &request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // Only pages have regions.
    let is_update = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("only=")));
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let mut why = None;
    let (who, response) = match access(&app, &request, from) {
        Err(refused) => {
            why = refused.why.map(|why| why.to_string());
            (refused.who, refused.problem.into_response())
        }
        Ok(access) => {
            let who = access.who.clone();
            let response = if let Err(problem) = allowed(&access, needs) {
                problem.into_response()
            } else {
                let client = access.client.clone();
                request.extensions_mut().insert(Call { app: app.clone(), access: Arc::new(access) });
                if method.is_safe() {
                    next.run(request).await
                } else {
                    app.keyed().answer(&client, needs.after_crash, request, next).await
                }
            };
            (who, response)
        }
    };
    let status = response.status();
    let is_read = method.is_safe() && !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if is_read && !(needs.reads && app.options().keeps_reads) {
        return response;
    }
    let line = AuditLine {
        at: app.store().clock().now(),
        who,
        from: Some(from.to_string()),
        operation: needs.operation.to_owned(),
        on: Some(path),
        outcome: status.as_u16(),
        why,
        request: Some(id),
    };
    if is_read {
        app.reads().add(line, is_update).await;
    } else if let Err(error) = app.audit().append(&line) {
        tracing::error!("the audit log cannot be written: {error}");
    }
    response
}

/// A request that is not authenticated.
struct Refused {
    problem: Problem,
    /// The name of the token, if it was one of this store.
    who: String,
    /// What the client is not told.
    why: Option<WhyNot>,
}

impl From<Problem> for Box<Refused> {
    fn from(problem: Problem) -> Self {
        Self::new(Refused { problem, who: String::new(), why: None })
    }
}

/// What the token of a request allows.
fn access(app: &App, request: &Request, from: IpAddr) -> Result<Access, Box<Refused>> {
    match found(app, request)? {
        Ok(access) => {
            app.count_request(&access.client)?;
            Ok(access)
        }
        Err(WhyNot::Unreadable(error)) => Err(Problem::from(*error).into()),
        Err(why) => {
            app.metrics().wrong_token();
            app.ensure_few_wrong_tokens(from)?;
            let who = why.name().map(ToString::to_string).unwrap_or_default();
            Err(Box::new(Refused { problem: wrong_token(), who, why: Some(why) }))
        }
    }
}

/// What the token of a request allows, however the request names it. Nothing is counted.
fn found(app: &App, request: &Request) -> Result<Result<Access, WhyNot>> {
    let now = app.store().clock().now();
    match proxied_user(app, request) {
        Some(user) => {
            if is_change(request) {
                ensure_no_foreign_page(request.headers(), request.uri())?;
            }
            Ok(app.tokens().named(&user, now))
        }
        None if request.headers().get(header::AUTHORIZATION).is_none() && has_cookie(request.headers()) => {
            of_browser(app, request)
        }
        None => Ok(match bearer(request.headers())?.parse::<Token>() {
            Ok(token) => app.tokens().find(&token, now),
            Err(_) => Err(WhyNot::Unknown),
        }),
    }
}

/// Whether a request would be authenticated: for limits of what is read before the operation that it calls decides.
pub(crate) fn is_known(app: &App, request: &Request) -> bool {
    matches!(found(app, request), Ok(Ok(_)))
}

/// What the session of a browser allows. A change, or a connection for commands, has to come from a page of this server.
fn of_browser(app: &App, request: &Request) -> Result<Result<Access, WhyNot>> {
    let headers = request.headers();
    if is_change(request) {
        ensure_own_page(headers, request.uri())?;
    }
    let client = app.logins().client(headers)?;
    Ok(client.map_or(Err(WhyNot::Unknown), |client| app.tokens().of_client(&client, app.store().clock().now())))
}

/// Whether a request may change something: also one that opens a connection for commands.
fn is_change(request: &Request) -> bool {
    !request.method().is_safe() || request.headers().contains_key(header::UPGRADE)
}

/// Refuses whoever has not the role and the right that an operation needs.
pub(crate) fn allowed(access: &Access, needs: Needs) -> Result<()> {
    if access.role < needs.role {
        let detail = format!(
            "`{}` needs a token of role {}; `{}` is a {}",
            needs.operation, needs.role, access.who, access.role
        );
        return Err(Problem::new(ErrorKind::Refused, detail)
            .hint("ask an administrator of this store for a token with more rights"));
    }
    if needs.right.is_some_and(|right| !access.may(right)) {
        let detail =
            format!("`{}` needs a token for all repositories; `{}` is limited to some", needs.operation, access.who);
        return Err(Problem::new(ErrorKind::Refused, detail)
            .hint("ask an administrator of this store for a token without --repo"));
    }
    Ok(())
}

/// The token in `Authorization: Bearer TOKEN`.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str> {
    let value = headers.get(header::AUTHORIZATION).ok_or_else(no_token)?;
    let text = value.to_str().unwrap_or_default();
    let (scheme, token) = text.split_once(' ').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(no_token()) }
}

fn no_token() -> Problem {
    Problem::new(ErrorKind::Refused, "this request has no token")
        .status(StatusCode::UNAUTHORIZED)
        .hint("send `Authorization: Bearer pv_…`; `pv token create NAME --role reader` makes a token")
}

/// Unknown, revoked and expired tokens look the same from outside; the audit log tells them apart.
pub(crate) fn wrong_token() -> Problem {
    Problem::new(ErrorKind::Refused, "this token is unknown, revoked or expired")
        .status(StatusCode::UNAUTHORIZED)
        .hint("ask an administrator of this store for a new token")
}

/// The address of the client: that of the connection, or the one that a trusted proxy names.
fn client_address(app: &App, request: &Request) -> IpAddr {
    address_of(app, request.extensions().get::<Peer>(), request.headers())
}

/// The address of a client with this connection and these headers.
pub(crate) fn address_of(app: &App, peer: Option<&Peer>, headers: &HeaderMap) -> IpAddr {
    let unknown = IpAddr::from([0, 0, 0, 0]);
    let mut client = peer.map_or(unknown, |peer| peer.0.ip().to_canonical());
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    // Each proxy adds the address that it sees to the end; what stands before the first that is not trusted, anybody may have written.
    for text in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !is_trusted(app, client) {
            break;
        }
        let Some(address) = address_in(text.trim()) else { break };
        client = address;
    }
    client
}

fn is_trusted(app: &App, address: IpAddr) -> bool {
    app.options().trusted_proxies.iter().any(|proxy| proxy.to_canonical() == address)
}

/// An address, perhaps with a port.
fn address_in(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()).map(|address| address.to_canonical())
}

/// The user that a trusted proxy names, if one may.
fn proxied_user(app: &App, request: &Request) -> Option<String> {
    let header = app.options().user_header.as_ref()?;
    let peer = request.extensions().get::<Peer>()?.0.ip().to_canonical();
    let mut users = request.headers().get_all(header).iter().filter(|_| is_trusted(app, peer));
    // A second one may be the client's.
    let user = users.next().filter(|_| users.next().is_none())?;
    user.to_str().ok().map(str::to_owned)
}

/// The name of the operation that answered.
#[derive(Debug, Clone, Copy)]
struct Answered(&'static str);

/// Gives the answers of a route the name of its operation, for those who count them.
pub(crate) fn named(operation: &'static str, route: MethodRouter<App>) -> MethodRouter<App> {
    route.layer(map_response(move |mut response: Response| {
        response.extensions_mut().insert(Answered(operation));
        std::future::ready(response)
    }))
}

/// Gives each request a number, which the client gets too, and counts it.
pub(crate) async fn number(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = repos::random_hex();
    let value = HeaderValue::from_str(&id).expect("hex digits are a header's value");
    request.headers_mut().insert(REQUEST_ID, value.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let start = std::time::Instant::now();
    let span = logs::request(&id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), start.elapsed());
    let operation = response.extensions().get::<Answered>().map_or("none", |answered| answered.0);
    app.metrics().answered(operation, status, took);
    span.in_scope(|| tracing::debug!(%method, path, operation, status, ms = took.as_millis(), "answered"));
    response.headers_mut().insert(REQUEST_ID, value);
    response
}
