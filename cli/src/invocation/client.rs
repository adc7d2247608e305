//! The client process, as seen by the process that runs its command.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The process that handed its command over, or none if the command runs for its own process. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    other: Option<Arc<Other>>,
}

#[derive(Debug)]
struct Other {
    stream: UnixStream,
    takes_output: bool,
    state: Mutex<State>,
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
        Self { other: Some(Arc::new(Other { stream, takes_output, state: Mutex::default() })) }
    }

    /// Whether it accepts a command's output with the answer.
    pub(crate) fn takes_output(&self) -> bool {
        self.other.as_ref().is_some_and(|other| other.takes_output)
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
            // A single byte: if it cannot be sent, the client is gone.
            (&other.stream).write_all(&[BEGUN]).ok();
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
