//! The history of one path: the commits that changed it.

use answers::commit::{ChangedView, Log, PathChange, log};
use maud::{Markup, html};
use repos::store::Resolved;
use specs::{CommitId, Reference};

use super::shared::{ROWS, commit_link, pager, path_crumbs, pinned, who, why};
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::{id, link, size, time};
use crate::views::Result;

/// The changes of a path up to a commit, newest first; those before the commit `after`.
pub(super) fn history(look: &Look<'_>, at: &Resolved, after: Option<&str>) -> Result<View> {
    let (repo, path) = (&at.commit.repo, &at.path);
    let wrong = |_| engine::EngineError::Usage { what: "`after` is not a commit".to_owned(), hint: None };
    let after: Option<CommitId> = after.map(|after| after.parse().map_err(wrong)).transpose()?;
    let from = pinned(&after.unwrap_or(at.id));
    let reference = Reference { repo: repo.clone(), revision: Some(from), path: Some(path.clone()) };
    let here = address::files(repo, &at.id, Some(path));
    let (mut rows, mut last, mut more, mut of_branch) = (Vec::new(), None, false, html! {});
    match log(look.store, &reference, None, None)? {
        Log::Changes(changes) => {
            for change in changes.skip(usize::from(after.is_some())).take(ROWS + 1) {
                let change = change?;
                if rows.len() == ROWS {
                    more = true;
                    break;
                }
                last = Some(change.commit.id);
                rows.push(row(look, at, &change));
            }
        }
        Log::Commits(_) => {
            let to = address::branch(repo, &at.commit.branch);
            of_branch = html! { p { (link(look, &to, "The history of the whole branch")) } };
        }
    }
    let about = html! {
        (path_crumbs(look, repo, &at.id, path))
        h1 { "History of " (if path.is_root() { repo.as_str() } else { path.name() }) }
        p { (link(look, &here, "As it is in this commit")) }
    };
    let rows = html! {
        (of_branch)
        @if !rows.is_empty() {
            div .wide {
                table {
                    thead {
                        tr {
                            th scope="col" { "Change" } th scope="col" { "Commit" } th scope="col" { "When" }
                            th scope="col" { "By" } th scope="col" { "Why" } th scope="col" { "Content" }
                        }
                    }
                    tbody { @for row in &rows { (row) } }
                }
            }
        }
        (pager(
            look,
            after.map(|_| here.clone().with("history", "")),
            last.filter(|_| more).map(|last| here.clone().with("history", "").with("after", last)),
            ("Newest changes", "Older changes"),
        ))
    };
    Ok(View::new(format!("history of {path} in {repo}"), "repos").fixed("about", about).fixed("history", rows))
}

fn row(look: &Look<'_>, at: &Resolved, change: &ChangedView) -> Markup {
    let (commit, repo) = (&change.commit, &at.commit.repo);
    html! {
        tr {
            td .ref {
                (match change.change {
                    Some(PathChange::Added) => "added",
                    Some(PathChange::Modified) => "modified",
                    Some(PathChange::Removed) => "removed",
                    None => "changed below",
                })
            }
            td { (commit_link(look, repo, &commit.id)) }
            td { (time(look, commit.document.created_at)) }
            td { (who(&commit.document)) }
            td { (why(look, &commit.document)) }
            td {
                @if let Some(file) = &change.file {
                    (link(look, &address::files(repo, &commit.id, Some(&at.path)), id(&file.digest.to_string())))
                    " " (size(file.size_bytes))
                } @else if change.change.is_none() {
                    (link(look, &address::files(repo, &commit.id, Some(&at.path)), "as of then"))
                }
            }
        }
    }
}
