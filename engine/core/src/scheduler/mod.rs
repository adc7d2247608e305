//! The scheduler: which job runs when.
//!
//! It examines the open jobs in the order of runs, starts those whose inputs exist, ends those that can never run, and looks again whenever
//! a job ends or the store changes. Its whole state is in the store, so a new engine continues where a dead one stopped.
//!
//! - `work`: what its main loop keeps in mind

mod work;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use repos::documents::ExecutorStamp;
use repos::journal::{Cause, CauseKind, SealedState};
use repos::{JobRow, RepoError, Store, Timestamp, settings};
use specs::{ErrorKind, Glob, PipelineName, RunId};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use self::work::{Jobs, Until, Work};
use crate::blocking::blocking;
use crate::error::{EngineError, Result, in_full};
use crate::execution::{Ended, JobContext, JobSettings, Pool, Sealing, Stop, labels, run_job, seal};
use crate::graph::{Graph, Pipeline};
use crate::inputs::{InputResolver, Readiness, WaitsFor};
use crate::live::{Counts, EngineEvent, JobKey, Live, job_id};
use crate::phase::{Phase, Phases};
use crate::recipe::Leaf;
use crate::run::{Actor, paths_named};
use crate::slots::DatumSlots;
use crate::time;
use sandbox::{Executor, Workers};

/// Pause of a long-lived engine after a transient failure.
const REST: Duration = Duration::from_secs(5);
/// How often the clock is checked while something will come due: it may be set, and a machine may sleep.
const CLOCK: Duration = Duration::from_mins(1);

/// Which jobs to bring to their end.
#[derive(Debug, Clone, Default)]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// Those of these pipelines, and what they depend on.
    Pipelines(BTreeSet<PipelineName>),
    /// Those of a run, and what they depend on.
    Run(RunId),
}

/// A live engine on a store that this process owns.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    by: Actor,
    pool: Arc<Pool>,
    stamp: ExecutorStamp,
    slots: Arc<DatumSlots>,
    /// Those who have joined; they execute datums if the store's executor is `workers`.
    workers: Workers,
    live: Live,
    /// Notified when the store has changed.
    changed: Notify,
    /// What to bring to its end; others may add to it.
    wanted: Mutex<Vec<Selection>>,
    /// Whether it runs new jobs as they come, until it is asked to end.
    lives_on: AtomicBool,
    phases: Phases,
    active: Mutex<HashMap<JobKey, watch::Sender<Option<Stop>>>>,
    /// Cache of pipeline versions.
    versions: Mutex<HashMap<(PipelineName, u32), Arc<Pipeline>>>,
    runtime: Handle,
}

/// Whether the same operation may succeed a little later: disk space is freed, a daemon responds again. Not if a disk may have the write
/// and cannot tell; for a bucket, the next attempt sees whether it has.
fn is_transient(error: &EngineError) -> bool {
    let is_in_doubt = matches!(error, EngineError::Store(RepoError::Unsure { source: Some(_), .. }));
    error.kind() == ErrorKind::Unavailable && !is_in_doubt
}

impl Engine {
    /// An engine that executes datums with `executor`, at most `limit` at a time, unless the executor itself says how many.
    pub async fn new(store: Store, by: Actor, executor: Arc<dyn Executor>, limit: usize) -> Result<Self> {
        let info = executor.check().await?;
        let offered = executor.slots().map(|offered| *offered.borrow());
        // What had joined when it started says nothing about a datum: each try names its worker.
        let (version, host) =
            if offered.is_some() { (String::new(), String::new()) } else { (info.version, info.host) };
        let stamp = ExecutorStamp { kind: executor.kind(), version, host };
        executor.clean_up(&BTreeSet::new()).await?;
        Ok(Self {
            store,
            by,
            pool: Arc::new(Pool::new(executor)),
            stamp,
            slots: Arc::new(DatumSlots::new(offered.unwrap_or(limit))),
            workers: Workers::new(),
            live: Live::default(),
            changed: Notify::new(),
            wanted: Mutex::default(),
            lives_on: AtomicBool::new(false),
            phases: Phases::default(),
            active: Mutex::default(),
            versions: Mutex::default(),
            runtime: Handle::current(),
        })
    }

    /// The same, with these workers: those that its executor uses, if the store's executor is `workers`.
    #[must_use]
    pub fn with_workers(self, workers: Workers) -> Self {
        Self { workers, ..self }
    }

    /// The workers that have joined, and what lets others join.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// The current activity.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where datums are executed.
    pub fn executor(&self) -> &ExecutorStamp {
        &self.stamp
    }

    /// The executor itself.
    pub fn executor_handle(&self) -> Arc<dyn Executor> {
        self.pool.executor().clone()
    }

    /// Maximum number of datums running at the same time; 0 if no worker has joined.
    pub fn limit(&self) -> usize {
        self.slots.limit()
    }

    /// Makes the scheduler look again, because the store has changed.
    pub fn look_again(&self) {
        self.changed.notify_one();
        self.live.tell(EngineEvent::Look);
    }

    /// Adds to what is brought to its end; false if the engine starts nothing further.
    pub fn want(&self, selection: Selection) -> bool {
        {
            let mut wanted = self.wanted.lock().expect("no panic under this lock");
            if !wanted.iter().any(|known| matches!(known, Selection::All)) {
                wanted.push(selection);
            }
        }
        self.look_again();
        self.phase() == Phase::Running
    }

    /// Whether it runs until it is told to end, rather than only what is pending.
    pub fn lives_on(&self) -> bool {
        self.lives_on.load(Ordering::SeqCst)
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        self.phases.now()
    }

    /// The open jobs that `selection` covers: those selected, and what they wait for.
    pub fn pending(&self, selection: &Selection) -> Result<BTreeSet<JobKey>> {
        self.needed_for(selection, &self.store.open_jobs()?)
    }

    /// Stops a job that is running here; false if it is not.
    pub fn stop_job(&self, job: &JobKey, why: &str) -> bool {
        let active = self.active.lock().expect("no panic under this lock");
        active.get(job).is_some_and(|stop| stop.send(Some(Stop::Killed(why.to_owned()))).is_ok())
    }

    /// Starts nothing more and lets running datums finish; then ends as with [`Engine::interrupt`].
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Starts nothing further and ends what runs; [`Engine::run`] and [`Engine::serve`] return when all sandboxes are gone. What is done is
    /// kept, and the next engine continues.
    pub fn interrupt(&self) {
        self.advance(Phase::Interrupted);
    }

    /// Notifies everyone who waits for this engine that nothing more will come, however the engine ended.
    pub fn end(&self) {
        self.advance(Phase::Ended);
    }

    /// Advances to a phase, with its immediate effects on slots and jobs.
    fn advance(&self, to: Phase) {
        if self.phases.advance(to) {
            tracing::info!("the engine's phase is {to:?}");
        }
        self.slots.shut();
        self.stop_interrupted();
        self.look_again();
    }

    /// Once the engine is interrupted, stops all its running jobs; in the store they stay open.
    fn stop_interrupted(&self) {
        if self.phase() < Phase::Interrupted {
            return;
        }
        for stop in self.active.lock().expect("no panic under this lock").values() {
            // A job that a user stopped stays stopped.
            stop.send_if_modified(|why| why.is_none() && why.replace(Stop::Interrupted).is_none());
        }
    }

    /// Runs what is pending to its end. Dropping this stops everything immediately; what is done is kept, and the next run continues.
    pub async fn run(&self, selection: Selection) -> Result<()> {
        self.want(selection);
        self.schedule(Until::Done).await
    }

    /// Runs everything pending, now and in the future, until it is told to end.
    pub async fn serve(&self) -> Result<()> {
        self.lives_on.store(true, Ordering::SeqCst);
        self.want(Selection::All);
        self.schedule(Until::Told).await
    }

    /// Runs what others want, until it is told to end: for a process that owns the store for another purpose.
    pub async fn attend(&self) -> Result<()> {
        self.schedule(Until::Told).await
    }

    async fn schedule(&self, until: Until) -> Result<()> {
        let mut work = Work::new(until, self.store.clock().now(), self.pool.executor().slots());
        let done = loop {
            match self.step(&mut work).await {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                // A long-lived engine does not end for a transient failure; but it must know what has happened.
                Err(error) if until == Until::Told && self.phase() == Phase::Running && is_transient(&error) => {
                    self.rest(&error).await;
                }
                Err(error) => break Err(error),
            }
        };
        // No job is left, unless something failed.
        self.interrupt();
        work.jobs.shutdown().await;
        self.end();
        work.closing.join_all().await;
        self.close().await;
        done
    }

    /// Reports what is wrong, and pauses before everything is retried.
    async fn rest(&self, error: &EngineError) {
        self.live.tell(EngineEvent::Trouble(in_full(error)));
        tokio::select! {
            () = tokio::time::sleep(REST) => {}
            () = self.phases.reached(Phase::Draining) => {}
        }
    }

    /// Starts what can start and waits until something happens; false if there is nothing left to do.
    async fn step(&self, work: &mut Work) -> Result<bool> {
        let asked = self.wanted.lock().expect("no panic under this lock").len();
        let next_due = blocking(|| self.start(work))?;
        let phase = self.phase();
        let awaits_worker = self.limit() == 0 && self.live.any_waits_for(&WaitsFor::Worker);
        let is_stuck = work.full_disk.is_some() || awaits_worker;
        if work.jobs.is_empty() && !is_stuck && work.until == Until::Told && !self.lives_on() {
            // What was asked for is done, as far as it can be: what comes later was not.
            self.wanted.lock().expect("no panic under this lock").drain(..asked);
        }
        if work.jobs.is_empty() && (phase > Phase::Running || work.until == Until::Done && !awaits_worker) {
            return work.ensure_disk_space(&self.live).map(|()| false);
        }
        tokio::select! {
            Some(ended) = work.jobs.join_next() => {
                let (job, ended) = ended.map_err(|error| EngineError::Stopped(error.to_string()))?;
                self.active.lock().expect("no panic under this lock").remove(&job);
                ended?;
                blocking(|| self.close_unused(&mut work.closing))?;
            }
            () = self.changed.notified() => blocking(|| {
                self.stop_ended()?;
                self.close_unused(&mut work.closing)
            })?,
            () = self.slots.all_back(), if phase == Phase::Draining => self.interrupt(),
            () = tokio::time::sleep(next_due.unwrap_or_default()), if next_due.is_some() => {}
            () = Work::offered_others(&mut work.offered) => {}
            // Without jobs there is nothing to check, so no wake-up.
            _ = work.look.tick(), if !work.jobs.is_empty() || work.full_disk.is_some() => {
                self.sync().await?;
            }
        }
        Ok(true)
    }

    /// Starts the jobs that can start. Returns the time until the next one is due.
    fn start(&self, work: &mut Work) -> Result<Option<Duration>> {
        let mut next_due = None;
        if self.phase() == Phase::Running {
            self.mind_workers(work);
            self.mind_disk(work)?;
            if self.limit() == 0 {
                self.live.hold(&WaitsFor::Worker, self.store.clock().now());
            }
            next_due = self.mind_time(work)?;
        }
        while self.phase() == Phase::Running && self.start_ready(&mut work.jobs)? {}
        // The engine may have been interrupted while jobs were started.
        self.stop_interrupted();
        Ok(next_due)
    }

    /// Makes results durable.
    async fn sync(&self) -> Result<()> {
        let store = self.store.clone();
        let synced = tokio::task::spawn_blocking(move || store.sync()).await;
        Ok(synced.map_err(|error| EngineError::Stopped(error.to_string()))??)
    }

    /// Ends all idle sandboxes.
    pub async fn close(&self) {
        self.pool.close_all().await;
    }

    /// Ends the sandboxes of versions that no pipeline and no job uses any more.
    fn close_unused(&self, closing: &mut JoinSet<()>) -> Result<()> {
        while closing.try_join_next().is_some() {}
        if self.pool.is_empty() {
            return Ok(());
        }
        let mut used = BTreeSet::new();
        for (name, row) in self.store.pipelines()? {
            used.insert(labels(&*self.version(&name, row.version)?));
        }
        for job in self.store.open_jobs()? {
            used.insert(labels(&*self.version(&job.pipeline, job.version)?));
        }
        let pool = self.pool.clone();
        closing.spawn(async move { pool.close(|spec| !used.contains(&spec.labels)).await });
        Ok(())
    }

    /// Stops jobs that run here although they have ended in the store, such as those of an old version.
    fn stop_ended(&self) -> Result<()> {
        let open: BTreeSet<JobKey> = self.store.open_jobs()?.iter().map(key_of).collect();
        for (job, stop) in self.active.lock().expect("no panic under this lock").iter() {
            if !open.contains(job) {
                stop.send_replace(Some(Stop::Killed("it was stopped".to_owned())));
            }
        }
        Ok(())
    }

    /// Starts every job that can start, and ends those that never can; true if one was ended, so that others may be ready now.
    fn start_ready(&self, jobs: &mut Jobs) -> Result<bool> {
        let open = self.store.open_jobs()?;
        let needed = self.needed(&open)?;
        let mut ended_one = false;
        let is_full = !self.slots.is_open();
        let inputs = InputResolver::new(&self.store, &open);
        for job in open.iter().filter(|job| needed.contains(&key_of(job))) {
            // There may be very many, and who ends the engine does not wait for them.
            if self.phase() != Phase::Running {
                return Ok(false);
            }
            let key = key_of(job);
            if self.active.lock().expect("no panic under this lock").contains_key(&key) {
                continue;
            }
            let pipeline = self.version(&job.pipeline, job.version)?;
            match inputs.inputs_of(&pipeline, job)? {
                Readiness::Waits(what) => self.live.waits(&key, job.run, Some(what), self.store.clock().now()),
                Readiness::Unrunnable { reason } => {
                    self.end_unrunnable(job, &pipeline, reason)?;
                    ended_one = true;
                }
                Readiness::Ready(_) if is_full => {
                    self.live.waits(&key, job.run, Some(WaitsFor::Disk), self.store.clock().now());
                }
                Readiness::Ready(_) if self.limit() == 0 => {
                    self.live.waits(&key, job.run, Some(WaitsFor::Worker), self.store.clock().now());
                }
                Readiness::Ready(leaves) => {
                    let (stop, stopped) = watch::channel(None);
                    repos::fail_at("job.before_start")?;
                    let (reprocess, again) = (self.reprocesses(job)?, self.again(job)?);
                    let context = JobContext { reprocess, again, ..self.context(job, pipeline, leaves, stopped)? };
                    tracing::info!("job {} starts", job_id(&job.pipeline, &job.run));
                    // Last: a job that could not be started for a transient reason is started at the next look.
                    self.active.lock().expect("no panic under this lock").insert(key.clone(), stop);
                    jobs.spawn(async move { (key, run_job(context).await) });
                }
            }
        }
        Ok(ended_one)
    }

    /// A job and everything it needs.
    pub(crate) fn context(
        &self,
        job: &JobRow,
        pipeline: Arc<Pipeline>,
        leaves: Vec<Leaf>,
        stop: watch::Receiver<Option<Stop>>,
    ) -> Result<JobContext> {
        Ok(JobContext {
            store: self.store.clone(),
            pool: self.pool.clone(),
            live: self.live.clone(),
            pipeline,
            job: job.clone(),
            leaves,
            by: self.by.clone(),
            executor: self.stamp.clone(),
            slots: self.slots.clone(),
            reprocess: false,
            again: None,
            settings: JobSettings::of(&self.store)?,
            stop,
            only: None,
            mounts: Vec::new(),
        })
    }

    /// The engine's runtime, for commands in this process that use sandboxes themselves.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Free bytes on the store's disk and the required minimum, if there are fewer.
    fn free_space(&self) -> Result<Option<(u64, u64)>> {
        let least = self.store.setting(&settings::MIN_FREE)?;
        Ok(self.free_bytes().filter(|free| *free < least).map(|free| (free, least)))
    }

    /// Free bytes on the store's disk; `None` if it does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(self.store.folder()).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Makes due ticks and takes due commits; returns how long to wait for the next. Only a long-lived engine is running when they come
    /// due.
    fn mind_time(&self, work: &Work) -> Result<Option<Duration>> {
        if work.until == Until::Done {
            return Ok(None);
        }
        let now = self.store.clock().now();
        if !time::due(&self.store, now, work.since, &self.by)?.is_empty() {
            self.live.tell(EngineEvent::Look);
        }
        let next = time::next_due(&self.store, now)?;
        let wait = |next: Timestamp| Duration::from_secs_f64(next.seconds_since(now).max(0.0)).min(CLOCK);
        Ok(next.map(wait))
    }

    /// Has as many slots as the executor says, if it does. Without any no datum begins.
    fn mind_workers(&self, work: &mut Work) {
        let Some(offered) = &mut work.offered else { return };
        let (before, limit) = (self.limit(), *offered.borrow_and_update());
        self.slots.set_limit(limit);
        if before == 0 && limit > 0 {
            self.live.release(self.store.clock().now());
        }
    }

    /// On a full disk no datum begins. A long-lived engine waits for space; any other ends.
    fn mind_disk(&self, work: &mut Work) -> Result<()> {
        let now = self.store.clock().now();
        work.full_disk = self.free_space()?;
        if work.full_disk.is_some() {
            self.slots.hold();
            self.live.hold(&WaitsFor::Disk, now);
            if work.until == Until::Done && !work.jobs.is_empty() {
                self.drain();
            }
        } else if self.slots.release() {
            self.live.release(now);
        }
        Ok(())
    }

    /// A rerun executes the datums of the pipelines that it names, regardless of the cache.
    fn reprocesses(&self, job: &JobRow) -> Result<bool> {
        Ok(reprocesses(&self.store.run(&job.run)?.cause, &job.pipeline))
    }

    /// The paths whose datums a rerun executes again, if it names some.
    fn again(&self, job: &JobRow) -> Result<Option<Glob>> {
        Ok(paths_again(&self.store.run(&job.run)?.cause, &job.pipeline))
    }

    fn version(&self, name: &PipelineName, version: u32) -> Result<Arc<Pipeline>> {
        let key = (name.clone(), version);
        if let Some(known) = self.versions.lock().expect("no panic under this lock").get(&key) {
            return Ok(known.clone());
        }
        let pipeline = Arc::new(Pipeline::load_version(&self.store, name, version)?);
        self.versions.lock().expect("no panic under this lock").insert(key, pipeline.clone());
        Ok(pipeline)
    }

    fn end_unrunnable(&self, job: &JobRow, pipeline: &Pipeline, reason: String) -> Result<()> {
        let sealing = Sealing { store: &self.store, pipeline, job, by: &self.by, executor: self.stamp.clone() };
        let ended = Ended {
            state: SealedState::Unrunnable,
            reason: Some(reason),
            started_at: None,
            counts: Counts::default(),
            made: None,
        };
        match seal(&sealing, &ended) {
            // It was ended at that moment.
            Err(EngineError::Store(RepoError::JobEnded { .. })) => {}
            sealed => sealed?,
        }
        self.live.ended(&key_of(job), job.run, SealedState::Unrunnable);
        Ok(())
    }

    /// The open jobs that are wanted.
    fn needed(&self, open: &[JobRow]) -> Result<BTreeSet<JobKey>> {
        let wanted = self.wanted.lock().expect("no panic under this lock").clone();
        wanted.iter().try_fold(BTreeSet::new(), |mut needed, selection| {
            needed.append(&mut self.needed_for(selection, open)?);
            Ok(needed)
        })
    }

    /// The open jobs that are selected, and those that they wait for: earlier ones of the same pipeline and of upstream pipelines.
    fn needed_for(&self, selection: &Selection, open: &[JobRow]) -> Result<BTreeSet<JobKey>> {
        let (names, newest): (BTreeSet<PipelineName>, u64) = match selection {
            Selection::All => return Ok(open.iter().map(key_of).collect()),
            Selection::Pipelines(names) => (names.clone(), u64::MAX),
            Selection::Run(run) => {
                let order = self.store.run(run)?.order;
                (open.iter().filter(|job| job.order == order).map(|job| job.pipeline.clone()).collect(), order)
            }
        };
        let above = Graph::load(&self.store)?.upstream(names);
        Ok(open.iter().filter(|job| job.order <= newest && above.contains(&job.pipeline)).map(key_of).collect())
    }
}

/// Whether a run executes every datum of a pipeline, regardless of the cache.
pub fn reprocesses(cause: &Cause, pipeline: &PipelineName) -> bool {
    cause.kind == CauseKind::Rerun && cause.refs.iter().any(|name| name == pipeline.as_str())
}

/// The paths whose datums of a pipeline a run executes again, if it names some.
pub fn paths_again(cause: &Cause, pipeline: &PipelineName) -> Option<Glob> {
    paths_named(cause, pipeline).filter(|_| cause.kind == CauseKind::Rerun)
}

fn key_of(job: &JobRow) -> JobKey {
    JobKey { order: job.order, pipeline: job.pipeline.clone() }
}
