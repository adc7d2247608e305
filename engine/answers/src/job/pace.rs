//! The speed of a job that runs in this process, and its running datums.

use engine::Result;
use engine::live::LiveJob;
use repos::documents::Provenance;
use repos::{JobRow, Store, Timestamp};
use specs::RepoName;

use super::view::JobView;
use crate::datum::{DatumView, running_datums};

/// The speed of a job, and its running datums.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// Datums that end per second.
    pub datums_per_second: Option<f64>,
    /// Estimated remaining time in seconds.
    pub seconds_left: Option<f64>,
    /// The median duration of a datum.
    pub median_seconds: Option<f64>,
    /// The running datums with their start times, oldest first.
    pub running: Vec<(DatumView, Option<Timestamp>)>,
}

/// The pace of a job; `None` before it has started.
pub fn pace(store: &Store, job: &JobRow, live: &LiveJob) -> Result<Option<Pace>> {
    if live.started_at.is_none() {
        return Ok(None);
    }
    let now = store.clock().now();
    let mut running = running_datums(store, job, live)?;
    running.sort_by_key(|datum| live.running.get(&datum.id).copied());
    Ok(Some(Pace {
        datums_per_second: live.rate(now),
        seconds_left: live.seconds_left(now),
        median_seconds: live.median_seconds(),
        running: running
            .into_iter()
            .map(|datum| {
                let since = live.running.get(&datum.id).copied();
                (datum, since)
            })
            .collect(),
    }))
}

/// The output of a job, and its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutput {
    /// The repository of its commit.
    pub repo: RepoName,
    /// Its visible input commits.
    pub inputs: Vec<Provenance>,
    /// How many input commits are not visible.
    pub not_visible: u64,
    /// Whether the commit has only the successful part, and is on no branch.
    pub is_partial: bool,
}

/// The output of a job; `None` without a commit.
pub fn output_of(store: &Store, job: &JobView) -> Result<Option<JobOutput>> {
    let Some(id) = job.output_commit else { return Ok(None) };
    let commit = store.commit(&id)?;
    let not_visible = store.hidden_origins(&id)?;
    let is_partial = commit.error.is_some();
    Ok(Some(JobOutput { repo: commit.repo, inputs: commit.provenance, not_visible, is_partial }))
}
