//! One file of a difference, compared by its kind.

use answers::diff::{Change, Entry, Named, compare_files, page};
use compare::{BytesDiff, Detail, Options};
use maud::{Markup, html};
use specs::FilePath;
use specs::words::{count, size as size_words};

use super::pair::Pair;
use super::{Asked, given, listing, pictures, table, text, values};
use crate::address::{self, Address};
use crate::look::Look;
use crate::parts::{id, link, size};
use crate::views::{Result, images};

/// Larger files are compared only if somebody asks for it: reading them takes longer than a page may.
const LARGE: u64 = 32 << 20;
/// Lines, rows and values of a file that are shown, unless more are asked for.
const SHOWN: usize = 500;
/// The same for those who want more.
const MORE: usize = 5_000;
/// Columns without changes that are shown of a row, if asked for.
const UNCHANGED: usize = 200;

/// A file: what is known of both sides, then what differs.
pub(super) fn shown(look: &Look<'_>, asked: &Asked, pair: &Pair, entry: &Entry) -> Result<Markup> {
    let compared = compared(look, asked, pair, entry)?;
    Ok(html! {
        h2 { (listing::kind(entry.change)) " " (entry.path) }
        (neighbours(look, pair, entry)?)
        (facts(look, pair, entry))
        (compared)
    })
}

/// Digest, size and ways to the file of each side.
fn facts(look: &Look<'_>, pair: &Pair, entry: &Entry) -> Markup {
    html! {
        div .wide { table .fixed {
            thead {
                tr {
                    th scope="col" { "Side" } th scope="col" { "SHA-256" } th .number scope="col" { "Size" }
                    th scope="col" { "See also" }
                }
            }
            tbody {
                @for (side, is_new, named) in [("Old", false, &entry.old), ("New", true, &entry.new)] {
                    tr {
                        th scope="row" { (side) }
                        @match named {
                            None => { td colspan="3" { "no such file" } }
                            Some(Named { path, file }) => {
                                td {
                                    (id(&file.digest.to_string()))
                                    @if file.executable { " " span .dim { "executable" } }
                                }
                                td .number { (size(file.size)) }
                                td {
                                    @if let Some(content) = pair.content(is_new, path) {
                                        a href=(look.link(&content)) download { "Download" }
                                    }
                                    @if let Some(at) = pair.in_commit(is_new, path) { " · " (link(look, &at, "File")) }
                                    @if let Some(reference) = pair.reference(is_new, path) {
                                        " · " (link(look, &address::trace(reference), "Where it comes from"))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        } }
    }
}

fn compared(look: &Look<'_>, asked: &Asked, pair: &Pair, entry: &Entry) -> Result<Markup> {
    let (Some(old), Some(new)) = (&entry.old, &entry.new) else { return Ok(alone(look, pair, entry)) };
    if old.file.digest == new.file.digest {
        let words = match (old.file == new.file, entry.change) {
            (false, _) => "The content is the same; only whether it may be executed differs.",
            (true, Change::Renamed) => "The content is the same.",
            (true, _) => "This file does not differ.",
        };
        return Ok(html! { p { (words) } });
    }
    if !pair.sides.are_readable(look.store)? {
        return Ok(html! { p { "Files of these commits were pruned: their contents cannot be compared." } });
    }
    if old.file.size.max(new.file.size) > LARGE && given(&asked.large).is_none() {
        let anyway = pair.here().with("large", "yes");
        return Ok(html! {
            p {
                "A file of " (size_words(old.file.size.max(new.file.size)))
                " is compared only on request: it may take a while. " (link(look, &anyway, "Compare it")) "."
            }
        });
    }
    let mut options = Options { key: asked.key(), ..Options::default() };
    let most = asked.most(SHOWN);
    (options.limits.text_lines, options.limits.listed) = (most, most);
    if given(&asked.columns) == Some("all") {
        options.limits.unchanged_cells = UNCHANGED;
    }
    let found = compare_files(look.store, old, new, &options)?;
    let more = more(look, asked, pair, most);
    let lacking = found.key_use.as_ref().filter(|key| !asked.key().is_empty() && !key.lacking.is_empty());
    Ok(html! {
        @if let Some(key) = lacking {
            p .problem {
                "No key: " (key.lacking.join(", ")) " is missing on a side. There are: " (key.columns.join(", ")) "."
            }
        }
        @match &found.detail {
            Detail::Text(found) => (text::shown(look, asked, pair, found, &more)),
            Detail::Metrics(found) => (values::metrics(found, &more)),
            Detail::Table(found) => (table::shown(look, asked, pair, found, &more)),
            Detail::Image(found) => (pictures::shown(look, asked, pair, (old, new), found)),
            Detail::Tensors(found) => (values::tensors(found, &more)),
            Detail::Bytes(found) => (bytes(found)),
        }
    })
}

/// The way to more lines or rows than are shown.
pub(super) fn more(look: &Look<'_>, asked: &Asked, pair: &Pair, most: usize) -> Markup {
    if most >= MORE {
        return html! { "download both files to see them" };
    }
    let here = state(pair, asked).with("most", MORE);
    html! { (link(look, &here, "show more")) }
}

/// This file with its options, without how much is shown.
pub(super) fn state(pair: &Pair, asked: &Asked) -> Address {
    let here = pair.here().with_some("text", given(&asked.text)).with_some("columns", given(&asked.columns));
    here.with_some("key", given(&asked.key)).with_some("large", given(&asked.large))
}

fn alone(look: &Look<'_>, pair: &Pair, entry: &Entry) -> Markup {
    let (is_new, named) = match (&entry.old, &entry.new) {
        (_, Some(new)) => (true, new),
        (Some(old), None) => (false, old),
        (None, None) => return html! {},
    };
    let picture = images::is_shown_by_browsers(&named.path).then(|| pair.content(is_new, &named.path)).flatten();
    html! {
        p { "There is nothing to compare it with." }
        @if let Some(picture) = picture {
            figure .alone { img src=(look.link(&picture)) alt=(named.path) loading="lazy"; }
        }
    }
}

fn bytes(found: &BytesDiff) -> Markup {
    html! {
        @if !found.why.is_empty() { p .dim { "Compared as bytes: " (found.why) "." } }
        p {
            (size(found.old_bytes)) " → " (size(found.new_bytes)) ", " (size(found.shared_bytes)) " shared"
            @if let Some(first) = found.first_difference { "; the first difference is at byte " (count(first)) }
            "."
        }
    }
}

/// The previous and the next picture that changed; the way to them is a key, too.
fn neighbours(look: &Look<'_>, pair: &Pair, entry: &Entry) -> Result<Markup> {
    if !images::has_picture(&entry.path) || pair.sides.path().is_none() {
        return Ok(html! {});
    }
    let is_picture = |entry: &Entry| {
        entry.change == Change::Modified && entry.other_bytes().is_some() && images::has_picture(&entry.path)
    };
    let root = FilePath::root();
    let found = page(look.store, pair.trees(), &root, Some(&entry.path), 1, is_picture)?;
    let next = found.entries.first().map(|next| next.path.clone());
    let pictures: Vec<&FilePath> =
        found.all.iter().flatten().filter(|entry| is_picture(entry)).map(|entry| &entry.path).collect();
    let before = pictures.iter().rev().find(|path| ***path < entry.path);
    let place = pictures.iter().position(|path| **path == entry.path);
    Ok(html! {
        @if next.is_some() || before.is_some() {
            nav .pages aria-label="Pictures that changed" {
                @if let Some(place) = place {
                    span .dim { "Picture " (count(place as u64 + 1)) " of " (count(pictures.len() as u64)) }
                }
                @if let Some(before) = before {
                    a rel="prev" data-key="p" href=(look.link(&pair.at(before))) { "Previous picture " kbd { "p" } }
                }
                @if let Some(next) = &next {
                    a rel="next" data-key="n" href=(look.link(&pair.at(next))) { "Next picture " kbd { "n" } }
                }
            }
        }
    })
}
