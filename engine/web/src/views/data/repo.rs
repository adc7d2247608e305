//! A repository: its branches, tags and files; now, or as it was at a run or time.

use answers::branch::{BranchView, branches_as_of, newest_branches};
use answers::moment::Moment;
use answers::repo::{RepoKind, repo_size};
use answers::tag::{TagView, newest_tags};
use maud::{Markup, html};
use repos::access::Role;
use serde::Deserialize;
use specs::words::plural;
use specs::{BranchName, CommitId, FilePath, RepoName};

use super::directory::{Directory, listing};
use super::repos::kind_words;
use super::shared::{OfRepo, ROWS, commit_link, crumbs, shortened, who, why};
use super::{changes, upload};
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::{link, size, time};
use crate::views::Result;

/// What of a repository.
#[derive(Debug, Clone, Deserialize)]
pub struct Wanted {
    /// The branch whose files are shown; absent: the default branch, else the newest one.
    branch: Option<BranchName>,
    /// As it was: `@RUN` or a time.
    at: Option<String>,
    /// `grid` or `list`.
    view: Option<String>,
}

/// A repository.
pub fn repo(look: &Look<'_>, OfRepo { repo }: OfRepo, wanted: Wanted) -> Result<View> {
    let Wanted { branch, at, view } = wanted;
    let asked = (branch, view.as_deref());
    match at.as_deref().map(str::trim).filter(|at| !at.is_empty()) {
        Some(at) => then(look, &repo, asked, at),
        None => now(look, &repo, asked),
    }
}

/// The branch and the form that are asked for.
type Asked<'a> = (Option<BranchName>, Option<&'a str>);

/// As it was. The same for ever: nothing of it depends on what is there today.
fn then(look: &Look<'_>, repo: &RepoName, (asked, form): Asked<'_>, at: &str) -> Result<View> {
    let moment = Moment::find(look.store, at)?;
    let mut branches = branches_as_of(look.store, repo, &moment)?;
    let default = look.store.default_branch()?;
    branches.sort_by_key(|branch| branch.name != default);
    let (chosen, head) = chosen(asked, &branches);
    let about = html! {
        (crumbs(look, &[], repo.as_str()))
        h1 { (repo.as_str()) }
        p .then role="note" { "As it was at " b { (at) } ". " (link(look, &address::repo(repo), "Show it as it is now")) }
    };
    let files = files(look, repo, (chosen.as_ref(), head), (Some(at), form))?;
    let list = branch_table(look, repo, &branches, (chosen.as_ref(), Some(at)))?;
    let view = View::new(format!("{repo} at {at}"), "repos").fixed("about", about);
    Ok(view.fixed("files", files).fixed("branches", list))
}

/// As it is.
fn now(look: &Look<'_>, repo: &RepoName, (asked, form): Asked<'_>) -> Result<View> {
    let kind = look.store.repo(repo)?.kind;
    let mut branches = newest_branches(look.store, repo)?;
    let default = look.store.default_branch()?;
    if let Some(branch) = asked.as_ref().filter(|branch| **branch != default) {
        look.store.branch(repo, branch)?;
    }
    branches.sort_by_key(|branch| branch.name != default);
    let (chosen, head) = chosen(asked, &branches);
    let about = html! { (crumbs(look, &[], repo.as_str())) h1 { (repo.as_str()) } (facts(look, repo, kind)?) };
    let lists = html! {
        (branch_table(look, repo, &branches, (chosen.as_ref(), None))?)
        (tag_table(look, repo)?)
    };
    let files = files(look, repo, (chosen.as_ref(), head), (None, form))?;
    let follows = [repo.as_str()];
    let mut view = View::new(repo.as_str(), "repos").live("about", follows, about).live("files", follows, files);
    let target = chosen.unwrap_or(default);
    if kind == RepoKind::User && look.may(Role::Writer) {
        view = view.fixed("upload", upload::form(look, repo, &target));
    }
    view = view.live("branches", follows, lists).fixed("then", then_form(look, repo));
    if look.may(Role::Writer) {
        view = view.fixed("changes", changes::of_repo(look, repo, kind, &target));
    }
    Ok(view)
}

/// The branch whose files are shown, and its head: the one that was asked for, else the first.
fn chosen(asked: Option<BranchName>, branches: &[BranchView]) -> (Option<BranchName>, Option<CommitId>) {
    let name = asked.or_else(|| branches.first().map(|branch| branch.name.clone()));
    let head = name.as_ref().and_then(|name| branches.iter().find(|branch| branch.name == *name)?.commit);
    (name, head)
}

fn facts(look: &Look<'_>, repo: &RepoName, kind: RepoKind) -> Result<Markup> {
    let all = repo_size(look.store, repo)?;
    Ok(html! {
        p .about {
            "Written by "
            (kind_words(kind))
            @if kind == RepoKind::Output { " " (link(look, &address::pipeline(&repo.as_pipeline()), repo.as_str())) }
            " · " (plural(all.branches, "branch", "branches")) " · " (plural(all.tags, "tag", "tags"))
            " · " (plural(all.files, "file", "files")) ", " (size(all.size_bytes)) " at the heads of branches"
        }
    })
}

fn then_form(look: &Look<'_>, repo: &RepoName) -> Markup {
    html! {
        h2 { "As it was" }
        form .filter action=(look.link(&address::repo(repo))) {
            label {
                "At a run or time"
                input name="at" required placeholder="@RUN, 2026-09-01 14:02, 3 days ago" autocomplete="off" spellcheck="false";
            }
            button { "Show" }
        }
    }
}

fn branch_table(
    look: &Look<'_>,
    repo: &RepoName,
    branches: &[BranchView],
    (chosen, at): (Option<&BranchName>, Option<&str>),
) -> Result<Markup> {
    // The history of a branch that was deleted has no page.
    let is_now = at.is_none();
    let mut rows = Vec::new();
    for branch in branches.iter().take(ROWS) {
        let commit = branch.commit.map(|id| Ok::<_, engine::EngineError>((id, look.store.commit(&id)?))).transpose()?;
        let to = address::repo(repo).with("branch", branch.name.as_str()).with_some("at", at);
        rows.push(html! {
            tr aria-current=[(chosen == Some(&branch.name)).then_some("true")] {
                th scope="row" { a href=(look.link(&to)) title="Show its files" { (branch.name.as_str()) } }
                @if let Some((id, commit)) = &commit {
                    td { (commit_link(look, repo, id)) }
                    td { (time(look, commit.created_at)) }
                    td { (who(commit)) }
                    td { (why(look, commit)) }
                } @else { td colspan="4" .dim { "no commits yet" } }
                @if is_now { td { (link(look, &address::branch(repo, &branch.name), "History")) } }
            }
        });
    }
    Ok(html! {
        h2 { "Branches" }
        @if branches.is_empty() { p .dim { (if is_now { "There are no branches." } else { "There were no branches." }) } } @else {
            div .wide {
                table {
                    thead {
                        tr {
                            th scope="col" { "Branch" } th scope="col" { "Head" } th scope="col" { "When" }
                            th scope="col" { "By" } th scope="col" { "Why" } @if is_now { th scope="col" { "Commits" } }
                        }
                    }
                    tbody { @for row in &rows { (row) } }
                }
            }
            @if branches.len() > ROWS { p .dim { (branches.len() - ROWS) " further branches, older than these, are not shown." } }
        }
    })
}

fn tag_table(look: &Look<'_>, repo: &RepoName) -> Result<Markup> {
    let tags: Vec<TagView> = newest_tags(look.store, Some(repo))?;
    Ok(html! {
        @if !tags.is_empty() {
            h2 { "Tags" }
            div .wide {
                table {
                    thead {
                        tr { th scope="col" { "Tag" } th scope="col" { "Commit" } th scope="col" { "When" } th scope="col" { "Message" } }
                    }
                    tbody {
                        @for tag in tags.iter().take(ROWS) {
                            tr {
                                th scope="row" { (tag.name) }
                                td { (commit_link(look, repo, &tag.commit)) }
                                td { (time(look, tag.created_at)) }
                                td { (shortened(&tag.message, 120)) }
                            }
                        }
                    }
                }
            }
            @if tags.len() > ROWS { p .dim { (tags.len() - ROWS) " older tags are not shown." } }
        }
    })
}

fn files(
    look: &Look<'_>,
    repo: &RepoName,
    (branch, head): (Option<&BranchName>, Option<CommitId>),
    (at, form): (Option<&str>, Option<&str>),
) -> Result<Markup> {
    let title = html! { h2 { "Files" @if let Some(branch) = branch { " of " (branch.as_str()) } } };
    let Some(commit) = head else {
        return Ok(
            html! { (title) p .dim { (if at.is_none() { "There are no commits." } else { "There were no commits." }) } },
        );
    };
    if let (Some(_), Some(pruned)) = (at, look.store.is_pruned(&commit)?) {
        return Ok(html! { (title) p .dim { "They are no longer kept: " (pruned) "." } });
    }
    let root = FilePath::root();
    let here = Directory {
        repo,
        commit: &commit,
        path: &root,
        here: address::repo(repo).with_some("branch", branch.map(BranchName::as_str)).with_some("at", at),
        after: None,
        view: form,
    };
    Ok(html! { (title) (listing(look, &here)?) })
}
