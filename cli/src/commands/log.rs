//! `pv log`

use std::ops::ControlFlow;

use repos::files;
use specs::Reference;

use super::jobs::live;
use super::views::{CommitView, RunView};
use crate::context::Context;
use crate::error::Result;
use crate::output::Window;

/// List the runs of the store, or the commits of a branch
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Commits from here back; with a path only those that changed it; the runs when it is left out
    #[arg(value_name = "REF[:/PATH]")]
    reference: Option<Reference>,
    #[command(flatten)]
    window: Window,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    match &args.reference {
        Some(reference) => commits(cx, reference, &args.window),
        None => runs(cx, &args.window),
    }
}

fn commits(cx: &Context, reference: &Reference, window: &Window) -> Result<()> {
    let store = cx.store()?;
    let from = store.resolve(reference)?;
    let mut commits = files::log(store, &from).peekable();
    if commits.peek().is_none() {
        // No commit has touched the path: most likely there is none of that name, and that is said with the nearest.
        files::kind_at(store, from.tree(), &from.place(), &from.path)?;
    }
    let commits =
        commits.take_while(|commit| commit.as_ref().map_or(true, |(_, commit)| window.includes(cx, commit.created_at)));
    cx.list(
        window.limit(cx),
        commits.map(|commit| {
            let (id, commit) = commit?;
            CommitView::new(store, id, commit)
        }),
    )
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
