//! The server's side: runs the command of a client with pipes as its streams.
//!
//! No client can harm the others: what it attaches is bounded, alone and in sum; so is the number of commands; its command gets input only
//! after it asked, and waits when its output is not taken; and if the client is gone, the command is cancelled and its streams are closed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::Engine;
use repos::tokens::{Audit, AuditLine};
use server::{CommandLines, Conversation, Validity};
use specs::ErrorKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::orders::make_room;
use super::protocol::{
    ATTACHED_MAX, Hello, Malformed, PROTOCOL, SHARE, Start, ToClient, ToServer, VARIABLES, notes_of,
};
use super::running::{Ordered, Running, Wants};
use super::streams::Ends;
use crate::invocation::files::Notes;
use crate::invocation::{Caller, Cancel, Client, Environment, Far, Files, Invocation};
use crate::socket::RunFor;

/// Most commands that run at a time.
const AT_ONCE: usize = 256;
/// Most bytes that all clients together may have attached.
const ATTACHED_BY_ALL: usize = 1 << 30;
/// How long a client may send nothing before its command starts.
const SILENCE: Duration = Duration::from_mins(1);
/// How long commands that were cancelled may take to end.
const TO_END: Duration = Duration::from_secs(5);

/// Runs commands for clients on other machines.
#[derive(Debug)]
pub(crate) struct Sessions {
    engine: Arc<Engine>,
    run_for: RunFor,
    /// The server's own environment.
    env: Environment,
    places: Arc<Semaphore>,
    attached: Arc<Semaphore>,
    is_ending: watch::Sender<bool>,
}

/// Why a client is turned away before its command ran.
struct Refusal {
    kind: ErrorKind,
    message: String,
    hint: &'static str,
}

impl Refusal {
    fn new(kind: ErrorKind, message: impl Into<String>, hint: &'static str) -> Self {
        Self { kind, message: message.into(), hint }
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::new(ErrorKind::Usage, "the client sent what is not a message of this protocol", "update pv on both sides")
    }
}

/// A command that has arrived completely.
struct Arrived {
    start: Start,
    notes: Notes,
    _shares: Vec<OwnedSemaphorePermit>,
}

impl Sessions {
    /// For the store of `engine`. `env`: the environment of this process, which commands use except for what is the client's.
    pub(crate) fn new(engine: Arc<Engine>, run_for: RunFor, env: Environment) -> Self {
        let attached = Arc::new(Semaphore::new(ATTACHED_BY_ALL / SHARE));
        Self {
            engine,
            run_for,
            env,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            attached,
            is_ending: watch::Sender::new(false),
        }
    }

    /// Takes no more commands, and cancels those that do not end soon.
    pub(crate) fn end(&self) {
        self.is_ending.send_replace(true);
    }

    /// Waits until no command runs any more.
    pub(crate) async fn ended(&self) {
        // The semaphore is never closed.
        drop(self.places.acquire_many(AT_ONCE as u32).await);
    }

    /// Attends to one connection: messages of the client come `from` here and messages for it leave by `to`, in both directions until the
    /// channel is closed. `caller`: who the client is, and whether its token is still valid.
    pub(crate) async fn attend(
        self: Arc<Self>,
        (caller, validity): (Caller, Validity),
        mut from: mpsc::Receiver<Bytes>,
        to: mpsc::Sender<Bytes>,
    ) {
        match self.arrive(&mut from, &to).await {
            Ok(None) => {}
            Ok(Some(arrived)) => self.run((caller, validity), arrived, from, to).await,
            Err(Refusal { kind, message, hint }) => {
                let hint = Some(hint.to_owned());
                let failed = ToClient::Failed { kind, message, hint, nothing_done: true };
                to.send(failed.to_bytes()).await.ok();
            }
        }
    }

    /// Greets the client and waits for its command; `None` if it goes away before, or speaks another protocol.
    async fn arrive(
        &self,
        from: &mut mpsc::Receiver<Bytes>,
        to: &mpsc::Sender<Bytes>,
    ) -> Result<Option<Arrived>, Refusal> {
        let Some(first) = next(from).await? else { return Ok(None) };
        let hello = Hello::of(&first).ok_or(Malformed)?;
        if to.send(Hello::own().to_bytes()).await.is_err() || hello.protocol != PROTOCOL {
            return Ok(None); // the client says what is wrong
        }
        let (mut attached, mut shares) = (Vec::new(), Vec::new());
        while let Some(message) = next(from).await? {
            match ToServer::of(&message)? {
                ToServer::Attached(bytes) => {
                    self.make_room(&mut shares, attached.len() + bytes.len())?;
                    attached.extend_from_slice(&bytes);
                }
                ToServer::Start(start) => {
                    let notes = if attached.is_empty() { Notes::new() } else { notes_of(&attached)? };
                    return Ok(Some(Arrived { start: *start, notes, _shares: shares }));
                }
                // The size of its terminal may change at any time.
                ToServer::Resize(..) => {}
                _ => return Err(Malformed.into()),
            }
        }
        Ok(None)
    }

    /// Gets as many shares of the memory as `bytes` need.
    fn make_room(&self, shares: &mut Vec<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Refusal> {
        if bytes > ATTACHED_MAX {
            let message = format!("the files that the command reads are longer than {} MiB", ATTACHED_MAX >> 20);
            return Err(Refusal::new(ErrorKind::Usage, message, "split them"));
        }
        make_room(&self.attached, shares, bytes).ok_or_else(|| busy("holds too much for other commands"))
    }

    /// Runs a command to its end.
    async fn run(
        &self,
        (caller, validity): (Caller, Validity),
        arrived: Arrived,
        from: mpsc::Receiver<Bytes>,
        to: mpsc::Sender<Bytes>,
    ) {
        let begun = match self.places.clone().try_acquire_owned() {
            _ if *self.is_ending.borrow() => return drop(to.send(ToClient::Leaving.to_bytes()).await),
            Ok(place) => self.begin((caller, validity), arrived, place, &to).await,
            Err(_) => Err(busy("is running too many commands")),
        };
        match begun {
            Ok((running, ordered)) => running.attend(ordered, from, self.is_ending.subscribe()).await,
            Err(Refusal { kind, message, hint }) => {
                let failed = ToClient::Failed { kind, message, hint: Some(hint.to_owned()), nothing_done: true };
                to.send(failed.to_bytes()).await.ok();
            }
        }
        self.engine.look_again();
    }

    /// Starts a command in a thread of its own.
    async fn begin(
        &self,
        (caller, validity): (Caller, Validity),
        arrived: Arrived,
        place: OwnedSemaphorePermit,
        to: &mpsc::Sender<Bytes>,
    ) -> Result<(Running, Ordered), Refusal> {
        let unusable = |error: std::io::Error| {
            Refusal::new(ErrorKind::Unavailable, format!("the server cannot open streams: {error}"), "repeat it later")
        };
        let Arrived { start, notes, _shares } = arrived;
        let Ends { streams, input, outputs } = Ends::open(start.terminals).map_err(unusable)?;
        let wants = Arc::new(Wants::default());
        let (orders, ordered) = mpsc::channel(1);
        let far = Far {
            types: start.terminals.stdin,
            want: Box::new({
                let wants = wants.clone();
                move || wants.want()
            }),
            input_ended: wants.has_ended.clone(),
            orders,
            caller: caller.clone(),
        };
        let store = self.engine.store().seen_by(caller.access.clone());
        let invocation = Invocation {
            streams,
            cwd: PathBuf::from(&start.cwd),
            env: self.env_of(&start.env),
            uid: rustix::process::getuid().as_raw(),
            cancel: Cancel::default(),
            client: Client::far(far),
            files: Files::sent(notes),
        };
        let cancel = invocation.cancel.clone();
        to.send(ToClient::Taken.to_bytes()).await.ok();
        let ended = self.spawn(invocation, start.argv, caller.clone(), place).map_err(unusable)?;
        let ordered = Ordered { orders: ordered, store, caller, memory: self.attached.clone() };
        Ok((
            Running {
                to: to.clone(),
                cancel,
                input: Some(input),
                pending: Bytes::new(),
                outputs,
                wants,
                validity,
                ended,
            },
            ordered,
        ))
    }

    fn spawn(
        &self,
        invocation: Invocation,
        argv: Vec<OsString>,
        caller: Caller,
        place: OwnedSemaphorePermit,
    ) -> std::io::Result<oneshot::Receiver<ToClient>> {
        let (tell, ended) = oneshot::channel();
        let (engine, run, only_reads) = (self.engine.clone(), self.run_for.run, self.run_for.only_reads);
        let store = engine.store().clone();
        // What the command logs belongs to the request that it came with.
        let span = tracing::Span::current();
        std::thread::Builder::new().name("remote".to_owned()).spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| span.in_scope(|| run(invocation, &argv, engine))));
            let is_read = only_reads(&argv);
            if !is_read || caller.keeps_reads {
                let log = if is_read { Audit::of_reads(&store) } else { Audit::of(&store) };
                note(&log, store.clock().now(), &caller, &argv, ended.as_ref().ok().copied().flatten());
            }
            let last = match ended {
                Ok(Some(exit_code)) => ToClient::Exit(exit_code),
                Ok(None) => ToClient::Leaving,
                Err(panic) => panicked(&*panic),
            };
            // Who hears of the end may close the store.
            drop((store, place));
            tell.send(last).ok();
        })?;
        Ok(ended)
    }

    /// The server's environment, but for what is the client's.
    fn env_of(&self, given: &[(String, String)]) -> Environment {
        const OF_A_USER: [&str; 12] = [
            "USER",
            "LOGNAME",
            "PAGER",
            "PV_PAGER",
            "PV_STORE",
            "PV_SERVER",
            "PV_TOKEN",
            "PV_PARSE_ONLY",
            "LINES",
            "GIT_CONFIG_GLOBAL",
            "LESS",
            "PWD",
        ];
        let is_of_client = |name: &OsString| {
            let name = name.to_str().unwrap_or_default();
            VARIABLES.contains(&name) || OF_A_USER.contains(&name)
        };
        let mut all: BTreeMap<OsString, OsString> =
            self.env.pairs().into_iter().filter(|(name, _)| !is_of_client(name)).collect();
        let given = given.iter().filter(|(name, _)| VARIABLES.contains(&name.as_str()));
        all.extend(given.map(|(name, value)| (name.into(), value.into())));
        Environment::new(all)
    }
}

/// The commands of a server.
#[derive(Debug)]
pub(crate) struct Lines(Arc<Sessions>);

impl Lines {
    pub(crate) fn of(sessions: Sessions) -> Self {
        Self(Arc::new(sessions))
    }
}

impl CommandLines for Lines {
    fn attend(&self, conversation: Conversation) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let Conversation { access, address, request, keeps_reads, expires_at, validity, from, to } = conversation;
        let caller = (Caller { access, address, request, keeps_reads, expires_at }, validity);
        Box::pin(Sessions::attend(self.0.clone(), caller, from, to))
    }

    fn end(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let sessions = self.0.clone();
        Box::pin(async move {
            Sessions::end(&sessions);
            // A command that does not end even then ends with this process.
            tokio::time::timeout(TO_END, sessions.ended()).await.ok();
        })
    }
}

/// Notes a command in a log; `None`: it did not end by itself.
fn note(log: &Audit, at: repos::Timestamp, caller: &Caller, argv: &[OsString], exit_code: Option<u8>) {
    let words = argv.iter().skip(1).map(|word| word.to_string_lossy());
    // Options may hold what is confidential, such as a message.
    let words: Vec<_> = words.filter(|word| !word.starts_with('-')).take(3).collect();
    let line = AuditLine {
        at,
        who: caller.access.who.clone(),
        from: Some(caller.address.clone()),
        operation: format!("pv {}", words.first().map(AsRef::as_ref).unwrap_or_default()),
        on: Some(words[1.min(words.len())..].join(" ")).filter(|on| !on.is_empty()),
        outcome: exit_code.unwrap_or(1).into(),
        why: None,
        request: Some(caller.request.clone()).filter(|request| !request.is_empty()),
    };
    if let Err(error) = log.append(&line) {
        tracing::error!("the audit log cannot be written: {error}");
    }
}

fn busy(why: &str) -> Refusal {
    Refusal::new(
        ErrorKind::Unavailable,
        format!("the server {why}; nothing was done"),
        "repeat the command a little later",
    )
}

/// The next message of a client that must not be silent; `None` if it is gone.
async fn next(from: &mut mpsc::Receiver<Bytes>) -> Result<Option<Bytes>, Refusal> {
    tokio::time::timeout(SILENCE, from.recv()).await.map_err(|_| {
        let message = format!("the client sent nothing for {} s; nothing was done", SILENCE.as_secs());
        Refusal::new(ErrorKind::TimedOut, message, "repeat the command")
    })
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> ToClient {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("no message");
    ToClient::Failed {
        kind: ErrorKind::Unavailable,
        message: format!("the command panicked in the server: {text}"),
        hint: Some(
            "this is a bug in pv, please report it; check the current state before you repeat the command".to_owned(),
        ),
        nothing_done: false,
    }
}
