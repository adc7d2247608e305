//! One job in full.

use engine::Result;
use engine::live::Live;
use repos::documents::{ExecutorStamp, Provenance};
use repos::{JobRow, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view::{JobView, job_view, live_job};
use crate::datum::{
    DatumDetails, DatumFilter, DatumState, DatumView, FoundDatum, datum_details, datums, datums_at_work, hidden_inputs,
    provenance_of,
};
use crate::sight::is_none;

/// Maximum number of failed datums of a job that are listed, and of those in progress.
const DATUMS: usize = 100;

/// Everything about a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobDetails {
    /// The job.
    #[serde(flatten)]
    pub view: JobView,
    /// Where its datums were executed; absent if it has not ended, or its details were dropped.
    pub executed_on: Option<ExecutorStamp>,
    /// Its input commits.
    pub inputs: Vec<Provenance>,
    /// How many of its inputs are not visible to the one who asks.
    #[serde(default, skip_serializing_if = "is_none")]
    pub inputs_not_visible: u64,
    /// The first failed datums; for a running job, those so far.
    pub failed_datums: Vec<DatumDetails>,
    /// The datums in progress, for a job that runs in this engine.
    pub running_datums: Vec<DatumView>,
    /// Datums finished per second, for a job that runs in this engine.
    pub datums_per_second: Option<f64>,
    /// Estimated remaining time in seconds.
    pub seconds_left: Option<f64>,
}

/// Everything about a job. `live` is the activity of this process.
pub fn job_details(store: &Store, job: &JobRow, live: Option<&Live>) -> Result<JobDetails> {
    let known = live_job(live, job);
    let view = job_view(store, job, known.as_ref())?;
    // For a job whose engine is gone, nobody has counted.
    let is_broken_off = job.sealed.is_none() && view.started_at.is_none();
    let has_failed = view.datums_failed > 0 || is_broken_off;
    let failed_datums = if has_failed { failed_datums(store, live, job)? } else { Vec::new() };
    let running_datums = known.as_ref().map(|known| datums_at_work(store, job, known)).transpose()?.unwrap_or_default();
    let now = store.clock().now();
    Ok(JobDetails {
        executed_on: view.executed_on.clone(),
        view,
        inputs: provenance_of(store, job)?,
        inputs_not_visible: hidden_inputs(store, job)?,
        failed_datums,
        running_datums: running_datums.into_iter().take(DATUMS).collect(),
        datums_per_second: known.as_ref().and_then(|known| known.rate(now)),
        seconds_left: known.as_ref().and_then(|known| known.seconds_left(now)),
    })
}

fn failed_datums(store: &Store, live: Option<&Live>, job: &JobRow) -> Result<Vec<DatumDetails>> {
    let filter = DatumFilter { state: Some(DatumState::Failed), ..DatumFilter::default() };
    let mut failed = Vec::new();
    for view in datums(store, live, job, filter)?.take(DATUMS) {
        let view = view?;
        let Some(digest) = view.result else { continue };
        let found = FoundDatum { job: job.clone(), result: store.document(&digest)?, view };
        failed.push(datum_details(store, &found)?);
    }
    Ok(failed)
}
