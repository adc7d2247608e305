//! Compares two runs: one line per repository that differs.

use answers::diff::Counts;
use repos::{RepoError, RunRow, Store};
use serde::Serialize;
use specs::{CommitId, ErrorKind, RepoName, RunRef};

use super::Args;
use super::page::Page;
use super::sides::Sides;
use crate::context::Context;
use crate::error::Result;
use crate::output::{ShortIds, count};

/// A repository in which two runs made or used different files.
#[derive(Serialize)]
struct RepoDiff {
    repo: RepoName,
    old: Option<CommitId>,
    new: Option<CommitId>,
    #[serde(flatten)]
    counts: Counts,
}

/// Prints the differences. Returns whether there are any.
pub(super) fn diff(cx: &Context, args: &Args, first: &RunRef, second: &RunRef) -> Result<bool> {
    let store = cx.store()?;
    let run = |run: &RunRef| store.run(&store.run_by_prefix(&run.0)?);
    let (older, newer) = (run(first)?, run(second)?);
    let page = Page::new(cx, args.md);
    if !cx.out().is_json() {
        page.title(&format!("run {} → run {}", store.short_run(&older.run)?, store.short_run(&newer.run)?))?;
    }
    let (mut rows, mut suggestions, mut differs) = (Vec::new(), Vec::new(), false);
    for (repo, _) in store.repos()? {
        let (old, new) = (commit_of(store, &repo, &older)?, commit_of(store, &repo, &newer)?);
        if old == new {
            continue;
        }
        let mut counts = Counts::default();
        for entry in Sides::of_commits(store, old, new, String::new())?.entries(store)? {
            counts.add(&entry?);
        }
        differs |= counts.total() > 0;
        if cx.out().is_json() {
            cx.out().json(&RepoDiff { repo, old, new, counts })?;
            continue;
        }
        let short = |id: Option<CommitId>| id.map_or(Ok("nothing".to_owned()), |id| store.short_commit(&id));
        let (old_name, new_name) = (short(old)?, short(new)?);
        let numbers = [counts.added, counts.removed, counts.modified, counts.renamed].map(count);
        rows.push([vec![repo.to_string(), format!("{old_name} → {new_name}")], numbers.to_vec()].concat());
        if old.is_some() && new.is_some() {
            suggestions.push(format!("pv diff {repo}@{old_name} {repo}@{new_name}"));
        }
    }
    if cx.out().is_json() {
        return Ok(differs);
    }
    if rows.is_empty() {
        page.line("both runs made and used the same commits")?;
        return Ok(differs);
    }
    page.table(&["REPOSITORY", "COMMIT", "ADDED", "REMOVED", "MODIFIED", "RENAMED"], rows)?;
    cx.out().flush()?;
    for line in suggestions {
        cx.notes().line(line);
    }
    Ok(differs)
}

/// The commit that a run made or used; if there are several branches, that of the default branch.
fn commit_of(store: &Store, repo: &RepoName, run: &RunRow) -> Result<Option<CommitId>, RepoError> {
    let found = match store.commit_of_run(repo, None, run) {
        Err(RepoError::SeveralCommits { .. }) => store.commit_of_run(repo, Some(&store.default_branch()?), run),
        found => found,
    };
    match found {
        Ok(id) => Ok(Some(id)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
