//! What all commands share that commit files: the branch they commit to, and what they say afterwards.

use std::path::{Path, PathBuf};
use std::time::Instant;

use engine::EngineError;
use engine::changes::{self, Committed, NewCommit};
use repos::files::{ChangeSummary, Edits};
use repos::tree::Tree;
use repos::{RepoError, Store};
use serde::Serialize;
use specs::{BranchName, CommitId, Reference, RepoName, RunId};

use super::next;
use crate::author;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{ShortIds, count, plural, size};

/// A branch that is to get a commit.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) repo: RepoName,
    pub(super) branch: BranchName,
}

impl Target {
    /// The branch that a reference names, looked at before any work is done: its repository is a user's, and it exists or is the default.
    pub(super) fn of(store: &Store, reference: &Reference) -> Result<Self> {
        let repo = reference.repo.clone();
        let branch = match &reference.revision {
            None => store.default_branch()?,
            Some(revision) => revision.as_branch().ok_or_else(|| {
                let message = format!("`{repo}@{revision}` is not a branch; only a branch can get new commits");
                CliError::usage(message, format!("pv branch list {repo} lists its branches"))
            })?,
        };
        changes::ensure_not_output(store, &repo)?;
        ensure_not_tag(store, &repo, &branch)?;
        match store.branch(&repo, &branch) {
            Err(RepoError::BranchNotFound { repo, branch, similar }) if branch != store.default_branch()? => {
                Err(EngineError::NoBranchToPut { repo, branch, similar }.into())
            }
            Err(RepoError::BranchNotFound { .. }) | Ok(_) => Ok(Self { repo, branch }),
            Err(error) => Err(error.into()),
        }
    }

    /// The files that the branch has now.
    pub(super) fn files(&self, store: &Store) -> Result<Tree> {
        let head = store.find_branch(&self.repo, &self.branch)?.and_then(|row| row.commit);
        Ok(head.map(|id| store.commit(&id)).transpose()?.map_or(Tree::empty(), |commit| Tree::at(commit.tree)))
    }

    /// The branch in words.
    pub(super) fn place(&self) -> String {
        format!("{}@{}", self.repo, self.branch)
    }

    /// The shortest way to write it.
    fn shortest(&self, store: &Store) -> Result<String> {
        Ok(if store.default_branch()? == self.branch { self.repo.to_string() } else { self.place() })
    }
}

/// Refuses to move what is a tag and no branch.
pub(super) fn ensure_not_tag(store: &Store, repo: &RepoName, branch: &BranchName) -> Result<()> {
    Ok(changes::ensure_not_tag(store, repo, branch)?)
}

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

/// The properties of a new commit, besides its files.
pub(super) struct Commit<'a> {
    pub(super) target: &'a Target,
    pub(super) message: &'a Message,
    pub(super) expect: Option<CommitId>,
    pub(super) started: Instant,
    /// What of the sources could not be read, and why.
    pub(super) skipped: &'a [(PathBuf, String)],
}

/// Commits what `change` makes of the branch's files, and says what became of it.
pub(super) fn commit(
    cx: &Context,
    commit: &Commit<'_>,
    change: impl FnMut(Tree) -> Result<Edits, RepoError>,
) -> Result<Option<RunId>> {
    commit_then(cx, commit, false, change)
}

/// The same; with `runs` the command itself runs the jobs, so it does not suggest to.
pub(super) fn commit_then(
    cx: &Context,
    commit: &Commit<'_>,
    runs: bool,
    change: impl FnMut(Tree) -> Result<Edits, RepoError>,
) -> Result<Option<RunId>> {
    let Commit { target, message, expect, started, skipped } = commit;
    let store = cx.store()?;
    let by = author::by(cx, message.author.as_deref());
    let new =
        NewCommit { repo: &target.repo, branch: &target.branch, expect: *expect, by: &by, message: &message.message };
    let (committed, summary) = changes::commit(store, &new, change).map_err(nothing_committed)?;
    let run = match committed {
        Committed::Made { run, .. } => Some(run),
        Committed::Unchanged { .. } => None,
    };
    report(cx, target, &committed, &summary, (*started, runs), skipped).map_err(|error| after(run, error))?;
    Ok(run)
}

/// An error after which the store is as it was, as far as it does not say otherwise.
pub(super) fn nothing_committed(error: impl Into<CliError>) -> CliError {
    error.into().nothing_committed()
}

/// An error that came when the change was made, while it was told.
pub(super) fn after(run: Option<RunId>, error: CliError) -> CliError {
    match run {
        Some(run) => error.done(format!("the change was committed, as run {run}")),
        None => error,
    }
}

/// What a commit became, as programs read it.
#[derive(Serialize)]
pub(super) struct PutView<'a> {
    pub(super) repo: &'a RepoName,
    pub(super) branch: &'a BranchName,
    pub(super) commit: Option<CommitId>,
    pub(super) run: Option<RunId>,
    pub(super) changed: bool,
    pub(super) added: u64,
    pub(super) modified: u64,
    pub(super) removed: u64,
    pub(super) unchanged: u64,
    pub(super) size_bytes: u64,
    pub(super) new_bytes: u64,
    /// What `--skip-unreadable` left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) skipped: Vec<SkippedView<'a>>,
}

/// A source that could not be read.
#[derive(Serialize)]
pub(super) struct SkippedView<'a> {
    path: &'a Path,
    why: &'a str,
}

impl<'a> PutView<'a> {
    pub(super) fn new(
        target: &'a Target,
        summary: &ChangeSummary,
        commit: Option<CommitId>,
        run: Option<RunId>,
    ) -> Self {
        Self {
            repo: &target.repo,
            branch: &target.branch,
            commit,
            run,
            changed: summary.is_change(),
            added: summary.added,
            modified: summary.modified,
            removed: summary.removed,
            unchanged: summary.unchanged,
            size_bytes: summary.size_bytes,
            new_bytes: summary.new_bytes,
            skipped: Vec::new(),
        }
    }

    /// The same, with what could not be read.
    pub(super) fn skipped(mut self, skipped: &'a [(PathBuf, String)]) -> Self {
        self.skipped = skipped.iter().map(|(path, why)| SkippedView { path, why }).collect();
        self
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

fn report(
    cx: &Context,
    target: &Target,
    committed: &Committed,
    summary: &ChangeSummary,
    (started, runs): (Instant, bool),
    skipped: &[(PathBuf, String)],
) -> Result<()> {
    let (id, run) = match committed {
        Committed::Unchanged { head } => (*head, None),
        Committed::Made { commit, run, .. } => (Some(*commit), Some(*run)),
    };
    if cx.out().is_json() {
        return cx.out().json(&PutView::new(target, summary, id, run).skipped(skipped));
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
    cx.notes().line(format!("{next}undo: pv revert {}", target.shortest(store)?));
    Ok(())
}

/// The first few files that were there with other bytes: a surprise, more often than not.
fn changed_line(target: &Target, summary: &ChangeSummary, store: &Store) -> Result<Option<String>> {
    const NAMED: usize = 5;
    if summary.modified == 0 {
        return Ok(None);
    }
    let named: Vec<&str> = summary.modified_paths.iter().take(NAMED).map(specs::FilePath::as_str).collect();
    let more = summary.modified - named.len() as u64;
    let more = if more == 0 { String::new() } else { format!(" and {} more", plural(more, "file", "files")) };
    Ok(Some(format!("modified: {}{more}          (pv diff {})", named.join(" "), target.shortest(store)?)))
}

pub(super) fn took(started: Instant) -> String {
    let seconds = started.elapsed().as_secs_f64();
    match seconds {
        0.0..10.0 => format!("{seconds:.1} s"),
        10.0..60.0 => format!("{seconds:.0} s"),
        _ => format!("{} min {:02} s", started.elapsed().as_secs() / 60, started.elapsed().as_secs() % 60),
    }
}
