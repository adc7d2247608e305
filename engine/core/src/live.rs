//! Current activity: the states of open jobs, and a feed of events.

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

/// Identifies a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobKey {
    /// The position of its run in the order of runs.
    pub order: u64,
    /// Its pipeline.
    pub pipeline: PipelineName,
}

/// The states of an open job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveState {
    /// It has not started, or its datums must not begin: see [`WaitsFor`].
    Waiting,
    /// Its datums are being processed.
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

/// The progress of a job's datums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Number of datums.
    pub total: u64,
    /// Executed successfully in this job.
    pub processed: u64,
    /// Taken from the base or the cache.
    pub cached: u64,
    /// Failed.
    pub failed: u64,
    /// Recovered.
    pub recovered: u64,
}

impl Counts {
    /// Number of datums that have ended, in any way.
    pub fn done(&self) -> u64 {
        self.processed + self.cached + self.failed + self.recovered
    }
}

/// An open job.
#[derive(Debug, Clone)]
pub struct LiveJob {
    /// Its run.
    pub run: RunId,
    /// Its state.
    pub state: LiveState,
    /// What it waits for, if it waits.
    pub waits_for: Option<WaitsFor>,
    /// When it entered that state.
    pub since: Timestamp,
    /// When it was started; absent while it waits.
    pub started_at: Option<Timestamp>,
    /// Its datums.
    pub counts: Counts,
    /// Datums being executed, with their start times.
    pub running: BTreeMap<DatumId, Timestamp>,
    /// How many of them wait for a sandbox of a worker.
    opening: usize,
    /// Why they wait; `None` if the executor knows no reason.
    room: Option<String>,
    /// What it has done and printed.
    pub feed: Arc<Feed>,
    /// Durations of the last executed datums in seconds, newest last; at most [`REMEMBERED`].
    took: VecDeque<f64>,
}

/// Number of datums whose durations are kept for the median.
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
            opening: 0,
            room: None,
            took: VecDeque::new(),
        }
    }

    /// What it waits for, also if that is so because each datum that it began waits for a worker.
    pub fn awaits(&self) -> Option<WaitsFor> {
        let all_wait = self.state == LiveState::Running && self.opening > 0 && self.opening >= self.running.len();
        let room = || self.room.clone().map_or(WaitsFor::Room, WaitsFor::Cluster);
        self.waits_for.clone().or_else(|| all_wait.then(room))
    }

    /// Executed datums per second since the start; `None` until one has ended.
    pub fn rate(&self, now: Timestamp) -> Option<f64> {
        let ended = self.counts.processed + self.counts.failed;
        let seconds = now.seconds_since(self.started_at?);
        (ended > 0 && seconds > 0.0).then(|| ended as f64 / seconds)
    }

    /// Estimated remaining time in seconds at that rate.
    pub fn seconds_left(&self, now: Timestamp) -> Option<f64> {
        Some(self.counts.total.saturating_sub(self.counts.done()) as f64 / self.rate(now)?)
    }

    /// The median duration of the last executed datums in seconds.
    pub fn median_seconds(&self) -> Option<f64> {
        let mut took: Vec<f64> = self.took.iter().copied().collect();
        took.sort_by(f64::total_cmp);
        took.get(took.len() / 2).copied()
    }

    /// Records that a datum was executed, and how long it took.
    pub(crate) fn datum_ended(&mut self, datum: &DatumId, seconds: f64) {
        self.running.remove(datum);
        if self.took.len() == REMEMBERED {
            self.took.pop_front();
        }
        self.took.push_back(seconds);
    }
}

/// An event. Output of user code is not included: that is in a job's [`Feed`].
#[derive(Debug, Clone)]
pub enum EngineEvent {
    /// A job's state or counts changed.
    Changed(JobKey),
    /// The store changed, or the engine is ending: whoever waits for something should check.
    Look,
    /// A transient failure; the engine pauses and retries.
    Trouble(String),
    /// A job ended.
    Ended {
        /// The job.
        job: JobKey,
        /// Its run.
        run: RunId,
        /// How it ended.
        state: SealedState,
    },
}

/// All open jobs of a live engine.
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

/// A datum of a job that waits for a sandbox.
#[derive(Debug)]
pub(crate) struct Opening {
    live: Live,
    job: JobKey,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.live.update(&self.job, |live| live.opening = live.opening.saturating_sub(1));
        self.live.tell(EngineEvent::Changed(self.job.clone()));
    }
}

/// Number of events that a slow listener may lag behind before it misses some.
const FEED: usize = 4096;

impl Default for Live {
    fn default() -> Self {
        let (feed, _) = broadcast::channel(FEED);
        Self { inner: Arc::new(Inner { jobs: Mutex::default(), expecting: Mutex::default(), feed }) }
    }
}

impl Live {
    /// The events from now on.
    pub fn listen(&self) -> broadcast::Receiver<EngineEvent> {
        self.inner.feed.subscribe()
    }

    /// A job, if it is open and the engine has examined it.
    pub fn job(&self, job: &JobKey) -> Option<LiveJob> {
        self.jobs().get(job).cloned()
    }

    /// All open jobs, in the order of runs.
    pub fn all(&self) -> BTreeMap<JobKey, LiveJob> {
        self.jobs().iter().map(|(key, job)| (key.clone(), job.clone())).collect()
    }

    /// The state of each open job that the engine has examined, and how many of its datums are being executed; in no order.
    pub fn states(&self) -> Vec<(LiveState, usize)> {
        self.jobs().values().map(|job| (job.state, job.running.len())).collect()
    }

    fn jobs(&self) -> std::sync::MutexGuard<'_, HashMap<JobKey, LiveJob>> {
        self.inner.jobs.lock().expect("no panic under this lock")
    }

    /// There need not be any listener.
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

    /// Marks running jobs as waiting, until they [continue](Self::release).
    pub(crate) fn hold(&self, waits_for: &WaitsFor, now: Timestamp) {
        self.shift(LiveState::Running, LiveState::Waiting, Some(waits_for), now);
    }

    /// Lets held jobs run again.
    pub(crate) fn release(&self, now: Timestamp) {
        self.shift(LiveState::Waiting, LiveState::Running, None, now);
    }

    /// Whether a job waits for this.
    pub(crate) fn any_waits_for(&self, what: &WaitsFor) -> bool {
        self.jobs().values().any(|job| job.waits_for.as_ref() == Some(what))
    }

    /// Changes jobs that have begun from one state to another.
    fn shift(&self, from: LiveState, to: LiveState, waits_for: Option<&WaitsFor>, now: Timestamp) {
        let mut changed = Vec::new();
        let mut jobs = self.jobs();
        for (key, live) in &mut *jobs {
            if live.state == from && live.started_at.is_some() {
                *live = LiveJob { state: to, waits_for: waits_for.cloned(), since: now, ..live.clone() };
                changed.push(key.clone());
            }
        }
        drop(jobs);
        for job in changed {
            self.tell(EngineEvent::Changed(job));
        }
    }

    /// Counts one of a job's datums as waiting for a sandbox of a worker, until the return value is dropped.
    pub(crate) fn opens(&self, job: &JobKey) -> Opening {
        self.update(job, |live| live.opening += 1);
        self.tell(EngineEvent::Changed(job.clone()));
        Opening { live: self.clone(), job: job.clone() }
    }

    /// Notes why the sandboxes that are being opened for a job are not open yet.
    pub(crate) fn awaits(&self, job: &JobKey, why: Option<String>) {
        let mut is_new = false;
        self.update(job, |live| {
            is_new = live.room != why;
            live.room = why;
        });
        if is_new {
            self.tell(EngineEvent::Changed(job.clone()));
        }
    }

    pub(crate) fn update(&self, job: &JobKey, change: impl FnOnce(&mut LiveJob)) {
        if let Some(live) = self.jobs().get_mut(job) {
            change(live);
        }
    }

    /// The feeds of a run's jobs, each from its start, for those that begin from now on.
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

    /// The feed of a job, if it is open and the engine has examined it.
    pub fn feed(&self, job: &JobKey) -> Option<Arc<Feed>> {
        self.jobs().get(job).map(|live| live.feed.clone())
    }

    /// A datum of a job begins. It has no followers if the job is unknown.
    pub(crate) fn begin(&self, job: &JobKey, datum: DatumId) -> AtWork {
        AtWork::begin(&self.feed(job).unwrap_or_default(), datum)
    }

    /// Sets where the map of a job's datums can be read.
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
