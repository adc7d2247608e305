//! Time: what happens without a user's change, and changes that wait for a condition.
//!
//! - `ticks`: a cron input's repository gets a commit whenever its schedule comes due
//!
//! Nothing here has state: the journal and the commits say what was done, so any later call continues, and nothing is made twice. Not here:
//! who calls it, and when (`pv run` at its start, `pv serve` at [`next_due`]).

mod ticks;

use repos::{PipelineRow, Store, Timestamp};
use specs::RunId;

pub use ticks::tick;

use crate::error::Result;
use crate::graph::{Graph, Pipeline};
use crate::run::Actor;
use crate::triggers;

/// Makes all ticks and takes all commits that are due at `now`; returns the runs, in order.
///
/// `watched_since`: since when something handles whatever comes due. An earlier tick is a missed one, and is handled as the setting
/// `missed_ticks` says. Of several that are due at once only the newest is made, unless the setting is `all`.
pub fn due(store: &Store, now: Timestamp, watched_since: Timestamp, by: &Actor) -> Result<Vec<RunId>> {
    let mut runs = ticks::due(store, now, watched_since, by)?;
    runs.extend(triggers::due(store, now, by)?);
    Ok(runs)
}

/// When something comes due next, after `now`; `None` if nothing does until a pipeline or a branch changes.
///
/// Call it after [`due`] with the same `now`, and again after every change of the store.
pub fn next_due(store: &Store, now: Timestamp) -> Result<Option<Timestamp>> {
    let graph = Graph::load(store)?;
    let mut next: Option<Timestamp> = None;
    for pipeline in graph.at_work() {
        let times = [ticks::next(pipeline, now), triggers::next(store, pipeline, now)?];
        next = times.into_iter().chain([next]).flatten().min();
    }
    Ok(next)
}

/// When a pipeline ticks next after `now`; `None` if it has no cron input, or is stopped.
pub fn next_tick(row: &PipelineRow, pipeline: &Pipeline, now: Timestamp) -> Option<Timestamp> {
    if row.is_stopped() { None } else { ticks::next(pipeline, now) }
}
