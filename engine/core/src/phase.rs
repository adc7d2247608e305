//! The phases of an engine's life. A phase never goes back to an earlier one.
//!
//! | phase | jobs start | datums begin | datums that run | the next phase comes |
//! |---|---|---|---|---|
//! | [`Running`](Phase::Running) | yes | yes, while the disk has room | run | when somebody asks, or nothing wanted is left |
//! | [`Draining`](Phase::Draining) | no | no | finish | when the last of them has finished |
//! | [`Interrupted`](Phase::Interrupted) | no | no | are stopped; their jobs stay open | when no job is at work |
//! | [`Ended`](Phase::Ended) | no | no | there are none | never |
//!
//! Not here: what each phase does (`scheduler`), and the slots that close with the first step out of `Running` (`slots`).

use tokio::sync::watch;

/// How far the life of an engine has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It starts jobs as they become ready.
    Running,
    /// It starts nothing more; datums that run finish.
    Draining,
    /// It starts nothing more and stops what runs.
    Interrupted,
    /// Nothing runs any more, nor will.
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
    /// The present phase.
    pub(crate) fn now(&self) -> Phase {
        *self.0.borrow()
    }

    /// Goes on to a phase, unless it or a later one has come already.
    pub(crate) fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let is_later = to > *phase;
            *phase = to.max(*phase);
            is_later
        });
    }

    /// Waits until a phase, or a later one, has come.
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
        phases.advance(Phase::Interrupted);
        phases.advance(Phase::Draining);
        assert_eq!(phases.now(), Phase::Interrupted);
        phases.reached(Phase::Draining).await;
        phases.advance(Phase::Ended);
        phases.reached(Phase::Ended).await;
    }
}
