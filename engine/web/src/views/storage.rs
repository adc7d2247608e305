//! What takes how much of the disk, and what can be freed.

use answers::repo::RepoView;
use answers::storage::{self, StorageView, StoredBytes};
use maud::{Markup, html};
use repos::access::Right;
use serde::Deserialize;

use super::Result;
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::{link, long_action, next_page, size};

/// Repositories of a page.
const REPOS: usize = 100;

/// Which repositories are shown.
#[derive(Debug, Deserialize)]
pub struct Which {
    /// How many come before the page.
    after: Option<usize>,
}

/// What takes how much of the disk.
pub fn storage(look: &Look<'_>, _: super::None, Which { after }: Which) -> Result<View> {
    let storage = storage::storage(look.store)?;
    let skip = after.unwrap_or(0);
    let view = View::new("Storage", "storage").live("disk", ["*"], disk(&storage));
    let view = if look.access.may(Right::Check) { view.fixed("upkeep", upkeep(look)) } else { view };
    Ok(view.fixed("repos", by_repo(look, &storage.repos, skip)))
}

fn disk(storage: &StorageView) -> Markup {
    html! {
        h1 { "Storage" }
        dl .fields {
            @if let Some(stored) = storage.stored {
                dt { "Stored" }
                dd { (size(stored.sum())) " " (shares(stored)) }
            }
            dt { "Free on the disk" }
            dd { (size(storage.free_bytes)) }
        }
    }
}

fn shares(stored: StoredBytes) -> Markup {
    html! {
        table .small {
            thead { tr { th scope="col" { "Class" } th .number scope="col" { "Stored" } th scope="col" { "What" } } }
            tbody {
                @for (class, bytes, what) in [
                    ("data", stored.content, "content of files, logs: each once, compressed"),
                    ("meta", stored.documents, "trees, lineage, documents"),
                    ("journal", stored.journal, "each change of the store"),
                ] {
                    tr { th scope="row" { (class) } td .number { (size(bytes)) } td { (what) } }
                }
            }
        }
    }
}

fn upkeep(look: &Look<'_>) -> Markup {
    html! {
        h2 { "Upkeep" }
        div .actions {
            @if look.access.may(Right::Collect) {
                (long_action(look, &address::api(["gc"]), &[("dry_run:flag", "on")], "Show what garbage collection would free"))
            } @else {
                p .hint { "Only an admin with access to all repositories can collect garbage." }
            }
            (long_action(look, &address::api(["fsck"]), &[], "Check that the store is intact"))
            (long_action(look, &address::api(["verify"]), &[], "Verify provenance and signatures"))
        }
    }
}

fn by_repo(look: &Look<'_>, repos: &[RepoView], skip: usize) -> Markup {
    let most = repos.first().map_or(1, |repo| repo.size_bytes.max(1));
    let next = (repos.len() > skip + REPOS).then(|| address::place("storage").with("after", skip + REPOS));
    html! {
        h2 { "By repository" }
        p .hint { "Files at the head of the default branch, as they were put. What several repositories share is stored once." }
        @if repos.is_empty() { p { "No repositories yet." } }
        @else {
            table {
                thead {
                    tr {
                        th scope="col" { "Repository" }
                        th .number scope="col" { "Files" }
                        th .number scope="col" { "Size" }
                        th scope="col" { "Share of the largest" }
                    }
                }
                tbody {
                    @for repo in repos.iter().skip(skip).take(REPOS) {
                        tr {
                            th scope="row" { (link(look, &address::repo(&repo.name), repo.name.as_str())) }
                            td .number { (repo.files) }
                            td .number { (size(repo.size_bytes)) }
                            td { meter aria-label="share of the largest" max=(most) value=(repo.size_bytes) { (repo.size_bytes * 100 / most) " %" } }
                        }
                    }
                }
            }
        }
        (next_page(look, next.as_ref()))
    }
}
