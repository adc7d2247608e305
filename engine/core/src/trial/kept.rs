//! Trials on record: their results are shared, and complete ones make commits.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use repos::journal::{Cause, CauseKind, Entry, JobSeed, RepoKind, SealedState};
use repos::{Change, JobRow, RepoError, Store};
use specs::{CommitId, RunId};
use tokio::sync::watch;

use super::sample::keys;
use super::select::{Inputs, Selected};
use super::{Begun, OnBegin, Request, Tried, TriedJob, TriedOutput, present};
use crate::blocking::blocking;
use crate::datums::DatumKey;
use crate::error::{EngineError, Result, in_full};
use crate::execution::{Ended, JobContext, Pool, Sealing, Stop, end_of, work};
use crate::graph::{BranchOf, Pipeline};
use crate::live::{Counts, JobState, LiveState};
use crate::recipe::Leaf;
use crate::run::{Actor, cause, new_run};
use crate::scheduler::Engine;

/// Runs everything that a request selects, one pipeline after another. `stop` ends it: what is done stays in the cache.
pub(super) async fn run(
    engine: &Engine,
    request: &Request,
    by: &Actor,
    stop: watch::Receiver<bool>,
    on_begin: OnBegin<'_>,
) -> Result<Tried> {
    let store = engine.store().clone();
    let _operation = store.operation();
    let is_sample = !request.sample.is_all();
    let selected = blocking(|| Selected::of(&store, request, is_sample))?;
    ensure_same_executor(engine, &selected)?;
    let only = blocking(|| samples(&store, request, &selected))?;
    let run = blocking(|| begin(&store, request, &selected, by))?;
    let order = store.run(&run)?.order;
    on_begin(Begun { run: Some(run), order });
    let pool = Arc::new(Pool::new(engine.executor_handle()));
    let all = All { engine, request, by, selected: &selected, only, order, pool: &pool, stop };
    let jobs = all.run().await;
    pool.close(|_| true).await;
    Ok(Tried { run: Some(run), jobs: jobs?, left_out: selected.left_out })
}

/// All jobs of a trial.
struct All<'a> {
    engine: &'a Engine,
    request: &'a Request,
    by: &'a Actor,
    selected: &'a Selected,
    only: Samples,
    order: u64,
    pool: &'a Arc<Pool>,
    stop: watch::Receiver<bool>,
}

impl All<'_> {
    async fn run(self) -> Result<Vec<TriedJob>> {
        let store = self.engine.store();
        let mut made: BTreeMap<BranchOf, CommitId> = BTreeMap::new();
        let mut jobs = Vec::new();
        for (pipeline, only) in self.selected.pipelines.iter().zip(self.only) {
            let row = store.job(self.order, pipeline.name())?.ok_or_else(|| gone(pipeline))?;
            let inputs = blocking(|| self.selected.inputs(store, self.request, pipeline, &made))?;
            let stop = self.stop.clone();
            let one = One { engine: self.engine, by: self.by, pipeline, row, only, pool: self.pool, stop };
            let job = one.run(inputs).await?;
            if job.state == JobState::Success {
                made.extend(job.commit.map(|commit| (pipeline.output_branch(), commit)));
            }
            jobs.push(job);
        }
        Ok(jobs)
    }
}

/// For each pipeline the keys of its sample; `None` for all.
type Samples = Vec<Option<BTreeSet<DatumKey>>>;

/// Chosen before anything is recorded, since there may be none.
fn samples(store: &Store, request: &Request, selected: &Selected) -> Result<Samples> {
    let of = |pipeline: &Arc<Pipeline>| match selected.inputs(store, request, pipeline, &BTreeMap::new())? {
        Ok(leaves) => keys(store, pipeline, &leaves, &request.sample),
        Err(_) => Ok(None),
    };
    if request.sample.is_all() {
        return Ok(selected.pipelines.iter().map(|_| None).collect());
    }
    selected.pipelines.iter().map(of).collect()
}

fn gone(pipeline: &Pipeline) -> EngineError {
    EngineError::Stopped(format!("the job of `{}` is not in the index", pipeline.name()))
}

/// Versions are for one executor.
pub(super) fn ensure_same_executor(engine: &Engine, selected: &Selected) -> Result<()> {
    let kind = engine.executor().kind;
    match selected.pipelines.iter().find(|pipeline| pipeline.version.executor != kind) {
        None => Ok(()),
        Some(pipeline) => Err(EngineError::Conflict {
            what: format!(
                "pipeline `{}` is prepared for executor {}, but the store uses {kind}",
                pipeline.name(),
                pipeline.version.executor
            ),
            hint: Some("pv run prepares it first".to_owned()),
        }),
    }
}

/// Records the trial: the versions that it tries, its run, its jobs.
fn begin(store: &Store, request: &Request, selected: &Selected, by: &Actor) -> Result<RunId> {
    let run = new_run();
    let mut entries = Vec::new();
    let mut jobs = Vec::new();
    for pipeline in &selected.pipelines {
        let (name, version) = (pipeline.name().clone(), pipeline.version.version);
        if store.pipeline_version(&name, version)?.is_none() {
            entries.push(Entry::PipelineTry { pipeline: name.clone(), version, document: pipeline.document });
        }
        // The output of a pipeline that does not exist yet needs a repository; it gets a branch with the pipeline.
        if request.sample.is_all() && !store.has_repo(&name.output_repo())? {
            entries.push(Entry::RepoCreate { repo: name.output_repo(), repo_kind: RepoKind::Output });
        }
        jobs.push(JobSeed { pipeline: name, version });
    }
    // The numbers of tried versions are valid for the pipelines in the request.
    let graph = (!entries.is_empty()).then_some(request.graph.number);
    let cause: Cause = cause(store, CauseKind::Try, by, request.refs.clone());
    entries.push(Entry::Run { run, cause, moves: Vec::new(), jobs });
    store.publish(&Change { entries, graph }).map_err(|error| match error {
        error if Store::is_race(&error) => EngineError::Conflict {
            what: "pipelines were changed in the meantime".to_owned(),
            hint: Some("repeat the command".to_owned()),
        },
        error => error.into(),
    })?;
    Ok(run)
}

/// One job of a trial.
struct One<'a> {
    engine: &'a Engine,
    by: &'a Actor,
    pipeline: &'a Arc<Pipeline>,
    row: JobRow,
    /// Only these datums: then it makes no commit.
    only: Option<BTreeSet<DatumKey>>,
    pool: &'a Arc<Pool>,
    stop: watch::Receiver<bool>,
}

impl One<'_> {
    async fn run(self, inputs: Inputs) -> Result<TriedJob> {
        let store = self.engine.store();
        let started_at = store.clock().now();
        let mut ended = match inputs {
            Ok(leaves) => self.execute(leaves).await?,
            Err(why) => Ended {
                state: SealedState::Unrunnable,
                reason: Some(why),
                started_at: None,
                counts: Counts::default(),
                made: None,
            },
        };
        let tried = ended.made.as_ref().map(|(_, trees)| trees.datums);
        let is_sample = self.only.is_some();
        if is_sample {
            ended.made = None;
        }
        let commit = blocking(|| self.seal(&ended))?;
        let present = blocking(|| present(store, self.pipeline))?;
        Ok(TriedJob {
            pipeline: self.pipeline.name().clone(),
            version: self.pipeline.version.version,
            state: ended.state.into(),
            reason: ended.reason,
            counts: ended.counts,
            seconds: store.clock().now().seconds_since(started_at),
            commit,
            present,
            output: tried.map_or(TriedOutput::Nothing, |datums| TriedOutput::Kept { datums, is_sample }),
        })
    }

    async fn execute(&self, leaves: Vec<Leaf>) -> Result<Ended> {
        let (store, live) = (self.engine.store(), self.engine.live());
        let (told, stopped) = watch::channel(None);
        let context = self.engine.context(&self.row, self.pipeline.clone(), leaves, stopped)?;
        let context =
            Arc::new(JobContext { only: self.only.clone(), by: self.by.clone(), pool: self.pool.clone(), ..context });
        let started_at = store.clock().now();
        live.enters(&context.key(), self.row.run, LiveState::Running, started_at);
        let worked = tokio::select! {
            worked = work(&context, started_at) => worked,
            never = forward(self.stop.clone(), &told) => match never {},
        };
        let ended = match worked {
            Ok(Some(ended)) => ended,
            stopped => Ended {
                state: if stopped.is_ok() { SealedState::Killed } else { SealedState::Failure },
                reason: Some(stopped.err().map_or_else(|| "interrupted".to_owned(), |error| in_full(&error))),
                started_at: Some(started_at),
                counts: live.job(&context.key()).map(|live| live.counts).unwrap_or_default(),
                made: None,
            },
        };
        live.ended(&context.key(), self.row.run, ended.state);
        Ok(ended)
    }

    /// Records the end of the job; returns its commit, if it made one. No branch moves.
    fn seal(&self, ended: &Ended) -> Result<Option<CommitId>> {
        let store = self.engine.store();
        let executor = self.engine.executor().clone();
        let sealing = Sealing { store, pipeline: self.pipeline, job: &self.row, by: self.by, executor };
        let entry = end_of(&sealing, ended)?;
        let commit = if let Entry::Job { commit, .. } = &entry { *commit } else { None };
        match store.publish(&Change::of(vec![entry])) {
            // It was ended meanwhile.
            Err(RepoError::JobEnded { .. }) => Ok(None),
            done => Ok(done.map(|()| commit)?),
        }
    }
}

/// Forwards the request to stop a trial.
async fn forward(mut stop: watch::Receiver<bool>, told: &watch::Sender<Option<Stop>>) -> Infallible {
    // If nobody is left to request it, the trial runs to its end.
    if stop.wait_for(|stop| *stop).await.is_ok() {
        told.send_replace(Some(Stop::Killed("its try was stopped".to_owned())));
    }
    std::future::pending().await
}
