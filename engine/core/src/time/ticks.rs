//! Ticks: commits in a cron input's repository, each with an empty file named after its time.
//!
//! All ticks at one time are in one run, so a reader of two cron inputs sees both at once. The newest tick is what the branch's head added;
//! a tick is made only if it is newer, so there are never two for one time.
//!
//! A manual tick is named by the whole second, with a fraction if that name is taken. With the setting `missed_ticks` at `one`, only the
//! newest of several due ticks is made, even while an engine runs; with `none`, ticks from before an engine looked are left out.

use std::collections::{BTreeMap, BTreeSet};

use repos::documents::{Commit, CommitKind};
use repos::files::{self, Edits};
use repos::journal::{CauseKind, Move};
use repos::settings::{MISSED_TICKS, MissedTicks};
use repos::tree::{FileEntry, Tree, path_of};
use repos::{Change, Store, Timestamp};
use specs::spec::CronInput;
use specs::{FilePath, PipelineName, RunId};

use crate::changes::{run_entries, user_commit};
use crate::error::{EngineError, Result};
use crate::graph::{BranchOf, Graph, Pipeline};
use crate::run::{Actor, cause, new_run, retry_on_conflict};
use crate::schedule::{instant, next_after, stored};

/// A cron input of a pipeline.
#[derive(Debug, Clone)]
struct Clock {
    branch: BranchOf,
    /// Whether a tick replaces the previous one.
    overwrite: bool,
}

/// Makes the due ticks, with one run for each time.
pub(super) fn due(store: &Store, now: Timestamp, watched_since: Timestamp, by: &Actor) -> Result<Vec<RunId>> {
    let missed = store.setting(&MISSED_TICKS)?;
    let graph = Graph::load(store)?;
    let mut ticks: BTreeMap<Timestamp, Vec<Clock>> = BTreeMap::new();
    for pipeline in graph.at_work() {
        for cron in pipeline.spec.input.crons() {
            let clock = Clock::of(pipeline, cron);
            let after = ticked_until(store, pipeline, cron, &clock)?;
            for time in times(cron, after, now, missed) {
                if missed != MissedTicks::None || time >= watched_since {
                    ticks.entry(time).or_default().push(clock.clone());
                }
            }
        }
    }
    let mut runs = Vec::new();
    for (time, clocks) in ticks {
        runs.extend(make(store, time, &clocks, by)?);
    }
    Ok(runs)
}

/// The times to tick, after one and up to another.
fn times(cron: &CronInput, after: Timestamp, now: Timestamp, missed: MissedTicks) -> Vec<Timestamp> {
    if missed == MissedTicks::All {
        let next = |time: &Timestamp| next_after(&cron.spec, *time);
        return std::iter::successors(next(&after), next).take_while(|time| *time <= now).collect();
    }
    let newest = cron.spec.last_until(instant(now)).map(stored);
    newest.filter(|time| *time > after).into_iter().collect()
}

/// When a cron input of a pipeline comes due after `now`.
pub(super) fn next(pipeline: &Pipeline, now: Timestamp) -> Option<Timestamp> {
    let next = |cron: &CronInput| match cron.start.map(just_before).filter(|start| *start > now) {
        Some(start) => next_after(&cron.spec, start),
        None => next_after(&cron.spec, now),
    };
    pipeline.spec.input.crons().into_iter().filter_map(next).min()
}

/// Makes all cron inputs of a pipeline tick now, after what is due.
///
/// `Usage` if it has none, `Conflict` if it is stopped or has just ticked.
pub fn tick(store: &Store, name: &PipelineName, by: &Actor) -> Result<RunId> {
    let row = store.pipeline(name)?;
    let pipeline = Pipeline::load(store, &row)?;
    let crons = pipeline.spec.input.crons();
    if crons.is_empty() {
        let what = format!("pipeline `{name}` has no `cron` input");
        return Err(EngineError::Usage { what, hint: Some(format!("pv pipeline rerun {name}")) });
    }
    if row.is_stopped() {
        return Err(EngineError::PipelineStopped { pipeline: name.clone() });
    }
    let now = store.clock().now();
    super::due(store, now, now, by)?;
    let clocks: Vec<Clock> = crons.into_iter().map(|cron| Clock::of(&pipeline, cron)).collect();
    let mut newest = None;
    for clock in &clocks {
        newest = newest.max(last_tick(store, &clock.branch)?);
    }
    // A whole second reads better; within the second of another tick a more precise time is needed.
    let second = Timestamp::from_micros(now.as_micros() - now.as_micros().rem_euclid(1_000_000));
    let time = if newest.is_none_or(|newest| newest < second) { second } else { now };
    make(store, time, &clocks, by)?.ok_or_else(|| EngineError::Conflict {
        what: format!("pipeline `{name}` has already ticked at {}", instant(time)),
        hint: None,
    })
}

impl Clock {
    fn of(pipeline: &Pipeline, cron: &CronInput) -> Self {
        Self { branch: pipeline.input_branch(&cron.ticks), overwrite: cron.overwrite }
    }
}

fn just_before(start: jiff::Timestamp) -> Timestamp {
    Timestamp::from_micros(start.as_microsecond() - 1)
}

/// The time up to which all ticks are made: that of the newest tick, or the start of the schedule.
fn ticked_until(store: &Store, pipeline: &Pipeline, cron: &CronInput, clock: &Clock) -> Result<Timestamp> {
    let newest = last_tick(store, &clock.branch)?;
    let goes_from = match cron.start {
        Some(start) => just_before(start),
        None => goes_since(store, pipeline, cron, newest)?,
    };
    Ok(newest.map_or(goes_from, |newest| newest.max(goes_from)))
}

/// When the schedule was applied as it is now. If it ticked after the pipeline's last apply, that is the answer.
fn goes_since(store: &Store, pipeline: &Pipeline, cron: &CronInput, newest: Option<Timestamp>) -> Result<Timestamp> {
    let mut since = store.pipeline(pipeline.name())?.applied_at;
    if newest.is_some_and(|newest| newest >= since) {
        return Ok(since);
    }
    for row in store.pipeline_versions(pipeline.name())?.iter().rev() {
        if !Pipeline::load(store, row)?.spec.input.crons().contains(&cron) {
            break;
        }
        since = row.applied_at;
    }
    Ok(since)
}

/// The time of the newest tick: that of the file which its branch's head added.
fn last_tick(store: &Store, (repo, branch): &BranchOf) -> Result<Option<Timestamp>> {
    if !store.has_repo(repo)? {
        return Ok(None);
    }
    let Some(head) = store.find_branch(repo, branch)?.and_then(|row| row.commit) else { return Ok(None) };
    let commit = store.commit(&head)?;
    let before = commit.parents.first().map(|parent| store.commit(parent)).transpose()?;
    let before = before.map_or(Tree::empty(), |before| Tree::at(before.tree));
    let mut newest = None;
    for change in before.diff(store, Tree::at(commit.tree))? {
        let change = change?;
        let path = path_of(&change.key).map_err(repos::RepoError::from)?;
        if change.new.is_some() {
            newest = newest.max(path.as_str().trim_start_matches('/').parse::<Timestamp>().ok());
        }
    }
    Ok(newest)
}

/// Makes the missing ticks of one time, in one run; `None` if none is missing.
fn make(store: &Store, time: Timestamp, clocks: &[Clock], by: &Actor) -> Result<Option<RunId>> {
    let run = new_run();
    retry_on_conflict(store, || {
        let graph = Graph::whole(store)?;
        let mut moves = Vec::new();
        let mut done = BTreeSet::new();
        for clock in clocks.iter().filter(|clock| done.insert(clock.branch.clone())) {
            let is_fed = graph.pipelines.values().any(|pipeline| pipeline.is_fed_by(&clock.branch));
            // The pipeline may have been deleted since, along with its ticks.
            if is_fed && last_tick(store, &clock.branch)?.is_none_or(|newest| newest < time) {
                moves.push(commit_tick(store, run, time, clock, by)?);
            }
        }
        if moves.is_empty() {
            return Ok(None);
        }
        let refs = moves.iter().map(|moved| format!("{}@{}", moved.repo, moved.branch)).collect();
        let cause = cause(store, CauseKind::Cron, by, refs);
        let entries = run_entries(store, &graph, run, cause, moves, &BTreeSet::new())?;
        store.publish(&Change { entries, graph: Some(graph.number) })?;
        Ok(Some(run))
    })
}

fn commit_tick(store: &Store, run: RunId, time: Timestamp, clock: &Clock, by: &Actor) -> Result<Move> {
    let (repo, branch) = &clock.branch;
    let head = store.find_branch(repo, branch)?.and_then(|row| row.commit);
    let before = head.map(|id| store.commit(&id)).transpose()?;
    let base = before.filter(|_| !clock.overwrite).map_or(Tree::empty(), |before| Tree::at(before.tree));
    let path: FilePath = format!("/{}", instant(time)).parse().expect("a time is a legal path");
    let empty = store.put_bytes(b"")?;
    let file = FileEntry { digest: empty.digest, size: empty.size_bytes, executable: false };
    let edits = Edits { files: [(path, Some(file))].into(), ..Edits::default() };
    let (tree, _) = files::apply(store, base, &edits)?;
    let commit = Commit {
        kind: CommitKind::Cron,
        parents: head.into_iter().collect(),
        ..user_commit(store, run, (repo, branch), by, tree)
    };
    let to = store.put_commit(&commit)?;
    Ok(Move { repo: repo.clone(), branch: branch.clone(), from: head, to: Some(to) })
}
