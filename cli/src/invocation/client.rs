//! The process that was called, as the one that works for it sees it.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The process that handed its command over, or none: then the command runs for its own process. Clones share it.
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
    /// Whether something of the command's output has gone to its streams.
    has_begun: bool,
    /// Output that is sent with the answer: stdout and stderr.
    held: Option<[Vec<u8>; 2]>,
    /// How many threads wait for the client to read or write its streams, and since when one does.
    waiting: u32,
    since: Option<Instant>,
}

/// That a thread waits for a client's streams.
#[derive(Debug)]
pub(crate) struct Waits<'a> {
    client: &'a Client,
}

/// Tells a client that its streams have received something: white space before the answer, so that other readers ignore it.
pub(crate) const BEGUN: u8 = b' ';

impl Client {
    /// The process at the other end of a connection; `takes_output`: whether it takes what a command prints with the answer.
    pub(crate) fn at(stream: UnixStream, takes_output: bool) -> Self {
        Self { other: Some(Arc::new(Other { stream, takes_output, state: Mutex::default() })) }
    }

    /// Whether it takes what a command prints with the answer.
    pub(crate) fn takes_output(&self) -> bool {
        self.other.as_ref().is_some_and(|other| other.takes_output)
    }

    /// Has these bytes of stdout and stderr go out with the answer.
    pub(crate) fn keep(&self, stdout: Vec<u8>, stderr: Vec<u8>) {
        if let Some(other) = &self.other {
            other.state().held = Some([stdout, stderr]);
        }
    }

    /// The output that is sent with the answer.
    pub(crate) fn take_kept(&self) -> [Vec<u8>; 2] {
        self.other.as_ref().and_then(|other| other.state().held.take()).unwrap_or_default()
    }

    /// Whether a command works for another process.
    pub(crate) fn is_other(&self) -> bool {
        self.other.is_some()
    }

    /// Says that its streams are getting something: from here on the command cannot be done again as if nothing had been printed.
    pub(crate) fn begins(&self) {
        let Some(other) = &self.other else { return };
        if !std::mem::replace(&mut other.state().has_begun, true) {
            // It is one byte: if that cannot be sent, nobody is there.
            (&other.stream).write_all(&[BEGUN]).ok();
        }
    }

    /// Whether its streams have got something.
    pub(crate) fn has_begun(&self) -> bool {
        self.other.as_ref().is_some_and(|other| other.state().has_begun)
    }

    /// Notes that this thread waits for its streams, until the value is dropped.
    pub(crate) fn waits(&self) -> Waits<'_> {
        if let Some(other) = &self.other {
            let mut state = other.state();
            state.waiting += 1;
            state.since.get_or_insert_with(Instant::now);
        }
        Waits { client: self }
    }

    /// For how long the command has been waiting for its streams.
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
