//! The scheduler: which job runs when.
//!
//! It looks at the jobs that have not ended, in the order of runs, starts those whose inputs are there, ends those that can never
//! run, and looks again whenever a job ends or a change comes. What it knows lies in the store, so a new engine goes on where a dead one
//! stopped.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use repos::documents::ExecutorStamp;
use repos::journal::{CauseKind, SealedState};
use repos::{JobRow, Store};
use specs::{Glob, PipelineName, RunId};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use crate::changes::By;
use crate::error::{EngineError, Result};
use crate::execution::{Ended, JobContext, JobSettings, Pool, Sealing, Stop, run_job, seal};
use crate::executor::{Executor, OutputLimits};
use crate::generations::{Generations, Readiness};
use crate::graph::{Graph, Pipeline};
use crate::live::{Counts, JobKey, Live};

/// Free bytes of disk below which no job starts, when no setting says otherwise.
const MIN_FREE: u64 = 2 << 30;
/// Results are made durable at least this often.
const SYNC: Duration = Duration::from_secs(1);

/// Which jobs are to be brought to their end.
#[derive(Debug, Clone, Default)]
pub enum Selection {
    /// All.
    #[default]
    All,
    /// Those of these pipelines, and what they need.
    Pipelines(BTreeSet<PipelineName>),
    /// Those of a run, and what they need.
    Run(RunId),
}

/// A living engine on a store that this process owns.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    by: By,
    pool: Arc<Pool>,
    stamp: ExecutorStamp,
    limit: usize,
    permits: Arc<Semaphore>,
    live: Live,
    /// Told when somebody changed the store.
    changed: Notify,
    /// What is to be brought to its end; others may add to it.
    wanted: Mutex<Vec<Selection>>,
    /// Set when nothing more will be started.
    over: AtomicBool,
    active: Mutex<HashMap<JobKey, watch::Sender<Option<Stop>>>>,
    /// Versions that were read.
    versions: Mutex<HashMap<(PipelineName, u32), Arc<Pipeline>>>,
}

impl Engine {
    /// An engine that executes datums by `executor`, at most `limit` at a time.
    pub async fn new(store: Store, by: By, executor: Arc<dyn Executor>, limit: usize) -> Result<Self> {
        let info = executor.check().await?;
        let stamp = ExecutorStamp { kind: executor.kind(), version: info.version, host: info.host };
        executor.clean_up(&BTreeSet::new()).await?;
        Ok(Self {
            store,
            by,
            pool: Arc::new(Pool::new(executor)),
            stamp,
            limit,
            permits: Arc::new(Semaphore::new(limit)),
            live: Live::default(),
            changed: Notify::new(),
            wanted: Mutex::default(),
            over: AtomicBool::new(false),
            active: Mutex::default(),
            versions: Mutex::default(),
        })
    }

    /// What is going on.
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

    /// How many datums run at a time.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Has the scheduler look again: somebody changed the store.
    pub fn look_again(&self) {
        self.changed.notify_one();
    }

    /// Also brings this to its end; false when the engine starts nothing more.
    pub fn want(&self, selection: Selection) -> bool {
        self.wanted.lock().expect("no panic under this lock").push(selection);
        self.look_again();
        !self.is_over()
    }

    /// Whether nothing more will be started.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Stops a job that is running here; false when it is not.
    pub fn stop_job(&self, job: &JobKey, why: &str) -> bool {
        let active = self.active.lock().expect("no panic under this lock");
        active.get(job).is_some_and(|stop| stop.send(Some(Stop::Killed(why.to_owned()))).is_ok())
    }

    /// Starts nothing more and ends what runs; [`Engine::run`] returns when all sandboxes are gone. What is done is kept, and the next
    /// run goes on.
    pub fn interrupt(&self) {
        self.over.store(true, Ordering::SeqCst);
        for stop in self.active.lock().expect("no panic under this lock").values() {
            stop.send_replace(Some(Stop::Interrupted));
        }
        self.look_again();
    }

    /// Runs what is pending to its end. Dropping this stops everything at once; what is done is kept, and the next run goes on.
    pub async fn run(&self, selection: Selection) -> Result<()> {
        let done = self.run_wanted(selection).await;
        self.over.store(true, Ordering::SeqCst);
        done
    }

    async fn run_wanted(&self, selection: Selection) -> Result<()> {
        self.want(selection);
        let mut jobs: JoinSet<(JobKey, Result<()>)> = JoinSet::new();
        let mut sync = tokio::time::interval(SYNC);
        loop {
            while !self.is_over() && self.start_ready(&mut jobs)? {}
            if jobs.is_empty() {
                self.refuse_full_disk()?;
                break;
            }
            tokio::select! {
                Some(ended) = jobs.join_next() => {
                    let (job, ended) = ended.map_err(|error| EngineError::Stopped(error.to_string()))?;
                    self.active.lock().expect("no panic under this lock").remove(&job);
                    ended?;
                }
                () = self.changed.notified() => self.stop_ended()?,
                _ = sync.tick() => {
                    let store = self.store.clone();
                    tokio::task::spawn_blocking(move || store.sync())
                        .await
                        .map_err(|error| EngineError::Stopped(error.to_string()))??;
                }
            }
        }
        self.close().await;
        Ok(())
    }

    /// Ends all sandboxes that wait for work.
    pub async fn close(&self) {
        self.pool.close(|_| true).await;
    }

    /// Stops jobs that run here although they have ended in the store, such as those of an old version.
    fn stop_ended(&self) -> Result<()> {
        let open: BTreeSet<JobKey> = self.store.open_jobs()?.iter().map(key_of).collect();
        for (job, stop) in self.active.lock().expect("no panic under this lock").iter() {
            if !open.contains(job) {
                stop.send_replace(Some(Stop::Killed("it was ended from outside".to_owned())));
            }
        }
        Ok(())
    }

    /// Starts every job that can start, and ends those that never can; true when one was ended, so that others may be ready now.
    fn start_ready(&self, jobs: &mut JoinSet<(JobKey, Result<()>)>) -> Result<bool> {
        let open = self.store.open_jobs()?;
        let needed = self.needed(&open)?;
        let mut ended_one = false;
        let is_full = self.free_space()?.is_some();
        let generations = Generations::new(&self.store, &open);
        for job in open.iter().filter(|job| needed.contains(&key_of(job))) {
            let key = key_of(job);
            if self.active.lock().expect("no panic under this lock").contains_key(&key) {
                continue;
            }
            let pipeline = self.version(&job.pipeline, job.version)?;
            match generations.inputs_of(&pipeline, job)? {
                Readiness::Waits { reason } => self.live.waits(&key, job.run, &reason, self.store.clock().now()),
                Readiness::Unrunnable { reason } => {
                    self.end_unrunnable(job, &pipeline, reason)?;
                    ended_one = true;
                }
                Readiness::Ready(_) if is_full => {
                    self.live.waits(&key, job.run, "disk", self.store.clock().now());
                }
                Readiness::Ready(leaves) => {
                    let (stop, stopped) = watch::channel(None);
                    self.active.lock().expect("no panic under this lock").insert(key.clone(), stop);
                    let context = JobContext {
                        store: self.store.clone(),
                        pool: self.pool.clone(),
                        live: self.live.clone(),
                        pipeline,
                        job: job.clone(),
                        leaves,
                        by: self.by.clone(),
                        executor: self.stamp.clone(),
                        permits: self.permits.clone(),
                        limit: self.limit,
                        reprocess: self.reprocesses(job)?,
                        again: self.again(job)?,
                        settings: job_settings(&self.store)?,
                        stop: stopped,
                    };
                    jobs.spawn(async move { (key, run_job(context).await) });
                }
            }
        }
        Ok(ended_one)
    }

    /// Free bytes of the store's disk and how many there should be, when these are fewer.
    fn free_space(&self) -> Result<Option<(u64, u64)>> {
        let least = self.store.setting("min_free")?.and_then(|text| text.parse().ok()).unwrap_or(MIN_FREE);
        let Ok(disk) = rustix::fs::statvfs(self.store.folder()) else { return Ok(None) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        Ok((free < least).then_some((free, least)))
    }

    /// Jobs that wait for space will not get it from this engine.
    fn refuse_full_disk(&self) -> Result<()> {
        let waiting = self.live.all().into_values().any(|job| job.reason == "disk");
        match self.free_space()? {
            Some((free, least)) if waiting => Err(EngineError::NoSpace { free, least }),
            _ => Ok(()),
        }
    }

    /// A rerun executes the datums of the pipelines that it names, whatever the cache holds.
    fn reprocesses(&self, job: &JobRow) -> Result<bool> {
        let cause = self.store.run(&job.run)?.cause;
        Ok(cause.kind == CauseKind::Rerun && cause.refs.iter().any(|name| name == job.pipeline.as_str()))
    }

    /// The paths whose datums a rerun executes anew, if it names some.
    fn again(&self, job: &JobRow) -> Result<Option<Glob>> {
        let cause = self.store.run(&job.run)?.cause;
        let named =
            |reference: &String| reference.strip_prefix(job.pipeline.as_str())?.strip_prefix(':').map(str::to_owned);
        let glob = cause.refs.iter().find_map(named).filter(|_| cause.kind == CauseKind::Rerun);
        Ok(glob.and_then(|glob| Glob::parse(&glob).ok()))
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
        seal(&sealing, &ended)?;
        self.live.ended(&key_of(job), job.run, SealedState::Unrunnable);
        Ok(())
    }

    /// The open jobs that are wanted, with those that they wait for: earlier ones of the same pipeline and of the pipelines above.
    fn needed(&self, open: &[JobRow]) -> Result<BTreeSet<JobKey>> {
        let wanted = self.wanted.lock().expect("no panic under this lock").clone();
        let mut needed = BTreeSet::new();
        for selection in wanted {
            let (names, newest): (BTreeSet<PipelineName>, u64) = match selection {
                Selection::All => return Ok(open.iter().map(key_of).collect()),
                Selection::Pipelines(names) => (names, u64::MAX),
                Selection::Run(run) => {
                    let order = self.store.run(&run)?.order;
                    (open.iter().filter(|job| job.order == order).map(|job| job.pipeline.clone()).collect(), order)
                }
            };
            let above = upstream(&Graph::load(&self.store)?, names);
            let jobs = open.iter().filter(|job| job.order <= newest && above.contains(&job.pipeline));
            needed.extend(jobs.map(key_of));
        }
        Ok(needed)
    }
}

/// The pipelines above `names`, themselves included.
fn upstream(graph: &Graph, names: BTreeSet<PipelineName>) -> BTreeSet<PipelineName> {
    let mut above = names;
    for pipeline in graph.in_order().into_iter().rev() {
        if above.contains(pipeline.name()) {
            let inputs = pipeline.input_branches();
            above.extend(inputs.iter().filter_map(|branch| graph.writer(branch)).map(|writer| writer.name().clone()));
        }
    }
    above
}

fn key_of(job: &JobRow) -> JobKey {
    JobKey { order: job.order, pipeline: job.pipeline.clone() }
}

/// Bytes of a try's log that are kept when no setting says otherwise.
const LOG_MAX: usize = 16 << 20;

/// The settings of jobs.
pub(crate) fn job_settings(store: &Store) -> Result<JobSettings> {
    let number = |key: &str| -> Result<Option<u64>> { Ok(store.setting(key)?.and_then(|text| text.parse().ok())) };
    let limits = OutputLimits::default();
    Ok(JobSettings {
        fail_fast: store.setting("fail_fast")?.is_none_or(|text| text != "false"),
        log_max: number("log_max")?.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(LOG_MAX),
        limits: OutputLimits {
            files_max: number("output_files_max")?.unwrap_or(limits.files_max),
            bytes_max: number("output_bytes_max")?.unwrap_or(limits.bytes_max),
        },
        readable: readable_paths(store)?,
    })
}

/// Host paths that the process executor shows to stages beside its own.
pub fn readable_paths(store: &Store) -> Result<Vec<PathBuf>> {
    let paths = store.setting("process.paths")?.unwrap_or_default();
    Ok(paths.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect())
}
