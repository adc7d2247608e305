//! Whether the caller still wants the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use nix::sys::signal::Signal;
use tokio::sync::watch;

/// Asked for by a signal or by the end of a connection, once or more often. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often it was asked for.
    asked: watch::Sender<u32>,
    /// How many of these requests the command handles itself.
    heeded: AtomicU32,
    /// Number of the last signal; 0 for none.
    signal: AtomicI32,
}

impl Cancel {
    /// Asks the command to end, because nobody waits for it any more.
    pub(crate) fn ask(&self) {
        self.state.asked.send_modify(|times| *times += 1);
    }

    /// Asks the command to end, because of a signal; false when it does not look at that, and so has to be ended from outside.
    pub(crate) fn ask_by(&self, signal: Signal) -> bool {
        self.state.signal.store(signal as i32, Ordering::Relaxed);
        self.ask();
        *self.state.asked.borrow() <= self.state.heeded.load(Ordering::Relaxed)
    }

    /// Whether the command should end.
    pub(crate) fn is_asked(&self) -> bool {
        *self.state.asked.borrow() > 0
    }

    /// Whether it should end at once, without printing anything more.
    pub(crate) fn is_urgent(&self) -> bool {
        *self.state.asked.borrow() >= self.state.heeded.load(Ordering::Relaxed).max(1)
    }

    /// Waits until it was asked for so often.
    pub(crate) async fn asked(&self, times: u32) {
        // The sender lives as long as this.
        self.state.asked.subscribe().wait_for(|asked| *asked >= times).await.ok();
    }

    /// From now on, the command handles this many requests itself, and is not ended from outside before.
    pub(crate) fn heed(&self, times: u32) -> &Self {
        self.state.heeded.fetch_max(times, Ordering::Relaxed);
        self
    }

    /// Marks a signal as handled: the command ended cleanly, so the signal is not a failure.
    pub(crate) fn obeyed(&self, signal: Signal) {
        let (signal, none) = (signal as i32, 0);
        // Another signal came last: then it counts.
        self.state.signal.compare_exchange(signal, none, Ordering::Relaxed, Ordering::Relaxed).ok();
    }

    /// The exit code that says by which signal a command ended.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        match self.state.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => u8::try_from(128 + signal).ok(),
        }
    }
}
