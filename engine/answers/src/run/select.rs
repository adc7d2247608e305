//! Runs that have to do with a repository or a pipeline.

use engine::Result;
use engine::live::Live;
use repos::{RunRow, Store};
use specs::{PipelineName, RepoName, RunId};

use super::view::{RunView, first_before, rows_from, run_view};

/// Which runs are wanted; without fields all.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Those that moved a branch of this repository, or have a job that writes to it.
    pub repo: Option<RepoName>,
    /// Those that have a job of this pipeline.
    pub pipeline: Option<PipelineName>,
}

impl RunFilter {
    fn has(&self, run: &RunRow) -> bool {
        let is_of_repo = self.repo.as_ref().is_none_or(|repo| {
            run.moves.iter().any(|moved| moved.repo == *repo)
                || run.jobs.iter().any(|seed| seed.pipeline.output_repo() == *repo)
        });
        let is_of_pipeline =
            self.pipeline.as_ref().is_none_or(|name| run.jobs.iter().any(|seed| seed.pipeline == *name));
        is_of_repo && is_of_pipeline
    }
}

/// The runs before one that a filter lets through, newest first; without it, from the newest. What is not taken is not read.
pub fn runs_where<'s>(
    store: &'s Store,
    live: Option<&'s Live>,
    before: Option<&RunId>,
    filter: RunFilter,
) -> Result<impl Iterator<Item = Result<RunView>> + 's> {
    let rows = rows_from(store, first_before(store, before)?);
    Ok(rows
        .filter(move |row| row.as_ref().map_or(true, |row| filter.has(row)))
        .map(move |row| run_view(store, row?, live)))
}
