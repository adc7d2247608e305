//! The folders that differ, with counts; then the files, a page at a time.

use answers::diff::{Change, Counts, Directories, Entry, FolderDiff, Named, Paged, folders, page};
use maud::{Markup, html};
use specs::FilePath;
use specs::words::{count, plural, size as size_words};

use super::pair::Pair;
use super::why::counted;
use super::{Asked, given};
use crate::address::Address;
use crate::look::Look;
use crate::parts::{link, size};
use crate::views::Result;

/// Files on a page.
const PAGE: usize = 100;
/// Most folders that are shown.
const FOLDERS: usize = 40;

/// Kinds of changes: the word, and its sign.
const KINDS: [(Change, &str); 4] = [
    (Change::Added, "added"),
    (Change::Removed, "removed"),
    (Change::Modified, "modified"),
    (Change::Renamed, "renamed"),
];

/// The word for a kind of change.
pub(super) fn word(change: Change) -> &'static str {
    KINDS.iter().find(|(kind, _)| *kind == change).map_or("modified", |(_, word)| word)
}

/// A kind of change as sign and word.
pub(super) fn kind(change: Change) -> Markup {
    html! { span .change data-change=(word(change)) { (word(change)) } }
}

/// What is listed.
pub(super) struct Listed {
    page: Paged,
    kind: Option<Change>,
    folders: Folders,
    /// Whether this is not the first page.
    is_later: bool,
    /// Number of files on both sides.
    files: (u64, u64),
}

/// What is known of the folders.
enum Folders {
    /// Every difference, counted by folder.
    Counted(Vec<(FilePath, Counts)>),
    /// Of many differences, the folders of one level.
    OneLevel(Vec<FolderDiff>, bool),
}

impl Listed {
    pub(super) fn read(look: &Look<'_>, asked: &Asked, pair: &Pair) -> Result<Self> {
        let wanted = given(&asked.kind).and_then(|word| KINDS.iter().find(|(_, kind)| *kind == word));
        let kind = wanted.map(|(kind, _)| *kind);
        let after = given(&asked.after).and_then(|path| path.parse::<FilePath>().ok());
        let fits = |entry: &Entry| kind.is_none_or(|kind| entry.change == kind);
        let (path, trees) = (pair.path(), pair.trees());
        let page = page(look.store, trees, &path, after.as_ref(), PAGE, fits)?;
        let folders = if let Some(all) = &page.all {
            let mut directories = Directories::up_to(FOLDERS);
            for entry in all {
                directories.add(entry);
            }
            Folders::Counted(directories.counts().into_iter().collect())
        } else {
            let (found, is_more) = folders(look.store, trees, &path, FOLDERS)?;
            Folders::OneLevel(found, is_more)
        };
        let range = repos::tree::directory_range(&path);
        let files = |tree: repos::tree::Tree| tree.range_totals(look.store, &range).map(|totals| totals.entries);
        let files = (files(trees.0)?, files(trees.1)?);
        Ok(Self { page, kind, folders, is_later: after.is_some(), files })
    }

    /// The folders, with counts.
    pub(super) fn folders(&self, look: &Look<'_>, pair: &Pair) -> Markup {
        html! {
            @match &self.folders {
                Folders::Counted(found) if found.is_empty() => {}
                Folders::Counted(found) => {
                    h2 { "By folder" }
                    (by_folder(look, pair, found))
                }
                Folders::OneLevel(found, is_more) => {
                    h2 { "By folder" }
                    p {
                        "More than 10,000 files differ, so they are not all counted, and renamed files are shown as removed and added."
                    }
                    @if found.is_empty() { p .dim { "All of them are in this folder itself." } }
                    @else { (one_level(look, pair, found)) }
                    @if *is_more { p .dim { "Further folders are not shown: the files below have them all." } }
                }
            }
        }
    }

    /// A page of the files.
    pub(super) fn files(&self, look: &Look<'_>, pair: &Pair) -> Markup {
        let mut counts = Counts::default();
        self.page.all.iter().flatten().for_each(|entry| counts.add(entry));
        html! {
            h2 { "Files" }
            @if self.page.all.is_some() && counts.total() == 0 { p { "Nothing differs." } }
            @else {
                p {
                    @if self.page.all.is_some() {
                        (counted(&counts, false)) "; " (size_words(counts.old_bytes)) " → "
                        (size_words(counts.new_bytes)) ". "
                    }
                    "Of " (count(self.files.0)) " → " (plural(self.files.1, "file", "files")) "."
                }
                (self.filters(look, pair, &counts))
                @if self.page.entries.is_empty() {
                    p {
                        @if self.page.next.is_some() {
                            "None of those that were looked at is of this kind."
                        }  @else {
                            "No more files of this kind."
                        }
                    }
                } @else { (self.table(look, pair)) }
                (self.pages(look, pair))
            }
        }
    }

    fn filters(&self, look: &Look<'_>, pair: &Pair, counts: &Counts) -> Markup {
        let numbers = [counts.added, counts.removed, counts.modified, counts.renamed];
        let is_known = self.page.all.is_some();
        html! {
            nav .tabs aria-label="Kinds of changes" {
                a href=(look.link(&pair.here().at("files"))) aria-current=[self.kind.is_none().then_some("true")] {
                    "All"
                }
                @for ((kind, word), number) in KINDS.iter().zip(numbers) {
                    @if !(is_known && number == 0) {
                        a href=(look.link(&pair.here().with("kind", word).at("files"))) aria-current=[(self.kind == Some(*kind)).then_some("true")] {
                            (word) @if is_known { " " (count(number)) }
                        }
                    }
                }
            }
        }
    }

    fn table(&self, look: &Look<'_>, pair: &Pair) -> Markup {
        let bytes = |named: &Option<Named>| html! { @if let Some(named) = named { (size(named.file.size)) } };
        html! {
            div .wide { table {
                thead {
                    tr {
                        th scope="col" { "Change" } th scope="col" { "File" } th .number scope="col" { "Old size" }
                        th .number scope="col" { "New size" }
                    }
                }
                tbody {
                    @for entry in &self.page.entries {
                        tr {
                            td { (kind(entry.change)) }
                            td .path {
                                (link(look, &pair.entry(entry), entry.path.as_str()))
                                @match &entry.old {
                                    Some(old) if old.path != entry.path => { br; span .dim { "before: " (old.path) } }
                                    Some(_) if entry.change == Change::Modified && entry.other_bytes().is_none() => {
                                        br; span .dim { "only the executable bit" }
                                    }
                                    _ => {}
                                }
                            }
                            td .number { (bytes(&entry.old)) }
                            td .number { (bytes(&entry.new)) }
                        }
                    }
                }
            } }
        }
    }

    fn pages(&self, look: &Look<'_>, pair: &Pair) -> Markup {
        let here = || -> Address { pair.here().with_some("kind", self.kind.map(word)) };
        html! {
            @if self.is_later || self.page.next.is_some() {
                nav .pages aria-label="Pages" {
                    @if self.is_later { a href=(look.link(&here().at("files"))) { "First page" } }
                    @if let Some(next) = &self.page.next {
                        a rel="next" href=(look.link(&here().with("after", next).at("files"))) { "Next page" }
                    }
                }
            }
        }
    }
}

fn by_folder(look: &Look<'_>, pair: &Pair, found: &[(FilePath, Counts)]) -> Markup {
    let number = |number: u64| if number == 0 { String::new() } else { count(number) };
    html! {
        div .wide { table {
            thead {
                tr {
                    th scope="col" { "Folder" } @for (_, word) in KINDS { th .number scope="col" { (word) } }
                    th .number scope="col" { "Old size" } th .number scope="col" { "New size" }
                }
            }
            tbody {
                @for (path, counts) in found {
                    tr {
                        th scope="row" .path { (link(look, &pair.at(path), folder_name(path))) }
                        @for counted in [counts.added, counts.removed, counts.modified, counts.renamed] {
                            td .number { (number(counted)) }
                        }
                        td .number { (size(counts.old_bytes)) }
                        td .number { (size(counts.new_bytes)) }
                    }
                }
            }
        } }
    }
}

fn folder_name(path: &FilePath) -> String {
    if path.is_root() { "/".to_owned() } else { format!("{path}/") }
}

fn one_level(look: &Look<'_>, pair: &Pair, found: &[FolderDiff]) -> Markup {
    html! {
        div .wide { table {
            thead {
                tr {
                    th scope="col" { "Folder" } th scope="col" { "Differences" }
                    th .number scope="col" { "Old files" } th .number scope="col" { "New files" }
                }
            }
            tbody {
                @for folder in found {
                    tr {
                        th scope="row" .path { (link(look, &pair.at(&folder.path), folder_name(&folder.path))) }
                        td {
                            @if folder.counts.total() == 0 {
                                "not counted"
                            }  @else {
                                (counted(&folder.counts, folder.is_more))
                            }
                        }
                        td .number { (count(folder.old_files)) }
                        td .number { (count(folder.new_files)) }
                    }
                }
            }
        } }
    }
}
