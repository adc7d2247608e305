//! Compares two runs: one line per repository that differs.

use answers::diff::{RepoDiff, diff_of_runs, two_runs};
use specs::{CommitId, RunRef};

use super::Args;
use super::page::Page;
use crate::context::Context;
use crate::error::Result;
use crate::output::count;

/// Prints the differences. Returns whether there are any.
pub(super) fn diff(cx: &Context, args: &Args, first: &RunRef, second: &RunRef) -> Result<bool> {
    let store = cx.store()?;
    let [older, newer] = two_runs(store, first, second)?;
    let page = Page::new(cx, args.md);
    if !cx.out().is_json() {
        page.title(&format!("run {} → run {}", store.short_run(&older)?, store.short_run(&newer)?))?;
    }
    let (mut rows, mut suggestions, mut differs) = (Vec::new(), Vec::new(), false);
    for found in diff_of_runs(store, [older, newer])? {
        let found = found?;
        differs |= found.counts.total() > 0;
        if cx.out().is_json() {
            cx.out().json(&found)?;
            continue;
        }
        let RepoDiff { repo, old, new, counts } = found;
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
