//! Time: what happens without anybody's change, and changes that wait for more of their kind.
//!
//! - `ticks` a cron input's repository gets a commit whenever its schedule comes due
//!
//! Nothing here remembers anything: what was done is what journal and commits say, so anyone who looks next continues, and what is there
//! already is not made twice. Not here: who looks, and when (`pv run` at its start, `pv serve` at [`next_due`]).

mod ticks;

use repos::{Store, Timestamp};
use specs::{PipelineName, RunId};

pub use ticks::tick;

use crate::error::Result;
use crate::graph::{Graph, Pipeline};
use crate::run::Actor;
use crate::triggers;

/// Makes all ticks and takes all commits that are due at `now`; returns the runs, in order.
///
/// `watched_since`: since when somebody looks whenever something comes due. A tick from before that is a missed one, and there the
/// setting `missed_ticks` says what becomes of it. Of several that are due at once only the newest is made, unless it says `all`.
pub fn due(store: &Store, now: Timestamp, watched_since: Timestamp, by: &Actor) -> Result<Vec<RunId>> {
    let mut runs = ticks::due(store, now, watched_since, by)?;
    runs.extend(triggers::due(store, now, by)?);
    Ok(runs)
}

/// When something comes due next, after `now`; `None` if nothing ever does until a pipeline or a branch changes.
///
/// To be asked after [`due`] with the same `now`, and again after every change of the store.
pub fn next_due(store: &Store, now: Timestamp) -> Result<Option<Timestamp>> {
    let graph = Graph::load(store)?;
    let mut next: Option<Timestamp> = None;
    for pipeline in graph.at_work() {
        let times = [ticks::next(pipeline, now), triggers::next(store, pipeline, now)?];
        next = times.into_iter().chain([next]).flatten().min();
    }
    Ok(next)
}

/// When a pipeline ticks next after `now`; `None` for one without clock, or that is stopped.
pub fn next_tick(store: &Store, name: &PipelineName, now: Timestamp) -> Result<Option<Timestamp>> {
    let row = store.pipeline(name)?;
    if row.is_stopped() {
        return Ok(None);
    }
    Ok(ticks::next(&Pipeline::load(store, &row)?, now))
}
