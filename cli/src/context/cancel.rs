//! Whether whoever asked still wants the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use nix::sys::signal::Signal;

/// Set once, by a signal or by the end of a connection. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    asked: AtomicBool,
    watched: AtomicBool,
    /// Number of the signal; 0 for none.
    signal: AtomicI32,
}

impl Cancel {
    /// Asks the command to end, because nobody waits for it any more.
    pub(crate) fn ask(&self) {
        self.state.asked.store(true, Ordering::Relaxed);
    }

    /// Asks the command to end, because of a signal.
    pub(crate) fn ask_by(&self, signal: Signal) {
        self.state.signal.store(signal as i32, Ordering::Relaxed);
        self.ask();
    }

    /// Whether the command should end.
    pub(crate) fn is_asked(&self) -> bool {
        self.state.asked.load(Ordering::Relaxed)
    }

    /// From now on the command looks at this, and so need not be ended from outside.
    pub(crate) fn watch(&self) -> &Self {
        self.state.watched.store(true, Ordering::Relaxed);
        self
    }

    /// Whether the command looks at this.
    pub(crate) fn is_watched(&self) -> bool {
        self.state.watched.load(Ordering::Relaxed)
    }

    /// The exit code that says by which signal a command ended.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        match self.state.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => u8::try_from(128 + signal).ok(),
        }
    }
}
