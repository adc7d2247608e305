//! Trials that keep nothing: with folders of the host mounted, with the outputs written to a folder of the host, or with a shell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use repos::files::{self, GetOptions};
use repos::tree::Map;
use repos::{JobRow, RepoError, Store};
use specs::CommitId;
use tokio::sync::watch;

use super::sample::keys;
use super::select::Selected;
use super::{Begun, EphemeralDatum, OnBegin, Request, Tried, TriedJob, TriedOutput, present};
use crate::blocking::blocking;
use crate::datums::{DatumKey, InputMatch};
use crate::error::{EngineError, Result};
use crate::execution::{DatumContext, JobContext, Outputs, Pool, Seats, datum_context};
use crate::graph::Pipeline;
use crate::live::{Counts, JobState, LiveState};
use crate::plan::plan;
use crate::recipe::{Leaf, Prepared};
use crate::run::new_run;
use crate::scheduler::Engine;
use sandbox::{Console, HostFolder};

/// How a trial is tied to the host.
#[derive(Debug, Clone, Default)]
pub struct EphemeralTrial {
    /// Folders that the sandboxes show.
    pub mounts: Vec<HostFolder>,
    /// Where the outputs are written.
    pub out: Option<Out>,
    /// Input for a shell in place of the pipeline's command; only for one datum.
    pub console: Option<Console>,
}

/// Where the outputs of a trial are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// To this folder of the host.
    Folder(PathBuf),
    /// To a machine elsewhere, by the caller.
    Elsewhere,
}

impl EphemeralTrial {
    /// Whether a trial is of this kind at all.
    pub fn is_any(&self) -> bool {
        self.uses_host() || self.out.is_some()
    }

    /// Whether it uses folders of the host, or runs commands that no pipeline has.
    pub(super) fn uses_host(&self) -> bool {
        !self.mounts.is_empty() || matches!(self.out, Some(Out::Folder(_))) || self.console.is_some()
    }
}

/// Tries the datums of one pipeline one after another.
pub(super) async fn run(
    engine: &Engine,
    request: &Request,
    ephemeral: &EphemeralTrial,
    stop: watch::Receiver<bool>,
    on_begin: OnBegin<'_>,
) -> Result<Tried> {
    let store = engine.store().clone();
    let _operation = store.operation();
    let selected = blocking(|| Selected::of(&store, request, true))?;
    super::kept::ensure_same_executor(engine, &selected)?;
    let [pipeline] = selected.pipelines.as_slice() else {
        let names: Vec<String> = selected.names().iter().map(ToString::to_string).collect();
        return Err(EngineError::Usage {
            what: format!("--mount, --out and --shell need a single pipeline, but this would try {}", names.join(", ")),
            hint: names.first().map(|name| format!("name one, such as {name}")),
        });
    };
    let leaves = blocking(|| selected.inputs(&store, request, pipeline, &BTreeMap::new()))?;
    let leaves = leaves.map_err(|why| EngineError::Conflict {
        what: format!("`{}` cannot run: {why}", pipeline.name()),
        hint: None,
    })?;
    let trial = Trial::begin(engine, request, ephemeral, pipeline, leaves, stop)?;
    on_begin(Begun { run: None, order: trial.context.job.order });
    let job = trial.run().await?;
    Ok(Tried { run: None, jobs: vec![job], left_out: selected.left_out })
}

/// One pipeline being tried.
struct Trial<'a> {
    engine: &'a Engine,
    ephemeral: &'a EphemeralTrial,
    context: JobContext,
    datums: DatumContext,
    todo: Vec<(DatumKey, Vec<InputMatch>)>,
    present: Option<CommitId>,
    stop: watch::Receiver<bool>,
    tried: Vec<EphemeralDatum>,
    counts: Counts,
    outputs: Outputs,
}

impl<'a> Trial<'a> {
    fn begin(
        engine: &'a Engine,
        request: &Request,
        ephemeral: &'a EphemeralTrial,
        pipeline: &Arc<Pipeline>,
        leaves: Vec<Leaf>,
        stop: watch::Receiver<bool>,
    ) -> Result<Self> {
        let store = engine.store();
        let todo = blocking(|| todo(store, request, pipeline, &leaves, ephemeral.console.is_some()))?;
        // A second try of a command being edited would show nothing new.
        let mut once = (**pipeline).clone();
        once.spec.datum_tries = 1;
        let row = row(store, pipeline);
        let context = engine.context(&row, Arc::new(once), leaves, watch::channel(None).1)?;
        let pool = Arc::new(Pool::new(engine.executor_handle()));
        let context = JobContext { mounts: ephemeral.mounts.clone(), pool, ..context };
        let datums = blocking(|| datum_context(&context))?;
        let present = blocking(|| present(store, pipeline))?;
        let counts = Counts { total: todo.len() as u64, ..Counts::default() };
        Ok(Self {
            engine,
            ephemeral,
            context,
            datums,
            todo,
            present,
            stop,
            tried: Vec::new(),
            counts,
            outputs: Outputs::new(),
        })
    }

    async fn run(mut self) -> Result<TriedJob> {
        let (store, live) = (self.engine.store(), self.engine.live());
        let (key, run) = (self.context.key(), self.context.job.run);
        let started_at = store.clock().now();
        live.enters(&key, run, LiveState::Running, started_at);
        let mut seats = self.datums.seats();
        let ended = self.all(&mut seats).await;
        seats.close().await.ok();
        self.datums.pool.close_all().await;
        let state = match &ended {
            Ok(false) => JobState::Killed,
            Ok(true) if self.counts.failed == 0 => JobState::Success,
            _ => JobState::Failure,
        };
        live.ended(
            &key,
            run,
            if state == JobState::Success {
                repos::journal::SealedState::Success
            } else {
                repos::journal::SealedState::Failure
            },
        );
        ended?;
        if let Some(Out::Folder(out)) = &self.ephemeral.out {
            blocking(|| self.bring(out))?;
        }
        let Counts { failed, total, .. } = self.counts;
        Ok(TriedJob {
            pipeline: self.context.pipeline.name().clone(),
            version: self.context.pipeline.version.version,
            state,
            reason: (failed > 0).then(|| format!("{failed} of {total} datums failed")),
            counts: self.counts,
            seconds: store.clock().now().seconds_since(started_at),
            commit: None,
            present: self.present,
            output: TriedOutput::EphemeralTrial { datums: self.tried, files: self.outputs },
        })
    }

    /// False if it was stopped.
    async fn all(&mut self, seats: &mut Seats) -> Result<bool> {
        let mut stop = self.stop.clone();
        for (key, inputs) in std::mem::take(&mut self.todo) {
            let prepared = blocking(|| self.datums.recipes.preview(&inputs))?;
            let tried = tokio::select! {
                tried = self.one(&inputs, &prepared, seats) => tried?,
                true = async { stop.wait_for(|stop| *stop).await.is_ok() } => return Ok(false),
            };
            blocking(|| self.take_in(key, prepared, tried))?;
        }
        Ok(true)
    }

    /// The output of a datum; `None` if it failed.
    async fn one(&self, inputs: &[InputMatch], prepared: &Prepared, seats: &mut Seats) -> Result<Option<Outputs>> {
        let _turn = self.context.slots.take().await;
        match &self.ephemeral.console {
            None => Ok(self.datums.try_out(inputs, prepared, seats).await?.outputs),
            Some(console) => self.datums.converse(inputs, prepared, seats, console.clone()).await,
        }
    }

    fn take_in(&mut self, key: DatumKey, prepared: Prepared, outputs: Option<Outputs>) -> Result<()> {
        let root = outputs.as_ref().map(|outputs| self.datums.keep_outputs(outputs)).transpose()?;
        self.tried.push(EphemeralDatum { key, id: prepared.id, inputs: prepared.recipe.inputs, outputs: root });
        if outputs.is_some() {
            self.counts.processed += 1;
        } else {
            self.counts.failed += 1;
        }
        self.engine.live().update(&self.context.key(), |live| live.counts = self.counts);
        self.outputs.extend(outputs.unwrap_or_default());
        Ok(())
    }

    /// Writes all outputs to a folder of the host, replacing what an earlier trial left there.
    fn bring(&self, out: &std::path::Path) -> Result<(), RepoError> {
        let store = self.engine.store();
        let entries = self.outputs.iter().map(|(path, file)| (path.as_str(), *file));
        let tree = Map::build(entries, &mut &*store)?;
        let options = GetOptions { since: None, matching: None, force: true, progress: &|_, _| {} };
        files::get_loose(store, tree, out, options).map(drop)
    }
}

/// The job row that a kept trial would have; no other job has its order.
fn row(store: &Store, pipeline: &Pipeline) -> JobRow {
    JobRow {
        pipeline: pipeline.name().clone(),
        run: new_run(),
        order: u64::from_be_bytes(*repos::random_bytes().first_chunk().expect("16 bytes hold 8")) | 1 << 63,
        version: pipeline.version.version,
        sealed: None,
        commit: None,
        document: None,
        created_at: store.clock().now(),
        sealed_at: None,
    }
}

fn todo(
    store: &Store,
    request: &Request,
    pipeline: &Pipeline,
    leaves: &[Leaf],
    only_one: bool,
) -> Result<Vec<(DatumKey, Vec<InputMatch>)>> {
    let only: Option<BTreeSet<DatumKey>> = keys(store, pipeline, leaves, &request.sample)?;
    let planned = plan(store, pipeline, leaves, None)?.todo.into_iter();
    let wanted = planned.filter(|(key, _)| only.as_ref().is_none_or(|only| only.contains(key)));
    let todo: Vec<_> = wanted.take(if only_one { 1 } else { usize::MAX }).collect();
    if todo.is_empty() {
        let name = pipeline.name();
        let hint = Some(format!("pv explain {name}"));
        return Err(EngineError::NotFound { what: format!("pipeline `{name}` has no datum with these inputs"), hint });
    }
    Ok(todo)
}
