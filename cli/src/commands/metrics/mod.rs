//! `pv metrics`: numbers in files, with the parameters that produced them.
//!
//! - `print` the table as text, Markdown and CSV
//! - `sides` the metrics of two sides, printed at the end of `pv try`

use answers::metrics::{self, Question, Scope};
use answers::named::Resolved;
use specs::Reference;

use crate::context::Context;
use crate::error::Result;
use crate::output::Since;

mod print;
pub(super) mod sides;

/// Show metrics and the parameters that produced them
///
/// Each row is a file with numbers: named numbers in JSON or YAML, the last record of JSON lines, or a file that is one number. Its
/// parameters are the numbers in small files of its provenance, the variables that specs set, and the versions of pipelines. Parameters
/// that all rows share are listed below the table. The best value of each metric is marked with `*`. Whether more or less is better follows
/// from the metric's name (accuracy, loss, …), or from --max and --min.
#[derive(clap::Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// Commits; with a path, only that file or directory
    #[arg(value_name = "REF[:/PATH]", required = true)]
    places: Vec<Reference>,
    /// Sort by this parameter or metric, and always show it; may be repeated
    #[arg(long, value_name = "PARAM")]
    by: Vec<String>,
    /// Show a row for each version of a file in the commit and its ancestors
    #[arg(long, conflicts_with_all = ["since", "tries"])]
    all_runs: bool,
    /// Like --all-runs, but not older than this: `30d`, `2026-07-01`, or a time
    #[arg(long, value_name = "TIME", conflicts_with = "tries")]
    since: Option<Since>,
    /// Compare these files with what tries wrote in their place
    #[arg(long)]
    tries: bool,
    /// Show only this metric; may be repeated
    #[arg(long, value_name = "METRIC")]
    only: Vec<String>,
    /// More of this metric is better
    #[arg(long, value_name = "METRIC")]
    max: Vec<String>,
    /// Less of this metric is better
    #[arg(long, value_name = "METRIC")]
    min: Vec<String>,
    /// Print CSV, for other programs
    #[arg(long, conflicts_with = "md")]
    csv: bool,
    /// Print Markdown, for a pull request
    #[arg(long)]
    md: bool,
}

impl Args {
    fn scope(&self, cx: &Context) -> Scope {
        match &self.since {
            Some(since) => Scope::AllRuns(since.start(&cx.human())),
            None if self.all_runs => Scope::AllRuns(None),
            None if self.tries => Scope::Tries,
            None => Scope::Named,
        }
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let places: Vec<Resolved> = args.places.iter().map(|place| store.resolve(place)).collect::<Result<_, _>>()?;
    let question = Question {
        places: &places,
        scope: args.scope(cx),
        by: &args.by,
        only: &args.only,
        highest: &args.max,
        lowest: &args.min,
    };
    let table = metrics::metrics(store, &question)?;
    if cx.out().is_json() {
        table.lines().try_for_each(|line| cx.out().json(&line))?;
    } else if args.csv {
        cx.out().text(print::csv(&table))?;
    } else {
        print::print(cx, &table, args.md)?;
    }
    cx.out().flush()?;
    table.notes.iter().for_each(|note| cx.notes().line(note));
    Ok(())
}
