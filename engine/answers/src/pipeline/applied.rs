//! What an apply, a check or a rollback of pipelines did.

use engine::apply::{Applied, AppliedPipeline, AppliedState};
use schemars::JsonSchema;
use serde::Serialize;
use specs::{Diagnostic, PipelineName, RunId, SpecSet};

/// What an apply did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AppliedView {
    /// The run; `null` if no pipeline has a new version, and for a preview.
    pub run: Option<RunId>,
    /// The pipelines, in the order of files and documents.
    pub pipelines: Vec<AppliedPipeline>,
    /// The jobs of the run, `PIPELINE@RUN`.
    pub jobs: Vec<String>,
    /// Empty branches that were created because inputs read them.
    pub branches: Vec<String>,
    /// Jobs of older versions that were killed.
    pub kills: Vec<String>,
    /// Warnings about the specs.
    pub warnings: Vec<WarningView>,
}

/// A warning about a spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct WarningView {
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    pub message: String,
    pub hint: Option<String>,
}

/// Valid specs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CheckedView {
    /// Their pipelines, in the order of files and documents.
    pub pipelines: Vec<PipelineName>,
    /// Warnings about them.
    pub warnings: Vec<WarningView>,
}

/// What a rollback did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RolledView {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The current version.
    pub version: u32,
    /// The version whose content it has.
    pub rolled_back_to: u32,
    /// Whether the current version is new.
    pub changed: bool,
    /// The run; `null` if nothing differs.
    pub run: Option<RunId>,
    /// What differs from the previous version.
    pub changes: Vec<String>,
    /// The jobs of the run, `PIPELINE@RUN`.
    pub jobs: Vec<String>,
}

impl From<&Diagnostic> for WarningView {
    fn from(warning: &Diagnostic) -> Self {
        let Diagnostic { file, place, message, hint, .. } = warning.clone();
        Self { file, line: place.line, column: place.column, message, hint }
    }
}

impl From<&Applied> for AppliedView {
    fn from(applied: &Applied) -> Self {
        Self {
            run: applied.run,
            pipelines: applied.pipelines.clone(),
            jobs: jobs(applied),
            branches: applied.branches.clone(),
            kills: applied.kills.clone(),
            warnings: applied.warnings.iter().map(WarningView::from).collect(),
        }
    }
}

fn jobs(applied: &Applied) -> Vec<String> {
    let job = |name| applied.run.map(|run| format!("{name}@{run}"));
    applied.jobs.iter().filter_map(job).collect()
}

/// Specs in which nothing is wrong, and the warnings about them.
pub fn checked_view(set: &SpecSet, warnings: &[Diagnostic]) -> CheckedView {
    CheckedView {
        pipelines: set.specs.iter().map(|parsed| parsed.spec.name.clone()).collect(),
        warnings: warnings.iter().map(WarningView::from).collect(),
    }
}

/// A rollback to version `to`; `None` if no pipeline was rolled back.
pub fn rolled_view(applied: &Applied, to: u32) -> Option<RolledView> {
    let [pipeline] = applied.pipelines.as_slice() else { return None };
    Some(RolledView {
        pipeline: pipeline.name.clone(),
        version: pipeline.version,
        rolled_back_to: to,
        changed: pipeline.state != AppliedState::Unchanged,
        run: applied.run,
        changes: pipeline.why.clone(),
        jobs: jobs(applied),
    })
}
