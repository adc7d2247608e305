//! The outcome of a trial: how it ended, and how it compares with the current state.
//!
//! Not here: running it (`engine::trial`).

mod compare;

use engine::Result;
use engine::live::JobState;
use engine::trial::{Tried, TriedJob, TriedOutput};
use repos::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, DatumId, PipelineName, RunId};

pub use compare::{Compared, TriedDatum, TriedPath, Verdict};

use crate::metrics::{Sides, sides, sides_of_datums, sides_of_files};

/// A trial, for programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialView {
    /// Its run; absent if nothing is kept.
    pub run: Option<RunId>,
    /// Its jobs, in the order of data flow.
    pub jobs: Vec<TriedJobView>,
    /// Downstream pipelines that it would have affected if it had made commits.
    pub left_out: Vec<PipelineName>,
}

/// The outcome of one pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold, as those of a job")]
pub struct TriedJobView {
    pub pipeline: PipelineName,
    pub pipeline_version: u32,
    pub state: JobState,
    pub reason: Option<String>,
    pub datums_total: u64,
    pub datums_processed: u64,
    pub datums_cached: u64,
    pub datums_failed: u64,
    pub datums_recovered: u64,
    pub seconds: f64,
    /// Absent for a sample.
    pub output_commit: Option<CommitId>,
    /// How it compares with the current output; absent if it did not run.
    pub compared: Option<Compared>,
    /// The figures that differ from those of the current output.
    pub metrics: Sides,
}

/// Compares a trial with the current state, as it was when the trial ended.
pub fn trial_view(store: &Store, tried: &Tried) -> Result<TrialView> {
    let jobs = tried.jobs.iter().map(|job| job_view(store, job)).collect::<Result<_>>()?;
    Ok(TrialView { run: tried.run, jobs, left_out: tried.left_out.clone() })
}

fn job_view(store: &Store, job: &TriedJob) -> Result<TriedJobView> {
    let compared = compare::compare(store, job)?;
    let metrics = figures(store, job, compared.as_ref())?;
    Ok(TriedJobView {
        pipeline: job.pipeline.clone(),
        pipeline_version: job.version,
        state: job.state,
        reason: job.reason.clone(),
        datums_total: job.counts.total,
        datums_processed: job.counts.processed,
        datums_cached: job.counts.cached,
        datums_failed: job.counts.failed,
        datums_recovered: job.counts.recovered,
        seconds: job.seconds,
        output_commit: job.commit,
        compared,
        metrics,
    })
}

/// The figures that differ from the current ones: of the commit, of the files, or of a sample's listed datums.
fn figures(store: &Store, job: &TriedJob, compared: Option<&Compared>) -> Result<Sides> {
    match (&job.output, job.commit, compared) {
        (TriedOutput::EphemeralTrial { files, .. }, ..) => {
            sides_of_files(store, job.present, files.iter().map(|(path, file)| (path.clone(), *file)))
        }
        (_, Some(commit), _) => sides(store, job.present, commit),
        (_, None, Some(compared)) => {
            let named: Vec<DatumId> = compared.datums.iter().map(|datum| datum.id).collect();
            sides_of_datums(store, job.present, &named)
        }
        (_, None, None) => Ok(Sides::default()),
    }
}
