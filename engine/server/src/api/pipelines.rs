//! Pipelines and their versions.

use ::repos::access::Role;
use answers::pipeline::{self, PipelineDetails, PipelineView, VersionDetails, VersionView};
use engine::apply;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{PipelineName, RunId};

use crate::caller::Call;
use crate::lists::{Listed, Wanted, list};
use crate::operation::{Operation, get, post};
use crate::parts::{Answer, Path};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/pipelines", ("listPipelines", "List pipelines with their state"), all),
        get("/pipelines/{pipeline}", ("showPipeline", "Show a pipeline"), show),
        get(
            "/pipelines/{pipeline}/versions",
            ("listVersions", "List the versions of a pipeline, newest first"),
            versions,
        ),
        get("/pipelines/{pipeline}/versions/{version}", ("showVersion", "Show a version of a pipeline"), version),
        post("/pipelines/{pipeline}/stop", ("stopPipeline", "Stop a pipeline: it gets no more jobs"), stop)
            .needs(Role::Admin),
        post("/pipelines/{pipeline}/start", ("startPipeline", "Start a stopped pipeline"), start).needs(Role::Admin),
    ]
}

async fn all(call: Call, wanted: Wanted) -> Result<Listed<PipelineView>> {
    list(call, wanted, |store, live, cursor, items| {
        let all = pipeline::pipelines(store, Some(live))?.into_iter();
        let rest = all.filter(|pipeline| !cursor.is_before(pipeline.name.as_str()));
        items.extend(rest.map(Ok::<_, Problem>), |pipeline| pipeline.name.to_string())
    })
    .await
}

/// A pipeline.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct OfPipeline {
    /// Its name.
    pub(super) pipeline: PipelineName,
}

async fn show(call: Call, Path(OfPipeline { pipeline }): Path<OfPipeline>) -> Result<Answer<PipelineDetails>> {
    call.ask(move |store, live| pipeline::pipeline_details(store, &pipeline, Some(live))).await.map(Answer)
}

async fn versions(
    call: Call,
    Path(OfPipeline { pipeline }): Path<OfPipeline>,
    wanted: Wanted,
) -> Result<Listed<VersionView>> {
    list(call, wanted, move |store, _, cursor, items| {
        let after: Option<u32> = cursor.after.as_ref().and_then(|after| after.parse().ok());
        let versions = pipeline::pipeline_versions(store, &pipeline)?.into_iter();
        let rest = versions.filter(|version| after.is_none_or(|after| version.version < after));
        items.extend(rest.map(Ok::<_, Problem>), |version| version.version.to_string())
    })
    .await
}

/// A version of a pipeline.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfVersion {
    /// The pipeline.
    pipeline: PipelineName,
    /// The number of the version.
    version: u32,
}

async fn version(call: Call, Path(OfVersion { pipeline, version }): Path<OfVersion>) -> Result<Answer<VersionDetails>> {
    let found = call.ask(move |store, _| {
        let found = pipeline::version_details(store, &pipeline, version)?;
        found.ok_or(engine::EngineError::NoVersion { pipeline, version })
    });
    found.await.map(Answer)
}

/// What a change of a pipeline caused.
#[derive(Debug, Serialize, JsonSchema)]
struct Changed {
    /// Whether it was not so before.
    changed: bool,
    /// The run with the jobs that it caused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
}

async fn stop(call: Call, Path(OfPipeline { pipeline }): Path<OfPipeline>) -> Result<Answer<Changed>> {
    let by = call.actor(None);
    let stopped = call.change(move |store| apply::stop_pipeline(store, &pipeline, &by)).await?;
    Ok(Answer(Changed { changed: stopped.is_some(), run: None }))
}

async fn start(call: Call, Path(OfPipeline { pipeline }): Path<OfPipeline>) -> Result<Answer<Changed>> {
    let by = call.actor(None);
    let run = call.change(move |store| apply::start_pipeline(store, &pipeline, &by)).await?;
    Ok(Answer(Changed { changed: run.is_some(), run }))
}
