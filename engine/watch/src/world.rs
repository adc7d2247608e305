//! What a watch knows of the machine beside its folder: the time, and who writes. Tests have a world of their own.

use std::collections::HashSet;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use repos::files::Stamp;
use repos::time::{Clock, SystemClock};

use crate::writers::{self, FileId};

/// The machine, as far as it decides when a file has settled.
pub(crate) trait World: Debug + Send {
    /// The time.
    fn now(&self) -> Instant;

    /// How long ago a file last changed, by its times; zero if they are in the future.
    fn age(&self, stamp: &Stamp) -> Duration;

    /// The files among `of` that somebody has open for writing, as far as that can be known.
    fn open_for_writing(&self, of: &HashSet<FileId>) -> HashSet<FileId>;
}

/// This machine.
#[derive(Debug)]
pub(crate) struct Machine;

impl World for Machine {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn age(&self, stamp: &Stamp) -> Duration {
        // The clock that file systems use, whatever time the store has.
        let now = i128::from(SystemClock.now().as_micros()) * 1000;
        let age = now.saturating_sub(i128::from(stamp.last_change()));
        Duration::from_nanos(u64::try_from(age.max(0)).unwrap_or(u64::MAX))
    }

    fn open_for_writing(&self, of: &HashSet<FileId>) -> HashSet<FileId> {
        writers::open_for_writing(of)
    }
}
