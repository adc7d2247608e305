//! A moment in the life of a store: after a run, or at a time. What `?at=` of a page means, everywhere.

use std::ops::ControlFlow;

use engine::Result;
use repos::store::Then;
use repos::{JobRow, RepoError, RunRow, Store, Timestamp};
use specs::reference::{ReferenceError, RunRef};
use specs::{AsOf, BranchName, CommitId, RepoName, RunId};

/// A moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The run that was asked for; `None` for a time.
    pub run: Option<RunId>,
    /// The position of the last run up to it in the order of runs; 0 before the first.
    pub order: u64,
    /// The time that was asked for; `None` if all jobs up to the run have ended as far as they have by now.
    pub at: Option<Timestamp>,
    /// That time, or when the run was accepted.
    pub time: Timestamp,
}

impl Moment {
    /// The moment that a text names: `@RUN`, once the jobs of that run and those before it had ended; or a time that has passed, as between
    /// the braces of a reference.
    pub fn find(store: &Store, text: &str) -> Result<Self> {
        let text = text.trim();
        if text.starts_with('@') && !text.starts_with("@{") {
            let wrong = |error: ReferenceError| usage(error.to_string(), error.hint());
            let RunRef(prefix) = text.parse().map_err(wrong)?;
            let run = store.run(&store.run_by_prefix(&prefix)?)?;
            return Ok(Self { run: Some(run.run), order: run.order, at: None, time: run.created_at });
        }
        let bare = text.trim_start_matches('@');
        let bare = bare.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(bare);
        let time = AsOf::parse(bare).and_then(|time| store.instant(&time));
        let hint = "write `@RUN`, `2026-09-01 14:02` or `3 days ago`";
        let wrong = || usage(format!("`{}` is not a moment", text.escape_debug()), Some(hint.to_owned()));
        let time = time.ok_or_else(wrong)?;
        if time > store.clock().now() {
            let hint = Some("name a time that has passed".to_owned());
            return Err(usage(format!("`{text}` has not come yet"), hint).into());
        }
        Ok(Self { run: None, order: last_until(store, time)?, at: Some(time), time })
    }

    /// The moment as a store takes it.
    pub fn then(&self) -> Then {
        self.at.map_or(Then::Run(self.order), Then::Time)
    }

    /// The head of a branch then; `None` if it had no commit.
    pub fn head(&self, store: &Store, repo: &RepoName, branch: &BranchName) -> Result<Option<CommitId>> {
        Ok(store.branch_then(repo, branch, self.then())?.and_then(|row| row.commit))
    }

    /// Whether a job of a run up to this moment had not ended.
    pub fn was_open(&self, job: &JobRow) -> bool {
        job.sealed_at.is_none_or(|ended| self.at.is_some_and(|at| ended > at))
    }
}

fn usage(what: String, hint: Option<String>) -> RepoError {
    RepoError::Usage { what, hint }
}

/// The position of the last run that was accepted until a time. Times rise with the order, unless a clock was set back.
fn last_until(store: &Store, time: Timestamp) -> Result<u64> {
    let (mut low, mut high) = (0, store.runs_count()?);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        // Between visible runs there may be others.
        match runs_from(store, middle, |_| false)?.pop() {
            Some(run) if run.created_at > time => high = run.order.saturating_sub(1),
            _ => low = middle,
        }
    }
    Ok(low)
}

/// The runs that were accepted at this very time, newest first.
pub(crate) fn runs_at(store: &Store, time: Timestamp) -> Result<Vec<RunRow>> {
    let last = last_until(store, time)?;
    let mut runs = runs_from(store, last, |run| run.created_at == time)?;
    runs.retain(|run| run.created_at == time);
    Ok(runs)
}

/// The runs from this order backwards: the first that is visible, and further ones while one is followed.
fn runs_from(store: &Store, order: u64, is_followed: impl Fn(&RunRow) -> bool) -> Result<Vec<RunRow>> {
    let mut runs = Vec::new();
    store.visit_runs_from(order, |run| {
        let goes_on = is_followed(&run);
        runs.push(run);
        if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(runs)
}
