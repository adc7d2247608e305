//! What a person does next, as far as it is true where it is said.

use repos::Store;
use specs::RunId;

use crate::context::Context;
use crate::error::Result;
use crate::output::ShortIds;

/// `next: pv run`, after a command that caused this run; nothing when it caused no jobs. Where an engine takes jobs on its own there is only
/// something to wait for.
pub(super) fn after(cx: &Context, store: &Store, run: &RunId) -> Result<Option<String>> {
    if store.run(run)?.jobs.is_empty() {
        return Ok(None);
    }
    Ok(Some(match cx.engine() {
        Some(engine) if engine.lives_on() => format!("next: pv wait @{}", store.short_run(run)?),
        _ => "next: pv run".to_owned(),
    }))
}
