//! Files with a content or a name: where each is and was.

use answers::find::{FoundView, find as find_files, sought};
use maud::{Markup, html};
use repos::Store;
use repos::tree::Tree;
use specs::words::{count, plural};
use specs::{ErrorKind, IdPrefix};

use super::Asked;
use crate::address;
use crate::look::Look;
use crate::parts::{id, link, size};
use crate::views::Result;

/// Files on a page.
const PAGE: usize = 100;
/// Up to so many files at heads, names of files are searched without being asked.
const SEARCHED: u64 = 50_000;

/// Files with a content or a name.
pub(super) enum Files {
    NotAsked,
    /// There are too many to search them without being asked.
    TooMany(u64),
    /// Those found, and whether only a part of what an id has was searched for.
    Found(Vec<FoundView>, bool),
    /// None, for this reason.
    Nowhere(String, Option<String>),
}

impl Files {
    pub(super) fn of(look: &Look<'_>, word: &str, asked: &Asked) -> Result<Self> {
        let digits = word.strip_prefix("sha256:").unwrap_or(word);
        let is_name = digits.parse::<IdPrefix>().is_err();
        if word.contains('@') {
            return Ok(Self::NotAsked);
        }
        if is_name && asked.r#in.is_none() {
            let files = files_at_heads(look.store)?;
            if files > SEARCHED {
                return Ok(Self::TooMany(files));
            }
        }
        let found =
            sought(look.store, word).and_then(|what| Ok((find_files(look.store, &what, word)?, what.cut.is_some())));
        match found {
            Ok((found, is_cut)) => Ok(Self::Found(found, is_cut)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Usage | ErrorKind::Conflict) => {
                Ok(Self::Nowhere(error.to_string(), error.hint()))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn shown(&self, look: &Look<'_>, word: &str, after: usize) -> Markup {
        html! {
            @match self {
                Self::NotAsked => {}
                Self::TooMany(files) => p {
                    (link(look, &address::find(word).with("in", "files"), format!("Search the names of all {} files", count(*files))))
                    " for " code { (word) } ": it may take a while."
                },
                Self::Nowhere(why, hint) => p { (why) @if let Some(hint) = hint { br; span .hint { (hint) } } },
                Self::Found(found, is_cut) => {
                    (table(look, word, found, after))
                    @if *is_cut { p .gap { "It has more files: only some of them were searched for." } }
                }
            }
        }
    }
}

/// Number of files at the heads of default branches.
fn files_at_heads(store: &Store) -> Result<u64> {
    let branch = store.default_branch()?;
    let mut files = 0;
    for (repo, _) in store.repos()? {
        let head = store.find_branch(&repo, &branch)?.and_then(|row| row.commit);
        if let Some(head) = head {
            files += Tree::at(store.commit(&head)?.tree).totals(store)?.entries;
        }
    }
    Ok(files)
}

fn table(look: &Look<'_>, word: &str, found: &[FoundView], after: usize) -> Markup {
    let from = after.min(found.len());
    let until = found.len().min(from + PAGE);
    let page = |after: usize| address::find(word).with("in", "files").with_some("after", (after > 0).then_some(after));
    html! {
        h2 { "Files" }
        p { (plural(found.len() as u64, "path has or had it", "paths have or had it")) "." }
        div .scroll { table {
            thead {
                tr {
                    th scope="col" { "File" } th .number scope="col" { "Size" } th scope="col" { "SHA-256" }
                    th scope="col" { "First" } th scope="col" { "Last" } th scope="col" { "Still at a head" }
                    th scope="col" { "See also" }
                }
            }
            tbody {
                @for one in &found[from..until] {
                    tr {
                        th scope="row" .path {
                            (link(look, &address::files(&one.repo, &one.last, Some(&one.path)), format!("{}:{}", one.repo, one.path)))
                        }
                        td .number { (size(one.size_bytes)) }
                        td { (id(&one.digest.to_string())) }
                        td {
                            a href=(look.link(&address::commit(&one.repo, &one.first))) {
                                (id(&one.first.to_string()))
                            }
                        }
                        td {
                            a href=(look.link(&address::commit(&one.repo, &one.last))) { (id(&one.last.to_string())) }
                        }
                        td { @if one.at_head { "yes" } @else { "no" } }
                        td {
                            (link(look, &address::trace(format!("{}@{}:{}", one.repo, one.last, one.path)), "Where it comes from"))
                        }
                    }
                }
            }
        } }
        @if from > 0 || until < found.len() {
            nav .pages aria-label="Pages" {
                span .dim { (count(from as u64 + 1)) " to " (count(until as u64)) " of " (count(found.len() as u64)) }
                @if from > 0 { a rel="prev" href=(look.link(&page(from.saturating_sub(PAGE)))) { "Previous page" } }
                @if until < found.len() { a rel="next" href=(look.link(&page(until))) { "Next page" } }
            }
        }
    }
}
