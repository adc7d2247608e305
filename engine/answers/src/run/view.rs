//! A run: its cause, the branches that it moved, and the progress of its jobs.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use engine::Result;
use engine::live::{JobKey, Live, LiveState, job_id};
use repos::journal::{CauseKind, Move, SealedState};
use repos::{JobRow, RunRow, Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, RepoName, RunId, RunRef};

use super::cause::CauseView;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// What caused it.
    pub cause: CauseView,
    /// The branches that it moved.
    pub moves: Vec<MoveView>,
    /// The ids of its jobs.
    pub jobs: Vec<String>,
    /// Its progress.
    pub state: RunState,
    /// When it began.
    pub created_at: Timestamp,
    /// When its last job ended.
    pub finished_at: Option<Timestamp>,
    /// A unique short form of its id.
    #[serde(skip)]
    pub short: String,
    /// The number of jobs in each state, without states that no job has.
    #[serde(skip)]
    pub counts: Vec<(usize, &'static str)>,
}

/// A move of a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields of the contract")]
pub struct MoveView {
    pub repo: RepoName,
    pub branch: BranchName,
    pub from: Option<CommitId>,
    pub to: Option<CommitId>,
}

impl From<Move> for MoveView {
    fn from(moved: Move) -> Self {
        Self { repo: moved.repo, branch: moved.branch, from: moved.from, to: moved.to }
    }
}

/// The progress of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum RunState {
    Waiting,
    Running,
    Success,
    Failure,
    Killed,
}

impl RunView {
    /// Whether it was only a trial: nothing of it is on a branch.
    pub fn is_try(&self) -> bool {
        self.cause.kind == CauseKind::Try
    }
}

impl RunState {
    /// The word that programs see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Killed => "killed",
        }
    }

    /// Whether all its jobs have ended.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }

    fn of(jobs: &[JobRow], live: Option<&Live>) -> Self {
        let ended = jobs.iter().filter_map(|job| job.sealed).collect::<Vec<_>>();
        if ended.len() < jobs.len() {
            let is_waiting = ended.is_empty() && !jobs.iter().any(|job| is_at_work(job, live));
            return if is_waiting { Self::Waiting } else { Self::Running };
        }
        if ended.iter().any(|state| matches!(state, SealedState::Failure | SealedState::Unrunnable)) {
            Self::Failure
        } else if ended.contains(&SealedState::Killed) {
            Self::Killed
        } else {
            Self::Success
        }
    }
}

/// The run that a reference names. `live` is the activity of this process.
pub fn find_run(store: &Store, run: &RunRef, live: Option<&Live>) -> Result<RunView> {
    run_view(store, store.run(&store.run_by_prefix(&run.0)?)?, live)
}

/// The runs since a time, newest first, at most `most`; read lazily.
pub fn runs<'s>(
    store: &'s Store,
    live: Option<&'s Live>,
    since: Option<Timestamp>,
    most: usize,
) -> Result<impl Iterator<Item = Result<RunView>> + 's> {
    let mut rows = Vec::new();
    store.visit_runs(|run| {
        if since.is_some_and(|since| run.created_at < since) {
            return ControlFlow::Break(());
        }
        rows.push(run);
        if rows.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(rows.into_iter().map(move |row| run_view(store, row, live)))
}

/// Rows that are read at a time.
const AT_A_TIME: usize = 64;

/// The runs before one, newest first; without it, all. What is not taken is not read, and neither is what comes before.
pub fn runs_before<'s>(
    store: &'s Store,
    live: Option<&'s Live>,
    before: Option<&RunId>,
) -> Result<impl Iterator<Item = Result<RunView>> + 's> {
    Ok(rows_from(store, first_before(store, before)?).map(move |row| run_view(store, row?, live)))
}

/// The highest order that a run before this one can have; without it, that any can have.
pub(super) fn first_before(store: &Store, before: Option<&RunId>) -> Result<Option<u64>> {
    Ok(match before {
        Some(run) => store.run(run)?.order.checked_sub(1),
        None => Some(u64::MAX),
    })
}

/// The rows of runs from this order backwards, a few at a time.
pub(crate) fn rows_from(store: &Store, from: Option<u64>) -> impl Iterator<Item = Result<RunRow>> + '_ {
    let (mut from, mut rows) = (from, VecDeque::new());
    std::iter::from_fn(move || {
        if rows.is_empty() {
            let read = store.visit_runs_from(from.take()?, |row| {
                rows.push_back(row);
                if rows.len() < AT_A_TIME { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            if let Err(error) = read {
                return Some(Err(error.into()));
            }
            from = rows.get(AT_A_TIME - 1).and_then(|last: &RunRow| last.order.checked_sub(1));
        }
        rows.pop_front().map(Ok)
    })
}

/// A run by its row.
pub fn run_view(store: &Store, row: RunRow, live: Option<&Live>) -> Result<RunView> {
    let jobs = store.jobs_of_run(row.order)?;
    let state = state_of(&row, &jobs, live);
    let is_over = state.is_over();
    let last = jobs.iter().filter_map(|job| job.sealed_at).max();
    let cause = CauseView::of(store, &row)?;
    Ok(RunView {
        id: row.run,
        short: store.short_run(&row.run)?,
        counts: counts(&jobs, live),
        cause,
        moves: row.moves.into_iter().map(MoveView::from).collect(),
        jobs: jobs.iter().map(|job| job_id(&job.pipeline, &job.run)).collect(),
        state,
        created_at: row.created_at,
        finished_at: if is_over { Some(last.unwrap_or(row.created_at)) } else { None },
    })
}

/// The progress of a run with these jobs.
pub(super) fn state_of(row: &RunRow, jobs: &[JobRow], live: Option<&Live>) -> RunState {
    let is_try = row.cause.kind == CauseKind::Try;
    // No later engine continues a trial that is not running.
    match RunState::of(jobs, live) {
        RunState::Waiting if is_try => RunState::Killed,
        RunState::Running if is_try && !jobs.iter().any(|job| is_at_work(job, live)) => RunState::Killed,
        state => state,
    }
}

/// Whether an engine in this process is working on the job right now.
fn is_at_work(job: &JobRow, live: Option<&Live>) -> bool {
    let key = JobKey { order: job.order, pipeline: job.pipeline.clone() };
    live.and_then(|live| live.job(&key)).is_some_and(|known| known.state != LiveState::Waiting)
}

fn counts(jobs: &[JobRow], live: Option<&Live>) -> Vec<(usize, &'static str)> {
    let word = |job: &JobRow| match job.sealed {
        None if is_at_work(job, live) => "running",
        None => "waiting",
        Some(SealedState::Success) => "success",
        Some(SealedState::Failure) => "failure",
        Some(SealedState::Killed) => "killed",
        Some(SealedState::Unrunnable) => "unrunnable",
    };
    let words = ["success", "failure", "killed", "unrunnable", "running", "waiting"];
    let counted = words.map(|state| (jobs.iter().filter(|job| word(job) == state).count(), state));
    counted.into_iter().filter(|(number, _)| *number > 0).collect()
}
