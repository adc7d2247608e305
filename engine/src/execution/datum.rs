//! One datum: the cache, its tries, its result.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use repos::documents::{ExecutorStamp, ResultDocument, ResultState, Try};
use repos::tree::Map;
use repos::{RepoError, Store, Timestamp};
use specs::{DatumId, Digest, Glob, RunId};

use super::intake::{Intake, Outputs};
use super::pool::Pool;
use super::source::StoreSource;
use crate::cache::cached;
use crate::datums::{Arm, reads};
use crate::error::Result;
use crate::executor::{DatumTask, ExecError, Exit, OutputLimits, Sandbox, SandboxSpec};
use crate::graph::Pipeline;
use crate::live::{Happened, JobKey, Live};
use crate::recipe::{Kitchen, Prepared};

/// Lost sandboxes that a datum survives; then the job fails.
const LOST_SANDBOXES: u32 = 3;

/// Everything that the datums of a job share.
#[derive(Debug)]
pub(crate) struct DatumContext {
    pub(crate) store: Store,
    pub(crate) pool: Arc<Pool>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) kitchen: Kitchen,
    pub(crate) job: JobKey,
    pub(crate) run: RunId,
    pub(crate) executor: ExecutorStamp,
    pub(crate) network: specs::Network,
    pub(crate) sandbox: SandboxSpec,
    pub(crate) cmd: Vec<String>,
    /// Whether every datum runs, whatever the cache holds.
    pub(crate) reprocess: bool,
    /// Datums that read a path that this matches run too, whatever the cache holds.
    pub(crate) again: Option<Glob>,
    pub(crate) log_max: usize,
    pub(crate) limits: OutputLimits,
    pub(crate) live: Live,
}

/// How a datum ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatumState {
    Processed,
    Cached,
    Failed,
}

/// A datum that has ended, with its result.
#[derive(Debug, Clone)]
pub(crate) struct DatumEnd {
    pub(crate) state: DatumState,
    pub(crate) result: Digest,
    /// Root of the map of output files; absent when it failed.
    pub(crate) outputs: Option<Digest>,
}

impl DatumContext {
    /// The recipe of a datum, and its end when the cache knows it.
    pub(crate) fn prepare(&self, arms: &[Arm]) -> Result<(Prepared, Option<DatumEnd>), RepoError> {
        let prepared = self.kitchen.prepare(arms)?;
        let anew = self.reprocess || self.is_again(arms)?;
        let known = if anew { None } else { cached(&self.store, &self.pipeline, &prepared.id)? };
        let known =
            known.map(|(result, outputs)| DatumEnd { state: DatumState::Cached, result, outputs: Some(outputs) });
        Ok((prepared, known))
    }

    /// Whether a datum is one of those that somebody wants again.
    fn is_again(&self, arms: &[Arm]) -> Result<bool, RepoError> {
        let Some(glob) = &self.again else { return Ok(false) };
        for arm in arms {
            if reads(&self.store, self.kitchen.leaves()[arm.leaf].tree, arm, glob)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Executes a datum until a try succeeds or none is left. `sandbox` is kept for the next datum.
    pub(crate) async fn execute(
        &self,
        arms: &[Arm],
        prepared: &Prepared,
        sandbox: &mut Option<Sandbox>,
    ) -> Result<DatumEnd> {
        let (tries, outputs) = self.try_out(arms, prepared, sandbox).await?;
        tokio::task::block_in_place(|| self.keep_result(prepared, tries, outputs)).map_err(Into::into)
    }

    /// The tries of a datum, and the output files of the one that succeeded.
    pub(super) async fn try_out(
        &self,
        arms: &[Arm],
        prepared: &Prepared,
        sandbox: &mut Option<Sandbox>,
    ) -> Result<(Vec<Try>, Option<Outputs>)> {
        let inputs = tokio::task::block_in_place(|| self.kitchen.files(arms))?;
        let task = DatumTask {
            cmd: self.cmd.clone(),
            stdin: self.pipeline.spec.transform.stdin.clone(),
            env: self.environment(arms, &prepared.id),
            inputs,
            timeout: None,
            accept: self.pipeline.spec.transform.accept_return_code.clone(),
            limits: self.limits,
        };
        let mut tries = Vec::new();
        let mut outputs = None;
        while outputs.is_none() && tries.len() < self.pipeline.spec.datum_tries as usize {
            let (one, succeeded, again) = self.one_try(&task, &prepared.id, sandbox).await?;
            tries.push(one);
            outputs = succeeded;
            if !again {
                break;
            }
        }
        Ok((tries, outputs))
    }

    /// One try; a lost sandbox is replaced a few times, since that is not the datum's fault.
    async fn one_try(
        &self,
        task: &DatumTask,
        datum: &DatumId,
        sandbox: &mut Option<Sandbox>,
    ) -> Result<(Try, Option<Outputs>, bool)> {
        let mut lost = 0;
        loop {
            match self.attempt(task, datum, sandbox).await {
                Ok(done) => return Ok(done),
                Err(error) => {
                    // What it left is not fit for another try; its end may fail like the try did.
                    if let Some(broken) = sandbox.take() {
                        broken.close().await.ok();
                    }
                    lost += 1;
                    if lost == LOST_SANDBOXES || !may_pass(&error) {
                        return Err(error.into());
                    }
                    tracing::warn!("datum {} is tried again: {error}", datum.short(12));
                    tokio::time::sleep(Duration::from_millis(200 << lost)).await;
                }
            }
        }
    }

    async fn attempt(
        &self,
        task: &DatumTask,
        datum: &DatumId,
        sandbox: &mut Option<Sandbox>,
    ) -> Result<(Try, Option<Outputs>, bool), ExecError> {
        let source = StoreSource::new(self.store.clone());
        let sandbox = match sandbox {
            Some(sandbox) => sandbox,
            none => none.insert(self.pool.take(self.pipeline.document, &self.sandbox, &source).await?),
        };
        let on_log = |bytes: &[u8]| {
            let bytes = Bytes::copy_from_slice(bytes);
            self.live.tell(Happened::Log { job: self.job.clone(), datum: *datum, bytes });
        };
        let mut intake = Intake::new(&self.store, &task.inputs, self.log_max, &on_log);
        let outcome = sandbox.run(task, &source, &mut intake).await?;
        let Intake { log, outputs, .. } = intake;
        let log = log.into_bytes();
        let log = if log.is_empty() { None } else { Some(self.store.put_log(&log).map_err(not_kept)?) };
        let finished_at = self.store.clock().now();
        let micros = i64::try_from(outcome.process_time.as_micros()).unwrap_or(i64::MAX);
        let started_at = Timestamp::from_micros(finished_at.as_micros() - micros);
        let (exit_code, reason, again) = match &outcome.exit {
            Exit::Code(code) => (Some(*code), None, !task.accepts(*code)),
            Exit::Signal(signal) => (None, Some(format!("ended by signal {signal}")), true),
            Exit::TimedOut => (None, Some("it took longer than it may".to_owned()), true),
            Exit::NotStarted { why } => (None, Some(format!("the command did not start: {why}")), false),
            Exit::BadOutput { path, why } => {
                (Some(0), Some(format!("its output `{path}` cannot be stored: {why}")), true)
            }
            Exit::TouchedInput { path } => (Some(0), Some(format!("it changed its input `{path}`")), true),
        };
        let succeeded = matches!(outcome.exit, Exit::Code(code) if task.accepts(code));
        Ok((Try { exit_code, reason, log, started_at, finished_at }, succeeded.then_some(outputs), again))
    }

    /// The root of the map of these output files, stored.
    pub(super) fn keep_outputs(&self, outputs: &Outputs) -> Result<Digest, RepoError> {
        let entries = outputs.iter().map(|(path, file)| (path.as_str(), *file));
        Map::build(entries, &mut &self.store).map(Map::root)
    }

    fn keep_result(
        &self,
        prepared: &Prepared,
        tries: Vec<Try>,
        outputs: Option<Outputs>,
    ) -> Result<DatumEnd, RepoError> {
        let outputs_count = outputs.as_ref().map_or(0, Outputs::len) as u64;
        let outputs = outputs.map(|outputs| self.keep_outputs(&outputs)).transpose()?;
        let state = if outputs.is_some() { ResultState::Success } else { ResultState::Failed };
        let result = self.store.put_result(&ResultDocument {
            recipe: prepared.id,
            state,
            outputs,
            outputs_count,
            references: prepared.references.clone(),
            pipeline: self.pipeline.name().clone(),
            version: self.pipeline.version.version,
            run: self.run,
            executor: self.executor.clone(),
            network: self.network,
            tries,
        })?;
        let state = if outputs.is_some() { DatumState::Processed } else { DatumState::Failed };
        Ok(DatumEnd { state, result, outputs })
    }

    fn environment(&self, arms: &[Arm], datum: &DatumId) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> =
            self.pipeline.spec.transform.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        for arm in arms {
            let leaf = &self.kitchen.leaves()[arm.leaf];
            let name = &leaf.input.name;
            let path = if arm.path.is_root() { "" } else { arm.path.as_str() };
            env.push((name.clone(), format!("/pfs/{name}{path}")));
            env.extend(leaf.commit.map(|commit| (format!("{name}_COMMIT"), commit.to_string())));
        }
        env.push(("PACH_DATUM_ID".to_owned(), datum.to_string()));
        env.push(("PACH_JOB_ID".to_owned(), self.run.to_string()));
        env.push(("PACH_OUTPUT_COMMIT_ID".to_owned(), self.run.to_string()));
        env
    }
}

fn not_kept(source: RepoError) -> ExecError {
    ExecError::Caller { action: "keep the log", kind: source.kind(), source: source.into() }
}

/// Whether another sandbox may do better.
fn may_pass(error: &ExecError) -> bool {
    match error {
        ExecError::SandboxLost { .. } | ExecError::Docker { .. } | ExecError::NotAnswering { .. } => true,
        ExecError::PermissionDenied { .. }
        | ExecError::SandboxRefused { .. }
        | ExecError::ImageNotFound { .. }
        | ExecError::PullFailed { .. }
        | ExecError::Unsuited { .. }
        | ExecError::Io { .. }
        | ExecError::Caller { .. } => false,
    }
}
