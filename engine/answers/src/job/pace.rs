//! How fast a job is that runs in this process, and what it is at.

use engine::Result;
use engine::live::LiveJob;
use repos::documents::Provenance;
use repos::{Store, Timestamp};
use specs::RepoName;

use super::view::JobView;
use crate::datum::{DatumView, running_datums};

/// How fast a job is, and what it is at.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// Datums that end in a second.
    pub datums_per_second: Option<f64>,
    /// About how long it will take yet.
    pub seconds_left: Option<f64>,
    /// How long a datum takes: half of them take longer.
    pub median_seconds: Option<f64>,
    /// The datums that are executed, and since when; the oldest first.
    pub running: Vec<(DatumView, Option<Timestamp>)>,
}

/// The pace of a job; `None` before it has started.
pub fn pace(store: &Store, live: &LiveJob) -> Result<Option<Pace>> {
    if live.started_at.is_none() {
        return Ok(None);
    }
    let now = store.clock().now();
    let mut running = running_datums(store, live)?;
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

/// What a job made, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutput {
    /// The repository of its commit.
    pub repo: RepoName,
    /// The commits that it took.
    pub inputs: Vec<Provenance>,
    /// Whether the commit holds only what succeeded, and is on no branch.
    pub is_partial: bool,
}

/// What a job made; `None` when it has no commit.
pub fn output_of(store: &Store, job: &JobView) -> Result<Option<JobOutput>> {
    let Some(id) = job.output_commit else { return Ok(None) };
    let commit = store.commit(&id)?;
    Ok(Some(JobOutput { repo: commit.repo, inputs: commit.provenance, is_partial: commit.error.is_some() }))
}
