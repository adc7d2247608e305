//! Triggers: branches that follow another branch, not commit by commit, but when their conditions hold.
//!
//! They are evaluated when a commit is made, within the same change, and when a schedule comes due. All that fire together are one run; it
//! may fire further triggers, on the branches that it moves.
//!
//! A rate limit also fires when its time comes and a commit is waiting, not only at the next commit.

use std::collections::{BTreeMap, BTreeSet};

use repos::journal::{Cause, CauseKind, Entry, Move};
use repos::tree::Tree;
use repos::{BranchRow, Change, RepoError, Store, Timestamp};
use specs::spec::Trigger;
use specs::{CommitId, RunId};

use crate::error::Result;
use crate::graph::{BranchOf, Graph, Pipeline, TriggerOf};
use crate::run::{Actor, cause, new_run, retry_on_conflict};
use crate::schedule::next_after;

/// The data for evaluating a trigger.
struct Sight<'a> {
    trigger: &'a Trigger,
    /// The branch that the trigger moves: what it took last, and when.
    taken: &'a BranchRow,
    /// The branch that it watches, as it is in the store.
    source: Option<BranchRow>,
    /// Where that branch will point.
    head: CommitId,
    now: Timestamp,
}

/// The runs that follow in the same change when branches make these moves.
pub(crate) fn runs_after(store: &Store, graph: &Graph, moves: &[Move], why: &Cause) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut heads: BTreeMap<BranchOf, Option<CommitId>> = BTreeMap::new();
    let mut landed = moves.to_vec();
    let mut fired_once = BTreeSet::new();
    while !landed.is_empty() {
        heads.extend(landed.iter().map(|moved| ((moved.repo.clone(), moved.branch.clone()), moved.to)));
        let mut fired = Vec::new();
        for trigger in graph.at_work().flat_map(|pipeline| pipeline.triggers()) {
            let comes =
                landed.iter().find(|moved| (&moved.repo, &moved.branch) == (&trigger.source.0, &trigger.source.1));
            let Some(head) = comes.and_then(|moved| moved.to) else { continue };
            // A branch moved explicitly in this change is already where it should be.
            if !heads.contains_key(&trigger.branch) {
                fired.extend(fire(store, &trigger, head, why.at)?);
            }
        }
        fired.retain(|moved| fired_once.insert((moved.repo.clone(), moved.branch.clone())));
        if !fired.is_empty() {
            entries.push(run_of(store, graph, fired.clone(), Cause { kind: CauseKind::Trigger, ..why.clone() })?);
        }
        landed = fired;
    }
    Ok(entries)
}

fn run_of(store: &Store, graph: &Graph, moves: Vec<Move>, why: Cause) -> Result<Entry> {
    let refs = moves.iter().map(|moved| format!("{}@{}", moved.repo, moved.branch)).collect();
    let jobs = graph.jobs_after(store, &moves, &BTreeSet::new())?;
    Ok(Entry::Run { run: new_run(), cause: Cause { refs, ..why }, moves, jobs })
}

/// The move of a trigger's branch to `head`, if it fires.
fn fire(store: &Store, of: &TriggerOf<'_>, head: CommitId, now: Timestamp) -> Result<Option<Move>> {
    let Some(taken) = store.find_branch(&of.branch.0, &of.branch.1)? else { return Ok(None) };
    let source = store.find_branch(&of.source.0, &of.source.1)?;
    let sight = Sight { trigger: of.trigger, taken: &taken, source, head, now };
    if taken.commit == Some(head) || !sight.fires(store)? {
        return Ok(None);
    }
    let (repo, branch) = of.branch.clone();
    Ok(Some(Move { repo, branch, from: taken.commit, to: Some(head) }))
}

impl Sight<'_> {
    fn fires(&self, store: &Store) -> Result<bool> {
        let Trigger { all, rate_limit_spec, size, commits, cron_spec, branch: _ } = self.trigger;
        let mut held = Vec::new();
        if let Some(schedule) = cron_spec {
            // What waited in the branch when the schedule came due is taken, with everything since.
            let waits = self.source.as_ref().filter(|row| row.commit.is_some() && row.commit != self.taken.commit);
            let due = waits.and_then(|row| next_after(schedule, row.moved_at));
            held.push(due.is_some_and(|due| due <= self.now));
        }
        if let Some(schedule) = rate_limit_spec {
            held.push(next_after(schedule, self.taken.moved_at).is_some_and(|due| due <= self.now));
        }
        if let Some(size) = size {
            let before = self.taken.commit.map_or(Ok(0), |taken| bytes(store, &taken))?;
            held.push(bytes(store, &self.head)?.saturating_sub(before) >= size.whole());
        }
        if let Some(count) = commits {
            held.push(self.has_new_commits(store, *count)?);
        }
        Ok(if *all { held.iter().all(|held| *held) } else { held.contains(&true) })
    }

    /// Whether there are at least `count` commits between what was taken and the head.
    fn has_new_commits(&self, store: &Store, count: u32) -> Result<bool> {
        let order = |id: &CommitId| -> Result<u64, RepoError> {
            // A commit that the journal has not named yet belongs to this change.
            Ok(store.commit_row(id)?.map_or(u64::MAX, |row| row.order))
        };
        let taken = self.taken.commit.as_ref().map(order).transpose()?;
        let mut next = Some(self.head);
        for _ in 0..count {
            let Some(id) = next else { return Ok(false) };
            // A branch that was moved back has nothing new.
            if taken.is_some_and(|taken| order(&id).is_ok_and(|order| order <= taken)) {
                return Ok(false);
            }
            next = store.commit(&id)?.parents.first().copied();
        }
        Ok(true)
    }
}

fn bytes(store: &Store, commit: &CommitId) -> Result<u64, RepoError> {
    Ok(Tree::at(store.commit(commit)?.tree).totals(store)?.weight)
}

/// The moves of a pipeline's trigger branches after it was applied or started: missing branches are created, and those whose conditions
/// hold move to their heads.
pub(crate) fn first_heads(store: &Store, pipeline: &Pipeline, now: Timestamp) -> Result<Vec<Move>> {
    let mut moves = Vec::new();
    for of in pipeline.triggers() {
        let head = store.find_branch(&of.source.0, &of.source.1)?.and_then(|row| row.commit);
        let present = store.find_branch(&of.branch.0, &of.branch.1)?;
        let taken = present.clone().unwrap_or(BranchRow { commit: None, moved_at: now });
        let sight = |head| Sight { trigger: of.trigger, taken: &taken, source: None, head, now };
        let (repo, branch) = of.branch.clone();
        match head {
            Some(head) if taken.commit != Some(head) && sight(head).fires(store)? => {
                moves.push(Move { repo, branch, from: taken.commit, to: Some(head) });
            }
            _ if present.is_none() => moves.push(Move { repo, branch, from: None, to: None }),
            _ => {}
        }
    }
    Ok(moves)
}

/// Takes what is due by now, in one run.
pub(crate) fn due(store: &Store, now: Timestamp, by: &Actor) -> Result<Vec<RunId>> {
    retry_on_conflict(store, || {
        let graph = Graph::load(store)?;
        let mut fired = Vec::new();
        for of in graph.at_work().flat_map(|pipeline| pipeline.triggers()) {
            if let Some(head) = store.find_branch(&of.source.0, &of.source.1)?.and_then(|row| row.commit) {
                fired.extend(fire(store, &of, head, now)?);
            }
        }
        if fired.is_empty() {
            return Ok(Vec::new());
        }
        let cause = cause(store, CauseKind::Trigger, by, Vec::new());
        let mut entries = vec![run_of(store, &graph, fired.clone(), cause.clone())?];
        entries.extend(runs_after(store, &graph, &fired, &cause)?);
        let run = |entry: &Entry| if let Entry::Run { run, .. } = entry { Some(*run) } else { None };
        let runs = entries.iter().filter_map(run).collect();
        store.publish(&Change { entries, graph: Some(graph.number) })?;
        Ok(runs)
    })
}

/// When a schedule of a pipeline's triggers comes due after `now`, among those for which something waits.
pub(crate) fn next(store: &Store, pipeline: &Pipeline, now: Timestamp) -> Result<Option<Timestamp>> {
    let mut next = None;
    for of in pipeline.triggers() {
        let source = store.find_branch(&of.source.0, &of.source.1)?;
        let taken = store.find_branch(&of.branch.0, &of.branch.1)?;
        let (Some(source), Some(taken)) = (source, taken) else { continue };
        if source.commit.is_none() || source.commit == taken.commit {
            continue;
        }
        let Trigger { cron_spec, rate_limit_spec, .. } = of.trigger;
        let times = [
            cron_spec.as_ref().and_then(|schedule| next_after(schedule, source.moved_at)),
            rate_limit_spec.as_ref().and_then(|schedule| next_after(schedule, taken.moved_at)),
        ];
        next = times.into_iter().flatten().filter(|time| *time > now).chain(next).min();
    }
    Ok(next)
}
