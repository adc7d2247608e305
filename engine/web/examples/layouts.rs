//! Lays graphs out, as pv does and as `rust-sugiyama` does: a line of JSON for each. `scripts/bench` runs it.

use std::io::{Result, Write, stdout};

use web::layout::beside::beside;

fn main() -> Result<()> {
    for count in [500, 1000] {
        writeln!(stdout(), "{}", serde_json::to_string(&beside(count))?)?;
    }
    Ok(())
}
