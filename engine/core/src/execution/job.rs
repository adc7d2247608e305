//! Runs one job: dispatches its datums to sandboxes and collects their results.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use repos::documents::{ExecutorStamp, Transform};
use repos::journal::SealedState;
use repos::settings;
use repos::tree::{FileEntry, KeyRange, Tree, path_of};
use repos::{JobRow, RepoError, Store, Timestamp};
use specs::Glob;
use specs::spec::Reprocess;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::datum::{DatumContext, DatumState};
use super::mask::Mask;
use super::output::Output;
use super::placement::{placement, resources};
use super::pool::Pool;
use super::seal::{Ended, Sealing, seal};
use super::skip::Skipped;
use super::worker::{Collected, Work};
use crate::blocking::blocking;
use crate::datums::DatumKey;
use crate::error::{EngineError, Result, in_full};
use crate::executors::{readable_paths, runs_on_host};
use crate::graph::Pipeline;
use crate::live::{Counts, EngineEvent, JobKey, JobState, Live, LiveState, job_id};
use crate::plan::{Plan, plan};
use crate::recipe::{Leaf, RecipeBuilder};
use crate::run::{Actor, COLLECTED_TRIES};
use crate::secrets::{self, Confided, Missing};
use crate::slots::DatumSlots;
use sandbox::{HostFolder, InputFile, OutputLimits, SameImage, SandboxSpec};

/// A wait longer than any job.
const NEVER: Duration = Duration::from_hours(24 * 365);
/// The job stops after this many failed datums if none has succeeded.
const FAIL_FAST: u64 = 100;

/// A job and everything it needs.
#[derive(Debug)]
pub(crate) struct JobContext {
    pub(crate) store: Store,
    pub(crate) pool: Arc<Pool>,
    pub(crate) live: Live,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) job: JobRow,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) by: Actor,
    pub(crate) executor: ExecutorStamp,
    /// One slot for each datum that may be executed at the same time, over all jobs.
    pub(crate) slots: Arc<DatumSlots>,
    /// Whether every datum runs, regardless of the cache.
    pub(crate) reprocess: bool,
    /// The paths whose readers run again.
    pub(crate) again: Option<Glob>,
    pub(crate) settings: JobSettings,
    /// Set if the job must not continue.
    pub(crate) stop: watch::Receiver<Option<Stop>>,
    /// Only these datums, whatever the base; `None` for all.
    pub(crate) only: Option<BTreeSet<DatumKey>>,
    /// Folders of the host that its sandboxes show.
    pub(crate) mounts: Vec<HostFolder>,
}

/// Why a job does not continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It was ended, for this reason.
    Killed(String),
    /// The engine ends. The job stays open, and the next engine continues it.
    Interrupted,
}

/// Settings of the store that apply to jobs.
#[derive(Debug, Clone)]
pub(crate) struct JobSettings {
    pub(crate) fail_fast: bool,
    pub(crate) log_max: usize,
    pub(crate) limits: OutputLimits,
    pub(crate) readable: Vec<PathBuf>,
}

impl JobSettings {
    /// The current settings.
    pub(crate) fn of(store: &Store) -> Result<Self> {
        Ok(Self {
            fail_fast: store.setting(&settings::FAIL_FAST)?,
            log_max: usize::try_from(store.setting(&settings::LOG_MAX)?).unwrap_or(usize::MAX),
            limits: OutputLimits {
                files_max: store.setting(&settings::OUTPUT_FILES_MAX)?.get(),
                bytes_max: store.setting(&settings::OUTPUT_BYTES_MAX)?.get(),
            },
            readable: readable_paths(store)?,
        })
    }
}

impl JobContext {
    /// Its key in the map of live jobs.
    pub(crate) fn key(&self) -> JobKey {
        JobKey { order: self.job.order, pipeline: self.job.pipeline.clone() }
    }

    /// Whether every datum runs, regardless of the cache.
    fn reprocesses(&self) -> bool {
        self.reprocess || self.pipeline.spec.reprocess == Reprocess::EveryJob
    }
}

/// Runs a job to its end, whatever that is, unless it is interrupted; fails only if the end cannot be recorded.
pub(crate) async fn run_job(cx: JobContext) -> Result<()> {
    let cx = Arc::new(cx);
    let _operation = cx.store.operation();
    let started_at = cx.store.clock().now();
    let mut tries = 1;
    loop {
        match run_once(&cx, started_at).await {
            // What it took from the cache was collected before it could be named: then it is executed again.
            Err(EngineError::Store(error)) if Store::is_collected(&error) && tries < COLLECTED_TRIES => tries += 1,
            done => return done,
        }
    }
}

/// Like [`run_job`], without a retry.
async fn run_once(cx: &Arc<JobContext>, started_at: Timestamp) -> Result<()> {
    let key = cx.key();
    cx.live.enters(&key, cx.job.run, LiveState::Running, started_at);
    let ended = match work(cx, started_at).await {
        Ok(Some(ended)) => ended,
        Ok(None) => return Ok(()),
        Err(error) => Ended {
            state: SealedState::Failure,
            reason: Some(in_full(&error)),
            started_at: Some(started_at),
            counts: cx.live.job(&key).map(|live| live.counts).unwrap_or_default(),
            made: None,
        },
    };
    let state = ended.state;
    let sealed = {
        let cx = cx.clone();
        tokio::task::spawn_blocking(move || {
            let sealing = Sealing {
                store: &cx.store,
                pipeline: &cx.pipeline,
                job: &cx.job,
                by: &cx.by,
                executor: cx.executor.clone(),
            };
            seal(&sealing, &ended)
        })
    };
    let sealed = sealed.await.map_err(|error| EngineError::Stopped(error.to_string()))?;
    if !matches!(&sealed, Err(EngineError::Store(error)) if Store::is_collected(error)) {
        tracing::info!("job {} ended: {}", job_id(&cx.job.pipeline, &cx.job.run), JobState::from(state));
        cx.live.ended(&key, cx.job.run, state);
    }
    match sealed {
        // The job was ended meanwhile, for example by a new version of the pipeline.
        Err(EngineError::Store(RepoError::JobEnded { .. })) => Ok(()),
        sealed => sealed,
    }
}

/// Does everything except recording the end; `None` if the job was interrupted.
pub(crate) async fn work(cx: &Arc<JobContext>, started_at: Timestamp) -> Result<Option<Ended>> {
    let begun = Instant::now();
    let planned = {
        let cx = cx.clone();
        tokio::task::spawn_blocking(move || prepare(&cx))
    };
    let (mut plan, datums, mut output) = planned.await.map_err(|error| EngineError::Stopped(error.to_string()))??;
    cx.live.datums(&cx.key(), output.datums());
    let counts = Counts { total: plan.total, cached: plan.kept(), ..Counts::default() };
    let todo = std::mem::take(&mut plan.todo);
    let dispatched = dispatch(cx, begun, datums, todo, counts, &mut output).await?;
    if dispatched.stopped == Some(Stop::Interrupted) {
        return Ok(None);
    }
    let cx = cx.clone();
    cx.live.enters(&cx.key(), cx.job.run, LiveState::Finishing, cx.store.clock().now());
    let finished = tokio::task::spawn_blocking(move || {
        let (trees, clash) = output.finish()?;
        Ok::<_, RepoError>((cx.leaves.clone(), trees, clash))
    });
    let (leaves, trees, clash) = finished.await.map_err(|error| EngineError::Stopped(error.to_string()))??;
    let Dispatched { counts, stopped, problem } = dispatched;
    let clash = clash.map(|path| format!("`{path}` is written both as a file and as a directory"));
    let failed = (counts.failed > 0).then(|| format!("{} of {} datums failed", counts.failed, counts.total));
    let (state, reason) = match (stopped, problem.or(clash).or(failed)) {
        (Some(Stop::Killed(why)), _) => (SealedState::Killed, Some(why)),
        (_, Some(why)) => (SealedState::Failure, Some(why)),
        (_, None) => (SealedState::Success, None),
    };
    Ok(Some(Ended { state, reason, started_at: Some(started_at), counts, made: Some((leaves, trees)) }))
}

/// Plans the job and prepares what its datums share.
fn prepare(cx: &JobContext) -> Result<(Plan, DatumContext, Output)> {
    let (repo, branch) = cx.pipeline.output_branch();
    let parent = cx.store.find_branch(&repo, &branch)?.and_then(|row| row.commit);
    let plan = if cx.reprocesses() || cx.again.is_some() {
        // Nothing of the parent is kept, so every datum is planned.
        let planned = plan(&cx.store, &cx.pipeline, &cx.leaves, None)?;
        let parent = plan_parent(cx, parent)?;
        Plan { parent, ..planned }
    } else if let Some(only) = &cx.only {
        let mut planned = plan(&cx.store, &cx.pipeline, &cx.leaves, None)?;
        planned.todo.retain(|key| only.contains(key));
        Plan { total: planned.todo.len() as u64, ..planned }
    } else {
        plan(&cx.store, &cx.pipeline, &cx.leaves, parent)?
    };
    let output = Output::new(&cx.store, &plan)?;
    Ok((plan, datum_context(cx)?, output))
}

/// What the datums of a job share.
pub(crate) fn datum_context(cx: &JobContext) -> Result<DatumContext> {
    let version = &cx.pipeline.version;
    let transform: Transform = cx.store.document(&version.transform)?;
    let confided = confide(&cx.store, &cx.pipeline)?;
    say_what_is_not_kept(cx);
    let sandbox = sandbox_spec(&cx.store, &cx.pipeline, &transform, cx.settings.readable.clone())?;
    Ok(DatumContext {
        store: cx.store.clone(),
        pool: cx.pool.clone(),
        slots: Some(cx.slots.clone()),
        pipeline: cx.pipeline.clone(),
        recipes: RecipeBuilder::new(cx.store.clone(), version.transform, cx.leaves.clone()),
        job: cx.key(),
        run: cx.job.run,
        executor: cx.executor.clone(),
        network: transform.network,
        sandbox: Arc::new(SandboxSpec { mounts: cx.mounts.clone(), ..sandbox }),
        mask: Mask::of(&confided.values),
        confided,
        cmd: cx.pipeline.command(),
        reprocess: cx.reprocesses(),
        again: cx.again.clone(),
        log_max: cx.settings.log_max,
        limits: cx.settings.limits,
        live: cx.live.clone(),
        skipped: Skipped::of(&cx.store, &cx.job)?,
    })
}

/// The secrets of the pipeline's stages; fails if something is missing.
pub(super) fn confide(store: &Store, pipeline: &Pipeline) -> Result<Confided> {
    let (confided, missing) = secrets::confide(store, &pipeline.spec.transform.secrets)?;
    match missing.into_iter().next() {
        None => Ok(confided),
        Some(Missing { what, hint, .. }) => {
            Err(EngineError::NotReady { pipeline: pipeline.name().clone(), why: format!("{what} ({hint})") })
        }
    }
}

/// Logs once per job which requests of the spec this executor cannot fulfil.
fn say_what_is_not_kept(cx: &JobContext) {
    let limits = &cx.pipeline.spec.resource_limits;
    if runs_on_host(cx.executor.kind, cx.pipeline.version.image.is_some())
        && (limits.cpu.is_some() || limits.memory.is_some())
    {
        tracing::warn!("{}: the process executor does not enforce resource limits", cx.pipeline.name());
    }
}

/// The labels of sandboxes for a pipeline version.
pub(crate) fn labels(pipeline: &Pipeline) -> BTreeMap<String, String> {
    let version = pipeline.version.version.to_string();
    [("pv.pipeline".to_owned(), pipeline.name().to_string()), ("pv.version".to_owned(), version)].into()
}

/// The sandbox spec of a pipeline version.
pub(super) fn sandbox_spec(
    store: &Store,
    pipeline: &Pipeline,
    transform: &Transform,
    readable: Vec<PathBuf>,
) -> Result<SandboxSpec, RepoError> {
    let spec = &pipeline.spec.transform;
    Ok(SandboxSpec {
        image: pipeline.version.image.as_ref().map(|image| image.id.clone()),
        same_image: pipeline.version.image.as_ref().map(SameImage::from),
        network: transform.network,
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
        labels: labels(pipeline),
        code: transform.code.map(|code| code_files(store, Tree::at(code))).transpose()?.unwrap_or_default(),
        code_path: transform.code_path.clone(),
        readable,
        resources: resources(&pipeline.spec),
        placement: placement(&pipeline.spec),
        secret_directories: secrets::directories(&spec.secrets),
        mounts: Vec::new(),
    })
}

fn plan_parent(cx: &JobContext, parent: Option<specs::CommitId>) -> Result<Option<crate::plan::Base>, RepoError> {
    parent.map(|id| Ok(crate::plan::Base { id, commit: cx.store.commit(&id)? })).transpose()
}

fn code_files(store: &Store, code: Tree) -> Result<Vec<InputFile>, RepoError> {
    code.range(store, KeyRange::all())?
        .map(|entry| {
            let (key, file) = entry?;
            let path = path_of(&key)?.as_str().trim_start_matches('/').to_owned();
            let FileEntry { digest, size: size_bytes, executable } = file;
            Ok(InputFile { path, digest, size_bytes, executable, is_placeholder: false })
        })
        .collect()
}

/// The result of a job's datums.
struct Dispatched {
    counts: Counts,
    /// Why it was stopped from outside.
    stopped: Option<Stop>,
    /// Why it stopped by itself.
    problem: Option<String>,
}

/// Has all datums in `todo` executed, or taken from the cache, by as many workers as the spec and the store's limit allow.
async fn dispatch(
    cx: &Arc<JobContext>,
    begun: Instant,
    datums: DatumContext,
    todo: crate::datums::DatumList,
    counts: Counts,
    output: &mut Output,
) -> Result<Dispatched> {
    let most = cx.pipeline.spec.parallelism.map_or(usize::MAX, |own| own as usize).min(todo.len()).max(1);
    let count = most.min(cx.slots.limit()).max(1);
    let (sender, collected) = mpsc::channel(2 * count);
    let (halt, halted) = watch::channel(false);
    let work = Arc::new(Work::new(datums, todo, cx.slots.clone(), sender));
    let mut workers = JoinSet::new();
    for number in 0..count {
        workers.spawn(work.clone().as_worker(number, halted.clone()));
    }
    // Only the workers keep the channel of results open.
    let weak = Arc::downgrade(&work);
    drop(work);
    let dispatched = tokio::select! {
        dispatched = collect(cx, begun, collected, counts, output) => dispatched,
        never = grow(&cx.slots, &weak, &mut workers, most, &halted) => match never {},
    };
    // Workers in the middle of a datum end their sandboxes.
    halt.send_replace(true);
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| EngineError::Stopped(error.to_string()))?;
    }
    dispatched
}

/// Adds workers, up to `most`, as there are more slots: machines join.
async fn grow(
    slots: &DatumSlots,
    work: &Weak<Work>,
    workers: &mut JoinSet<()>,
    most: usize,
    halted: &watch::Receiver<bool>,
) -> Infallible {
    while workers.len() < most {
        let limit = slots.more_than(workers.len()).await;
        let Some(work) = work.upgrade() else { break };
        for number in workers.len()..limit.min(most) {
            workers.spawn(work.clone().as_worker(number, halted.clone()));
        }
    }
    std::future::pending().await
}

/// Waits until a watched value satisfies `is`, or its sender is gone.
pub(super) async fn until<T>(watched: &mut watch::Receiver<T>, is: impl FnMut(&T) -> bool) {
    watched.wait_for(is).await.ok();
}

/// The deadline of the job, and the message if it is missed.
fn deadline(cx: &JobContext, begun: Instant) -> (Instant, String) {
    let Some(limit) = cx.pipeline.spec.job_timeout else {
        return (begun + NEVER, String::new());
    };
    (begun + limit.get().min(NEVER), format!("it took longer than `job_timeout` allows: {limit}"))
}

/// Collects ended datums until all have arrived, the job is stopped, or it cannot continue.
async fn collect(
    cx: &JobContext,
    begun: Instant,
    mut collected: mpsc::Receiver<Collected>,
    mut counts: Counts,
    output: &mut Output,
) -> Result<Dispatched> {
    let key = cx.key();
    let deadline = deadline(cx, begun);
    let mut stop = cx.stop.clone();
    // Those that failed in the job that this one retries, and are not executed.
    let mut failed_before = 0;
    let show = |counts: Counts| {
        cx.live.update(&key, |live| live.counts = counts);
        cx.live.tell(EngineEvent::Changed(key.clone()));
    };
    show(counts);
    loop {
        let (datum, ended) = tokio::select! {
            next = collected.recv() => match next {
                Some(next) => next,
                None => return Ok(Dispatched { counts, stopped: None, problem: None }),
            },
            () = tokio::time::sleep_until(deadline.0) => {
                return Ok(Dispatched { counts, stopped: Some(Stop::Killed(deadline.1)), problem: None });
            }
            () = until(&mut stop, Option::is_some) => {
                // If the engine is gone, nobody is left to stop it.
                let why = stop.borrow().clone().unwrap_or(Stop::Interrupted);
                return Ok(Dispatched { counts, stopped: Some(why), problem: None });
            }
        };
        let (ended, at_work) = match ended {
            Ok(ended) => ended,
            // Not the datum's fault: the job cannot continue, but keeps what is done.
            Err(error) => return Ok(Dispatched { counts, stopped: None, problem: Some(in_full(&error)) }),
        };
        match ended.state {
            DatumState::Processed => counts.processed += 1,
            DatumState::Cached => counts.cached += 1,
            DatumState::Failed => counts.failed += 1,
            DatumState::Recovered => counts.recovered += 1,
        }
        failed_before += u64::from(ended.state == DatumState::Failed && at_work.is_none());
        let collision = blocking(|| output.add(&datum, &ended))?;
        show(counts);
        if let Some(at_work) = at_work {
            at_work.ended(ended.result);
        }
        if let Some(collision) = collision {
            return Ok(Dispatched { counts, stopped: None, problem: Some(collision.to_string()) });
        }
        if cx.settings.fail_fast
            && counts.failed - failed_before >= FAIL_FAST
            && counts.processed + counts.cached + counts.recovered == 0
        {
            let problem = format!("its first {FAIL_FAST} datums all failed, so it was stopped");
            return Ok(Dispatched { counts, stopped: None, problem: Some(problem) });
        }
    }
}
