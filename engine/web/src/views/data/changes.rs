//! Forms for changes of a repository, branch, commit or file, each a call of an operation.

use answers::repo::RepoKind;
use maud::{Markup, html};
use repos::access::Role;
use repos::documents::Commit;
use specs::{BranchName, CommitId, FilePath, RepoName};

use crate::address;
use crate::look::Look;
use crate::parts::{action, form};

/// The reason of a change, shown in the log.
fn message() -> Markup {
    html! { label { "Why" input name="message" autocomplete="off"; } }
}

/// A form that stays out of sight until somebody wants it.
fn folded(words: &str, content: &Markup) -> Markup {
    html! { details .edit { summary { (words) } (content) } }
}

/// A new branch; removing the repository.
pub(super) fn of_repo(look: &Look<'_>, repo: &RepoName, kind: RepoKind, branch: &BranchName) -> Markup {
    let pattern = "[A-Za-z0-9][A-Za-z0-9_.\\-]*";
    let new = html! {
        form .action method="post" action=(look.link(&address::branches(repo))) {
            label { "Name" input name="branch" required maxlength="63" pattern=(pattern) autocomplete="off"; }
            label { "At a branch, tag or commit" input name="commit" value=(branch.as_str()) autocomplete="off" spellcheck="false"; }
            button { "Create branch" }
        }
    };
    let remove = address::api(["repos", repo.as_str()]);
    html! {
        h2 { "Changes" }
        @if kind == RepoKind::User { (folded("New branch", &new)) }
        @if kind == RepoKind::User && look.may(Role::Admin) {
            (folded("Delete this repository", &html! {
                p { "Its branches and tags go; its commits stay until they are collected as garbage." }
                (action_to(look, "DELETE", &remove, "Delete repository", "/repos"))
            }))
        }
    }
}

/// Like [`action`], going on to another view.
fn action_to(look: &Look<'_>, method: &str, operation: &address::Address, button: &str, next: &str) -> Markup {
    let elsewhere = Look { here: next, ..*look };
    action(&elsewhere, method, operation, &[], button)
}

/// Moving a branch, removing it, undoing its head.
pub(super) fn of_branch(look: &Look<'_>, repo: &RepoName, kind: RepoKind, branch: &BranchName) -> Markup {
    let own = address::api(["repos", repo.as_str(), "branches", branch.as_str()]);
    let revert = address::api(["repos", repo.as_str(), "branches", branch.as_str(), "revert"]);
    let to = html! { label { "To a branch, tag or commit" input name="commit" required autocomplete="off" spellcheck="false"; } };
    html! {
        @if kind == RepoKind::User {
            h2 { "Changes" }
            (folded("Undo the last commit", &html! {
                p { "A new commit restores what was before." }
                (form(look, "POST", &revert, &message(), "Undo"))
            }))
            (folded("Move this branch", &form(look, "PUT", &own, &to, "Move branch")))
            (folded("Delete this branch", &html! {
                p { "Its commits stay until they are collected as garbage." }
                (action_to(look, "DELETE", &own, "Delete branch", address::repo(repo).path()))
            }))
        }
    }
}

/// A tag for a commit; undoing it.
pub(super) fn of_commit(
    look: &Look<'_>,
    (repo, kind): (&RepoName, RepoKind),
    (commit, document): (&CommitId, &Commit),
    heads: &[BranchName],
) -> Markup {
    let id = commit.to_string();
    let tag = html! {
        label { "Name" input name="name" required maxlength="63" autocomplete="off"; }
        label { "Message" input name="message" autocomplete="off"; }
        input type="hidden" name="commit" value=(id);
    };
    let branch = heads.first().unwrap_or(&document.branch);
    let revert = address::api(["repos", repo.as_str(), "branches", branch.as_str(), "revert"]);
    let undo = html! { (message()) input type="hidden" name="commit" value=(id); };
    html! {
        h2 { "Changes" }
        (folded("Tag this commit", &form(look, "POST", &address::api(["repos", repo.as_str(), "tags"]), &tag, "Create tag")))
        @if kind == RepoKind::User {
            (folded("Undo this commit", &html! {
                p { "A new commit on " (branch.as_str()) " undoes what this one changed." }
                (form(look, "POST", &revert, &undo, "Undo"))
            }))
        }
    }
}

/// Moving and removing a file at the head of a branch.
pub(super) fn of_file(
    look: &Look<'_>,
    (repo, kind): (&RepoName, RepoKind),
    path: &FilePath,
    heads: &[BranchName],
) -> Markup {
    html! {
        @if kind == RepoKind::User {
            @for branch in heads.iter().take(3) {
                @let done = address::repo(repo).with("branch", branch.as_str()).under("");
                @let after = Look { here: &done, ..*look };
                @let operation = |name: &str| address::api(["repos", repo.as_str(), "branches", branch.as_str(), name]);
                h2 { "Changes on " (branch.as_str()) }
                (folded("Move or rename", &form(&after, "POST", &operation("move"), &html! {
                    input type="hidden" name="from" value=(path.as_str());
                    label { "New path" input name="to" required value=(path.as_str()) autocomplete="off" spellcheck="false"; }
                    (message())
                }, "Move")))
                (folded("Delete", &removal(&after, repo, branch, path)))
            }
        }
    }
}

fn removal(look: &Look<'_>, repo: &RepoName, branch: &BranchName, path: &FilePath) -> Markup {
    // Lists of forms are trimmed, and a name may end with a space: then it has to be in the address, which has no room for a message.
    if path.as_str().trim() != path.as_str() {
        let file = address::api(["repos", repo.as_str(), "branches", branch.as_str(), "files"]);
        return action(look, "DELETE", &file.below(path.as_str().trim_start_matches('/')), &[], "Delete file");
    }
    let operation = address::api(["repos", repo.as_str(), "branches", branch.as_str(), "remove"]);
    let fields = html! { input type="hidden" name="paths:list" value=(path.as_str()); (message()) };
    form(look, "POST", &operation, &fields, "Delete file")
}
