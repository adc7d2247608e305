//! Two runs: the repositories in which they made or used other commits.

use answers::diff::{Counts, Entry, commits_of_runs, two_runs};
use maud::{Markup, html};
use repos::tree::Tree;
use repos::{RepoError, RunRow};
use specs::{CommitId, RepoName, RunId};

use super::why::counted;
use super::{Asked, form, given, two_runs_of};
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;
use crate::parts::{id, link, time};
use crate::views::Result;

/// Repositories on a page.
const PAGE: usize = 100;
/// Files that are counted in one repository, and on a page.
const COUNTED: usize = 1_000;
const COUNTED_IN_ALL: u64 = 10_000;

/// A repository, and its commits in both runs.
type Line = (RepoName, Option<CommitId>, Option<CommitId>);

pub(super) fn view(look: &Look<'_>, asked: &Asked) -> Result<View> {
    let (first, second) = two_runs_of(asked)?;
    let runs = two_runs(look.store, &first, &second)?;
    let found = commits_of_runs(look.store, runs)?;
    let from = given(&asked.after).and_then(|after| found.iter().position(|line| line.0.as_str() > after));
    let from = if given(&asked.after).is_some() { from.unwrap_or(found.len()) } else { 0 };
    let page = &found[from..found.len().min(from + PAGE)];
    let next = (from + page.len() < found.len()).then(|| page.last().map(|line| line.0.clone())).flatten();
    let title = format!("Run {} → run {}", look.store.short_run(&runs[0])?, look.store.short_run(&runs[1])?);
    let view = View::new(format!("{title} · difference"), "runs").fixed(
        "sides",
        html! {
            h1 { "What differs" }
            (form(look, asked))
            (header(look, runs)?)
        },
    );
    let here = || -> Address { address::diff(format!("@{}", runs[0]), format!("@{}", runs[1])) };
    let table = table(look, page)?;
    Ok(view.fixed("repositories", html! {
        h2 { "Repositories" }
        @if found.is_empty() { p { "Both runs made and used the same commits." } } @else { (table) }
        @if look.store.is_limited() { p .gap { "Repositories that are not visible to you are not compared." } }
        @if from > 0 || next.is_some() {
            nav .pages aria-label="Pages" {
                @if from > 0 { (link(look, &here(), "First page")) }
                @if let Some(next) = next { a rel="next" href=(look.link(&here().with("after", next))) { "Next page" } }
            }
        }
    }))
}

fn header(look: &Look<'_>, runs: [RunId; 2]) -> Result<Markup> {
    let [old, new] = runs.map(|run| look.store.run(&run));
    let row = |side: &str, run: &RunRow| {
        html! {
            tr {
                th scope="row" { (side) }
                td { a href=(look.link(&address::run(&run.run.to_string()))) { (id(&run.run.to_string())) } }
                td { (run.cause.author.as_deref().unwrap_or(&run.cause.committer)) }
                td { (time(look, run.created_at)) }
                td .message { (run.cause.kind.word()) " " (run.cause.message.as_deref().unwrap_or_default()) }
            }
        }
    };
    let (old, new) = (old?, new?);
    Ok(html! {
        div .wide { table .sides {
            thead {
                tr {
                    th scope="col" { "Side" } th scope="col" { "Run" } th scope="col" { "Caused by" }
                    th scope="col" { "Made" } th scope="col" { "Cause" }
                }
            }
            tbody { (row("Old", &old)) (row("New", &new)) }
        } }
    })
}

fn table(look: &Look<'_>, page: &[Line]) -> Result<Markup> {
    let (mut rows, mut left) = (Vec::new(), COUNTED_IN_ALL);
    for (repo, old, new) in page {
        let (counts, is_more) = counts(look, (old.as_ref(), new.as_ref()), left.min(COUNTED as u64))?;
        left -= counts.total();
        rows.push((repo, old, new, counts, is_more));
    }
    let commit = |repo: &RepoName, commit: &Option<CommitId>| {
        html! {
            @match commit {
                Some(commit) => a href=(look.link(&address::commit(repo, commit))) { (id(&commit.to_string())) },
                None => "nothing",
            }
        }
    };
    Ok(html! {
        div .wide { table {
            thead {
                tr {
                    th scope="col" { "Repository" } th scope="col" { "Old" } th scope="col" { "New" }
                    th scope="col" { "Files" }
                }
            }
            tbody {
                @for (repo, old, new, counts, is_more) in &rows {
                    tr {
                        th scope="row" { (link(look, &address::repo(repo), repo.as_str())) }
                        td { (commit(repo, old)) }
                        td { (commit(repo, new)) }
                        td {
                            @let words = if counts.total() == 0 && *is_more { "not counted".to_owned() }
                            else { counted(counts, *is_more) } ;
                            @match (old, new) {
                                (Some(old), Some(new)) => (link(look, &address::diff(format!("{repo}@{old}"), format!("{repo}@{new}")), words)),
                                _ => (words),
                            }
                        }
                    }
                }
            }
        } }
    })
}

/// How many files differ, without looking for renames; and whether there are more.
fn counts(look: &Look<'_>, (old, new): (Option<&CommitId>, Option<&CommitId>), most: u64) -> Result<(Counts, bool)> {
    let tree = |id: Option<&CommitId>| -> Result<Tree, RepoError> {
        Ok(id.map(|id| look.store.commit(id)).transpose()?.map_or(Tree::empty(), |commit| Tree::at(commit.tree)))
    };
    let mut changes = repos::files::diff(look.store, tree(old)?, tree(new)?, None)?;
    let mut counts = Counts::default();
    while counts.total() < most {
        let Some(change) = changes.next() else { return Ok((counts, false)) };
        counts.add(&Entry::from(change?));
    }
    Ok((counts, changes.next().is_some()))
}
