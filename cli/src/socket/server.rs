//! Answers requests for the store that this process owns.
//!
//! One thread listens and checks each second whether the store and its socket still exist; each connection has its own thread, and each
//! command another one that detects when its caller goes away. No client can block any of this: a request must arrive in time, requests
//! share a memory limit, output is dropped if nobody reads it any more, a panic ends only its command, and on shutdown a command that does
//! not finish is cancelled, then abandoned.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::Engine;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use repos::packs::PackName;
use repos::{Change, RepoError, Store};
use specs::ErrorKind;
use tokio::sync::watch;

use super::presence::{Found, Presence};
use super::protocol::{Answer, Memory, Request, receive_request, send_answer, send_printed, send_taken};
use super::short_path;
use crate::invocation::{Cancel, Client, Environment, Files, Invocation};

/// How the owner of a store runs command lines of other processes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunFor {
    /// Runs a command on this engine. Returns its exit code, or `None` if this process is shutting down: the caller then continues.
    pub(crate) run: fn(Invocation, &[OsString], Arc<Engine>) -> Option<u8>,
    /// Whether a command only reads.
    pub(crate) only_reads: fn(&[OsString]) -> bool,
}

/// Limits on resources and time of clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long a request may take to arrive.
    pub(crate) request: Duration,
    /// Total bytes of large requests.
    pub(crate) memory: usize,
    /// Most simultaneous connections.
    pub(crate) connections: usize,
    /// On shutdown: how long a command may wait for its caller's streams, and, if the shutdown is urgent, how long it may run at all.
    pub(crate) patience: Duration,
    /// How long a cancelled command may take to end.
    pub(crate) to_end: Duration,
    /// Time between two checks of the store's folder.
    pub(crate) look: Duration,
    /// Starts a thread.
    pub(crate) spawn: fn(Work) -> std::io::Result<()>,
}

/// The work of a thread.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            memory: 128 << 20,
            connections: 512,
            patience: Duration::from_secs(2),
            to_end: Duration::from_secs(1),
            look: Duration::from_secs(1),
            spawn,
        }
    }
}

/// Starts a detached thread.
pub(crate) fn spawn(work: Work) -> std::io::Result<()> {
    std::thread::Builder::new().name("client".to_owned()).spawn(work).map(drop)
}

/// Time limit for sending an answer to a client that does not read.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// Time between two checks for clients that must end.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Answers on a store's socket until it [ends](Self::end) or is dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    shared: Arc<Shared>,
    /// Wakes the listener.
    waker: PipeWriter,
    listening: Option<JoinHandle<()>>,
}

/// What all threads share.
#[derive(Debug)]
struct Shared {
    engine: Arc<Engine>,
    run_for: RunFor,
    folder: File,
    limits: Limits,
    memory: Memory,
    clients: Mutex<Clients>,
    /// Notified when a client is gone.
    left: Condvar,
    /// Where store and socket were when it started.
    presence: Mutex<Presence>,
    /// Why this process does not own the store any more.
    lost: watch::Sender<Option<String>>,
}

#[derive(Debug, Default)]
struct Clients {
    next: u64,
    open: BTreeMap<u64, Connection>,
    /// Whether new clients are refused.
    is_closed: bool,
}

#[derive(Debug)]
struct Connection {
    stream: Arc<UnixStream>,
    /// The request, once it has arrived.
    at_work: Option<AtWork>,
}

/// A running request.
#[derive(Debug, Clone)]
struct AtWork {
    cancel: Cancel,
    client: Client,
    is_cut: Arc<std::sync::atomic::AtomicBool>,
}

/// Starts to answer for the engine's store, which this process owns.
pub(crate) fn serve(engine: &Arc<Engine>, run_for: RunFor) -> std::io::Result<Serving> {
    serve_within(engine, run_for, Limits::default())
}

/// Like [`serve`], with these limits.
pub(crate) fn serve_within(engine: &Arc<Engine>, run_for: RunFor, limits: Limits) -> std::io::Result<Serving> {
    let folder = File::open(engine.store().folder())?;
    // A previous owner is gone: this process holds the lock.
    let listener = bind(&short_path(&folder))?;
    let presence = Presence::of(engine.store(), &folder)?;
    let shared = Arc::new(Shared {
        engine: engine.clone(),
        run_for,
        folder,
        limits,
        memory: Memory::of(limits.memory),
        clients: Mutex::default(),
        left: Condvar::new(),
        presence: Mutex::new(presence),
        lost: watch::Sender::default(),
    });
    let (wake, waker) = std::io::pipe()?;
    let listening = std::thread::Builder::new().name("socket".to_owned()).spawn({
        let shared = shared.clone();
        move || shared.listen(listener, wake)
    })?;
    Ok(Serving { shared, waker, listening: Some(listening) })
}

/// Binds the socket at this path, replacing an existing one.
fn bind(path: &PathBuf) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Serving {
    /// Waits until this process does not own the store any more; returns the reason.
    pub(crate) async fn lost(&self) -> String {
        let mut lost = self.shared.lost.subscribe();
        match lost.wait_for(Option::is_some).await.map(|why| why.clone()) {
            Ok(Some(why)) => why,
            // The sender lives as long as `self`.
            _ => std::future::pending().await,
        }
    }

    /// Why this process does not own the store any more, if so. Looks again: the store may be missed before the next look.
    pub(crate) fn is_lost(&self) -> Option<String> {
        match self.shared.look() {
            Found::Lost(why) => Some(why),
            Found::All | Found::NoSocket => self.shared.lost.borrow().clone(),
        }
    }

    /// Refuses new clients, and waits for running commands. A command that is blocked because its caller does not read or write is
    /// cancelled; if `is_urgent`, all others are after a moment. Returns how many did not end even then: these end with this process.
    pub(crate) fn end(&mut self, is_urgent: impl Fn() -> bool) -> usize {
        let Some(listening) = self.listening.take() else { return 0 };
        self.shared.close();
        // The listener removes the socket, so that clients find no owner; but not a socket that is not ours.
        self.waker.write_all(b"\n").ok();
        listening.join().ok();
        self.shared.until_left(is_urgent)
    }
}

#[cfg(test)]
impl Serving {
    /// The number of clients.
    pub(crate) fn clients(&self) -> usize {
        self.shared.clients().open.len()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end(|| true);
    }
}

impl Shared {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().expect("no panic under this lock")
    }

    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().expect("no panic under this lock")
    }

    /// Whether the store and its socket are in place.
    fn look(&self) -> Found {
        self.presence().look(&self.folder)
    }

    /// Accepts connections until closed; checks that the store and its socket stay in place.
    #[expect(clippy::needless_pass_by_value, reason = "the pipe is closed when the listener ends")]
    fn listen(self: &Arc<Self>, mut listener: UnixListener, wake: PipeReader) {
        let mut looked = Instant::now();
        while !self.clients().is_closed {
            let mut events = [&listener.as_fd(), &wake.as_fd()].map(|fd| PollFd::new(*fd, PollFlags::POLLIN));
            let wait = self.limits.look.saturating_sub(looked.elapsed());
            poll(&mut events, PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO)).ok();
            self.accept(&listener);
            if looked.elapsed() < self.limits.look {
                continue;
            }
            looked = Instant::now();
            match self.look() {
                Found::All => {}
                Found::NoSocket => match bind(&short_path(&self.folder)) {
                    Ok(again) => {
                        tracing::warn!("the store's socket was removed; creating it again");
                        listener = again;
                        self.presence().note_socket(&self.folder);
                    }
                    Err(error) => tracing::warn!("the store's socket was removed and cannot be created again: {error}"),
                },
                Found::Lost(why) => drop(self.lost.send_replace(Some(why))),
            }
        }
        if matches!(self.look(), Found::All) {
            std::fs::remove_file(short_path(&self.folder)).ok();
        }
    }

    /// Accepts all pending connections.
    fn accept(self: &Arc<Self>, listener: &UnixListener) {
        loop {
            match listener.accept() {
                Ok((stream, _)) => self.take(stream),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // For example, there are no descriptors left: other connections will be closed.
                Err(_) => return std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Starts a thread for a connection.
    fn take(self: &Arc<Self>, stream: UnixStream) {
        let Some(uid) = peer(&stream) else { return };
        let stream = Arc::new(stream);
        let Some(number) = self.enter(&stream) else {
            return refuse(&stream, "is running too many commands");
        };
        let leave = Leave { shared: self.clone(), number };
        let attended = stream.clone();
        let work = move || leave.shared.clone().attend(leave, &attended, uid);
        if let Err(error) = (self.limits.spawn)(Box::new(work)) {
            refuse(&stream, &format!("cannot start a thread: {error}"));
        }
    }

    /// Registers a connection; `None` if there are too many. A connection that comes during shutdown is closed.
    fn enter(&self, stream: &Arc<UnixStream>) -> Option<u64> {
        let mut clients = self.clients();
        if clients.open.len() >= self.limits.connections {
            return None;
        }
        let number = clients.next;
        clients.next += 1;
        clients.open.insert(number, Connection { stream: stream.clone(), at_work: None });
        if clients.is_closed {
            stream.shutdown(Shutdown::Both).ok();
        }
        Some(number)
    }

    /// Registers that a request has arrived and runs; false during shutdown.
    fn begin(&self, number: u64, at_work: &AtWork) -> bool {
        let mut clients = self.clients();
        let may = !clients.is_closed;
        if let Some(connection) = clients.open.get_mut(&number).filter(|_| may) {
            connection.at_work = Some(at_work.clone());
        }
        may
    }

    /// Closes all connections whose request has not arrived.
    fn close(&self) {
        let mut clients = self.clients();
        clients.is_closed = true;
        for connection in clients.open.values().filter(|connection| connection.at_work.is_none()) {
            connection.stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Waits until all clients are gone, as [`Serving::end`] describes.
    fn until_left(&self, is_urgent: impl Fn() -> bool) -> usize {
        let Limits { patience, to_end, .. } = self.limits;
        let mut urgent_since = None;
        let mut cut: BTreeMap<u64, Instant> = BTreeMap::new();
        let mut clients = self.clients();
        loop {
            if urgent_since.is_none() && is_urgent() {
                urgent_since = Some(Instant::now());
            }
            let must_end = urgent_since.is_some_and(|since: Instant| since.elapsed() >= patience);
            for (number, connection) in &clients.open {
                let must_end = must_end || connection.at_work.as_ref().is_none_or(|at| at.client.waited() >= patience);
                if must_end && !cut.contains_key(number) {
                    connection.at_work.iter().for_each(AtWork::cut_off);
                    cut.insert(*number, Instant::now());
                }
            }
            let is_left = |number: &u64| cut.get(number).is_some_and(|cut| cut.elapsed() >= to_end);
            if clients.open.keys().all(is_left) {
                return clients.open.len();
            }
            let waited = self.left.wait_timeout(clients, BETWEEN_LOOKS).expect("no panic under this lock");
            clients = waited.0;
        }
    }

    /// Serves one connection.
    #[expect(clippy::needless_pass_by_value, reason = "dropping `leave` takes the client off the list")]
    fn attend(self: Arc<Self>, leave: Leave, stream: &Arc<UnixStream>, uid: u32) {
        stream.set_write_timeout(Some(ANSWER_WAIT)).ok();
        // A request that is incomplete, late or too large is not accepted: nothing was done, and the sender knows.
        let Ok((request, streams, _share)) = receive_request(stream, self.limits.request, &self.memory) else { return };
        stream.set_read_timeout(None).ok();
        let takes_output = matches!(&request, Request::Command { takes_output: true, .. });
        let client = stream.try_clone().map(|stream| Client::at(stream, takes_output));
        let Ok(client) = client else { return refuse(stream, "has no file descriptors left") };
        let at_work = AtWork { cancel: Cancel::default(), client, is_cut: Arc::default() };
        if !self.begin(leave.number, &at_work) || send_taken(stream).is_err() {
            return;
        }
        let answer = match (request, streams) {
            (Request::Publish { change, relied }, _) => self.publish(&change, &relied),
            (Request::Command { argv, cwd, env, .. }, Some(streams)) => {
                let env = Environment::new(env);
                let AtWork { cancel, client, .. } = at_work.clone();
                let files = Files::of_process_in(cwd.clone());
                let invocation = Invocation { streams, cwd, env, uid, cancel, client, files };
                self.command(invocation, &argv, stream, &at_work)
            }
            (Request::Command { .. }, None) => error("the command came without its streams", None),
        };
        self.engine.look_again();
        let sent = match answer {
            Answer::Exit(exit_code) if takes_output => send_printed(stream, exit_code, &at_work.client.take_kept()),
            answer => send_answer(stream, &answer),
        };
        // The client may be gone, or not reading.
        sent.ok();
        stream.shutdown(Shutdown::Both).ok();
    }

    fn publish(&self, change: &Change, relied: &[PackName]) -> Answer {
        let published = catch_unwind(AssertUnwindSafe(|| self.engine.store().publish_for_other(change, relied)));
        match published {
            Ok(Ok(())) => Answer::Published,
            Ok(Err(RepoError::Unsure { why, .. })) => Answer::Unsure(why),
            Ok(Err(error)) => Answer::Error {
                kind: error.kind(),
                message: error.to_string(),
                hint: error.hint(),
                race: Store::is_race(&error),
                collected: Store::is_collected(&error),
            },
            Err(panic) => Answer::Unsure(panicked(&*panic)),
        }
    }

    fn command(&self, invocation: Invocation, argv: &[OsString], stream: &Arc<UnixStream>, at: &AtWork) -> Answer {
        let watched = (self.limits.spawn)(Box::new({
            let (stream, cancel) = (stream.clone(), at.cancel.clone());
            move || cancel_at_end(&stream, &cancel)
        }));
        if let Err(error) = watched {
            return refused(&format!("cannot start a thread: {error}"));
        }
        let engine = self.engine.clone();
        let ended = catch_unwind(AssertUnwindSafe(|| (self.run_for.run)(invocation, argv, engine)));
        let is_cut = at.is_cut.load(std::sync::atomic::Ordering::Relaxed);
        match ended {
            Ok(None) => Answer::GoOn,
            // It was cancelled because this process ends, not by its user.
            Ok(Some(1..)) if is_cut && (self.run_for.only_reads)(argv) && !at.client.has_begun() => Answer::GoOn,
            // Its own message was not printed.
            Ok(Some(1..)) if is_cut => error(
                "the process that owns the store ended before this command did",
                Some("repeat the command: its output was not read, or it took too long"),
            ),
            Ok(Some(exit_code)) => Answer::Exit(exit_code),
            Err(panic) => error(
                &panicked(&*panic),
                Some("this is a bug in pv, please report it; check the current state before you repeat the command"),
            ),
        }
    }
}

impl AtWork {
    /// Cancels a command that waits for its caller, or takes too long.
    fn cut_off(&self) {
        self.is_cut.store(true, std::sync::atomic::Ordering::Relaxed);
        self.cancel.ask();
    }
}

/// Unregisters a connection when its thread ends, for whatever reason.
struct Leave {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.shared.clients().open.remove(&self.number);
        self.shared.left.notify_all();
    }
}

fn error(message: &str, hint: Option<&str>) -> Answer {
    let (message, hint) = (message.to_owned(), hint.map(str::to_owned));
    Answer::Error { kind: ErrorKind::Unavailable, message, hint, race: false, collected: false }
}

fn refused(why: &str) -> Answer {
    error(
        &format!("the process that owns the store {why}; nothing was done"),
        Some("repeat the command a little later"),
    )
}

/// Refuses a request before reading it.
fn refuse(stream: &UnixStream, why: &str) {
    stream.set_write_timeout(Some(ANSWER_WAIT)).ok();
    send_taken(stream).and_then(|()| send_answer(stream, &refused(why))).ok();
}

/// The message for a panic.
fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("no message");
    format!("the command panicked in the process that owns the store: {text}; it is not known what was done")
}

/// The user at the other end, if it may be answered: this process's user, or root.
fn peer(stream: &UnixStream) -> Option<u32> {
    let uid = rustix::net::sockopt::socket_peercred(stream).ok()?.uid;
    (uid == rustix::process::getuid() || uid.is_root()).then(|| uid.as_raw())
}

/// Nothing is sent after the request, so the end of this read means that the connection is closed.
fn cancel_at_end(mut stream: &UnixStream, cancel: &Cancel) {
    while matches!(stream.read(&mut [0; 64]), Ok(1..)) {}
    cancel.ask();
}
