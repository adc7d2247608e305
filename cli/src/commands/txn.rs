//! `pv txn`

use std::path::PathBuf;
use std::time::Instant;

use engine::transaction::{self, BranchChange, Drastic, FORMAT, Outcome, TransactionRequest, lines_in};
use specs::ErrorKind;

use super::change::{Message, PutView, after, nothing_committed, summary_line, took};
use super::next;
use super::put::{self, Shown};
use crate::author;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::count;

/// Most bytes of all lines: about a million lines.
const MAX_BYTES: u64 = 256 << 20;

/// Apply several changes to files and branches as one run, or none of them
#[derive(clap::Args, Debug)]
#[command(after_long_help = FORMAT, after_help = "pv help txn describes the format")]
pub(crate) struct Args {
    /// Changes, one JSON object per line; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    message: Message,
    /// Then run the jobs that the changes cause, or wait for them
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// Show what would change; change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// Whether the lines are read from standard input.
    pub(super) fn reads_stdin(&self) -> bool {
        self.file.as_os_str() == "-"
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let started = Instant::now();
    let outcome = act(cx, args).map_err(nothing_committed)?;
    report(cx, args, &outcome, started).map_err(|error| after(outcome.run, error))?;
    match outcome.run.filter(|_| args.wait) {
        Some(run) => super::run::bring_to_end(cx, &run).map_err(|error| after(Some(run), error)),
        None => Ok(()),
    }
}

fn act(cx: &Context, args: &Args) -> Result<Outcome> {
    let name = if args.reads_stdin() { "standard input".to_owned() } else { args.file.display().to_string() };
    let store = cx.store()?;
    let text = cx.read_text(&args.file, &format!("`{name}`"), MAX_BYTES, "pv help txn describes the format")?;
    let lines = lines_in(&name, &text).map_err(|problems| CliError::in_file(ErrorKind::Usage, &name, problems))?;
    let (by, message) = (author::by(cx, args.message.author.as_deref()), args.message.message.clone());
    let request = TransactionRequest { lines, folder: put::folder(cx), by, message };
    let in_lines = |error| CliError::of_lines(&name, error);
    if args.dry_run {
        return transaction::preview(store, &request, &Shown { cx }).map_err(in_lines);
    }
    let caller = Shown { cx };
    let prepared = transaction::prepare(store, &request, &caller).map_err(in_lines)?;
    confirm(cx, &prepared.drastic().map_err(in_lines)?)?;
    prepared.publish().map_err(in_lines)
}

/// Asks before mirrors remove most of the existing files.
fn confirm(cx: &Context, drastic: &[Drastic]) -> Result<()> {
    for drastic in drastic {
        let (removed, before) = (count(drastic.removed), count(drastic.total_before));
        let goes = format!("Line {} removes {removed} of {before} files in {}.", drastic.line, drastic.place);
        cx.confirm(&goes, &format!("this would remove more than half of the files in {}", drastic.place))?;
    }
    Ok(())
}

/// A line for each branch with its new head; what happened to it goes to stderr.
fn report(cx: &Context, args: &Args, outcome: &Outcome, started: Instant) -> Result<()> {
    let store = cx.store()?;
    for change in &outcome.branches {
        let place = format!("{}@{}", change.repo, change.branch);
        let commit = change.to.filter(|_| !args.dry_run);
        if cx.out().is_json() {
            let mut view = PutView::new(
                (&change.repo, &change.branch),
                &change.summary,
                commit,
                outcome.run.filter(|_| change.is_moved),
            );
            view.changed = change.is_moved;
            cx.out().json(&view)?;
            continue;
        }
        cx.out().line(match commit {
            Some(commit) => format!("{}@{}", change.repo, store.short_commit(&commit)?),
            None => place.clone(),
        })?;
        cx.out().flush()?;
        cx.notes().line(format!("{place}: {}", what_happened(change)));
    }
    if cx.out().is_json() {
        return Ok(());
    }
    match outcome.run {
        _ if args.dry_run => cx.notes().line("dry run: nothing was committed"),
        None => cx.notes().line("nothing differs: no commit was made"),
        Some(run) => {
            cx.notes().line(format!("run {} · {}", store.short_run(&run)?, took(started)));
            if !args.wait {
                next::after(cx, store, &run)?.iter().for_each(|next| cx.notes().line(next));
            }
        }
    }
    Ok(())
}

fn what_happened(change: &BranchChange) -> String {
    match change.is_moved {
        true if change.summary.is_change() => summary_line(&change.summary),
        true if change.from.is_none() => "new".to_owned(),
        true => "moved".to_owned(),
        false => "nothing differs".to_owned(),
    }
}
