//! The history of a branch: who committed, when and why.

use answers::commit::{CommitView, Log, log};
use maud::{Markup, html};
use repos::access::Role;
use serde::Deserialize;
use specs::words::count;
use specs::{BranchName, CommitId, Reference, RepoName, Revision};

use super::changes;
use super::shared::{ROWS, commit_link, crumbs, pager, pinned, who, why};
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::{link, size, time};
use crate::views::Result;

/// A branch of a repository.
#[derive(Debug, Clone, Deserialize)]
pub struct OfBranch {
    repo: RepoName,
    branch: BranchName,
}

/// Which part of a history.
#[derive(Debug, Clone, Deserialize)]
pub struct Wanted {
    /// The commits before this one.
    after: Option<CommitId>,
}

/// A branch, newest commit first. Further pages begin at a commit, so they do not change.
pub fn branch(look: &Look<'_>, OfBranch { repo, branch }: OfBranch, Wanted { after }: Wanted) -> Result<View> {
    let head = look.store.branch(&repo, &branch)?.commit;
    let about = html! {
        (crumbs(look, &[(address::repo(&repo), repo.as_str())], branch.as_str()))
        h1 { "History of " (repo.as_str()) "@" (branch.as_str()) }
        p { (link(look, &address::repo(&repo).with("branch", branch.as_str()), "Files of this branch")) }
    };
    let from = after.as_ref().map_or_else(|| Revision::branch(&branch), pinned);
    let commits = if head.is_none() { Vec::new() } else { page(look, &repo, from, usize::from(after.is_some()))? };
    let older = commits.get(ROWS - 1).filter(|_| commits.len() > ROWS);
    let here = address::branch(&repo, &branch);
    let list = html! {
        @if commits.is_empty() { p .dim { "No commits." } } @else { (table(look, &repo, &commits)) }
        (pager(
            look,
            after.map(|_| here.clone()),
            older.map(|last| here.clone().with("after", last.id)),
            ("Newest commits", "Older commits"),
        ))
    };
    let view = View::new(format!("{repo}@{branch}"), "repos").fixed("about", about);
    let view = if after.is_some() { view.fixed("commits", list) } else { view.live("commits", [repo.as_str()], list) };
    let kind = look.store.repo(&repo)?.kind;
    let may_change = look.may(Role::Writer) && after.is_none();
    Ok(if may_change { view.fixed("changes", changes::of_branch(look, &repo, kind, &branch)) } else { view })
}

fn page(look: &Look<'_>, repo: &RepoName, from: Revision, skip: usize) -> Result<Vec<CommitView>> {
    let reference = Reference { repo: repo.clone(), revision: Some(from), path: None };
    match log(look.store, &reference, None, None)? {
        Log::Commits(commits) => commits.skip(skip).take(ROWS + 1).collect(),
        Log::Changes(_) => Ok(Vec::new()),
    }
}

fn table(look: &Look<'_>, repo: &RepoName, commits: &[CommitView]) -> Markup {
    html! {
        div .wide {
            table {
                thead {
                    tr {
                        th scope="col" { "Commit" } th scope="col" { "When" } th scope="col" { "By" } th scope="col" { "Why" }
                        th .number scope="col" { "Files" } th .number scope="col" { "Size" } th scope="col" { "Change" }
                    }
                }
                tbody {
                    @for commit in commits.iter().take(ROWS) {
                        @let document = &commit.document;
                        tr {
                            td { (commit_link(look, repo, &commit.id)) }
                            td { (time(look, document.created_at)) }
                            td { (who(document)) }
                            td { (why(look, document)) }
                            td .number { (count(commit.files)) }
                            td .number { (size(commit.size_bytes)) }
                            td {
                                @if let Some(parent) = document.parents.first() {
                                    @let (old, new) = (format!("{repo}@{parent}"), format!("{repo}@{}", commit.id));
                                    (link(look, &address::diff(old, new), "Differences"))
                                } @else { span .dim { "first" } }
                            }
                        }
                    }
                }
            }
        }
    }
}
