//! Whether the caller still wants the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use nix::sys::signal::Signal;
use tokio::sync::watch;

/// Cancellation requests, by signals or by the end of a connection. Clones share their state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of requests.
    asked: watch::Sender<u32>,
    /// How many requests the command handles itself.
    heeded: AtomicU32,
    /// Number of the last signal; 0 for none.
    signal: AtomicI32,
}

impl Cancel {
    /// Asks the command to end, because the caller is gone.
    pub(crate) fn ask(&self) {
        self.state.asked.send_modify(|times| *times += 1);
    }

    /// Asks the command to end because of a signal; false if the command does not check this, so it must be ended from outside.
    pub(crate) fn ask_by(&self, signal: Signal) -> bool {
        self.state.signal.store(signal as i32, Ordering::Relaxed);
        self.ask();
        *self.state.asked.borrow() <= self.state.heeded.load(Ordering::Relaxed)
    }

    /// Whether the command should end.
    pub(crate) fn is_asked(&self) -> bool {
        *self.state.asked.borrow() > 0
    }

    /// Whether it should end at once, without further output.
    pub(crate) fn is_urgent(&self) -> bool {
        *self.state.asked.borrow() >= self.state.heeded.load(Ordering::Relaxed).max(1)
    }

    /// Waits for this many requests.
    pub(crate) async fn asked(&self, times: u32) {
        // The sender lives as long as `self`.
        self.state.asked.subscribe().wait_for(|asked| *asked >= times).await.ok();
    }

    /// From now on the command handles this many requests itself, and is not ended from outside before.
    pub(crate) fn heed(&self, times: u32) -> &Self {
        self.state.heeded.fetch_max(times, Ordering::Relaxed);
        self
    }

    /// Marks a signal as handled: the command ended cleanly, so the signal is not a failure.
    pub(crate) fn obeyed(&self, signal: Signal) {
        let (signal, none) = (signal as i32, 0);
        // If another signal came later, it counts.
        self.state.signal.compare_exchange(signal, none, Ordering::Relaxed, Ordering::Relaxed).ok();
    }

    /// The exit code for the signal that ended the command.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        match self.state.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => u8::try_from(128 + signal).ok(),
        }
    }
}
