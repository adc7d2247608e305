//! What is going on right now: states of jobs that have not ended, and a feed of what happens.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};

use repos::Timestamp;
use repos::journal::SealedState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{DatumId, PipelineName, RunId};
use tokio::sync::{broadcast, mpsc};

use crate::feed::{AtWork, Feed, SoFar};
use crate::inputs::WaitsFor;

/// Names a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobKey {
    /// Its run's place in the order of runs.
    pub order: u64,
    /// Its pipeline.
    pub pipeline: PipelineName,
}

/// States of a job that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveState {
    /// It has not started, or the disk is full: see [`WaitsFor`].
    Waiting,
    /// Its datums are being looked at.
    Running,
    /// Its output commit is being made.
    Finishing,
}

/// States of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words of the contract; `SealedState` and `LiveState` say what they mean")]
pub enum JobState {
    Waiting,
    Running,
    Finishing,
    Success,
    Failure,
    Killed,
    Unrunnable,
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Finishing => "finishing",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Killed => "killed",
            Self::Unrunnable => "unrunnable",
        })
    }
}

impl From<SealedState> for JobState {
    fn from(state: SealedState) -> Self {
        match state {
            SealedState::Success => Self::Success,
            SealedState::Failure => Self::Failure,
            SealedState::Killed => Self::Killed,
            SealedState::Unrunnable => Self::Unrunnable,
        }
    }
}

impl From<LiveState> for JobState {
    fn from(state: LiveState) -> Self {
        match state {
            LiveState::Waiting => Self::Waiting,
            LiveState::Running => Self::Running,
            LiveState::Finishing => Self::Finishing,
        }
    }
}

/// A job's id: `detect@<32 hex digits>`.
pub fn job_id(pipeline: &PipelineName, run: &RunId) -> String {
    format!("{pipeline}@{run}")
}

/// How far the datums of a job are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All.
    pub total: u64,
    /// Executed with success in this job.
    pub processed: u64,
    /// Taken from the base or the cache.
    pub cached: u64,
    /// Failed.
    pub failed: u64,
    /// Recovered.
    pub recovered: u64,
}

impl Counts {
    /// How many have ended, in whatever way.
    pub fn done(&self) -> u64 {
        self.processed + self.cached + self.failed + self.recovered
    }
}

/// A job that has not ended.
#[derive(Debug, Clone)]
pub struct LiveJob {
    /// Its run.
    pub run: RunId,
    /// Its state.
    pub state: LiveState,
    /// What it waits for, when it does.
    pub waits_for: Option<WaitsFor>,
    /// Since when.
    pub since: Timestamp,
    /// When it was started; absent while it waits.
    pub started_at: Option<Timestamp>,
    /// Its datums.
    pub counts: Counts,
    /// Datums that are executed right now, and since when.
    pub running: BTreeMap<DatumId, Timestamp>,
    /// What it has done and printed.
    pub feed: Arc<Feed>,
    /// Seconds that the last executed datums took, the newest last; at most [`REMEMBERED`].
    took: VecDeque<f64>,
}

/// Datums whose times are remembered for the median.
const REMEMBERED: usize = 1000;

#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
impl LiveJob {
    fn new(run: RunId, waits_for: Option<WaitsFor>, now: Timestamp, feed: Arc<Feed>) -> Self {
        Self {
            run,
            feed,
            state: LiveState::Waiting,
            waits_for,
            since: now,
            started_at: None,
            counts: Counts::default(),
            running: BTreeMap::new(),
            took: VecDeque::new(),
        }
    }

    /// Executed datums a second, since the start; `None` as long as none has ended.
    pub fn rate(&self, now: Timestamp) -> Option<f64> {
        let ended = self.counts.processed + self.counts.failed;
        let seconds = now.seconds_since(self.started_at?);
        (ended > 0 && seconds > 0.0).then(|| ended as f64 / seconds)
    }

    /// About how many seconds it will still take at that rate.
    pub fn seconds_left(&self, now: Timestamp) -> Option<f64> {
        Some(self.counts.total.saturating_sub(self.counts.done()) as f64 / self.rate(now)?)
    }

    /// The median time of the datums that were executed last, in seconds.
    pub fn median_seconds(&self) -> Option<f64> {
        let mut took: Vec<f64> = self.took.iter().copied().collect();
        took.sort_by(f64::total_cmp);
        took.get(took.len() / 2).copied()
    }

    /// Notes that a datum was executed, and how long that took.
    pub(crate) fn datum_ended(&mut self, datum: &DatumId, seconds: f64) {
        self.running.remove(datum);
        if self.took.len() == REMEMBERED {
            self.took.pop_front();
        }
        self.took.push_back(seconds);
    }
}

/// Something that happened. What user code prints is not among it: that is in a job's [`Feed`].
#[derive(Debug, Clone)]
pub enum EngineEvent {
    /// A job came into another state, or its counts changed.
    Changed(JobKey),
    /// The store changed, or the engine comes to its end: anyone who waits for something should look.
    Look,
    /// Something failed that may pass; the engine rests and tries again.
    Trouble(String),
    /// A job ended.
    Ended {
        /// The job.
        job: JobKey,
        /// Its run.
        run: RunId,
        /// How.
        state: SealedState,
    },
}

/// All jobs of a living engine that have not ended.
#[derive(Debug, Clone)]
pub struct Live {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    jobs: Mutex<HashMap<JobKey, LiveJob>>,
    /// Those who wait for jobs of a run to begin.
    expecting: Mutex<Vec<(u64, mpsc::UnboundedSender<Arc<Feed>>)>>,
    feed: broadcast::Sender<EngineEvent>,
}

/// Events that a slow listener may fall behind before it misses some.
const FEED: usize = 4096;

impl Default for Live {
    fn default() -> Self {
        let (feed, _) = broadcast::channel(FEED);
        Self { inner: Arc::new(Inner { jobs: Mutex::default(), expecting: Mutex::default(), feed }) }
    }
}

impl Live {
    /// What happens from now on.
    pub fn listen(&self) -> broadcast::Receiver<EngineEvent> {
        self.inner.feed.subscribe()
    }

    /// A job, if it has not ended and the engine has looked at it.
    pub fn job(&self, job: &JobKey) -> Option<LiveJob> {
        self.jobs().get(job).cloned()
    }

    /// All jobs that have not ended, in the order of runs.
    pub fn all(&self) -> BTreeMap<JobKey, LiveJob> {
        self.jobs().iter().map(|(key, job)| (key.clone(), job.clone())).collect()
    }

    fn jobs(&self) -> std::sync::MutexGuard<'_, HashMap<JobKey, LiveJob>> {
        self.inner.jobs.lock().expect("no panic under this lock")
    }

    /// Nobody needs to listen.
    pub(crate) fn tell(&self, happened: EngineEvent) {
        self.inner.feed.send(happened).ok();
    }

    pub(crate) fn waits(&self, job: &JobKey, run: RunId, waits_for: Option<WaitsFor>, now: Timestamp) {
        let mut jobs = self.jobs();
        if jobs.get(job).is_some_and(|live| live.waits_for == waits_for) {
            return;
        }
        let feed = jobs.get(job).map_or_else(|| self.new_feed(job), |live| live.feed.clone());
        jobs.insert(job.clone(), LiveJob::new(run, waits_for, now, feed));
        drop(jobs);
        self.tell(EngineEvent::Changed(job.clone()));
    }

    pub(crate) fn enters(&self, job: &JobKey, run: RunId, state: LiveState, now: Timestamp) {
        self.waits(job, run, None, now);
        self.update(job, |live| {
            live.state = state;
            live.since = now;
            live.waits_for = None;
            live.started_at.get_or_insert(now);
            if state == LiveState::Running {
                live.feed.begin(now);
            }
        });
        self.tell(EngineEvent::Changed(job.clone()));
    }

    /// Running jobs wait for this, until they [continue](Self::release).
    pub(crate) fn hold(&self, waits_for: &WaitsFor, now: Timestamp) {
        self.shift(LiveState::Running, LiveState::Waiting, Some(waits_for), now);
    }

    /// Jobs that were held run again.
    pub(crate) fn release(&self, now: Timestamp) {
        self.shift(LiveState::Waiting, LiveState::Running, None, now);
    }

    /// Whether a job waits for this.
    pub(crate) fn any_waits_for(&self, what: &WaitsFor) -> bool {
        self.jobs().values().any(|job| job.waits_for.as_ref() == Some(what))
    }

    /// Takes jobs that have begun from one state to another.
    fn shift(&self, from: LiveState, to: LiveState, waits_for: Option<&WaitsFor>, now: Timestamp) {
        let mut jobs = self.jobs();
        for live in jobs.values_mut().filter(|live| live.state == from && live.started_at.is_some()) {
            *live = LiveJob { state: to, waits_for: waits_for.cloned(), since: now, ..live.clone() };
        }
    }

    pub(crate) fn update(&self, job: &JobKey, change: impl FnOnce(&mut LiveJob)) {
        if let Some(live) = self.jobs().get_mut(job) {
            change(live);
        }
    }

    /// What the jobs of a run do and print, each from its start, for those that begin from now on.
    pub fn expect(&self, order: u64) -> mpsc::UnboundedReceiver<Arc<Feed>> {
        let (tell, told) = mpsc::unbounded_channel();
        self.expecting().push((order, tell));
        told
    }

    fn expecting(&self) -> std::sync::MutexGuard<'_, Vec<(u64, mpsc::UnboundedSender<Arc<Feed>>)>> {
        self.inner.expecting.lock().expect("no panic under this lock")
    }

    fn new_feed(&self, job: &JobKey) -> Arc<Feed> {
        let feed = Arc::<Feed>::default();
        let mut expecting = self.expecting();
        expecting.retain(|(_, tell)| !tell.is_closed());
        for (_, tell) in expecting.iter().filter(|(order, _)| *order == job.order) {
            tell.send(feed.clone()).ok();
        }
        feed
    }

    /// What a job has done and printed, if it has not ended and the engine has looked at it.
    pub fn feed(&self, job: &JobKey) -> Option<Arc<Feed>> {
        self.jobs().get(job).map(|live| live.feed.clone())
    }

    /// A datum of a job begins. Nobody follows it when the job is not among these.
    pub(crate) fn begin(&self, job: &JobKey, datum: DatumId) -> AtWork {
        AtWork::begin(&self.feed(job).unwrap_or_default(), datum)
    }

    /// Where the map of a job's datums can be looked at.
    pub(crate) fn datums(&self, job: &JobKey, so_far: Arc<SoFar>) {
        if let Some(feed) = self.feed(job) {
            feed.set_so_far(so_far);
        }
    }

    pub(crate) fn ended(&self, job: &JobKey, run: RunId, state: SealedState) {
        if let Some(live) = self.jobs().remove(job) {
            live.feed.end();
        }
        self.tell(EngineEvent::Ended { job: job.clone(), run, state });
    }
}
