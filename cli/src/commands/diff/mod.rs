//! `pv diff`: what differs, and why.
//!
//! - `sides` the two sides that are compared
//! - `listing` the paths that differ, their content, a summary of very many, the counts
//! - `detail` what differs between two files, as blocks
//! - `misspelt` fields and keys that no file has
//! - `page` blocks as text or Markdown
//! - `why` the causes: as a header above the listing, and in full
//! - `flips` which decisions changed
//! - `runs` two runs, one line per repository

use std::path::PathBuf;
use std::str::FromStr;

use answers::diff::Sides;
use answers::named::find_version;
use answers::pipeline::differences;
use specs::{Glob, ReferenceError, RunRef, Source};

use super::matching::literal;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::remote::client::Writes;

mod detail;
mod flips;
mod listing;
mod misspelt;
pub(super) mod page;
mod runs;
mod why;

use page::Page;

/// Compare two commits, or a commit with its parent
///
/// Each file is compared by its kind: text by lines, JSON and YAML by values, tables by rows and cells, images by pixels, tensors by
/// elements, all others by bytes. For two outputs of one pipeline, the differing inputs, code and settings come first.
#[derive(clap::Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// Older side; if alone, this commit is compared with its parent
    #[arg(value_name = "A")]
    first: What,
    /// Newer side
    #[arg(value_name = "B")]
    second: Option<What>,
    /// Show only the paths
    #[arg(long, conflicts_with = "stat")]
    name_only: bool,
    /// Show only the counts
    #[arg(long)]
    stat: bool,
    /// Show everything, without limits
    #[arg(long)]
    all: bool,
    /// Exit with code 1 if anything differs
    #[arg(long)]
    exit_code: bool,
    /// Show in full why two outputs differ
    #[arg(long, conflicts_with_all = ["stat", "name_only"])]
    why: bool,
    /// Show which decisions changed: a field of each record, and the value that counts [default: true]
    #[arg(long, value_name = "FIELD[=VALUE]", conflicts_with_all = ["stat", "name_only"])]
    flips: Option<flips::Wanted>,
    /// With --flips: print the records as CSV
    #[arg(long, requires = "flips", conflicts_with = "md")]
    csv: bool,
    /// Print Markdown, for a pull request
    #[arg(long, conflicts_with = "name_only")]
    md: bool,
    /// Key columns of tables and records, separated by commas
    #[arg(long, value_name = "COLS", value_delimiter = ',')]
    key: Vec<String>,
    /// Compare only files whose whole path matches this pipeline glob; a matching directory includes its files
    #[arg(long = "match", value_name = "GLOB")]
    matching: Option<Glob>,
    /// Write pictures of the differences between images to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A side: a commit or file, or a run.
#[derive(Debug, Clone)]
enum What {
    Commit(Box<Source>),
    Run(RunRef),
}

impl FromStr for What {
    type Err = ReferenceError;
    fn from_str(text: &str) -> std::result::Result<Self, ReferenceError> {
        if text.starts_with('@') {
            text.parse().map(Self::Run)
        } else {
            text.parse().map(|it| Self::Commit(Box::new(it)))
        }
    }
}

impl Args {
    /// What it writes on the caller's machine.
    pub(super) fn writes(&self) -> Writes {
        self.out.clone().map_or(Writes::Nothing, Writes::Below)
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let differs = match (&args.first, &args.second) {
        (What::Commit(first), None) => commits(cx, args, first, None)?,
        (What::Commit(first), Some(What::Commit(second))) => commits(cx, args, first, Some(second))?,
        (What::Run(first), Some(What::Run(second))) => runs::diff(cx, args, first, second)?,
        (What::Run(run), None) => {
            cx.store()?.run_by_prefix(&run.0)?; // else there is nothing to show either
            let message = format!("`{run}` is a run: it needs a second run");
            return Err(CliError::usage(message, format!("pv show {run} shows what it did")));
        }
        (What::Run(run), Some(What::Commit(commit))) | (What::Commit(commit), Some(What::Run(run))) => {
            let message = format!("`{run}` is a run and `{commit}` is a commit: compare two of the same kind");
            let hint = match &**commit {
                Source::Reference(reference) => format!("pv diff {commit} {}{run}", reference.repo),
                Source::Id(..) => format!("name its repository: REPO{run}"),
            };
            return Err(CliError::usage(message, hint));
        }
    };
    if args.exit_code && differs { Err(CliError::Exit(1)) } else { Ok(()) }
}

/// Whether something differs.
fn commits(cx: &Context, args: &Args, first: &Source, second: Option<&Source>) -> Result<bool> {
    let store = cx.store()?;
    let sides = Sides::find(store, first, second)
        .map_err(|error| literal(error, first.path().filter(|_| args.matching.is_none())))?;
    let sides = sides.matching(args.matching.clone());
    if args.why {
        let differs = why::in_full(cx, args, &sides)?;
        if args.flips.is_none() {
            return Ok(differs);
        }
    }
    let page = Page::new(cx, args.md);
    if let Some(wanted) = &args.flips {
        return flips::print(&page, args, &sides, wanted);
    }
    if !cx.out().is_json() && !args.name_only {
        page.title(&sides.title)?;
        why::header(&page, store, &sides, why::Reasons::Short)?;
        versions(cx, &page, first, second)?;
    }
    let listed = listing::print(&page, args, store, &sides)?;
    if !cx.out().is_json() && !args.name_only {
        page.line(&listing::counted(&listed.counts))?;
    } else if cx.out().is_json() && args.stat {
        cx.out().json(&listed.counts)?;
    }
    listed.key.check()?;
    Ok(listed.counts.total() > 0)
}

/// What differs between two pipeline versions; the differences of their code are listed below.
fn versions(cx: &Context, page: &Page<'_>, first: &Source, second: Option<&Source>) -> Result<()> {
    let (Source::Reference(first), Some(Source::Reference(second))) = (first, second) else { return Ok(()) };
    let store = cx.store()?;
    let (old, new) = (find_version(store, first)?, find_version(store, second)?);
    let (Some((_, old)), Some((_, new))) = (old, new) else { return Ok(()) };
    let differ = differences(store, &old, &new)?;
    page.line(&if differ.is_empty() {
        "nothing differs".to_owned()
    } else {
        format!("differs in: {}", differ.join(", "))
    })
}
