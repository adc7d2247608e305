//! `pv log`

use std::ops::ControlFlow;

use answers::diff::Change;
use repos::Store;
use repos::files::{self, Logged, Matching};
use repos::history::Did;
use repos::store::Resolved;
use serde::Serialize;
use specs::{FilePath, Glob, Reference, Source};

use super::jobs::live;
use super::matching::literal;
use super::views::{CommitView, FileView, RunView};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{Human, Row, Window, size};

/// List the runs of the store, or the commits of a branch
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Commit to start from, going back; with a path, only commits that changed it [default: list runs]
    #[arg(value_name = "REF[:/PATH]")]
    reference: Option<Reference>,
    #[command(flatten)]
    window: Window,
    /// List only commits that changed a whole path matching this pipeline glob
    #[arg(long = "match", value_name = "GLOB", requires = "reference")]
    matching: Option<Glob>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    match &args.reference {
        Some(reference) if is_empty(cx, reference)? => {
            cx.notes().line(format!("`{reference}` has no commits yet"));
            Ok(())
        }
        Some(reference) => match &args.matching {
            Some(glob) => matching(cx, reference, glob, &args.window),
            None => commits(cx, reference, &args.window).map_err(|error| literal(error, reference.path.as_ref())),
        },
        None => runs(cx, &args.window),
    }
}

/// Whether a whole repository, or one of its branches, is there and has no commit.
fn is_empty(cx: &Context, reference: &Reference) -> Result<bool> {
    Ok(super::ls::empty(cx.store()?, &Source::Reference(reference.clone()))?.is_some())
}

/// Commits that changed a path that matches: each commit is looked at, down to the first change that does.
fn matching(cx: &Context, reference: &Reference, glob: &Glob, window: &Window) -> Result<()> {
    let store = cx.store()?;
    let from = store.resolve(reference)?;
    let whole = Resolved { path: FilePath::root(), ..from.clone() };
    let commits = files::log(store, &whole)?
        .take_while(|logged| logged.as_ref().map_or(true, |logged| window.includes(cx, logged.commit.created_at)));
    let found = commits.filter_map(|logged| {
        let fits = |logged: Logged| -> Result<Option<Logged>> {
            let mut matching = Matching::new(glob);
            for change in files::changes_of(store, &logged.commit, Some(&from.path))? {
                if matching.fits(&change?.path) {
                    return Ok(Some(logged));
                }
            }
            Ok(None)
        };
        logged.map_err(CliError::from).and_then(fits).transpose()
    });
    let mut rows = found.map(|logged| logged.and_then(|one| CommitView::new(store, one.id, one.commit))).peekable();
    if rows.peek().is_none() && window.is_open() {
        return Err(files::nothing_matches(glob, &format!("the history of {}", from.place()), &from.path).into());
    }
    cx.list(window.limit(cx), rows)
}

fn commits(cx: &Context, reference: &Reference, window: &Window) -> Result<()> {
    let store = cx.store()?;
    let from = store.resolve(reference)?;
    let mut commits = files::log(store, &from)?.peekable();
    if commits.peek().is_none() {
        // No commit has touched the path: most likely there is none of that name, and that is said with the nearest.
        files::kind_at(store, from.tree(), &from.place(), &from.path)?;
    }
    let commits = commits
        .take_while(|logged| logged.as_ref().map_or(true, |logged| window.includes(cx, logged.commit.created_at)))
        .map(|logged| Ok(logged?));
    if from.path.is_root() {
        return cx.list(
            window.limit(cx),
            commits.map(|logged: Result<Logged>| logged.and_then(|one| CommitView::new(store, one.id, one.commit))),
        );
    }
    cx.list(
        window.limit(cx),
        commits.map(|logged| logged.and_then(|logged| ChangedView::new(store, &from.path, logged))),
    )
}

/// A commit that changed a path, and what it did.
#[derive(Serialize)]
struct ChangedView {
    #[serde(flatten)]
    commit: CommitView,
    /// `null` if it changed only files below the path.
    change: Option<Change>,
    /// The file from then on.
    file: Option<FileView>,
}

impl ChangedView {
    fn new(store: &Store, path: &FilePath, logged: Logged) -> Result<Self> {
        let Logged { id, commit, did } = logged;
        let change = did.map(|did| match did {
            Did::Added(_) => Change::Added,
            Did::Modified(_) => Change::Modified,
            Did::Removed => Change::Removed,
        });
        let file = did.and_then(|did| did.file()).map(|file| FileView::new(path.clone(), file));
        Ok(Self { commit: CommitView::new(store, id, commit)?, change, file })
    }
}

impl Row for ChangedView {
    const HEADER: &'static [&'static str] = &["COMMIT", "WHEN", "WHO", "CHANGE", "SIZE", "MESSAGE"];
    const GIVES_UP: &'static [&'static str] = &["SIZE", "WHO", "WHEN"];
    const SHORTENS: &'static [&'static str] = &["MESSAGE"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let mut cells = self.commit.cells(human);
        let change = match self.change {
            Some(Change::Added) => "added",
            Some(Change::Removed) => "removed",
            Some(Change::Modified | Change::Renamed) => "modified",
            None => "below",
        };
        cells.splice(
            3..5,
            [change.to_owned(), self.file.as_ref().map_or_else(String::new, |file| size(file.size_bytes))],
        );
        cells
    }
}

fn runs(cx: &Context, window: &Window) -> Result<()> {
    let store = cx.store()?;
    let mut runs = Vec::new();
    // One more than is shown: so it is known that there are more.
    let most = window.limit(cx).map_or(usize::MAX, |limit| limit.saturating_add(1));
    store.visit_runs(|run| {
        if !window.includes(cx, run.created_at) {
            return ControlFlow::Break(());
        }
        runs.push(run);
        if runs.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    cx.list(window.limit(cx), runs.into_iter().map(|run| RunView::new(store, run, live(cx))))
}
