//! Apply: from spec files to pipeline versions, and the one run that they cause. It applies all files or none.
//!
//! 1. `checks` reports everything that is wrong between the specs and the store, each with its position; `branches`, `globs`, `clocks` and
//!    `code` are parts of it;
//! 2. `images` finds and pins the images, pulling missing ones;
//! 3. `code` stores the code folders, and `git` compares what is stored with the commit checked out there; `host` computes digests of host
//!    files named in a command, if no image contains them;
//! 4. `versions` determines each pipeline's version, and compares it with the existing one;
//! 5. `publish` makes all new versions and their jobs take effect in one change.
//!
//! For specs on another machine, `sent` does steps 1 and 3 there, as far as they need its files.
//!
//! Reading and storing happen without the store's lock; only the last step takes it, and is retried if another change came first. Later,
//! `drift` tells whether the files still match what was applied.
//! `operate` has the operations on existing pipelines and jobs: stop, start, delete, rerun, retry; `rollback` restores an earlier version
//! of a pipeline.
//! Not here: what is wrong with a spec itself (`specs`), what the jobs then do (`plan`).

mod branches;
mod checks;
mod clocks;
mod code;
mod drift;
mod git;
mod globs;
mod host;
mod images;
mod operate;
mod publish;
mod rollback;
mod sent;
mod versions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use repos::Store;
use repos::journal::CauseKind;
use schemars::JsonSchema;
use serde::Serialize;
use specs::spec::{Parsed, SpecSet};
use specs::{Diagnostic, PipelineName, RunId};

pub use drift::{Drift, DriftPart, drifts};
pub use operate::{
    Data, DeletablePipeline, deletable_pipeline, delete_pipeline, find_retry, rerun, retry, start_pipeline, stop_job,
    stop_jobs, stop_pipeline,
};

pub use rollback::rollback;
pub use sent::{CodeListing, SpecListing, upload_specs};
pub use versions::differences;
pub use versions::fields_that_differ;

use self::checks::{Findings, Scope};
use self::code::CodeFolder;
use self::versions::{Prepared, Settings};
use crate::error::{EngineError, Result};
use crate::executors::{self, Executors, Settled};
use crate::graph::Graph;
use crate::run::Actor;
use sandbox::{Executor, ExecutorKind, OnPull};

/// The folder of each spec file, by the file's name in the diagnostics.
pub type SpecSources = BTreeMap<String, SpecFolder>;

/// The folder of a spec file.
#[derive(Debug, Clone)]
pub enum SpecFolder {
    /// On this machine.
    Here(PathBuf),
    /// On another machine, which sent what is needed of it: [`SpecFolder::listed`].
    Listed(Arc<SpecListing>),
}

impl From<PathBuf> for SpecFolder {
    fn from(folder: PathBuf) -> Self {
        Self::Here(folder)
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for SpecFolder {
    fn from(folder: &P) -> Self {
        Self::Here(folder.as_ref().to_owned())
    }
}

/// A request to apply specs.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The specs, and what is wrong with them on their own.
    pub set: &'a SpecSet,
    /// Where they came from.
    pub sources: &'a SpecSources,
    /// Who applies them.
    pub by: &'a Actor,
    /// Whether to only report what would happen. Nothing is published then; images are still pulled, code is still stored.
    pub dry: bool,
    /// Called during pulls.
    pub on_pull: OnPull<'a>,
    /// Called with what will happen, before anything does; not called if nothing changes, nor for a dry run.
    pub announce: &'a (dyn Fn(&Applied) + Send + Sync),
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("set", self.set)
            .field("by", self.by)
            .field("dry", &self.dry)
            .finish_non_exhaustive()
    }
}

/// What an apply did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct Applied {
    /// The run; `None` if no pipeline has a new version, and for a dry run.
    pub run: Option<RunId>,
    /// The pipelines, in the order of files and documents.
    pub pipelines: Vec<AppliedPipeline>,
    /// The pipelines that get a job, in the order of data flow.
    pub jobs: Vec<PipelineName>,
    /// The branches created empty, because an input reads them and nothing has written to them: `REPO@BRANCH`.
    pub branches: Vec<String>,
    /// The jobs of older versions that are killed, `PIPELINE@RUN`.
    pub kills: Vec<String>,
    /// Warnings.
    #[serde(skip)]
    pub warnings: Vec<Diagnostic>,
    /// All pipelines as they are afterwards.
    #[serde(skip)]
    pub graph: Graph,
}

/// The result for one spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AppliedPipeline {
    /// The pipeline.
    pub name: PipelineName,
    /// Its current version.
    pub version: u32,
    /// Whether that version is new.
    pub state: AppliedState,
    /// What differs from the previous version, such as `image` or `cmd`; empty for a new or unchanged pipeline.
    pub why: Vec<String>,
}

/// Whether a pipeline has a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppliedState {
    /// The pipeline is new.
    Created,
    /// It has a new version.
    Updated,
    /// Spec, image, code and settings equal those of its current version.
    Unchanged,
}

/// Applies specs with the executor of the store; the first apply that is not refused chooses it permanently. `Settled` says which one it
/// is.
///
/// Errors as in [`apply`]; errors in the specs themselves are reported even if no executor answers.
pub async fn apply_with_own(store: &Store, executors: &Executors, request: Request<'_>) -> Result<(Applied, Settled)> {
    let settled = match executors::choose_executor(store, executors).await {
        Ok(settled) => settled,
        Err(error) => {
            // Errors in the specs come first.
            check(request.set, request.sources)?;
            return Err(error);
        }
    };
    let applied = apply(store, settled.executor.as_ref(), request).await?;
    if !applied.pipelines.is_empty() {
        // The choice is a consequence of the first apply.
        executors::keep(&store.whole(), &settled)?;
    }
    Ok((applied, settled))
}

/// Applies specs: brings each pipeline in line with its spec, and causes one run on the current data.
///
/// `Specs` reports everything that is wrong; `Conflict` if the only problem is that a user's repository has the name.
pub async fn apply(store: &Store, executor: &dyn Executor, request: Request<'_>) -> Result<Applied> {
    checks::ensure_may_apply(store, &request.set.specs)?;
    let kind = executor.kind();
    let settings = Settings::of(store)?;
    let scope = Scope { store: store.clone(), settings: settings.clone(), kind };
    let mut findings = Findings::of(request.set);
    let specs: Vec<Parsed> = request.set.specs.clone();
    let sources = request.sources.clone();
    let (found, folders) = in_background(move || {
        let graph = Graph::load(&scope.store)?;
        let mut found = checks::diagnose(&scope, &graph, &specs)?;
        let folders = code::folders(&specs, &sources, &mut found.diagnostics);
        Ok((found, folders))
    })
    .await?;
    findings.extend(found);
    findings.refuse(request.sources.len())?;

    let images =
        images::resolve(executor, &settings, &request.set.specs, request.on_pull, &mut findings.diagnostics).await?;
    findings.refuse(request.sources.len())?;

    let scope = Arc::new(Scope { store: store.clone(), settings, kind });
    let specs: Arc<Vec<Parsed>> = Arc::new(request.set.specs.clone());
    let folders = Arc::new(folders);
    let prepared = {
        let (scope, specs, folders) = (scope.clone(), specs.clone(), folders.clone());
        Arc::new(in_background(move || prepare(&scope, &specs, &folders, &images)).await?)
    };
    let files = request.sources.len();
    let publish = |dry| {
        let (scope, specs, prepared, by) = (scope.clone(), specs.clone(), prepared.clone(), request.by.clone());
        in_background(move || {
            let why = publish::Why { kind: CauseKind::Apply, by: &by, dry, message: None };
            publish::publish(&scope.store, &prepared, &why, |graph| {
                // Something may have been applied or deleted since the first check.
                checks::ensure_fits(&scope, graph, &specs, files)
            })
        })
    };
    let warnings = findings.diagnostics;
    let will_be = Applied { warnings: warnings.clone(), ..publish(true).await? };
    if request.dry {
        return Ok(will_be);
    }
    let applied = if will_be.is_change() {
        (request.announce)(&will_be);
        Applied { warnings, ..publish(false).await? }
    } else {
        will_be
    };
    drift::note(store, &specs, &folders);
    Ok(applied)
}

impl Applied {
    /// Whether any pipeline has, or would have, a new version.
    pub fn is_change(&self) -> bool {
        self.pipelines.iter().any(|pipeline| pipeline.state != AppliedState::Unchanged)
    }
}

/// Checks specs without a store: everything that is wrong with them on their own and with their code folders. Returns the warnings.
pub fn check(set: &SpecSet, sources: &SpecSources) -> Result<Vec<Diagnostic>> {
    let mut findings = Findings::of(set);
    code::folders(&set.specs, sources, &mut findings.diagnostics);
    findings.refuse(sources.len())?;
    Ok(findings.diagnostics)
}

/// Creates new versions of all pipelines made for another executor than the store uses now. Specs and code stay as stored. `None` if there
/// are none.
///
/// Of workers none may have joined yet, so images stay as they are pinned, and a pipeline whose image is not pinned stays as it is.
pub async fn refresh_versions(
    store: &Store,
    executor: &dyn Executor,
    by: &Actor,
    on_pull: OnPull<'_>,
) -> Result<Option<Applied>> {
    let kind = executor.kind();
    let graph = Graph::load(store)?;
    let settings = Settings::of(store)?;
    let mut prepared = Vec::new();
    for pipeline in graph.pipelines.values().filter(|pipeline| pipeline.version.executor != kind) {
        if kind == ExecutorKind::Workers && images::is_needed(&pipeline.spec, &settings) {
            let pinned = images::of_version(&pipeline.version);
            if pinned.is_some() {
                prepared.push(Prepared::again(store, pipeline, kind, pinned)?);
            } else {
                tracing::warn!("{}: a worker finds its image at the next pv pipeline apply", pipeline.name());
            }
            continue;
        }
        let image = images::for_spec(executor, &settings, &pipeline.spec, on_pull).await?;
        if let Some(why) = images::code_in_the_way(executor, &pipeline.spec, image.as_ref()).await? {
            return Err(EngineError::NotReady { pipeline: pipeline.name().clone(), why });
        }
        prepared.push(Prepared::again(store, pipeline, kind, image)?);
    }
    if prepared.is_empty() {
        return Ok(None);
    }
    let (store, by) = (store.clone(), by.clone());
    in_background(move || {
        let cause = publish::Why { kind: CauseKind::Apply, by: &by, dry: false, message: None };
        publish::publish(&store, &prepared, &cause, |_| Ok(())).map(Some)
    })
    .await
}

fn prepare(
    scope: &Scope,
    specs: &[Parsed],
    folders: &[Option<CodeFolder>],
    images: &images::Images,
) -> Result<Vec<Prepared>> {
    let mut prepared = Vec::with_capacity(specs.len());
    for (parsed, folder) in specs.iter().zip(folders) {
        let image = images.of(&parsed.spec, &scope.settings);
        let code = folder.as_ref().map(|folder| folder.store(&scope.store)).transpose()?;
        prepared.push(Prepared::of(scope, parsed.spec.clone(), image, code.flatten())?);
    }
    Ok(prepared)
}

/// Runs synchronous store operations where they do not block others.
async fn in_background<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| EngineError::Stopped(error.to_string()))?
}
