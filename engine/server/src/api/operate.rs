//! Changes of existing pipelines: deleted, rolled back, run again.

use ::repos::access::Role;
use answers::pipeline::{RolledView, rolled_view};
use engine::apply::{self, Data};
use engine::{EngineError, time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{Glob, RunId};

use super::pipelines::OfPipeline;
use crate::caller::Call;
use crate::operation::{Operation, delete, post};
use crate::parts::{Answer, Created, Done, Json, Path, Query};
use crate::problem::Result;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        delete("/pipelines/{pipeline}", ("deletePipeline", "Delete a pipeline that no other pipeline reads"), remove)
            .needs(Role::Admin),
        post(
            "/pipelines/{pipeline}/rollback",
            ("rollBackPipeline", "Restore an earlier version of a pipeline, as a new version"),
            roll_back,
        )
        .needs(Role::Admin),
        post(
            "/pipelines/{pipeline}/rerun",
            ("rerunPipeline", "Run all datums of a pipeline again without the cache, then all downstream jobs"),
            rerun,
        )
        .needs(Role::Writer),
        post("/pipelines/{pipeline}/tick", ("tickPipeline", "Trigger the cron inputs of a pipeline now"), tick)
            .needs(Role::Writer),
    ]
}

/// How to delete a pipeline.
#[derive(Debug, Deserialize, JsonSchema)]
struct Deletion {
    /// Also delete its output repository and the ticks of its cron inputs; else its output becomes a repository of yours.
    #[serde(default)]
    with_data: bool,
}

async fn remove(
    call: Call,
    Path(OfPipeline { pipeline }): Path<OfPipeline>,
    Query(Deletion { with_data }): Query<Deletion>,
) -> Result<Done> {
    let by = call.actor(None);
    let data = if with_data { Data::Goes } else { Data::Stays };
    call.change(move |store| apply::delete_pipeline(store, &pipeline, data, &by)).await?;
    Ok(Done)
}

/// Which version to restore, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rollback {
    /// The number of the version.
    version: u32,
    /// The reason, shown in the log.
    #[serde(default)]
    message: String,
    /// Who restores it, if not the owner of the token.
    #[serde(default)]
    author: Option<String>,
}

async fn roll_back(
    call: Call,
    Path(OfPipeline { pipeline }): Path<OfPipeline>,
    Json(Rollback { version, message, author }): Json<Rollback>,
) -> Result<Answer<RolledView>> {
    let by = call.actor(author);
    let rolled = call.change(move |store| {
        let applied = apply::rollback(store, &pipeline, version, &by, &message)?;
        rolled_view(&applied, version).ok_or(EngineError::NoVersion { pipeline, version })
    });
    rolled.await.map(Answer)
}

/// A run that was started.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StartedRun {
    /// The run.
    pub(super) run: RunId,
}

/// Which datums to run again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Rerun {
    /// Only datums that read a matching path; the results of others are kept.
    input: Option<Glob>,
}

async fn rerun(
    call: Call,
    Path(OfPipeline { pipeline }): Path<OfPipeline>,
    Json(Rerun { input }): Json<Rerun>,
) -> Result<Created<StartedRun>> {
    let by = call.actor(None);
    let run = call.change(move |store| apply::rerun(store, &pipeline, input.as_ref(), &by)).await?;
    Ok(Created(StartedRun { run }))
}

async fn tick(call: Call, Path(OfPipeline { pipeline }): Path<OfPipeline>) -> Result<Created<StartedRun>> {
    let by = call.actor(None);
    let run = call.change(move |store| time::tick(store, &pipeline, &by)).await?;
    Ok(Created(StartedRun { run }))
}
