//! `pv trace`
//!
//! - `back` what a file rests on, as a tree
//! - `grid` many datums of one stage side by side, of which one is shown whole
//! - `forward` what read a file, as tables
//! - `words` commands, jobs and code in the words that both use

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

/// Show what a file rests on, down to the commits of people; or what read it
///
/// Forward may start with a file, with a directory (`REF:/DIR`, `REF:/` for all files), or with a commit (`REF`): then with the files that it
/// brought, added or changed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The file; forward also a directory or a commit
    #[arg(value_name = "REF[:/PATH]")]
    file: Reference,
    /// Show the datums that read it, also those that wrote nothing, and what came of it below
    #[arg(long)]
    forward: bool,
    /// Look at all runs that saw these bytes, not only at the one that is named
    #[arg(long, requires = "forward")]
    all_runs: bool,
    /// Go so many datums back, or forward, at most
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    /// Follow every file of large directories, not only the first ones, and show each datum of a grid; forward, list each datum and each file
    /// that was made
    #[arg(long)]
    files: bool,
    /// How to print it
    #[arg(long, value_name = "F", value_enum)]
    format: Option<Format>,
}

/// How to print a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Tree,
    /// All of it, for programs
    Json,
    /// A graph for Graphviz
    Dot,
    /// A graph for Mermaid
    Mermaid,
    /// One page that needs nothing else, for people without `pv`
    Html,
    /// Signed in-toto statements, a line a commit on the way, for tools that know these
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
            format!("`{}` names no file", args.file),
            format!("pv trace {repo}:/PATH\npv trace --forward {repo}      what came of the commit"),
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
    let error = CliError::new(ErrorKind::Damaged, "the trace is not complete: something on the way is damaged");
    Err(error.hint("pv fsck names all that is damaged; pv fsck --repair --from MIRROR heals it"))
}
