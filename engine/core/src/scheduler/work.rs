//! What the main loop of a scheduler keeps in mind.

use std::time::Duration;

use repos::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

use crate::error::{EngineError, Result};
use crate::inputs::WaitsFor;
use crate::live::{JobKey, Live};

/// How often results are made durable and disk space is checked while jobs run.
const LOOK: Duration = Duration::from_secs(1);

/// When scheduling ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// When nothing wanted is left.
    Done,
    /// When it is told to.
    Told,
}

/// Running jobs.
pub(super) type Jobs = JoinSet<(JobKey, Result<()>)>;

/// The state of a scheduler.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) until: Until,
    /// When this engine started; earlier ticks count as missed.
    pub(super) since: Timestamp,
    pub(super) jobs: Jobs,
    /// Sandboxes that are no longer needed, being closed.
    pub(super) closing: JoinSet<()>,
    pub(super) look: Interval,
    /// Free bytes on the disk and the required minimum, if there are fewer.
    pub(super) full_disk: Option<(u64, u64)>,
    /// The number of slots, if the executor says it.
    pub(super) offered: Option<watch::Receiver<usize>>,
}

impl Work {
    pub(super) fn new(until: Until, since: Timestamp, offered: Option<watch::Receiver<usize>>) -> Self {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { until, since, jobs: Jobs::new(), closing: JoinSet::new(), look, full_disk: None, offered }
    }

    /// Waits until the executor says another number of slots.
    pub(super) async fn offered_others(offered: &mut Option<watch::Receiver<usize>>) {
        if let Some(offered) = offered
            && offered.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    /// Fails if jobs wait for disk space that an ending engine will not get.
    pub(super) fn ensure_disk_space(&self, live: &Live) -> Result<()> {
        match self.full_disk {
            Some((free, least)) if self.until == Until::Done && live.any_waits_for(&WaitsFor::Disk) => {
                Err(EngineError::NoSpace { free, least })
            }
            _ => Ok(()),
        }
    }
}
