//! The client's side of a command: sends it, prints what comes back, and hands on input, signals and the size of the terminal.
//!
//! A lost connection is judged as with the store's socket ([`Repeat`]): what may be repeated is, for a while; of all else the error says
//! that it is not known what was done.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc as threads;
use std::time::Duration;

use bytes::Bytes;
use dial::{COMMANDS, Socket, connect};
use futures_util::{SinkExt, StreamExt};
use repos::RepoError;
use repos::files::{GetItem, Got};
use repos::tree::FileEntry;
use specs::ErrorKind;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::incoming::Fetches;
pub(crate) use super::incoming::Incoming;
pub(crate) use super::outgoing::Outgoing;
use super::patience::Patience;
pub(crate) use super::printing::Writes;
use super::printing::{Print, Printed, Printer};
use super::protocol::{
    Hello, ItemSent, Malformed, OutputStream, PROTOCOL, Start, Terminals, ToClient, ToServer, VARIABLES, WINDOW,
    items_of, notes_to_bytes,
};
use super::servers::Server;
use super::typed::Typed;
use crate::error::{CliError, Done, Result};
use crate::invocation::files::Notes;
use crate::invocation::{Cancel, Invocation, Part};
use crate::socket::Repeat;

/// How long the server may be silent: it greets, and then sends a sign of life every 15 seconds.
const SILENCE: Duration = Duration::from_mins(1);
/// How long a command may take to end after a signal.
const TO_END: Duration = Duration::from_secs(15);
/// Most bytes of output that are held until the command has ended, so that it can be repeated.
const HELD: usize = 256 << 10;

/// A command for a server.
pub(crate) struct Call<'a> {
    pub(crate) local: Arc<dyn Local>,
    pub(crate) argv: &'a [OsString],
    /// The author of changes, unless the arguments name one.
    pub(crate) author: String,
    /// What it reads from this machine.
    pub(crate) notes: Notes,
    /// What it may write on this machine.
    pub(crate) writes: Writes,
    pub(crate) repeat: Repeat,
    /// Whether its output may be printed all at once when it ends.
    pub(crate) is_held: bool,
}

/// What the command does on this machine while it runs in the server.
pub(crate) trait Local: Send + Sync {
    /// Sends what a part of the command line names to the store with this id; returns a message about it for the server's half.
    fn upload(&self, part: Part, store: &str, to: Outgoing) -> Result<Vec<u8>>;

    /// The command has succeeded.
    fn succeeded(&self);

    /// Whether that reads standard input, so that it cannot be repeated.
    fn uploads_stdin(&self) -> bool;

    /// Writes files.
    fn get(&self, items: Vec<GetItem>, force: bool, from: &Incoming) -> Result<Got>;
}

/// What is done once a command has succeeded.
pub(crate) type Remember = Box<dyn FnOnce() + Send>;

/// What was done on this machine.
enum Finished {
    Uploaded(Result<Vec<u8>>),
    Got(Result<Got>),
}

/// Orders of the server, as they are done.
struct Doing {
    finished: mpsc::UnboundedReceiver<Finished>,
    tell: mpsc::UnboundedSender<Finished>,
    /// Gets answers about content.
    answers: Option<threads::Sender<ToClient>>,
    fetches: Fetches,
    items: Vec<GetItem>,
    /// Whether the command may have changed something: not while it waits for what it is to change.
    may_have_run: bool,
}

impl Doing {
    fn new() -> Self {
        let (tell, finished) = mpsc::unbounded_channel();
        Self { finished, tell, answers: None, fetches: Fetches::default(), items: Vec::new(), may_have_run: true }
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.fetches.end();
    }
}

/// How one attempt to run a command ended.
enum Attempt {
    Exit(u8),
    /// The server ended, or the connection did.
    Lost {
        may_have_run: bool,
    },
}

/// Runs a command in a server; returns its exit code.
pub(crate) fn run(server: &Server, invocation: &Invocation, call: Call<'_>) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::io("cannot start the asynchronous runtime", &error))?;
    let printer = Printer::start(invocation, call.writes.clone())
        .map_err(|error| CliError::io("cannot start a thread", &error))?;
    let mut client = Remote {
        server,
        cancel: invocation.cancel.clone(),
        start: Box::new(start_of(invocation, &call)),
        attached: if call.notes.is_empty() { Bytes::new() } else { notes_to_bytes(call.notes).into() },
        local: call.local,
        typed: Typed::new(invocation),
        printer,
        held: (call.is_held && !rustix::termios::isatty(&invocation.streams.stderr)).then(Vec::new),
        is_held: 0,
        is_used: false,
    };
    runtime.block_on(client.until_ended(call.repeat))
}

/// The command as it is sent.
fn start_of(invocation: &Invocation, call: &Call<'_>) -> Start {
    let env = &invocation.env;
    let given = VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), env.raw(name)?.to_owned())));
    let mut given: Vec<(String, String)> = given.filter(|(name, _)| name != "PV_AUTHOR").collect();
    given.push(("PV_AUTHOR".to_owned(), call.author.clone()));
    Start {
        argv: call.argv.to_vec(),
        cwd: invocation.cwd.clone().into_os_string(),
        env: given,
        terminals: terminals(invocation),
    }
}

fn terminals(invocation: &Invocation) -> Terminals {
    let streams = &invocation.streams;
    let is_terminal = |stream: &std::fs::File| rustix::termios::isatty(stream);
    let (columns, rows) = size(invocation).unwrap_or_default();
    Terminals {
        stdin: is_terminal(&streams.stdin),
        stdout: is_terminal(&streams.stdout),
        stderr: is_terminal(&streams.stderr),
        columns,
        rows,
    }
}

/// The size of the terminal that output goes to.
fn size(invocation: &Invocation) -> Option<(u16, u16)> {
    let streams = &invocation.streams;
    let of = |stream: &std::fs::File| rustix::termios::tcgetwinsize(stream.as_fd()).ok();
    let size = of(&streams.stdout).or_else(|| of(&streams.stderr))?;
    Some((size.ws_col, size.ws_row))
}

/// A command in a server.
struct Remote<'a> {
    server: &'a Server,
    cancel: Cancel,
    start: Box<Start>,
    attached: Bytes,
    local: Arc<dyn Local>,
    typed: Typed,
    printer: Printer,
    /// Output that is printed when the command has ended; `None` if it is printed as it comes.
    held: Option<Vec<(OutputStream, Bytes)>>,
    is_held: usize,
    /// Whether something was printed, written, or read from standard input.
    is_used: bool,
}

impl Remote<'_> {
    /// Runs the command, again if it may be.
    async fn until_ended(&mut self, repeat: Repeat) -> Result<u8> {
        let mut patience = Patience::default();
        loop {
            let attempt = match connect(self.server, COMMANDS).await {
                Ok(socket) => {
                    patience.was_there = true;
                    self.attempt(socket).await?
                }
                Err(none) if patience.allows(none.again) => Attempt::Lost { may_have_run: false },
                Err(none) => return Err(none.error.into()),
            };
            let may_have_run = match attempt {
                Attempt::Exit(exit_code) => return Ok(exit_code),
                Attempt::Lost { may_have_run } => may_have_run,
            };
            let may_repeat = match repeat {
                Repeat::Always => true,
                Repeat::Unprinted => !self.is_used,
                Repeat::Never => !may_have_run && !self.is_used,
            };
            if !may_repeat || patience.is_over() {
                return Err(self.lost(repeat, may_have_run));
            }
            self.held = self.held.take().map(|_| Vec::new());
            self.is_held = 0;
            tokio::select! {
                () = tokio::time::sleep(patience.pause()) => {}
                () = self.cancel.asked(1) => return Err(CliError::Cancelled),
            }
        }
    }

    /// The error that the connection was lost.
    fn lost(&self, repeat: Repeat, may_have_run: bool) -> CliError {
        let what = format!("the connection to the server at {} was lost before the command ended", self.server.place);
        let error = CliError::new(ErrorKind::Unavailable, what);
        match repeat {
            Repeat::Always | Repeat::Unprinted => error.hint("repeat the command: its output is incomplete"),
            Repeat::Never if !may_have_run => error.hint("repeat the command").done(Done::Nothing),
            Repeat::Never => error.hint("check the current state, then repeat the command").done(Done::NotKnown),
        }
    }

    /// Runs the command on one connection.
    async fn attempt(&mut self, socket: Socket) -> Result<Attempt> {
        let (mut sink, mut stream) = socket.split();
        let (to, mut outgoing) = mpsc::channel::<Bytes>(16);
        let sending = tokio::spawn(async move {
            while let Some(message) = outgoing.recv().await {
                if sink.send(Message::Binary(message)).await.is_err() {
                    return;
                }
            }
            sink.close().await.ok();
        });
        let done = self.converse(&to, &mut stream).await;
        drop(to);
        // The server gets what was sent last, if it is there.
        tokio::time::timeout(Duration::from_secs(1), sending).await.ok();
        done
    }

    async fn converse(
        &mut self,
        to: &mpsc::Sender<Bytes>,
        stream: &mut futures_util::stream::SplitStream<Socket>,
    ) -> Result<Attempt> {
        let is_sent = self.send(to).await;
        let Some(first) = next(stream).await else { return Ok(Attempt::Lost { may_have_run: is_sent }) };
        let hello = Hello::of(&first).ok_or_else(|| self.odd())?;
        if hello.protocol != PROTOCOL {
            return Err(self.other_protocol(&hello));
        }
        // From now on a signal is for the command.
        self.cancel.heed(1);
        let mut windows = signal(SignalKind::window_change()).ok();
        let mut told_at = None;
        let mut doing = Doing::new();
        loop {
            tokio::select! {
                message = next(stream) => {
                    let may_have_run = is_sent && doing.may_have_run;
                    let Some(message) = message else { return Ok(Attempt::Lost { may_have_run }) };
                    let message = ToClient::of(&message).map_err(|Malformed| self.odd())?;
                    if let Some(attempt) = self.hear(message, to, &mut doing).await? {
                        return Ok(attempt);
                    }
                }
                Some(printed) = self.printer.printed.recv() => self.tell(printed, to).await?,
                Some(finished) = doing.finished.recv() => {
                    if self.finish(finished, to, &mut doing).await?.is_none() {
                        return Ok(Attempt::Lost { may_have_run: false });
                    }
                }
                Some(typed) = self.typed.read.recv() => {
                    let message = if typed.is_empty() { ToServer::InputEnd } else { ToServer::Input(typed) };
                    to.send(message.to_bytes()).await.ok();
                }
                () = changed(&mut windows) => {
                    if let Some((columns, rows)) = self.printer.size() {
                        to.send(ToServer::Resize(columns, rows).to_bytes()).await.ok();
                    }
                }
                () = self.cancel.asked(1), if told_at.is_none() => {
                    told_at = Some(tokio::time::Instant::now());
                    let number = self.cancel.exit_code().map_or(2, |code| i32::from(code) - 128);
                    to.send(ToServer::Signal(number).to_bytes()).await.ok();
                }
                () = after(told_at) => return Err(CliError::Cancelled),
            }
        }
    }

    /// Sends the command; whether all of it was sent.
    async fn send(&self, to: &mpsc::Sender<Bytes>) -> bool {
        let mut all = vec![Hello::own().to_bytes()];
        let mut rest = self.attached.clone();
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(WINDOW));
            all.push(ToServer::Attached(piece).to_bytes());
        }
        all.push(ToServer::Start(self.start.clone()).to_bytes());
        for message in all {
            if to.send(message).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Handles a message of the server; returns how the command ended, if it did.
    async fn hear(
        &mut self,
        message: ToClient,
        to: &mpsc::Sender<Bytes>,
        doing: &mut Doing,
    ) -> Result<Option<Attempt>> {
        match message {
            ToClient::Upload { store, part } => self.upload(part, store, to, doing).await?,
            ToClient::Missing(_) | ToClient::Received | ToClient::ObjectsFailed { .. } => {
                // Without a thread that asked, the server talks nonsense.
                let answers = doing.answers.as_ref().ok_or_else(|| self.odd())?;
                answers.send(message).ok();
            }
            ToClient::Items(bytes) => {
                let items = items_of(&bytes).map_err(|Malformed| self.odd())?;
                doing.items.extend(items.into_iter().map(item));
            }
            ToClient::Get { force } => self.get(force, to, doing).await?,
            ToClient::Fetched(id, bytes) => {
                let length = bytes.len();
                if !doing.fetches.hand_on(id, Ok(Some(bytes))) {
                    self.tell(Printed::Took(length), to).await?;
                }
            }
            ToClient::FetchEnd(id) => drop(doing.fetches.hand_on(id, Ok(None))),
            ToClient::FetchFailed { id, kind, message, hint } => {
                let error = RepoError::Remote { kind, message, hint, race: false, collected: false };
                doing.fetches.hand_on(id, Err(error));
            }
            ToClient::Taken => {}
            ToClient::Want => {
                self.is_used = true;
                self.typed.want();
            }
            ToClient::Output(stream, bytes) => self.output(stream, bytes, to).await?,
            ToClient::File(path) => self.print(Print::File(path.into())),
            ToClient::FileBytes(bytes) => self.print(Print::FileBytes(bytes)),
            ToClient::FileEnd => self.print(Print::FileEnd),
            ToClient::Exit(exit_code) => {
                self.release();
                self.until_printed().await?;
                if exit_code == 0 {
                    self.local.succeeded();
                }
                return Ok(Some(Attempt::Exit(exit_code)));
            }
            ToClient::Leaving => return Ok(Some(Attempt::Lost { may_have_run: false })),
            ToClient::Failed { kind, message, hint, nothing_done } => {
                self.release();
                self.until_printed().await?;
                let error = CliError::new(kind, message);
                let error = hint.into_iter().fold(error, super::super::error::CliError::hint);
                return Err(if nothing_done { error } else { error.done(Done::NotKnown) });
            }
        }
        Ok(None)
    }

    /// Sends what a part of the command line names, in a thread of its own.
    async fn upload(&mut self, part: Part, store: String, to: &mpsc::Sender<Bytes>, doing: &mut Doing) -> Result<()> {
        self.release();
        self.until_printed().await?;
        doing.may_have_run = false;
        self.is_used |= self.local.uploads_stdin();
        let (sender, answers) = threads::channel();
        doing.answers = Some(sender);
        let (local, outgoing, tell) = (self.local.clone(), Outgoing::new(to.clone(), answers), doing.tell.clone());
        let work = move || drop(tell.send(Finished::Uploaded(local.upload(part, &store, outgoing))));
        spawn(work)
    }

    /// Gets the files that the server named, in a thread of its own.
    async fn get(&mut self, force: bool, to: &mpsc::Sender<Bytes>, doing: &mut Doing) -> Result<()> {
        self.release();
        self.until_printed().await?;
        self.is_used = true;
        let items = std::mem::take(&mut doing.items);
        let (local, incoming) = (self.local.clone(), Incoming::new(to.clone(), doing.fetches.clone()));
        let tell = doing.tell.clone();
        spawn(move || drop(tell.send(Finished::Got(local.get(items, force, &incoming)))))
    }

    /// Tells the server what was done here; `None` if the connection was lost meanwhile.
    async fn finish(&self, finished: Finished, to: &mpsc::Sender<Bytes>, doing: &mut Doing) -> Result<Option<()>> {
        let mut messages = Vec::new();
        match finished {
            Finished::Uploaded(Ok(listing)) => {
                doing.may_have_run = true;
                doing.answers = None;
                messages.extend(listing.chunks(WINDOW).map(|piece| ToServer::Attached(Bytes::copy_from_slice(piece))));
                messages.push(ToServer::Uploaded);
            }
            Finished::Got(Ok(Got { files, size_bytes, written, removed })) => {
                messages.push(ToServer::Got { files, size_bytes, written, removed });
            }
            Finished::Uploaded(Err(error)) | Finished::Got(Err(error)) if to.is_closed() => {
                tracing::debug!("the connection was lost: {error:?}");
                return Ok(None);
            }
            Finished::Uploaded(Err(error)) | Finished::Got(Err(error)) => return Err(error),
        }
        for message in messages {
            to.send(message.to_bytes()).await.ok();
        }
        Ok(Some(()))
    }

    fn print(&mut self, what: Print) {
        self.is_used = true;
        self.printer.print(what);
    }

    /// Prints output, or holds it.
    async fn output(&mut self, stream: OutputStream, bytes: Bytes, to: &mpsc::Sender<Bytes>) -> Result<()> {
        let length = bytes.len();
        match &mut self.held {
            Some(held) if self.is_held + length <= HELD => {
                self.is_held += length;
                held.push((stream, bytes));
                self.tell(Printed::Took(length), to).await
            }
            _ => {
                self.release();
                self.print(Print::Output(stream, bytes, true));
                Ok(())
            }
        }
    }

    /// Prints what is held, and from now on all as it comes.
    fn release(&mut self) {
        for (stream, bytes) in self.held.take().into_iter().flatten() {
            self.print(Print::Output(stream, bytes, false));
        }
    }

    /// Tells the server what was printed.
    async fn tell(&self, printed: Printed, to: &mpsc::Sender<Bytes>) -> Result<()> {
        let message = match printed {
            Printed::Took(bytes) => ToServer::Took(u32::try_from(bytes).unwrap_or(u32::MAX)),
            Printed::Closed(stream) => ToServer::Closed(stream),
            Printed::Written(done) => ToServer::Written(done),
            Printed::Failed(error) => return Err(CliError::io("cannot write the output", &error)),
            Printed::All => return Ok(()),
        };
        // The next read notices if the connection is lost.
        to.send(message.to_bytes()).await.ok();
        Ok(())
    }

    /// Waits until all output is written.
    async fn until_printed(&mut self) -> Result<()> {
        self.printer.print(Print::Sync);
        while let Some(printed) = self.printer.printed.recv().await {
            match printed {
                Printed::All => break,
                Printed::Failed(error) => return Err(CliError::io("cannot write the output", &error)),
                Printed::Took(_) | Printed::Closed(_) | Printed::Written(_) => {}
            }
        }
        Ok(())
    }

    fn odd(&self) -> CliError {
        let what = format!("the server at {} does not answer as a pv server does", self.server.place);
        CliError::new(ErrorKind::Unavailable, what).hint("check the URL; a proxy may be in between")
    }

    fn other_protocol(&self, hello: &Hello) -> CliError {
        let own = Hello::own();
        let what = format!(
            "the server at {} speaks protocol {} (pv {}), this pv speaks {} (pv {})",
            self.server.place, hello.protocol, hello.version, own.protocol, own.version
        );
        let older = if hello.protocol < own.protocol { "the server" } else { "this pv" };
        CliError::new(ErrorKind::Unavailable, what).hint(format!("update {older}"))
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let spawned = std::thread::Builder::new().name("local".to_owned()).spawn(work);
    spawned.map(drop).map_err(|error| CliError::io("cannot start a thread", &error))
}

fn item(sent: ItemSent) -> GetItem {
    let ItemSent { path, digest, size, executable } = sent;
    GetItem { path, file: FileEntry { digest, size, executable } }
}

/// The next message of a server; `None` if the connection is lost.
async fn next(stream: &mut futures_util::stream::SplitStream<Socket>) -> Option<Bytes> {
    loop {
        match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(Some(Ok(Message::Binary(bytes)))) => return Some(bytes),
            // Signs of life; the library answers them.
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(Some(Ok(_) | Err(_)) | None) | Err(_) => return None,
        }
    }
}

/// Waits for a change of the terminal's size.
async fn changed(windows: &mut Option<tokio::signal::unix::Signal>) {
    match windows {
        Some(windows) => drop(windows.recv().await),
        None => std::future::pending().await,
    }
}

/// Waits until the command had time to end.
async fn after(told_at: Option<tokio::time::Instant>) {
    match told_at {
        Some(told_at) => tokio::time::sleep_until(told_at + TO_END).await,
        None => std::future::pending().await,
    }
}
