//! The phases of an engine's life. A phase never returns to an earlier one.
//!
//! | phase | jobs start | datums start | running datums | the next phase begins |
//! |---|---|---|---|---|
//! | [`Running`](Phase::Running) | yes | yes, while the disk has space | run | on request, or when no wanted job is left |
//! | [`Draining`](Phase::Draining) | no | no | finish | when the last of them has finished |
//! | [`Interrupted`](Phase::Interrupted) | no | no | are stopped; their jobs stay open | when no job is running |
//! | [`Ended`](Phase::Ended) | no | no | there are none | never |
//!
//! Not here: what each phase does (`scheduler`), and the slots, which shut at the first step out of `Running` (`slots`).

use tokio::sync::watch;

/// The phase of an engine's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It starts jobs as they become ready.
    Running,
    /// It starts nothing more; running datums finish.
    Draining,
    /// It starts nothing more and stops what runs.
    Interrupted,
    /// Nothing runs any more.
    Ended,
}

/// The phase of one engine, and a way to wait for a later one.
#[derive(Debug)]
pub(crate) struct Phases(watch::Sender<Phase>);

impl Default for Phases {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Running))
    }
}

impl Phases {
    /// The current phase.
    pub(crate) fn now(&self) -> Phase {
        *self.0.borrow()
    }

    /// Advances to a phase, unless it or a later one is reached already; then false.
    pub(crate) fn advance(&self, to: Phase) -> bool {
        self.0.send_if_modified(|phase| {
            let is_later = to > *phase;
            *phase = to.max(*phase);
            is_later
        })
    }

    /// Waits until a phase, or a later one, is reached.
    pub(crate) async fn reached(&self, phase: Phase) {
        self.0.subscribe().wait_for(|now| *now >= phase).await.expect("the sender is in `self`");
    }
}

#[cfg(test)]
mod tests {
    use super::{Phase, Phases};

    #[tokio::test]
    async fn a_phase_never_goes_back() {
        let phases = Phases::default();
        assert_eq!(phases.now(), Phase::Running);
        assert!(phases.advance(Phase::Interrupted) && !phases.advance(Phase::Interrupted));
        assert!(!phases.advance(Phase::Draining));
        assert_eq!(phases.now(), Phase::Interrupted);
        phases.reached(Phase::Draining).await;
        phases.advance(Phase::Ended);
        phases.reached(Phase::Ended).await;
    }
}
