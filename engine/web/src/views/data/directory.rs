//! A directory of a commit: a page of its entries, as a list or as a grid of pictures.

use answers::file::{ListedView, Listing, listing_after};
use maud::{Markup, html};
use repos::files::kind_at;
use repos::tree::{PathKind, Tree};
use specs::words::{count, plural};
use specs::{CommitId, FilePath, RepoName, Source};

use super::shared::{ROWS, pager, reference};
use crate::address::{self, Address};
use crate::look::Look;
use crate::parts::{link, size};
use crate::views::Result;
use crate::views::images::has_picture;

/// Longer side of the pictures of a grid, in pixels.
const PICTURE: u32 = 192;
/// Most files of a zip from the API.
const ZIP_FILES: u64 = 100_000;

/// What of a directory is shown.
#[derive(Debug)]
pub(super) struct Directory<'d> {
    pub(super) repo: &'d RepoName,
    pub(super) commit: &'d CommitId,
    pub(super) path: &'d FilePath,
    /// Where it is shown, without its page and form.
    pub(super) here: Address,
    /// The entries after the one with this name.
    pub(super) after: Option<&'d str>,
    /// `grid` or `list`; absent: what fits the entries.
    pub(super) view: Option<&'d str>,
}

/// A page of the entries of a directory.
pub(super) fn listing(look: &Look<'_>, of: &Directory<'_>) -> Result<Markup> {
    let after = of.after.map(|name| of.path.join(name)).transpose();
    let after = after.map_err(|error| engine::EngineError::Usage { what: error.to_string(), hint: None })?;
    let source = Source::Reference(reference(of.repo, of.commit, Some(of.path)));
    let found = listing_after(look.store, &source, Listing::default(), after.as_ref())?;
    let mut entries: Vec<ListedView> = found.take(ROWS + 1).collect::<Result<_>>()?;
    let more = entries.len() > ROWS;
    entries.truncate(ROWS);
    let images = entries.iter().filter(|entry| is_image(entry)).count();
    let is_grid = match of.view {
        Some(view) => view == "grid",
        None => images * 2 > entries.len(),
    };
    let here = of.here.clone().with_some("view", of.view);
    // A directory that is shown elsewhere has its further pages at its own address.
    let pages = address::files(of.repo, of.commit, Some(of.path)).with_some("view", of.view);
    let next = entries.last().filter(|_| more).map(|last| pages.clone().with("after", last.path().name()));
    let first = of.after.map(|_| here);
    let totals = totals(look, of)?;
    Ok(html! {
        (head(look, of, totals, (images > 0, is_grid)))
        @if entries.is_empty() { p .dim { "It is empty." } }
        @else if is_grid { (grid(look, of, &entries)) }
        @else { (table(look, of, &entries)) }
        (pager(look, first, next, ("First entries", "Further entries")))
    })
}

/// Number and bytes of all files below a directory.
fn totals(look: &Look<'_>, of: &Directory<'_>) -> Result<(u64, u64)> {
    let tree = Tree::at(look.store.commit(of.commit)?.tree);
    let place = format!("{}@{}", of.repo, of.commit.short(12));
    Ok(match kind_at(look.store, tree, &place, of.path)? {
        PathKind::Directory { files, size_bytes } => (files, size_bytes),
        PathKind::File(file) => (1, file.size),
    })
}

fn head(
    look: &Look<'_>,
    of: &Directory<'_>,
    (files, bytes): (u64, u64),
    (has_images, is_grid): (bool, bool),
) -> Markup {
    let form = |view: &str, words: &str, is_it: bool| {
        html! {
            @let to = of.here.clone().with("view", view).with_some("after", of.after);
            a href=(look.link(&to)) aria-current=[is_it.then_some("true")] { (words) }
        }
    };
    html! {
        p .about {
            (plural(files, "file", "files")) ", " (size(bytes))
            @if has_images || is_grid { " · " (form("list", "List", !is_grid)) " " (form("grid", "Pictures", is_grid)) }
            @if files > 0 {
                " · download as "
                @if files <= ZIP_FILES { (link(look, &address::archive(of.repo, of.commit, of.path, "zip"), "zip")) " or " }
                (link(look, &address::archive(of.repo, of.commit, of.path, "tar"), "tar"))
            }
        }
    }
}

fn table(look: &Look<'_>, of: &Directory<'_>, entries: &[ListedView]) -> Markup {
    html! {
        table .files {
            thead { tr { th scope="col" { "Name" } th .number scope="col" { "Files" } th .number scope="col" { "Size" } } }
            tbody {
                @for entry in entries {
                    @let to = address::files(of.repo, of.commit, Some(entry.path()));
                    tr {
                        @match entry {
                            ListedView::Directory(directory) => {
                                td { a .directory href=(look.link(&to)) { (directory.path.name()) "/" } }
                                td .number { (count(directory.files)) }
                                td .number { (size(directory.size_bytes)) }
                            }
                            ListedView::File(file) => {
                                td { (link(look, &to, file.path.name())) }
                                td {}
                                td .number { (size(file.size_bytes)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn grid(look: &Look<'_>, of: &Directory<'_>, entries: &[ListedView]) -> Markup {
    html! {
        ul .grid {
            @for entry in entries {
                li {
                    a href=(look.link(&address::files(of.repo, of.commit, Some(entry.path())))) {
                        @match entry {
                            ListedView::Directory(directory) => {
                                span .none { (plural(directory.files, "file", "files")) }
                                span .name { (directory.path.name()) "/" }
                            }
                            ListedView::File(file) => {
                                @if is_image(entry) {
                                    @let source = address::picture(of.repo, of.commit, &file.path, PICTURE);
                                    img loading="lazy" decoding="async" alt="" src=(look.link(&source));
                                } @else {
                                    span .none { (size(file.size_bytes)) }
                                }
                                span .name { (file.path.name()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Whether an entry looks like an image, by its name: a page of a directory reads no content.
fn is_image(entry: &ListedView) -> bool {
    matches!(entry, ListedView::File(file) if file.size_bytes > 0 && has_picture(&file.path))
}
