//! Which paths differ.
//!
//! Renames are searched among the first 50,000 differences.

use std::ops::ControlFlow;

use repos::files::{self, Changes, FileChange};
use repos::tree::{Tree, directory_range, path_of};
use repos::{RepoError, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::FilePath;

use super::Named;

/// Number of differences searched for renames. If there are more, the first are reported immediately and the rest as they are read, so that
/// nobody waits and nothing is held in memory.
const RENAMES_AMONG: usize = 50_000;
/// The same for a page of a listing: it must cost what it shows, so of more differences none are paired.
const PAGED_AMONG: usize = 10_000;

/// The kinds of differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Change {
    Added,
    Removed,
    Modified,
    Renamed,
}

/// One path that differs. At least one of `old` and `new` is present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path; for a renamed file, the new one.
    pub path: FilePath,
    /// How it changed.
    pub change: Change,
    /// The old file with its path.
    pub old: Option<Named>,
    /// The new file.
    pub new: Option<Named>,
}

impl Entry {
    /// An entry for two files to be compared directly.
    pub fn modified(old: Named, new: Named) -> Self {
        Self { path: new.path.clone(), change: Change::Modified, old: Some(old), new: Some(new) }
    }

    /// Both sides, if their content differs.
    pub fn other_bytes(&self) -> Option<(&Named, &Named)> {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) if old.file.digest != new.file.digest => Some((old, new)),
            _ => None,
        }
    }
}

impl From<FileChange> for Entry {
    fn from(FileChange { path, old, new }: FileChange) -> Self {
        let change = match (&old, &new) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            _ => Change::Modified,
        };
        let named = |file: Option<_>| file.map(|file| Named { path: path.clone(), file });
        Self { change, old: named(old), new: named(new), path }
    }
}

/// How many paths differ, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they count")]
pub struct Counts {
    pub added: u64,
    pub removed: u64,
    pub modified: u64,
    pub renamed: u64,
    /// Size of the differing files on the newer side in bytes.
    pub new_bytes: u64,
    /// Size of the differing files on the older side in bytes.
    pub old_bytes: u64,
}

impl Counts {
    /// Counts an entry.
    pub fn add(&mut self, entry: &Entry) {
        *match entry.change {
            Change::Added => &mut self.added,
            Change::Removed => &mut self.removed,
            Change::Modified => &mut self.modified,
            Change::Renamed => &mut self.renamed,
        } += 1;
        self.old_bytes += entry.old.as_ref().map_or(0, |old| old.file.size);
        self.new_bytes += entry.new.as_ref().map_or(0, |new| new.file.size);
    }

    /// Adds other counts.
    pub fn add_all(&mut self, other: &Self) {
        self.added += other.added;
        self.removed += other.removed;
        self.modified += other.modified;
        self.renamed += other.renamed;
        self.new_bytes += other.new_bytes;
        self.old_bytes += other.old_bytes;
    }

    /// Number of all differing paths.
    pub fn total(&self) -> u64 {
        self.added + self.removed + self.modified + self.renamed
    }
}

/// One page of the differences, sorted by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paged {
    /// The entries of this page.
    pub entries: Vec<Entry>,
    /// The path after which the next page begins; absent after the last entry.
    pub next: Option<FilePath>,
    /// All differences, if there are at most 10,000. Of more, renamed files are entries that were removed and added.
    pub all: Option<Vec<Entry>>,
}

/// A page of what differs in `newer`, at and below `path`: up to `most` entries that `fits` accepts, after the path `after`. Of very many
/// differences, only so many as are likely to fill it are looked at; then it has fewer entries, and goes on.
pub fn page(
    store: &Store,
    (older, newer): (Tree, Tree),
    path: &FilePath,
    after: Option<&FilePath>,
    most: usize,
    fits: impl Fn(&Entry) -> bool,
) -> Result<Paged, RepoError> {
    let mut changes = files::diff(store, older, newer, Some(path))?;
    let first: Vec<FileChange> = changes.by_ref().take(PAGED_AMONG + 1).collect::<Result<_, _>>()?;
    let mut page = Paged { entries: Vec::new(), next: None, all: None };
    if first.len() <= PAGED_AMONG {
        let all = paired(first);
        let rest = all.iter().filter(|entry| after.is_none_or(|after| entry.path > *after));
        for entry in rest.filter(|entry| fits(entry)) {
            if page.add(entry.clone(), most).is_break() {
                break;
            }
        }
        page.all = Some(all);
        return Ok(page);
    }
    let mut last = None;
    let looked_at: Box<dyn Iterator<Item = Result<FileChange, RepoError>>> = match after {
        None => Box::new(first.into_iter().map(Ok)),
        Some(after) => {
            let mut range = directory_range(path);
            // The first key after it.
            range.from = range.from.max([after.as_str().as_bytes(), &[0]].concat());
            let below = older.diff_range(store, newer, range)?.map(|change| {
                let change = change?;
                Ok(FileChange { path: path_of(&change.key)?, old: change.old, new: change.new })
            });
            Box::new(below.take(PAGED_AMONG + 1))
        }
    };
    let mut count = 0;
    for change in looked_at {
        let entry = Entry::from(change?);
        count += 1;
        last = Some(entry.path.clone());
        if fits(&entry) && page.add(entry, most).is_break() {
            return Ok(page);
        }
    }
    if count > PAGED_AMONG {
        page.next = last;
    }
    Ok(page)
}

impl Paged {
    /// Adds an entry, unless the page is full: then it goes on after its last one.
    fn add(&mut self, entry: Entry, most: usize) -> ControlFlow<()> {
        if self.entries.len() < most {
            self.entries.push(entry);
            return ControlFlow::Continue(());
        }
        self.next = self.entries.last().map(|last| last.path.clone());
        ControlFlow::Break(())
    }
}

/// The differences, sorted by path.
#[derive(Debug)]
pub struct Entries<'s> {
    ready: std::vec::IntoIter<Entry>,
    rest: Option<Changes<'s>>,
}

impl Entries<'_> {
    /// Only these entries.
    pub fn of(entries: Vec<Entry>) -> Self {
        Self { ready: entries.into_iter(), rest: None }
    }

    /// Their number, if it is known without reading further.
    pub fn count_if_known(&self) -> Option<usize> {
        self.rest.is_none().then(|| self.ready.len())
    }
}

/// What differs in `newer`, at and below `path`. Renames are detected only among the first 50,000 differences.
pub fn entries<'s>(store: &'s Store, older: Tree, newer: Tree, path: &FilePath) -> Result<Entries<'s>, RepoError> {
    let mut changes = files::diff(store, older, newer, Some(path))?;
    let first: Vec<FileChange> = changes.by_ref().take(RENAMES_AMONG).collect::<Result<_, _>>()?;
    let is_all = first.len() < RENAMES_AMONG;
    Ok(Entries { ready: paired(first).into_iter(), rest: (!is_all).then_some(changes) })
}

/// All these differences, of which those of a renamed file are one.
fn paired(changes: Vec<FileChange>) -> Vec<Entry> {
    let (renamed, others) = files::pair_renames(changes);
    let mut entries: Vec<Entry> = others.into_iter().map(Entry::from).collect();
    entries.extend(renamed.into_iter().map(|renamed| Entry {
        path: renamed.to.clone(),
        change: Change::Renamed,
        old: Some(Named { path: renamed.from, file: renamed.file }),
        new: Some(Named { path: renamed.to, file: renamed.file }),
    }));
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    entries
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.ready.next() {
            return Some(Ok(entry));
        }
        Some(self.rest.as_mut()?.next()?.map(Entry::from))
    }
}
