//! `pv log`

use answers::commit::{self, Log};
use answers::file::without_commits;
use answers::run::runs;
use specs::{Glob, Reference, Source};

use super::jobs::live;
use super::matching::literal;
use crate::context::Context;
use crate::error::Result;
use crate::output::Window;

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
    let (store, window) = (cx.store()?, &args.window);
    let Some(reference) = &args.reference else {
        // One more than is shown, to detect that there are more.
        let most = window.limit(cx).map_or(usize::MAX, |limit| limit.saturating_add(1));
        let runs = runs(store, live(cx), window.start(cx), most)?;
        return cx.list(window.limit(cx), runs.map(|run| Ok(run?)));
    };
    if without_commits(store, &Source::Reference(reference.clone()))?.is_some() {
        cx.notes().line(format!("`{reference}` has no commits yet"));
        return Ok(());
    }
    let is_literal = args.matching.is_none();
    commits(cx, reference, args).map_err(|error| literal(error, reference.path.as_ref().filter(|_| is_literal)))
}

fn commits(cx: &Context, reference: &Reference, args: &Args) -> Result<()> {
    let (window, limit) = (&args.window, args.window.limit(cx));
    match commit::log(cx.store()?, reference, args.matching.as_ref(), window.start(cx))? {
        Log::Commits(commits) => cx.list(limit, commits.map(|commit| Ok(commit?))),
        Log::Changes(changes) => cx.list(limit, changes.map(|change| Ok(change?))),
    }
}
