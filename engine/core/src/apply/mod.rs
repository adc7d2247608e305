//! Apply: from spec files to pipeline versions, and the one run that these cause. All files or none.
//!
//! 1. `checks` says all that is wrong between the specs and the store, each with its place; `branches`, `globs`, `clocks` and `code`
//!    are parts of it;
//! 2. `images` finds and pins the images, pulling what is missing;
//! 3. `code` stores the code folders, and `git` compares what is stored with the commit that is checked out there; `host` digests host
//!    files that a command names, where no image holds them;
//! 4. `versions` settles what each pipeline is, and compares it with the version that there is;
//! 5. `publish` makes all new versions and their jobs happen in one change.
//!
//! Reading and storing happen without the store's lock; only the last step takes it, and is repeated when somebody was quicker.
//! `drift` tells later whether the files are still what was applied.
//! `operate` is what people do to pipelines and jobs that are there: stop, start, delete, rerun, retry; `rollback` makes a pipeline again
//! what it was.
//! Not here: what is wrong with a spec in itself (`specs`), what the jobs then do (`plan`).

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
mod versions;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use repos::Store;
use repos::journal::CauseKind;
use serde::Serialize;
use specs::spec::{Parsed, SpecSet};
use specs::{Diagnostic, PipelineName, RunId};

pub use drift::{Drift, DriftPart, drifts};
pub use operate::{
    Data, DeletablePipeline, deletable_pipeline, delete_pipeline, find_retry, rerun, retry, start_pipeline, stop_job,
    stop_jobs, stop_pipeline,
};

pub use rollback::rollback;
pub use versions::differences;
pub use versions::fields_that_differ;

use self::checks::{Findings, Scope};
use self::code::CodeFolder;
use self::versions::{Prepared, Settings};
use crate::error::{EngineError, Result};
use crate::executors::{self, Executors, Settled};
use crate::graph::Graph;
use crate::run::Actor;
use sandbox::{Executor, OnPull};

/// The folder of each spec file, by the file's name in the diagnostics.
pub type SpecSources = BTreeMap<String, PathBuf>;

/// What is to be applied.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The specs, and what is wrong with them in themselves.
    pub set: &'a SpecSet,
    /// Where they came from.
    pub sources: &'a SpecSources,
    /// By whom.
    pub by: &'a Actor,
    /// Whether only to tell what would happen. Nothing is published then; images are still pulled, code still stored.
    pub dry: bool,
    /// Told of pulls.
    pub on_pull: OnPull<'a>,
    /// Told what will happen before anything does; not of an apply that changes nothing, nor of a dry one.
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
    /// The run; `None` when no pipeline has a new version, and in a dry apply.
    pub run: Option<RunId>,
    /// The pipelines, in the order of files and documents.
    pub pipelines: Vec<AppliedPipeline>,
    /// The pipelines that get a job, in the order in which data flows.
    pub jobs: Vec<PipelineName>,
    /// The branches that are made, empty, since an input reads them and nobody has written them: `REPO@BRANCH`.
    pub branches: Vec<String>,
    /// The jobs of older versions that are killed, `PIPELINE@RUN`.
    pub kills: Vec<String>,
    /// What is worth knowing.
    #[serde(skip)]
    pub warnings: Vec<Diagnostic>,
    /// All pipelines as they are after it.
    #[serde(skip)]
    pub graph: Graph,
}

/// What became of one spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppliedPipeline {
    /// The pipeline.
    pub name: PipelineName,
    /// Its version now.
    pub version: u32,
    /// Whether that is a new one.
    pub state: AppliedState,
    /// What differs from the version before, such as `image` or `cmd`; empty for a new or unchanged pipeline.
    pub why: Vec<String>,
}

/// Whether a pipeline has a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AppliedState {
    /// The pipeline is new.
    Created,
    /// It has a new version.
    Updated,
    /// Spec, image, code and settings are those of its present version.
    Unchanged,
}

/// Applies specs with the executor of the store; the first apply that is not refused chooses it for good. `Settled` says which one it is.
///
/// Errors as those of [`apply`]; what is wrong with the specs in themselves is said also when no executor answers.
pub async fn apply_with_own(store: &Store, executors: &Executors, request: Request<'_>) -> Result<(Applied, Settled)> {
    let settled = match executors::choose_executor(store, executors).await {
        Ok(settled) => settled,
        Err(error) => {
            // The nearer error.
            check(request.set, request.sources)?;
            return Err(error);
        }
    };
    let applied = apply(store, settled.executor.as_ref(), request).await?;
    if !applied.pipelines.is_empty() {
        executors::keep(store, &settled)?;
    }
    Ok((applied, settled))
}

/// Applies specs: makes each pipeline what its spec says, and causes one run on the present data.
///
/// `Specs` names everything that is wrong; `Conflict` when nothing is but that a name is held by a user's repository.
pub async fn apply(store: &Store, executor: &dyn Executor, request: Request<'_>) -> Result<Applied> {
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
                // Others may have applied or deleted something since the first look.
                checks::diagnose(&scope, graph, &specs)?.refuse(files)
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

/// Checks specs without a store: all that is wrong with them in themselves and with their code folders. Returns the warnings.
pub fn check(set: &SpecSet, sources: &SpecSources) -> Result<Vec<Diagnostic>> {
    let mut findings = Findings::of(set);
    code::folders(&set.specs, sources, &mut findings.diagnostics);
    findings.refuse(sources.len())?;
    Ok(findings.diagnostics)
}

/// Makes new versions of all pipelines that were made for another executor than the store uses now. Specs and code stay as they are
/// stored. `None` when there are none.
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

/// Runs synchronous work of the store where it does not hold up others.
async fn in_background<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| EngineError::Stopped(error.to_string()))?
}
