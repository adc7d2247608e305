//! One datum: its cache lookup, its environment, its result.
//!
//! Two datums of one job can have equal recipes, through `reference` inputs or inputs of a union that share a name. They stay two datums,
//! with one result.

use std::sync::Arc;

use repos::documents::{ExecutorStamp, ResultDocument, ResultState};
use repos::tree::Map;
use repos::{RepoError, Store};
use specs::{DatumId, Digest, Glob, RunId};

use super::intake::Outputs;
use super::mask::Mask;
use super::pool::Pool;
use super::skip::Skipped;
use super::tries::{Tried, Tries};
use crate::blocking::blocking;
use crate::cache::cached;
use crate::datums::{InputMatch, reads};
use crate::error::Result;
use crate::feed::AtWork;
use crate::graph::Pipeline;
use crate::live::{JobKey, Live};
use crate::recipe::{Prepared, RecipeBuilder};
use crate::secrets::Confided;
use crate::slots::DatumSlots;
use sandbox::{OutputLimits, SandboxSpec};

/// Everything that the datums of a job share.
#[derive(Debug)]
pub(crate) struct DatumContext {
    pub(crate) store: Store,
    pub(crate) pool: Arc<Pool>,
    /// Where those who execute its datums have a slot from; `None` if they need none.
    pub(crate) slots: Option<Arc<DatumSlots>>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) recipes: RecipeBuilder,
    pub(crate) job: JobKey,
    pub(crate) run: RunId,
    pub(crate) executor: ExecutorStamp,
    pub(crate) network: specs::Network,
    /// The sandbox in which each datum begins.
    pub(crate) sandbox: Arc<SandboxSpec>,
    /// The secrets for user code.
    pub(crate) confided: Confided,
    /// What to mask in logs because of them.
    pub(crate) mask: Mask,
    pub(crate) cmd: Vec<String>,
    /// Whether every datum runs, regardless of the cache.
    pub(crate) reprocess: bool,
    /// Datums that read a path matching this also run, regardless of the cache.
    pub(crate) again: Option<Glob>,
    pub(crate) log_max: usize,
    pub(crate) limits: OutputLimits,
    pub(crate) live: Live,
    /// Datums that this job skips.
    pub(crate) skipped: Skipped,
}

/// How a datum ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatumState {
    Processed,
    Cached,
    Failed,
    Recovered,
}

/// A datum that has ended, with its result.
#[derive(Debug, Clone)]
pub(crate) struct DatumEnd {
    pub(crate) state: DatumState,
    pub(crate) result: Digest,
    /// Root of the map of output files; absent if it failed.
    pub(crate) outputs: Option<Digest>,
    /// Why it was recovered, if it was.
    pub(crate) recovered: Option<String>,
}

impl DatumContext {
    /// The recipe of a datum, and its end if that is known: from the cache, from this same job if an earlier engine began it, or because it
    /// is skipped.
    pub(crate) fn prepare(&self, inputs: &[InputMatch]) -> Result<(Prepared, Option<DatumEnd>), RepoError> {
        let prepared = self.recipes.prepare(inputs)?;
        let anew = self.reprocess || self.is_again(inputs)?;
        let known = cached(&self.store, &self.pipeline, &prepared.id)?.and_then(|known| {
            let is_own = known.run == self.run && known.pipeline == *self.pipeline.name();
            let state = if is_own { DatumState::Processed } else { DatumState::Cached };
            let end = DatumEnd { state, result: known.result, outputs: Some(known.outputs), recovered: None };
            (is_own || !anew).then_some(end)
        });
        if let Some(DatumEnd { state: DatumState::Processed, result, .. }) = &known {
            self.found(result)?;
        }
        let skipped = || {
            let skipped = self.skipped.get(&prepared.id)?;
            let recovered = skipped.is_recovered.then(|| skipped.why.clone());
            let state = if recovered.is_some() { DatumState::Recovered } else { DatumState::Failed };
            Some(DatumEnd { state, result: skipped.result, outputs: None, recovered })
        };
        let known = known.or_else(skipped);
        Ok((prepared, known))
    }

    /// Reports a result that this job already has to its followers.
    fn found(&self, result: &Digest) -> Result<(), RepoError> {
        if let Some(feed) = self.live.feed(&self.job) {
            let document: ResultDocument = self.store.document(result)?;
            document.tries.last().into_iter().for_each(|last| feed.found(*result, last.finished_at));
        }
        Ok(())
    }

    /// Whether a datum is one that must run again.
    fn is_again(&self, inputs: &[InputMatch]) -> Result<bool, RepoError> {
        let Some(glob) = &self.again else { return Ok(false) };
        for input in inputs {
            if reads(&self.store, self.recipes.leaves()[input.leaf].tree, input, glob)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Stores the results of a datum's tries. The datum is in progress until the job has received its end.
    pub(super) async fn keep(&self, prepared: &Prepared, tries: Tries) -> Result<(DatumEnd, AtWork)> {
        let (done, at_work) = tries.finish(&self.store).await?;
        Ok((blocking(|| self.keep_result(prepared, done))?, at_work))
    }

    /// Stores the map of these output files and returns its root.
    pub(crate) fn keep_outputs(&self, outputs: &Outputs) -> Result<Digest, RepoError> {
        let entries = outputs.iter().map(|(path, file)| (path.as_str(), *file));
        Map::build(entries, &mut &self.store).map(Map::root)
    }

    fn keep_result(&self, prepared: &Prepared, tried: Tried) -> Result<DatumEnd, RepoError> {
        let Tried { tries, outputs, is_recovered } = tried;
        let outputs_count = outputs.as_ref().map_or(0, Outputs::len) as u64;
        let outputs = outputs.map(|outputs| self.keep_outputs(&outputs)).transpose()?;
        let recovered = tries.last().filter(|_| is_recovered).and_then(|last| last.reason.clone());
        let (state, kept_as) = match (&outputs, is_recovered) {
            (Some(_), _) => (DatumState::Processed, ResultState::Success),
            (None, true) => (DatumState::Recovered, ResultState::Recovered),
            (None, false) => (DatumState::Failed, ResultState::Failed),
        };
        let result = self.store.put_result(&ResultDocument {
            recipe: prepared.id,
            state: kept_as,
            outputs,
            outputs_count,
            references: prepared.references.clone(),
            pipeline: self.pipeline.name().clone(),
            version: self.pipeline.version.version,
            run: self.run,
            executor: self.executor.clone(),
            network: self.network,
            tries,
            mac: None,
        })?;
        repos::stop_at("datum.after_result");
        Ok(DatumEnd { state, result, outputs, recovered })
    }

    pub(super) fn environment(&self, inputs: &[InputMatch], datum: &DatumId) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> =
            self.pipeline.spec.transform.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        env.extend(self.recipes.environment(inputs));
        env.extend(self.confided.env.iter().cloned());
        env.push(("PACH_DATUM_ID".to_owned(), datum.to_string()));
        env.push(("PACH_JOB_ID".to_owned(), self.run.to_string()));
        env.push(("PACH_OUTPUT_COMMIT_ID".to_owned(), self.run.to_string()));
        env
    }
}
