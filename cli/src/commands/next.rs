//! The suggested next command, if it applies.

use engine::executors::command_that_runs;
use specs::RunId;

use crate::context::{Context, Store};
use crate::error::Result;

/// `next: pv run`, or what runs jobs in this store, after a command that caused this run; nothing if the run has no jobs. If an engine takes
/// jobs on its own, the suggestion is to wait.
pub(super) fn after(cx: &Context, store: &Store, run: &RunId) -> Result<Option<String>> {
    if store.run(run)?.jobs.is_empty() {
        return Ok(None);
    }
    Ok(Some(match cx.engine() {
        Some(engine) if engine.lives_on() => format!("next: pv wait @{}", store.short_run(run)?),
        _ => format!("next: {}", command_that_runs(store)?),
    }))
}
