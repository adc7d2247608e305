//! `pv pipeline rollback`

use std::str::FromStr;

use answers::pipeline::rolled_view;
use engine::apply;
use specs::PipelineName;

use crate::author;
use crate::commands::next;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::plural;

/// Restore an earlier version of a pipeline, as a new version
///
/// Results of that version are taken from the cache. No local files are read.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipeline
    name: PipelineName,
    /// Version, as shown by `pv pipeline log`: `v3`
    version: Number,
    /// Reason, shown in the log
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    /// Author, if not you: `Anna <anna@example.com>`
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

/// The number of a version, with or without `v`.
#[derive(Debug, Clone, Copy)]
struct Number(u32);

impl FromStr for Number {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let digits = text.strip_prefix('v').unwrap_or(text);
        digits.parse().map(Self).map_err(|_| format!("`{text}` is not a version: write `v3`"))
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let (name, Number(to)) = (&args.name, args.version);
    let by = author::by(cx, args.author.as_deref());
    let applied = apply::rollback(store, name, to, &by, &args.message)
        .map_err(|error| CliError::from(error).done("nothing was rolled back"))?;
    let Some(rolled) = rolled_view(&applied, to) else { return Ok(()) };
    if cx.out().is_json() {
        return cx.out().json(&rolled);
    }
    cx.out().line(format!("{name}@v{}", rolled.version))?;
    cx.out().flush()?;
    let Some(run) = applied.run else {
        cx.notes().line(format!("nothing differs: version {} equals version {to}", rolled.version));
        return Ok(());
    };
    cx.notes().line(format!("restored v{to}; this changes: {}", rolled.changes.join(", ")));
    if !applied.kills.is_empty() {
        cx.notes().line(format!("killed {}", plural(applied.kills.len() as u64, "job", "jobs")));
    }
    cx.notes().line(format!("run {}", store.short_run(&run)?));
    if let Some(next) = next::after(cx, store, &run)? {
        cx.notes().line(next);
    }
    Ok(())
}
