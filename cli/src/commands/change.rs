//! What all commands share that commit files: author and message, and the report afterwards.

use std::time::Instant;

use answers::change::PutView;
use engine::edit::Edit;
use engine::target::{CommitOutcome, TargetBranch};
use repos::files::ChangeSummary;
use specs::RunId;

use super::next;
use crate::author;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::output::{count, plural, size};

/// Who commits and why.
#[derive(clap::Args, Debug, Clone, Default)]
pub(super) struct Message {
    /// Reason, shown in the log
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) message: String,
    /// Author, if not you: `Anna <anna@example.com>`
    #[arg(long, value_name = "NAME")]
    pub(super) author: Option<String>,
}

/// Commits an edit of files that are already stored, and reports it.
pub(super) fn commit(cx: &Context, edit: &Edit, message: &Message, started: Instant) -> Result<()> {
    let by = author::by(cx, message.author.as_deref());
    let outcome = edit.commit(cx.store()?, &by, &message.message).map_err(nothing_committed)?;
    report(cx, &outcome, started, false).map_err(|error| after(outcome.run(), error))
}

/// Marks an error after which the store is unchanged, unless the error says otherwise.
pub(super) fn nothing_committed(error: impl Into<CliError>) -> CliError {
    error.into().nothing_committed()
}

/// Marks an error while reporting a change that was already committed.
pub(super) fn after(run: Option<RunId>, error: CliError) -> CliError {
    match run {
        Some(run) => error.done(format!("the change was committed, as run {run}")),
        None => error,
    }
}

/// `2 added, 0 modified, 0 removed, 1 unchanged · 9.1 GB, 9.0 GB new`
pub(super) fn summary_line(summary: &ChangeSummary) -> String {
    format!(
        "{} added, {} modified, {} removed, {} unchanged · {}, {} new",
        count(summary.added),
        count(summary.modified),
        count(summary.removed),
        count(summary.unchanged),
        size(summary.size_bytes),
        size(summary.new_bytes)
    )
}

/// Reports what was committed; with `runs` the command itself runs the jobs, so it does not suggest to.
pub(super) fn report(cx: &Context, outcome: &CommitOutcome, started: Instant, runs: bool) -> Result<()> {
    let CommitOutcome { target, summary, .. } = outcome;
    let (id, run) = (outcome.head(), outcome.run());
    if cx.out().is_json() {
        return cx.out().json(&PutView::from(outcome));
    }
    let store = cx.store()?;
    let place = match id {
        Some(id) => format!("{}@{}", target.repo, store.short_commit(&id)?),
        None => target.place(),
    };
    cx.out().line(place)?;
    cx.out().flush()?;
    let Some(run) = run else {
        cx.notes().line("nothing differs: no commit was made");
        return Ok(());
    };
    cx.notes().line(format!("{} · {}", summary_line(summary), took(started)));
    if let Some(changed) = changed_line(target, summary, store)? {
        cx.notes().line(changed);
    }
    cx.notes().line(format!("run {}", store.short_run(&run)?));
    let next = if runs { None } else { next::after(cx, store, &run)? };
    let next = next.map_or_else(String::new, |next| format!("{next}        "));
    cx.notes().line(format!("{next}undo: pv revert {}", shortest(target, store)?));
    Ok(())
}

/// The shortest way to write a branch.
fn shortest(target: &TargetBranch, store: &Store) -> Result<String> {
    Ok(if store.default_branch()? == target.branch { target.repo.to_string() } else { target.place() })
}

/// The first few files that existed with other bytes: often the user did not expect this.
fn changed_line(target: &TargetBranch, summary: &ChangeSummary, store: &Store) -> Result<Option<String>> {
    const NAMED: usize = 5;
    if summary.modified == 0 {
        return Ok(None);
    }
    let named: Vec<&str> = summary.modified_paths.iter().take(NAMED).map(specs::FilePath::as_str).collect();
    let more = summary.modified - named.len() as u64;
    let more = if more == 0 { String::new() } else { format!(" and {} more", plural(more, "file", "files")) };
    Ok(Some(format!("modified: {}{more}          (pv diff {})", named.join(" "), shortest(target, store)?)))
}

pub(super) fn took(started: Instant) -> String {
    let seconds = started.elapsed().as_secs_f64();
    match seconds {
        0.0..10.0 => format!("{seconds:.1} s"),
        10.0..60.0 => format!("{seconds:.0} s"),
        _ => format!("{} min {:02} s", started.elapsed().as_secs() / 60, started.elapsed().as_secs() % 60),
    }
}
