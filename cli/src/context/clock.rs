//! The clock of a command.

use std::sync::Arc;

use repos::Timestamp;
use repos::time::{Clock, SystemClock};

use crate::invocation::Environment;

/// The system clock. In a debug build `PV_NOW` stops it, so that tests can compare output.
pub(super) fn of(env: &Environment) -> Arc<dyn Clock> {
    let now = env.get("PV_NOW").filter(|_| cfg!(debug_assertions)).and_then(|now| now.parse().ok());
    now.map_or_else(|| Arc::new(SystemClock) as Arc<dyn Clock>, |now| Arc::new(Standing(now)))
}

/// A clock that stands still.
#[derive(Debug)]
struct Standing(Timestamp);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        self.0
    }
}
