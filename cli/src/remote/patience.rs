//! How long a command is retried while there is no connection.

use std::time::{Duration, Instant};

use dial::Again;

/// How long a server that was there may take to be back.
const TO_BE_BACK: Duration = Duration::from_mins(1);
/// The first pause before another attempt; the next ones are longer.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the greeting of a server that never answered well is tried.
const GREETINGS: u32 = 3;
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// For how long a command is retried.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// When something went wrong first.
    since: Option<Instant>,
    /// Whether the server was there once.
    pub(super) was_there: bool,
    /// How many pauses were made.
    pauses: u32,
    /// How long the server wants no further attempt.
    wanted: Option<Duration>,
}

impl Patience {
    /// Whether to try again without a connection.
    pub(super) fn allows(&mut self, again: Again) -> bool {
        self.wanted = None;
        match again {
            Again::Never => false,
            Again::Back => self.was_there && !self.is_over(),
            Again::Soon => (self.was_there || self.pauses < GREETINGS) && !self.is_over(),
            Again::After(wait) => {
                self.wanted = Some(wait);
                let waited = self.since.map_or(Duration::ZERO, |since| since.elapsed());
                waited + wait < TO_BE_BACK
            }
        }
    }

    /// Whether it was tried for long enough.
    pub(super) fn is_over(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now).elapsed() >= TO_BE_BACK
    }

    /// How long to wait now.
    pub(super) fn pause(&mut self) -> Duration {
        self.pauses += 1;
        let own = PAUSE.saturating_mul(1 << (self.pauses - 1).min(8)).min(LONGEST_PAUSE);
        self.wanted.take().map_or(own, |wanted| wanted.max(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_succeed_later_is_tried_again_and_nothing_else() {
        let mut patience = Patience::default();
        assert!(!patience.allows(Again::Never) && !patience.allows(Again::Back), "nothing was ever there");
        for _ in 0..GREETINGS {
            assert!(patience.allows(Again::Soon));
            patience.pause();
        }
        assert!(!patience.allows(Again::Soon), "a pv server does not answer like this");
        patience.was_there = true;
        assert!(patience.allows(Again::Soon) && patience.allows(Again::Back) && !patience.allows(Again::Never));
        assert!(patience.allows(Again::After(Duration::from_secs(9))));
        assert_eq!(patience.pause(), Duration::from_secs(9));
        patience.pause();
        assert_eq!(patience.pause(), LONGEST_PAUSE);
        assert!(!patience.allows(Again::After(TO_BE_BACK)), "that is too long");
    }
}
