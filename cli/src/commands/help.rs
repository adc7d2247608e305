//! `pv` alone, outside a store.

use crate::context::Context;
use crate::error::{CliError, Result};

/// Says what one can begin with.
pub(crate) fn without_a_command(cx: &Context) -> Result<()> {
    cx.out().line(format!(
        "pv {}: commits data, runs pipelines on what changed, knows where every file came from.",
        env!("CARGO_PKG_VERSION")
    ))?;
    if let Err(error) = cx.store_dir() {
        match error {
            CliError::Failure(failure) if failure.kind == specs::ErrorKind::NotFound => {}
            error => return Err(error),
        }
    }
    cx.out().line("No store here or above.")?;
    cx.out().line("  pv init              make one here")?;
    cx.out().line("  --store, PV_STORE    use one elsewhere")?;
    cx.out().line("  pv help              all commands")
}
