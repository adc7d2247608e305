//! `pv txn`

use std::path::PathBuf;
use std::time::Instant;

use answers::change::transaction_views;
use engine::put::Upload;
use engine::transaction::{
    self, BranchChange, Drastic, FORMAT, LineAction, Listings, Outcome, TransactionRequest, lines_in,
};
use specs::{ErrorKind, RepoName};

use super::change::{Message, after, nothing_committed, summary_line, took};
use super::next;
use super::put::{self, Shown};
use crate::author;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::invocation::Part;
use crate::invocation::files::{Noted, Notes, Question};
use crate::output::count;
use crate::remote::client::Outgoing;

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

    /// Reads what the command reads from the caller's machine.
    pub(super) fn read_files(&self, cx: &Context) {
        cx.read(&self.file, "the lines", MAX_BYTES).ok();
    }

    /// Sends the content of the files in all lines to a store elsewhere, on the caller's machine, which has noted the lines.
    pub(super) fn upload(&self, cx: &Context, noted: &Notes, store: &str, to: &Outgoing) -> Result<Vec<u8>> {
        let name = if self.reads_stdin() { "standard input".to_owned() } else { self.file.display().to_string() };
        let question = if self.reads_stdin() { Question::Stdin } else { Question::Content };
        let Some(Noted::Bytes(bytes)) = noted.get(&(question, self.file.clone())) else { return Ok(Vec::new()) };
        let text = String::from_utf8_lossy(bytes);
        let lines = lines_in(&name, &text).map_err(|problems| CliError::in_file(ErrorKind::Usage, &name, problems))?;
        let request = TransactionRequest { lines, folder: None, by: author::by(cx, None), message: String::new() };
        let known = cx.stat_place(store);
        let how = Upload { to, known: known.as_ref(), dry_run: self.dry_run };
        let listings = transaction::upload(&request, &how, &Shown { cx });
        let listings = listings.map_err(nothing_committed)?;
        Ok(postcard::to_stdvec(&listings).expect("listings have a form"))
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
    let far = cx.invocation().client.is_far();
    let request = TransactionRequest { lines, folder: put::folder(cx), by, message };
    let in_lines = |error| CliError::of_lines(&name, error);
    let sees = |repo: &RepoName| store.sees(repo);
    // Without local files, nothing is sent.
    let far = far.filter(|_| request.lines.iter().any(|line| matches!(line.action, LineAction::Put { .. })));
    let sent = far.map(|far| put::sent(store, (far, Part::Sources), &sees)).transpose()?;
    let listed = match &sent {
        Some((listings, from)) => Some((listings_of(listings)?, *from)),
        None => None,
    };
    if args.dry_run {
        let outcome = match &listed {
            None => transaction::preview(store, &request, &Shown { cx }),
            Some((listings, from)) => transaction::preview_listed(store, &request, listings, *from),
        };
        return outcome.map_err(in_lines);
    }
    let caller = Shown { cx };
    let prepared = match &listed {
        None => transaction::prepare(store, &request, &caller),
        Some((listings, from)) => transaction::prepare_listed(store, &request, listings, *from),
    };
    let prepared = prepared.map_err(in_lines)?;
    confirm(cx, &prepared.drastic().map_err(in_lines)?)?;
    prepared.publish().map_err(in_lines)
}

/// The listings that a client sent.
fn listings_of(bytes: &[u8]) -> Result<Listings> {
    postcard::from_bytes(bytes).map_err(|_| {
        CliError::usage("the list of uploaded files cannot be read", "use the same version of pv on both sides")
    })
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
    if cx.out().is_json() {
        return transaction_views(outcome, args.dry_run).iter().try_for_each(|view| cx.out().json(view));
    }
    for change in &outcome.branches {
        let place = format!("{}@{}", change.repo, change.branch);
        let commit = change.to.filter(|_| !args.dry_run);
        cx.out().line(match commit {
            Some(commit) => format!("{}@{}", change.repo, store.short_commit(&commit)?),
            None => place.clone(),
        })?;
        cx.out().flush()?;
        cx.notes().line(format!("{place}: {}", what_happened(change)));
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
