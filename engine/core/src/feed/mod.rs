//! What a job running here has done and printed so far: one source for queries and for followers.
//!
//! - `log`: the log of a try, bounded in size
//! - `printing`: what one datum prints, try by try
//! - `so_far`: the datums map that the job's output commit will have
//! - `follower`: a follower: what is new since the last look, without gaps or repetitions
//!
//! Nothing here waits for a follower: a datum prints to its own bounded log, and a follower reads from there. One that is too slow learns
//! how many bytes it missed. A datum is in progress until its result is stored, and at the same moment becomes one of those that have
//! ended.
//!
//! Results are listed in the order in which they arrived, with 32 bytes for each datum.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use repos::Timestamp;
use specs::{DatumId, Digest};
use tokio::sync::watch;

mod follower;
mod log;
mod printing;
mod so_far;
#[cfg(test)]
mod tests;

pub use follower::{Follower, Heard};
pub(crate) use log::SharedLog;
pub use printing::{Printed, Printing};
pub use so_far::{DatumEdits, SoFar};

/// A job that runs here, from its start in this engine.
#[derive(Debug)]
pub struct Feed {
    inner: Mutex<Inner>,
    /// Notified of every change.
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Results that this job made, in order of arrival: 32 bytes per datum.
    ended: Vec<Digest>,
    /// The datums in progress, by number.
    at_work: BTreeMap<u64, Arc<Printing>>,
    /// Datums without a result, such as those of a stopped job.
    given_up: Vec<Arc<Printing>>,
    /// Number of datums begun.
    begun: u64,
    so_far: Option<Arc<SoFar>>,
    /// When the job first began in this engine.
    began: Option<Timestamp>,
    /// Whether nothing further will come.
    is_over: bool,
}

impl Default for Feed {
    fn default() -> Self {
        Self { inner: Mutex::default(), news: watch::Sender::new(()) }
    }
}

impl Feed {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic under this lock")
    }

    /// A follower of the job, from its start in this engine.
    pub fn follow(self: &Arc<Self>) -> Follower {
        Follower::new(self.clone())
    }

    /// The datums in progress, in the order in which they were begun.
    pub fn at_work(&self) -> Vec<Arc<Printing>> {
        self.inner().at_work.values().cloned().collect()
    }

    /// Notified of every change.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// The datums that have ended, including those taken from the base.
    pub fn so_far(&self) -> Option<Arc<SoFar>> {
        self.inner().so_far.clone()
    }

    pub(crate) fn set_so_far(&self, so_far: Arc<SoFar>) {
        self.inner().so_far = Some(so_far);
    }

    /// A result of this same job, made at `made_at`, with which it continues. Results of an earlier engine were not announced here yet.
    pub(crate) fn found(&self, result: Digest, made_at: Timestamp) {
        let mut inner = self.inner();
        if inner.began.is_some_and(|began| made_at < began) {
            inner.ended.push(result);
            drop(inner);
            self.tell();
        }
    }

    /// The job begins, or begins again.
    pub(crate) fn begin(&self, now: Timestamp) {
        self.inner().began.get_or_insert(now);
    }

    /// Nothing further will come.
    pub(crate) fn end(&self) {
        self.inner().is_over = true;
        self.tell();
    }

    fn tell(&self) {
        self.news.send_replace(());
    }
}

/// A datum in progress. If dropped before [`AtWork::ended`], it has no result.
#[derive(Debug)]
pub(crate) struct AtWork {
    feed: Arc<Feed>,
    number: u64,
    printing: Arc<Printing>,
    result: Option<Digest>,
}

impl AtWork {
    /// A datum of the job begins.
    pub(crate) fn begin(feed: &Arc<Feed>, datum: DatumId) -> Self {
        let mut inner = feed.inner();
        inner.begun += 1;
        let number = inner.begun;
        let printing = Arc::new(Printing::new(number, datum, feed.news.clone()));
        inner.at_work.insert(number, printing.clone());
        drop(inner);
        Self { feed: feed.clone(), number, printing, result: None }
    }

    pub(crate) fn printing(&self) -> &Arc<Printing> {
        &self.printing
    }

    /// Its result is stored.
    pub(crate) fn ended(mut self, result: Digest) {
        self.result = Some(result);
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.printing.end(self.result);
        let mut inner = self.feed.inner();
        inner.at_work.remove(&self.number);
        match self.result {
            Some(result) => inner.ended.push(result),
            None => inner.given_up.push(self.printing.clone()),
        }
        drop(inner);
        self.feed.tell();
    }
}
