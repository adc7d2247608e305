//! The paths that differ, one by one or by directory, and their counts.

use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use answers::diff::{Change, Counts, DiffView, Directories, Entry, Named, Sides, compare_files};
use compare::{Compared, Detail, KeyUse, Options};
use specs::FilePath;

use super::super::bundle::unnamed;
use super::Args;
use super::detail;
use super::misspelt::KeySeen;
use super::page::{Block, Page};
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::output::{count, plural, size};

/// Up to this many paths are listed one by one; else the first few and a summary by directory.
const LISTED: usize = 100;
const FIRST: usize = 20;
/// How many files are compared by content without `--all`.
const COMPARED: usize = 20;
/// Values, rows or lines per file with `--all`.
const ALL: usize = 1_000_000;
/// Directories of a summary.
const DIRECTORIES: usize = 40;

/// What was printed.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) counts: Counts,
    /// Whether any file had the `--key`.
    pub(super) key: KeySeen,
}

/// Prints differences as they are found, and counts them.
pub(super) fn print(page: &Page<'_>, args: &Args, store: &Store, sides: &Sides) -> Result<Listed> {
    let entries = sides.entries(store)?;
    let readable = sides.are_readable(store)?;
    if !readable && !page.cx.out().is_json() && !args.stat && !args.name_only {
        page.cx.notes().line("files of these commits were pruned: their contents are not compared");
    }
    let is_json = page.cx.out().is_json();
    let list_all = args.all || is_json || args.name_only;
    let listed = match entries.count_if_known() {
        _ if list_all => usize::MAX,
        Some(count) if count <= LISTED => usize::MAX,
        _ => FIRST,
    };
    let reader = Reader { cx: page.cx, args, store, readable };
    let (mut counts, mut key) = (Counts::default(), KeySeen::default());
    let (mut directories, mut compared, mut left_out) = (Directories::up_to(DIRECTORIES), 0, 0);
    for (number, entry) in entries.enumerate() {
        let entry = entry?;
        counts.add(&entry);
        if args.stat {
            continue;
        }
        if args.name_only {
            if is_json {
                page.cx.out().json(&DiffView::new(entry, None, None))?;
            } else {
                page.cx.out().line(entry.path.as_str())?;
            }
            continue;
        }
        let has_content = readable && entry.other_bytes().is_some();
        if number >= listed {
            directories.add(&entry);
            left_out += u64::from(has_content);
            continue;
        }
        let wanted = list_all || args.out.is_some() || listed == usize::MAX && compared < COMPARED;
        let mut found = if wanted { reader.detail(&entry)? } else { None };
        compared += usize::from(found.is_some());
        left_out += u64::from(has_content && !wanted);
        key.add(found.as_mut().and_then(|found| found.key_use.take()));
        if is_json {
            let (detail, picture) = found.map_or((None, None), |found| (Some(found.detail), found.picture));
            page.cx.out().json(&DiffView::new(entry, detail, picture))?;
        } else {
            print_entry(page, args, &entry, found)?;
        }
        if number + 1 == FIRST {
            page.cx.out().flush()?;
        }
    }
    print_directories(page, directories)?;
    if left_out > 0 {
        let files = plural(left_out, "modified file", "modified files");
        page.line(&format!("the contents of {files} were not compared: use --all, or name a path"))?;
    }
    Ok(Listed { counts, key })
}

/// The counts of paths that differ, in a line.
pub(super) fn counted(counts: &Counts) -> String {
    format!(
        "{} added, {} removed, {} modified, {} renamed · {} → {}",
        count(counts.added),
        count(counts.removed),
        count(counts.modified),
        count(counts.renamed),
        size(counts.old_bytes),
        size(counts.new_bytes)
    )
}

fn print_entry(page: &Page<'_>, args: &Args, entry: &Entry, found: Option<ContentDiff>) -> Result<()> {
    print_path(page, entry)?;
    let Some(found) = found else { return Ok(()) };
    let mut blocks = detail::blocks(&found.detail, detail::Extent::of(args.all));
    blocks.extend(found.picture.map(|picture| Block::Line(format!("picture: {}", picture.display()))));
    page.blocks(&blocks)
}

/// A line for a path that differs.
fn print_path(page: &Page<'_>, entry: &Entry) -> Result<()> {
    let bytes = |file: &Option<Named>| size(file.as_ref().map_or(0, |named| named.file.size));
    let (path, old_bytes, new_bytes) = (&entry.path, bytes(&entry.old), bytes(&entry.new));
    match (entry.change, &entry.old) {
        (Change::Added, _) => page.entry(32, '+', "added", &format!("{path}   {new_bytes}")),
        (Change::Removed, _) => page.entry(31, '-', "removed", &format!("{path}   {old_bytes}")),
        (Change::Renamed, Some(old)) => page.entry(36, '>', "renamed", &format!("{} → {path}", old.path)),
        _ if entry.other_bytes().is_none() => page.entry(33, '~', "modified", &format!("{path}   executable bit")),
        (_, Some(old)) if old.path != *path => {
            page.entry(33, '~', "modified", &format!("{} → {path}   {old_bytes} → {new_bytes}", old.path))
        }
        _ => page.entry(33, '~', "modified", &format!("{path}   {old_bytes} → {new_bytes}")),
    }
}

/// The difference in a file's content.
struct ContentDiff {
    detail: Detail,
    picture: Option<PathBuf>,
    key_use: Option<KeyUse>,
}

/// Compares files by content.
struct Reader<'a> {
    cx: &'a Context,
    args: &'a Args,
    store: &'a Store,
    readable: bool,
}

impl Reader<'_> {
    fn detail(&self, entry: &Entry) -> Result<Option<ContentDiff>> {
        let Some((old, new)) = entry.other_bytes().filter(|_| self.readable) else { return Ok(None) };
        let mut options =
            Options { key: self.args.key.clone(), picture: self.args.out.is_some(), ..Options::default() };
        if self.args.all {
            (options.limits.listed, options.limits.text_lines) = (ALL, ALL);
        }
        let Compared { detail, picture, key_use } = compare_files(self.store, old, new, &options)?;
        let picture = match (&self.args.out, picture) {
            (Some(folder), Some(png)) => Some(write_picture(self.cx, folder, &entry.path, &png)?),
            _ => None,
        };
        Ok(Some(ContentDiff { detail, picture, key_use }))
    }
}

/// Writes a difference image below `folder` under the path of the image; returns the path as given.
fn write_picture(cx: &Context, folder: &Path, path: &FilePath, png: &[u8]) -> Result<PathBuf> {
    let given = folder.join(format!("{}.diff.png", path.as_str().trim_start_matches('/')));
    let failed = |error: std::io::Error| CliError::io(format!("cannot write `{}`", given.display()), &error);
    if let Some(far) = cx.invocation().client.is_far() {
        let file = unnamed(cx.store()?).and_then(|mut file| {
            file.write_all(png)?;
            file.rewind()?;
            Ok(file)
        });
        far.write(&given, file.map_err(failed)?).map_err(failed)?;
        return Ok(given);
    }
    let place = cx.path(&given)?;
    if let Some(parent) = place.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(&place, png).map_err(failed)?;
    Ok(given)
}

/// Prints a roll-up of paths that are not listed.
fn print_directories(page: &Page<'_>, directories: Directories) -> Result<()> {
    let found = directories.counts();
    if found.is_empty() {
        return Ok(());
    }
    page.heading("and all others by directory (--all lists them):")?;
    let number = |number: u64| if number == 0 { String::new() } else { count(number) };
    let rows = found.iter().map(|(path, counts)| {
        let slash = if path.is_root() { "" } else { "/" };
        let numbers = [counts.added, counts.removed, counts.modified, counts.renamed].map(number);
        [vec![format!("{path}{slash}")], numbers.to_vec()].concat()
    });
    page.table(&["DIRECTORY", "ADDED", "REMOVED", "MODIFIED", "RENAMED"], rows.collect())
}
