//! Runs one job: dispatches its datums to sandboxes and collects what they give.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use repos::documents::{ExecutorStamp, Transform};
use repos::journal::SealedState;
use repos::tree::{KeyRange, Tree, path_of};
use repos::{JobRow, RepoError, Store, Timestamp};
use specs::Glob;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::datum::{DatumContext, DatumEnd, DatumState};
use super::output::Output;
use super::pool::Pool;
use super::seal::{Ended, Sealing, seal};
use crate::changes::{By, COLLECTED_TRIES};
use crate::datums::{Arm, DatumKey};
use crate::error::{EngineError, Result};
use crate::executor::{InputFile, Sandbox, SandboxSpec};
use crate::graph::Pipeline;
use crate::live::{Counts, Happened, JobKey, Live, LiveState};
use crate::plan::{Plan, plan};
use crate::recipe::{Kitchen, Leaf};

/// When so many datums have failed and none has succeeded, the job stops.
const FAIL_FAST: u64 = 100;

/// A job and all that it needs.
#[derive(Debug)]
pub(crate) struct JobContext {
    pub(crate) store: Store,
    pub(crate) pool: Arc<Pool>,
    pub(crate) live: Live,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) job: JobRow,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) by: By,
    pub(crate) executor: ExecutorStamp,
    /// One for each datum that may be executed at a time, over all jobs.
    pub(crate) permits: Arc<Semaphore>,
    /// How many these are.
    pub(crate) limit: usize,
    /// Whether every datum runs, whatever the cache holds.
    pub(crate) reprocess: bool,
    /// Whether those that read a matching path do.
    pub(crate) again: Option<Glob>,
    pub(crate) settings: JobSettings,
    /// Set when the job is not to go on.
    pub(crate) stop: watch::Receiver<Option<Stop>>,
}

/// Why a job does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody ended it, for this reason.
    Killed(String),
    /// The engine ends. The job stays open, and the next engine goes on with it.
    Interrupted,
}

/// Settings of the store that jobs follow.
#[derive(Debug, Clone)]
pub(crate) struct JobSettings {
    pub(crate) fail_fast: bool,
    pub(crate) log_max: usize,
    pub(crate) limits: crate::executor::OutputLimits,
    pub(crate) readable: Vec<PathBuf>,
}

/// What a datum of the queue became.
type Collected = (DatumKey, Result<DatumEnd>);

/// Datums that wait for a worker.
type Queue = Mutex<std::collections::btree_map::IntoIter<DatumKey, Vec<Arm>>>;

impl JobContext {
    fn key(&self) -> JobKey {
        JobKey { order: self.job.order, pipeline: self.job.pipeline.clone() }
    }
}

/// Runs a job to its end, whatever that is, unless it is interrupted; an error only when the end cannot be recorded.
pub(crate) async fn run_job(cx: JobContext) -> Result<()> {
    let cx = Arc::new(cx);
    let _operation = cx.store.operation();
    let started_at = cx.store.clock().now();
    let mut tries = 1;
    loop {
        match run_once(&cx, started_at).await {
            // What it took from the cache went before it could be named: then it is executed again.
            Err(EngineError::Store(error)) if Store::is_collected(&error) && tries < COLLECTED_TRIES => tries += 1,
            done => return done,
        }
    }
}

/// The same, without another try.
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
        cx.live.ended(&key, cx.job.run, state);
    }
    match sealed {
        // Somebody ended it meanwhile, such as a new version of the pipeline.
        Err(EngineError::Store(RepoError::Conflict { .. })) => Ok(()),
        sealed => sealed,
    }
}

/// An error with its causes, on one line.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Does all but recording the end; `None` when the job was interrupted.
async fn work(cx: &Arc<JobContext>, started_at: Timestamp) -> Result<Option<Ended>> {
    let planned = {
        let cx = cx.clone();
        tokio::task::spawn_blocking(move || prepare(&cx))
    };
    let (mut plan, datums, mut output) = planned.await.map_err(|error| EngineError::Stopped(error.to_string()))??;
    let counts = Counts { total: plan.total, cached: plan.kept(), ..Counts::default() };
    let todo = std::mem::take(&mut plan.todo);
    let dispatched = dispatch(cx, datums, todo, counts, &mut output).await?;
    if dispatched.stopped == Some(Stop::Interrupted) {
        return Ok(None);
    }
    let cx = cx.clone();
    cx.live.enters(&cx.key(), cx.job.run, LiveState::Finishing, cx.store.clock().now());
    let finished = tokio::task::spawn_blocking(move || {
        let (trees, clashes) = output.finish()?;
        Ok::<_, RepoError>((cx.leaves.clone(), trees, clashes))
    });
    let (leaves, trees, clashes) = finished.await.map_err(|error| EngineError::Stopped(error.to_string()))??;
    let Dispatched { counts, stopped, problem } = dispatched;
    let clash = clashes.first().map(|path| format!("`{path}` is written both as a file and as a directory"));
    let failed = (counts.failed > 0).then(|| format!("{} of {} datums failed", counts.failed, counts.total));
    let (state, reason) = match (stopped, problem.or(clash).or(failed)) {
        (Some(Stop::Killed(why)), _) => (SealedState::Killed, Some(why)),
        (_, Some(why)) => (SealedState::Failure, Some(why)),
        (_, None) => (SealedState::Success, None),
    };
    Ok(Some(Ended { state, reason, started_at: Some(started_at), counts, made: Some((leaves, trees)) }))
}

/// Plans the job and lays out what its datums share.
fn prepare(cx: &JobContext) -> Result<(Plan, DatumContext, Output)> {
    let (repo, branch) = cx.pipeline.output_branch();
    let parent = cx.store.find_branch(&repo, &branch)?.and_then(|row| row.commit);
    let plan = if cx.reprocess || cx.again.is_some() {
        // Nothing of the parent is kept, so every datum is planned.
        let planned = plan(&cx.store, &cx.pipeline, &cx.leaves, None)?;
        let parent = plan_parent(cx, parent)?;
        Plan { parent, ..planned }
    } else {
        plan(&cx.store, &cx.pipeline, &cx.leaves, parent)?
    };
    let output = Output::new(&cx.store, &plan)?;
    let version = &cx.pipeline.version;
    let transform: Transform = cx.store.document(&version.transform)?;
    let datums = DatumContext {
        store: cx.store.clone(),
        pool: cx.pool.clone(),
        pipeline: cx.pipeline.clone(),
        kitchen: Kitchen::new(cx.store.clone(), version.transform, cx.leaves.clone()),
        job: cx.key(),
        run: cx.job.run,
        executor: cx.executor.clone(),
        network: transform.network,
        sandbox: sandbox_spec(&cx.store, &cx.pipeline, &transform, cx.settings.readable.clone())?,
        cmd: cx.pipeline.command(),
        reprocess: cx.reprocess,
        again: cx.again.clone(),
        log_max: cx.settings.log_max,
        limits: cx.settings.limits,
        live: cx.live.clone(),
    };
    Ok((plan, datums, output))
}

/// The sandboxes of a pipeline's version.
pub(super) fn sandbox_spec(
    store: &Store,
    pipeline: &Pipeline,
    transform: &Transform,
    readable: Vec<PathBuf>,
) -> Result<SandboxSpec, RepoError> {
    let spec = &pipeline.spec.transform;
    Ok(SandboxSpec {
        image: pipeline.version.image.as_ref().map(|image| image.id.clone()),
        network: transform.network,
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
        labels: [("pv.pipeline".to_owned(), pipeline.name().to_string())].into(),
        code: transform.code.map(|code| code_files(store, Tree::at(code))).transpose()?.unwrap_or_default(),
        readable,
        resources: crate::executor::Resources::default(),
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
            Ok(InputFile { path, digest: file.digest, size_bytes: file.size, executable: file.executable })
        })
        .collect()
}

/// What came of a job's datums.
struct Dispatched {
    counts: Counts,
    /// Why it was stopped from outside.
    stopped: Option<Stop>,
    /// What stopped it from within.
    problem: Option<String>,
}

/// Has all datums of `todo` executed, or taken from the cache, by as many workers as the spec and the store's limit allow.
async fn dispatch(
    cx: &Arc<JobContext>,
    datums: DatumContext,
    todo: crate::datums::Datums,
    counts: Counts,
    output: &mut Output,
) -> Result<Dispatched> {
    let own_limit = cx.pipeline.spec.parallelism.map_or(cx.limit, |own| own as usize);
    let count = own_limit.min(cx.limit).min(todo.len()).max(1);
    let datums = Arc::new(datums);
    let queue: Arc<Queue> = Arc::new(Mutex::new(todo.into_iter()));
    let (sender, collected) = mpsc::channel(2 * count);
    let (halt, halted) = watch::channel(false);
    let mut workers = JoinSet::new();
    for _ in 0..count {
        workers.spawn(worker(datums.clone(), queue.clone(), cx.permits.clone(), sender.clone(), halted.clone()));
    }
    drop(sender);
    let dispatched = collect(cx, collected, counts, output).await;
    // Workers that are in the middle of a datum end their sandboxes.
    halt.send_replace(true);
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| EngineError::Stopped(error.to_string()))?;
    }
    dispatched
}

/// Waits until a watched value is as asked, or will never be.
async fn until<T>(watched: &mut watch::Receiver<T>, is: impl FnMut(&T) -> bool) {
    watched.wait_for(is).await.ok();
}

/// Takes datums off the queue until it is empty or the job halts.
async fn worker(
    datums: Arc<DatumContext>,
    queue: Arc<Queue>,
    permits: Arc<Semaphore>,
    collected: mpsc::Sender<Collected>,
    mut halted: watch::Receiver<bool>,
) {
    let mut sandbox: Option<Sandbox> = None;
    loop {
        let next = queue.lock().expect("no panic under this lock").next();
        let Some((key, arms)) = next else { break };
        let ended = tokio::select! {
            ended = one_datum(&datums, &permits, &arms, &mut sandbox) => ended,
            () = until(&mut halted, |halted| *halted) => {
                if let Some(sandbox) = sandbox.take() {
                    sandbox.close().await.ok();
                }
                return;
            }
        };
        if collected.send((key, ended)).await.is_err() {
            break;
        }
    }
    if let Some(sandbox) = sandbox {
        datums.pool.give_back(datums.pipeline.document, sandbox);
    }
}

async fn one_datum(
    datums: &DatumContext,
    permits: &Semaphore,
    arms: &[Arm],
    sandbox: &mut Option<Sandbox>,
) -> Result<DatumEnd> {
    let (prepared, known) = tokio::task::block_in_place(|| datums.prepare(arms))?;
    if let Some(known) = known {
        return Ok(known);
    }
    let _permit = permits.acquire().await.map_err(|error| EngineError::Stopped(error.to_string()))?;
    let now = datums.store.clock().now();
    datums.live.update(&datums.job, |live| {
        live.running.insert(prepared.id, now);
    });
    let ended = datums.execute(arms, &prepared, sandbox).await;
    datums.live.update(&datums.job, |live| {
        live.running.remove(&prepared.id);
    });
    ended
}

/// Collects ended datums until all have come, somebody stops the job, or it cannot go on.
async fn collect(
    cx: &JobContext,
    mut collected: mpsc::Receiver<Collected>,
    mut counts: Counts,
    output: &mut Output,
) -> Result<Dispatched> {
    let key = cx.key();
    let mut stop = cx.stop.clone();
    let show = |counts: Counts| {
        cx.live.update(&key, |live| live.counts = counts);
        cx.live.tell(Happened::Changed(key.clone()));
    };
    show(counts);
    loop {
        let (datum, ended) = tokio::select! {
            next = collected.recv() => match next {
                Some(next) => next,
                None => return Ok(Dispatched { counts, stopped: None, problem: None }),
            },
            () = until(&mut stop, Option::is_some) => {
                // Nobody is left to stop it when the engine is gone.
                let why = stop.borrow().clone().unwrap_or(Stop::Interrupted);
                return Ok(Dispatched { counts, stopped: Some(why), problem: None });
            }
        };
        let ended = match ended {
            Ok(ended) => ended,
            // Not the datum's fault: the job cannot go on, but keeps what is done.
            Err(error) => return Ok(Dispatched { counts, stopped: None, problem: Some(in_full(&error)) }),
        };
        match ended.state {
            DatumState::Processed => counts.processed += 1,
            DatumState::Cached => counts.cached += 1,
            DatumState::Failed => counts.failed += 1,
        }
        let collision = tokio::task::block_in_place(|| output.add(&datum, &ended))?;
        show(counts);
        if let Some(collision) = collision {
            return Ok(Dispatched { counts, stopped: None, problem: Some(collision.to_string()) });
        }
        if cx.settings.fail_fast && counts.failed >= FAIL_FAST && counts.processed + counts.cached == 0 {
            let problem = format!("its first {FAIL_FAST} datums all failed, so it was stopped");
            return Ok(Dispatched { counts, stopped: None, problem: Some(problem) });
        }
    }
}
