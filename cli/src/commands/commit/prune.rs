//! `pv commit prune`

use answers::upkeep::{PruneView, PrunedView, Selection, freed_by, pruned_commits};
use engine::keep::Prune;
use specs::{Reference, RepoName};

use crate::author;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::output::{Human, Row, Since, plural, size};

/// Drop the files of old commits; keep ids, trees and lineage
///
/// Heads of branches and tagged commits keep their files. A file that a kept commit also contains stays readable in old commits.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Repository, or one of its branches
    #[arg(value_name = "REPO[@BRANCH]")]
    of: Reference,
    /// Prune commits made before this day (`2026-07-01`), age (`90d`) or commit
    #[arg(long, value_name = "DATE|AGE|REV", required_unless_present = "keep", conflicts_with = "keep")]
    before: Option<String>,
    /// Prune all but the newest N commits of each branch
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Show which commits would be pruned and the bytes freed; prune nothing
    #[arg(long)]
    dry_run: bool,
}

impl Row for PrunedView {
    const HEADER: &'static [&'static str] = &["COMMIT", "WHEN", "MESSAGE"];
    const SHORTENS: &'static [&'static str] = &["MESSAGE"];
    fn cells(&self, human: &Human) -> Vec<String> {
        let message = self.message.lines().next().unwrap_or_default().to_owned();
        vec![format!("{}@{}", self.repo, self.short), human.ago(self.created_at), message]
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let prune = Prune::of(store, &args.of)?;
    let prune = prune.only(selection(cx, store, args, &args.of.repo)?);
    let first = prune.plan(store)?;
    let commits = pruned_commits(store, &first)?;
    let size_bytes = {
        let progress = cx.progress("prune");
        freed_by(store, &first, &|what, done, total| progress.count(what, done, total))?
    };
    if args.dry_run || commits.is_empty() {
        return print(cx, commits, size_bytes, false);
    }
    let goes = format!(
        "This drops the files of {} ({}).",
        plural(commits.len() as u64, "commit", "commits"),
        size(size_bytes)
    );
    cx.confirm(&goes, "nothing was pruned")?;
    let done = prune.commit(store, &author::by(cx, None))?;
    print(cx, pruned_commits(store, &done)?, size_bytes, true)
}

fn selection(cx: &Context, store: &Store, args: &Args, repo: &RepoName) -> Result<Selection> {
    let Some(text) = &args.before else {
        // Heads always keep their files.
        return Ok(Selection::AllBut(args.keep.unwrap_or(1).max(1)));
    };
    if let Some(time) = text.parse::<Since>().ok().and_then(|since| since.start(&cx.human())) {
        return Ok(Selection::MadeBefore(time));
    }
    let reference = format!("{repo}@{text}").parse::<Reference>().map_err(|_| {
        CliError::usage(
            format!("`{text}` is not a day, age or commit"),
            "--before 2026-07-01, --before 90d, --before ID",
        )
    })?;
    Ok(Selection::Under(store.resolve(&reference)?.id))
}

fn print(cx: &Context, commits: Vec<PrunedView>, size_bytes: u64, pruned: bool) -> Result<()> {
    if cx.out().is_json() {
        return cx.out().json(&PruneView { pruned, commits, size_bytes });
    }
    if commits.is_empty() {
        cx.notes().line("nothing to prune: heads and tagged commits keep their files");
        return Ok(());
    }
    let human = cx.human();
    let lines = commits.iter().map(|commit| commit.cells(&human)).collect();
    cx.table(PrunedView::HEADER, lines)?;
    let (verb, next) =
        if pruned { ("pruned", "; next: pv gc frees") } else { ("would prune", "; pv gc would then free") };
    let count = plural(commits.len() as u64, "commit", "commits");
    cx.notes().line(format!("{verb} {count}{next} {}", size(size_bytes)));
    Ok(())
}
