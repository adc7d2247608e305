//! `pv trace`
//!
//! - `back` the provenance of a file, as a tree
//! - `grid` many similar datums of one stage, of which one is shown in full
//! - `forward` what read a file, as tables
//! - `words` commands, jobs and code in words, shared by both

mod back;
mod forward;
mod grid;
mod words;

use answers::proof;
use answers::trace::{self, Reach, formats};
use clap::ValueEnum;
use specs::{ErrorKind, Reference};

use crate::context::Context;
use crate::error::{CliError, Result};

/// Show the provenance of a file, or everything derived from it
///
/// The provenance goes back to the commits made by people. --forward can start from a file, from a directory (`REF:/DIR`, or `REF:/` for all
/// files), or from a commit (`REF`: the files that it added or changed).
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// File; with --forward also a directory or a commit
    #[arg(value_name = "REF[:/PATH]")]
    file: Reference,
    /// Show the datums that read it, and all files derived from it
    #[arg(long)]
    forward: bool,
    /// Include all runs that read this content, not only the named commit's
    #[arg(long, requires = "forward")]
    all_runs: bool,
    /// Follow at most N datums back or forward
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    /// Follow every file of large directories, and show each datum of a group; with --forward list each datum and file
    #[arg(long)]
    files: bool,
    /// Output format
    #[arg(long, value_name = "F", value_enum)]
    format: Option<Format>,
}

/// How to print a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tree, for people
    Tree,
    /// JSON, complete, for programs
    Json,
    /// Graph for Graphviz
    Dot,
    /// Graph for Mermaid
    Mermaid,
    /// Self-contained web page, for people without `pv`
    Html,
    /// Signed in-toto statements, one per line and commit
    Intoto,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let format = args.format.unwrap_or(if cx.out().is_json() { Format::Json } else { Format::Tree });
    let word = format.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    if args.forward && !matches!(format, Format::Tree | Format::Json) {
        let error = CliError::new(ErrorKind::Usage, format!("--forward cannot be printed as {word}"));
        return Err(error.hint("--format tree or json"));
    }
    if !args.forward && args.file.path.as_ref().is_none_or(specs::FilePath::is_root) {
        let repo = Reference { path: None, ..args.file.clone() };
        return Err(CliError::usage(
            format!("`{}` does not name a file", args.file),
            format!("pv trace {repo}:/PATH\npv trace --forward {repo}      shows everything derived from the commit"),
        ));
    }
    let store = cx.store()?;
    let at = store.resolve(&args.file)?;
    if args.forward {
        let options = trace::ForwardOptions {
            all_runs: args.all_runs,
            depth: args.depth,
            brought: args.file.path.is_none(),
            all_files: args.files,
            most: None,
        };
        let found = trace::forward(store, &at, options)?;
        let is_json = format == Format::Json;
        return if is_json { cx.out().json(&found) } else { forward::print(cx, &found, args.files) };
    }
    let found = trace::trace(store, &at, Reach { depth: args.depth, all_files: args.files })?;
    match format {
        Format::Tree => back::print(cx, &args.file, &found, args.files)?,
        Format::Json => cx.out().json(&found)?,
        Format::Intoto => {
            for envelope in proof::envelopes(store, &found)? {
                cx.out().json(&envelope)?;
            }
        }
        Format::Dot => cx.out().text(formats::dot(&found))?,
        Format::Mermaid => cx.out().text(formats::mermaid(&found))?,
        Format::Html => {
            let exhibits = trace::exhibits(store, &found)?;
            cx.out().text(formats::page(&found, cx.human().zone(), &exhibits))?;
        }
    }
    if !found.is_damaged {
        return Ok(());
    }
    let error = CliError::new(ErrorKind::Damaged, "the trace is incomplete: some data is damaged");
    Err(error.hint("pv fsck lists the damage; pv fsck --repair --from MIRROR repairs it"))
}
