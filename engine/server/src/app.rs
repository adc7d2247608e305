//! What all requests share: the engine with its store, tokens, the audit log, and the bounds on work.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::Engine;
use engine::executors::Executors;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use notifications::Carrier;
use repos::Store;
use repos::tokens::{Audit, Tokens};
use specs::ErrorKind;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::events::Events;
use crate::keyed::Keyed;
use bytes::Bytes;
use repos::Timestamp;
use repos::access::Access;
use repos::place::Access as PlaceAccess;
use tokio::sync::{mpsc, watch};

use crate::limits;
use crate::logins::Logins;
use crate::metrics::Metrics;
use crate::problem::{Problem, Result};
use crate::reads::Reads;
use crate::resumable::Uploads;
use crate::traces::Traces;
use crate::works::Works;

/// Choices of the one who starts a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// The path before `/api`, without a `/` at its end; empty for none. For servers behind a proxy that keeps the path.
    pub base_path: String,
    /// The proxies whose `X-Forwarded-For` and, if set, user header are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// The header in which a trusted proxy names the user: the name of a token.
    pub user_header: Option<String>,
    /// Requests per second of a token, on average; 0 for no limit.
    pub requests_per_second: u32,
    /// Whether it is kept who reads which content.
    pub keeps_reads: bool,
    /// Traces whose losses are counted among the metrics.
    pub traces: Option<Traces>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base_path: String::new(),
            trusted_proxies: Vec::new(),
            user_header: None,
            requests_per_second: limits::REQUESTS_PER_SECOND,
            keeps_reads: true,
            traces: None,
        }
    }
}

/// What a server uses of its machine besides the store.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The executors: each datum is executed again by the kind that made it.
    pub executors: Executors,
    /// How to reach object stores.
    pub places: PlaceAccess,
}

/// The messages of one connection for a command line.
#[derive(Debug)]
pub struct Conversation {
    /// Who it is, and what they may do.
    pub access: Access,
    /// Where the client is, for the audit log.
    pub address: String,
    /// The number of the request.
    pub request: String,
    /// Whether it is kept what they read.
    pub keeps_reads: bool,
    /// When their token ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// Whether their token still allows what it did.
    pub validity: Validity,
    /// What the client sends; ends when it is gone.
    pub from: mpsc::Receiver<Bytes>,
    /// What it gets; the connection is closed when this is dropped.
    pub to: mpsc::Sender<Bytes>,
}

/// Tells whether a token still allows what it did when the conversation began: it may be revoked or expire. Clones ask the same.
#[derive(Clone)]
pub struct Validity(Arc<dyn Fn() -> bool + Send + Sync>);

impl Validity {
    /// Asks this; it looks at a file.
    pub fn new(ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    /// Whether it does.
    pub fn holds(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validity").finish_non_exhaustive()
    }
}

/// Runs command lines of callers on other machines. What the messages mean is up to it.
pub trait CommandLines: fmt::Debug + Send + Sync + 'static {
    /// Attends to one connection until it is done.
    fn attend(&self, conversation: Conversation) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Takes no more commands, and cancels those that do not end soon; waits until none runs.
    fn end(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// What all requests share. Clones are the same.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    tokens: Tokens,
    audit: Audit,
    reads: Reads,
    events: Events,
    works: Works,
    keyed: Arc<Keyed>,
    uploads: Uploads,
    logins: Logins,
    metrics: Metrics,
    options: Options,
    turns: Turns,
    by_token: Option<DefaultKeyedRateLimiter<String>>,
    wrong_tokens: DefaultKeyedRateLimiter<IpAddr>,
    command_lines: OnceLock<Arc<dyn CommandLines>>,
    machine: OnceLock<Machine>,
    carrier: OnceLock<Arc<dyn Carrier>>,
    stopping: watch::Sender<bool>,
}

/// Kinds of work in the store. Those that last as long as a client likes must not keep others from a turn.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// It is soon done.
    Short,
    /// It stores what a client sends.
    Upload,
    /// It lists what a client takes.
    Stream,
    /// It reads a large body of JSON.
    Json,
}

struct Turns {
    short: Semaphore,
    uploads: Semaphore,
    streams: Semaphore,
    bodies: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        let most = [limits::WORKING, limits::UPLOADS, limits::STREAMS, limits::LARGE_JSON];
        let [short, uploads, streams, bodies] = most.map(Semaphore::new);
        Self { short, uploads, streams, bodies }
    }
}

impl Turns {
    fn of(&self, work: Work) -> &Semaphore {
        match work {
            Work::Short => &self.short,
            Work::Upload => &self.uploads,
            Work::Stream => &self.streams,
            Work::Json => &self.bodies,
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl App {
    /// For an engine, which owns its store.
    pub(crate) fn new(engine: Arc<Engine>, options: Options) -> Self {
        let burst = NonZeroU32::new(limits::BURST).expect("not zero");
        let by_token = NonZeroU32::new(options.requests_per_second)
            .map(|rate| RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst.max(rate))));
        let wrong = NonZeroU32::new(limits::WRONG_TOKENS).expect("not zero");
        Self(Arc::new(Inner {
            tokens: Tokens::of(engine.store()),
            audit: Audit::of(engine.store()),
            reads: Reads::new(engine.store()),
            events: Events::default(),
            works: Works::new(engine.store().clock_handle()),
            keyed: Arc::new(Keyed::new(engine.store())),
            uploads: Uploads::new(engine.store()),
            logins: Logins::new(engine.store()),
            metrics: Metrics::new(engine.store(), options.traces.as_ref()),
            turns: Turns::default(),
            by_token,
            wrong_tokens: RateLimiter::keyed(Quota::per_minute(wrong)),
            command_lines: OnceLock::new(),
            machine: OnceLock::new(),
            carrier: OnceLock::new(),
            stopping: watch::Sender::new(false),
            engine,
            options,
        }))
    }

    /// From now on nothing without an end of its own is answered.
    pub(crate) fn stop(&self) {
        self.0.stopping.send_replace(true);
    }

    /// Becomes true when the server stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stopping.subscribe()
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    /// From now on command lines are run by `lines`; only the first call counts.
    pub(crate) fn run_command_lines_by(&self, lines: Arc<dyn CommandLines>) {
        self.0.command_lines.set(lines).ok();
    }

    /// Who runs command lines, if anyone does.
    pub(crate) fn command_lines(&self) -> Option<&Arc<dyn CommandLines>> {
        self.0.command_lines.get()
    }

    /// From now on the machine may be used; only the first call counts.
    pub(crate) fn use_machine(&self, machine: Machine) {
        self.0.machine.set(machine).ok();
    }

    /// From now on messages can be sent; only the first call counts.
    pub(crate) fn send_by(&self, carrier: Arc<dyn Carrier>) {
        self.0.carrier.set(carrier).ok();
    }

    /// What sends messages. `Unavailable` if nothing does.
    pub(crate) fn carrier(&self) -> Result<Arc<dyn Carrier>> {
        let missing = || Problem::new(ErrorKind::Unavailable, "this server sends no messages");
        self.0.carrier.get().cloned().ok_or_else(missing)
    }

    /// The machine. `Unavailable` if it may not be used.
    pub(crate) fn machine(&self) -> Result<&Machine> {
        let missing = || Problem::new(ErrorKind::Unavailable, "this server has no executors and no places of its own");
        self.0.machine.get().ok_or_else(missing)
    }

    /// The store, without limits: for what does not depend on who asks.
    pub(crate) fn store(&self) -> &Store {
        self.0.engine.store()
    }

    /// The tokens.
    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// The audit log.
    pub(crate) fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// The log of what is read.
    pub(crate) fn reads(&self) -> &Reads {
        &self.0.reads
    }

    /// New records of the journal.
    pub(crate) fn events(&self) -> &Events {
        &self.0.events
    }

    /// Long work.
    pub(crate) fn works(&self) -> &Works {
        &self.0.works
    }

    /// Requests with an `Idempotency-Key`.
    pub(crate) fn keyed(&self) -> &Arc<Keyed> {
        &self.0.keyed
    }

    /// Sessions of browsers.
    pub(crate) fn logins(&self) -> &Logins {
        &self.0.logins
    }

    /// Uploads that are not done.
    pub(crate) fn uploads(&self) -> &Uploads {
        &self.0.uploads
    }

    /// What is counted and measured.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The choices of the one who started the server.
    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// Waits for a turn to work in the store.
    pub(crate) async fn turn(&self, work: Work) -> Result<SemaphorePermit<'_>> {
        if let Ok(Ok(turn)) = tokio::time::timeout(limits::TURN, self.0.turns.of(work).acquire()).await {
            return Ok(turn);
        }
        let problem = Problem::new(ErrorKind::Unavailable, "the server is busy");
        Err(problem.retry_after(limits::TURN.as_secs()).untouched())
    }

    /// Counts a request of a token; an error if there were too many.
    pub(crate) fn count_request(&self, who: &str) -> Result<()> {
        let Some(limiter) = &self.0.by_token else { return Ok(()) };
        limiter.check_key(&who.to_owned()).map_err(|until| too_many("requests with this token", wait(&until)))
    }

    /// An error if there were too many wrong tokens from this address.
    pub(crate) fn ensure_few_wrong_tokens(&self, from: IpAddr) -> Result<()> {
        self.0.wrong_tokens.check_key(&from).map_err(|until| too_many("wrong tokens from this address", wait(&until)))
    }

    /// Forgets clients that were not seen for long, so that the memory for counts is bounded.
    pub(crate) fn forget_old_counts(&self) {
        if let Some(limiter) = &self.0.by_token {
            limiter.retain_recent();
        }
        self.0.wrong_tokens.retain_recent();
    }
}

fn wait(until: &governor::NotUntil<<DefaultClock as Clock>::Instant>) -> Duration {
    until.wait_time_from(DefaultClock::default().now())
}

fn too_many(what: &str, wait: Duration) -> Problem {
    let seconds = wait.as_secs() + 1;
    Problem::new(ErrorKind::Unavailable, format!("too many {what}"))
        .status(axum::http::StatusCode::TOO_MANY_REQUESTS)
        .hint(format!("try again in {seconds} s"))
        .retry_after(seconds)
}
