//! The runs of the last days in short, for a picture of them.

use std::ops::ControlFlow;

use engine::Result;
use engine::live::Live;
use repos::journal::CauseKind;
use repos::{RunRow, Store, Timestamp};
use specs::RunId;

use super::view::{RunState, state_of};

/// A run in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunMark {
    /// Its id.
    pub id: RunId,
    /// What caused it.
    pub cause: CauseKind,
    /// When it began.
    pub created_at: Timestamp,
    /// The number of its jobs.
    pub jobs: usize,
    /// Its progress.
    pub state: RunState,
}

/// The runs since a time, newest first, at most `most`. `known`: the state of a run, if the caller remembers that it is over; otherwise its
/// jobs are read.
pub fn run_marks(
    store: &Store,
    live: Option<&Live>,
    since: Timestamp,
    most: usize,
    known: impl Fn(&RunId) -> Option<RunState>,
) -> Result<Vec<RunMark>> {
    let mut rows: Vec<RunRow> = Vec::new();
    store.visit_runs(|run| {
        if run.created_at < since || rows.len() == most {
            return ControlFlow::Break(());
        }
        rows.push(run);
        ControlFlow::Continue(())
    })?;
    let mark = |row: RunRow| {
        let state = match known(&row.run) {
            Some(state) => state,
            None => state_of(&row, &store.jobs_of_run(row.order)?, live),
        };
        Ok(RunMark { id: row.run, cause: row.cause.kind, created_at: row.created_at, jobs: row.jobs.len(), state })
    };
    rows.into_iter().map(mark).collect()
}
