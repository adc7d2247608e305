//! `pv` alone.

use crate::context::Context;
use crate::error::{CliError, Result};

/// Says what one can begin with.
pub(crate) fn without_a_command(cx: &Context) -> Result<()> {
    cx.out().line(format!(
        "pv {}: commits data, runs pipelines on what changed, knows where every file came from.",
        env!("CARGO_PKG_VERSION")
    ))?;
    match cx.store_dir() {
        Ok(dir) => cx.out().line(format!("The store is {}.", dir.display()))?,
        Err(CliError::Failure(failure)) if failure.kind == specs::ErrorKind::NotFound => {
            cx.out().line("No store here or above.")?;
            cx.out().line("  pv init              make one here")?;
            cx.out().line("  --store, PV_STORE    use one elsewhere")?;
        }
        Err(error) => return Err(error),
    }
    cx.out().line("  pv help              all commands")
}
