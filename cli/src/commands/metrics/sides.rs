//! The metrics of two sides, a line each.

use answers::diff::words::number;
use answers::metrics::{SideBySide, Sides};
use specs::PipelineName;

use super::print::word;
use crate::context::Context;
use crate::error::Result;
use crate::output::count;

/// Prints the current and the new values of the metrics; nothing if there are none.
pub(in crate::commands) fn print(cx: &Context, pipeline: &PipelineName, sides: &Sides) -> Result<()> {
    if sides.is_empty() {
        return Ok(());
    }
    let several = sides.figures.iter().any(|one| one.path != sides.figures[0].path);
    let mut heads = vec!["METRIC", "NOW", "TRY", "CHANGE"];
    if several {
        heads.insert(0, "FILE");
        cx.out().line(format!("\nmetrics of {pipeline}"))?;
    } else {
        cx.out().line(format!("\nmetrics of {pipeline}:{}", sides.figures[0].path))?;
    }
    let line = |one: &SideBySide| {
        let change = one.change.filter(|change| *change != 0.0).map(|change| {
            let (sign, text) = (if change > 0.0 { "+" } else { "" }, number(change));
            match one.better {
                Some(true) => format!("{sign}{text}  better"),
                Some(false) => format!("{sign}{text}  worse"),
                None => format!("{sign}{text}"),
            }
        });
        let mut cells =
            vec![one.metric.clone(), word(one.old.as_ref()), word(one.new.as_ref()), change.unwrap_or_default()];
        if several {
            cells.insert(0, one.path.to_string());
        }
        cells
    };
    cx.table(&heads, sides.figures.iter().map(line).collect())?;
    for (left_out, what) in [(sides.files_left_out, "files"), (sides.figures_left_out, "figures")] {
        if left_out > 0 {
            cx.out().line(format!("… {} more {what}", count(left_out)))?;
        }
    }
    Ok(())
}
