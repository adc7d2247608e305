//! The versions of a pipeline: when and by whom each was applied, and what it changed.

use repos::documents::{CodeStamp, ImageStamp, SpecDocument, Transform, VersionDocument};
use repos::journal::{Cause, CauseKind, Entry};
use repos::{Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{PipelineName, RunId};

use engine::Result;
use engine::apply::differences;

use crate::moment::Moment;

/// One version of a pipeline.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct VersionView {
    pub pipeline: PipelineName,
    pub version: u32,
    pub created_at: Timestamp,
    /// Who applied it; `null` if no user did.
    pub author: Option<String>,
    /// `apply`, `try` or `rollback`; `null` if the journal has no record of it.
    pub cause: Option<CauseKind>,
    pub run: Option<RunId>,
    /// The author's message.
    pub message: String,
    /// Differences from the previous version; empty for the first.
    pub changes: Vec<String>,
    pub image: Option<ImageStamp>,
    pub code: Option<CodeStamp>,
    /// Whether it is the pipeline's current version.
    pub is_current: bool,
    /// Whether it was only a trial.
    pub is_try: bool,
}

/// All versions of a pipeline, which may be deleted, newest first.
pub fn pipeline_versions(store: &Store, name: &PipelineName) -> Result<Vec<VersionView>> {
    let rows = store.pipeline_versions(name)?;
    let current = store.find_pipeline(name)?.map(|row| row.version);
    if rows.is_empty() {
        store.pipeline(name)?;
    }
    let made = records_of(store, name)?;
    let mut views: Vec<VersionView> = Vec::with_capacity(rows.len());
    let mut before: Option<VersionDocument> = None;
    for row in rows {
        let document: VersionDocument = store.document(&row.document)?;
        let changes = before.as_ref().map(|before| differences(store, before, &document)).transpose()?;
        let of = |made: &&Made| made.version == row.version;
        let first = made.iter().find(of);
        let is_try = made.iter().filter(of).all(|made| made.is_try) && first.is_some();
        let cause = first.and_then(|made| made.cause.as_ref());
        views.push(VersionView {
            pipeline: name.clone(),
            version: row.version,
            created_at: first.map_or(row.applied_at, |made| made.at),
            author: cause.and_then(|(_, cause)| cause.author.clone()),
            cause: cause.map(|(_, cause)| cause.kind),
            run: cause.map(|(run, _)| *run),
            message: cause.and_then(|(_, cause)| cause.message.clone()).unwrap_or_default(),
            changes: changes.unwrap_or_default(),
            image: document.image.clone(),
            code: document.code.as_ref().map(CodeStamp::checked),
            is_current: current == Some(row.version),
            is_try,
        });
        // A trial does not count as the previous version of the next one.
        if !is_try || before.is_none() {
            before = Some(document);
        }
    }
    views.reverse();
    Ok(views)
}

/// The version that was current at a moment; `None` before the first, and while the pipeline was deleted.
pub fn version_at(store: &Store, name: &PipelineName, moment: &Moment) -> Result<Option<VersionView>> {
    let versions = pipeline_versions(store, name)?.into_iter();
    let Some(known) = store.pipeline_then(name, moment.then())? else { return Ok(None) };
    let mut versions = versions.filter(|view| !view.is_try && view.version > known.earlier);
    Ok(versions.find(|view| view.version <= known.row.version && view.created_at <= moment.time))
}

/// A record that created a version.
struct Made {
    version: u32,
    at: Timestamp,
    is_try: bool,
    cause: Option<(RunId, Cause)>,
}

fn records_of(store: &Store, name: &PipelineName) -> Result<Vec<Made>> {
    let mut made = Vec::new();
    store.visit_versions(name, |record| {
        let cause = record.entries.iter().find_map(|entry| match entry {
            Entry::Run { run, cause, .. } => Some((*run, cause.clone())),
            _ => None,
        });
        for entry in &record.entries {
            let (version, is_try) = match entry {
                Entry::PipelineApply { pipeline, version, .. } if pipeline == name => (*version, false),
                Entry::PipelineTry { pipeline, version, .. } if pipeline == name => (*version, true),
                _ => continue,
            };
            made.push(Made { version, at: record.at, is_try, cause: cause.clone() });
        }
    })?;
    Ok(made)
}

/// The parts of a pipeline version.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct VersionDetails {
    #[serde(flatten)]
    pub view: VersionView,
    pub executor: repos::documents::ExecutorKind,
    /// What is executed.
    pub transform: Transform,
    /// The image's entrypoint, if the spec has no `cmd`.
    pub entrypoint: Vec<String>,
    /// The spec as it was applied, in its normal form.
    pub spec: serde_json::Value,
}

/// Everything about one version.
pub fn version_details(store: &Store, name: &PipelineName, version: u32) -> Result<Option<VersionDetails>> {
    let Some(view) = pipeline_versions(store, name)?.into_iter().find(|view| view.version == version) else {
        return Ok(None);
    };
    let Some(row) = store.pipeline_version(name, version)? else { return Ok(None) };
    let document: VersionDocument = store.document(&row.document)?;
    let SpecDocument(spec) = store.document(&document.spec)?;
    Ok(Some(VersionDetails {
        view,
        executor: document.executor,
        transform: store.document(&document.transform)?,
        entrypoint: document.entrypoint,
        spec,
    }))
}
