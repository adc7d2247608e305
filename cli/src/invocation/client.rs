//! The client process, as seen by the process that runs its command.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use repos::access::Access;
use repos::files::{GetItem, Got};
use tokio::sync::{mpsc, oneshot};

use super::files::Part;

/// The process that handed its command over, or none if the command runs for its own process. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    other: Option<Arc<Other>>,
}

#[derive(Debug)]
struct Other {
    line: Line,
    state: Mutex<State>,
}

/// How the client is reached.
#[derive(Debug)]
enum Line {
    /// A process of this machine.
    Socket { stream: UnixStream, takes_output: bool },
    /// A process of another machine.
    Far(Far),
}

/// A client on another machine.
pub(crate) struct Far {
    /// Whether a user types its standard input.
    pub(crate) types: bool,
    /// Asks for input, of which a bounded amount is sent then.
    pub(crate) want: Box<dyn Fn() + Send + Sync>,
    /// Whether the client has ended its input; otherwise the end of the stream only means that the client is gone.
    pub(crate) input_ended: Arc<AtomicBool>,
    /// What the client is to do while the command runs.
    pub(crate) orders: mpsc::Sender<Order>,
    /// Who it is.
    pub(crate) caller: Caller,
}

/// Who a client on another machine is, by its token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Its name, and what it may see and do.
    pub(crate) access: Access,
    /// Where it is, for the audit log.
    pub(crate) address: String,
    /// The number of the request.
    pub(crate) request: String,
    /// Whether it is kept what it reads.
    pub(crate) keeps_reads: bool,
    /// When it ends, if it does.
    pub(crate) expires_at: Option<repos::Timestamp>,
}

/// A file for a client on another machine to write.
#[derive(Debug)]
pub(crate) struct FileToWrite {
    /// Its path: one that the command line names, or below one.
    pub(crate) path: PathBuf,
    /// Its bytes, from the current position on.
    pub(crate) bytes: File,
    /// Gets what became of it.
    pub(crate) done: oneshot::Sender<std::io::Result<()>>,
}

/// Something that a client on another machine is to do.
#[derive(Debug)]
pub(crate) enum Order {
    Write(FileToWrite),
    /// Send what a part of the command line names; gets a message about it, of the command's own form.
    Upload(Part, oneshot::Sender<Vec<u8>>),
    Get(GetOrder),
}

/// Files for a client on another machine to get.
#[derive(Debug)]
pub(crate) struct GetOrder {
    pub(crate) items: Vec<GetItem>,
    /// Whether to replace what is in the way.
    pub(crate) force: bool,
    pub(crate) done: oneshot::Sender<Got>,
}

impl Far {
    fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> std::io::Result<T> {
        let (done, is_done) = oneshot::channel();
        let gone = || std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
        self.orders.blocking_send(order(done)).map_err(|_| gone())?;
        is_done.blocking_recv().map_err(|_| gone())
    }

    /// Has the client send what a part of the command line names; returns its message about it.
    pub(crate) fn upload(&self, part: Part) -> std::io::Result<Vec<u8>> {
        self.order(|done| Order::Upload(part, done))
    }

    /// Has the client get files.
    pub(crate) fn get(&self, items: Vec<GetItem>, force: bool) -> std::io::Result<Got> {
        self.order(|done| Order::Get(GetOrder { items, force, done }))
    }

    /// Has the client write a file, which replaces an existing one; waits until it is written.
    pub(crate) fn write(&self, path: &Path, bytes: File) -> std::io::Result<()> {
        self.order(|done| Order::Write(FileToWrite { path: path.to_owned(), bytes, done }))?
    }
}

impl fmt::Debug for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Far").field("caller", &self.caller).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    /// Whether any output has been written to its streams.
    has_begun: bool,
    /// Output that is sent with the answer: stdout and stderr.
    held: Option<[Vec<u8>; 2]>,
    /// How many threads wait for the client's streams, and since when.
    waiting: u32,
    since: Option<Instant>,
}

/// Marks that a thread waits for a client's streams, until dropped.
#[derive(Debug)]
pub(crate) struct Waits<'a> {
    client: &'a Client,
}

/// Tells a client that output was written to its streams: white space before the answer, so that other readers ignore it.
pub(crate) const BEGUN: u8 = b' ';

impl Client {
    /// The process at the other end of a connection; `takes_output`: whether it accepts a command's output with the answer.
    pub(crate) fn at(stream: UnixStream, takes_output: bool) -> Self {
        Self::on(Line::Socket { stream, takes_output })
    }

    /// A process of another machine.
    pub(crate) fn far(far: Far) -> Self {
        Self::on(Line::Far(far))
    }

    fn on(line: Line) -> Self {
        Self { other: Some(Arc::new(Other { line, state: Mutex::default() })) }
    }

    /// The client, if it is on another machine.
    pub(crate) fn is_far(&self) -> Option<&Far> {
        match &self.other.as_ref()?.line {
            Line::Far(far) => Some(far),
            Line::Socket { .. } => None,
        }
    }

    /// Whether a user on another machine types the standard input.
    pub(crate) fn types(&self) -> bool {
        self.is_far().is_some_and(|far| far.types)
    }

    /// Whether the end of the input is missing, so that what was read may be a part.
    pub(crate) fn is_input_cut(&self) -> bool {
        self.is_far().is_some_and(|far| !far.input_ended.load(Ordering::SeqCst))
    }

    /// Asks a client on another machine for input; for others, the stream itself is at hand.
    pub(crate) fn wants_input(&self) {
        if let Some(far) = self.is_far() {
            (far.want)();
        }
    }

    /// Whether it accepts a command's output with the answer.
    pub(crate) fn takes_output(&self) -> bool {
        let line = self.other.as_ref().map(|other| &other.line);
        matches!(line, Some(Line::Socket { takes_output: true, .. }))
    }

    /// Sends these bytes of stdout and stderr with the answer.
    pub(crate) fn keep(&self, stdout: Vec<u8>, stderr: Vec<u8>) {
        if let Some(other) = &self.other {
            other.state().held = Some([stdout, stderr]);
        }
    }

    /// The output that is sent with the answer.
    pub(crate) fn take_kept(&self) -> [Vec<u8>; 2] {
        self.other.as_ref().and_then(|other| other.state().held.take()).unwrap_or_default()
    }

    /// Whether the command runs for another process.
    pub(crate) fn is_other(&self) -> bool {
        self.other.is_some()
    }

    /// Tells the client that output begins: from now on the command cannot be repeated transparently.
    pub(crate) fn begins(&self) {
        let Some(other) = &self.other else { return };
        if !std::mem::replace(&mut other.state().has_begun, true) {
            // A single byte: if it cannot be sent, the client is gone. One on another machine sees by itself what it got.
            if let Line::Socket { stream, .. } = &other.line {
                (&*stream).write_all(&[BEGUN]).ok();
            }
        }
    }

    /// Whether any output has been written to its streams.
    pub(crate) fn has_begun(&self) -> bool {
        self.other.as_ref().is_some_and(|other| other.state().has_begun)
    }

    /// Marks this thread as waiting for the client's streams, until the value is dropped.
    pub(crate) fn waits(&self) -> Waits<'_> {
        if let Some(other) = &self.other {
            let mut state = other.state();
            state.waiting += 1;
            state.since.get_or_insert_with(Instant::now);
        }
        Waits { client: self }
    }

    /// How long the command has been waiting for its client's streams.
    pub(crate) fn waited(&self) -> Duration {
        let since = self.other.as_ref().and_then(|other| other.state().since);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Other {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let Some(other) = &self.client.other else { return };
        let mut state = other.state();
        state.waiting -= 1;
        if state.waiting == 0 {
            state.since = None;
        }
    }
}
