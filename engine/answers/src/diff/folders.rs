//! The folders of a directory that differ, with what is known of each at a bounded cost.

use std::collections::BTreeSet;

use repos::files::FileChange;
use repos::tree::{PathKind, Tree, directory_range};
use repos::{RepoError, Store};
use specs::FilePath;

use super::entries::{Counts, Entry};

/// Maximum number of differences counted for one folder.
const COUNTED: usize = 1_000;
/// The same for all folders of an answer: later ones have no counts.
const COUNTED_IN_ALL: u64 = 20_000;
/// Maximum number of children of a directory that are looked at.
const LOOKED_AT: usize = 5_000;

/// A folder that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderDiff {
    /// Its path.
    pub path: FilePath,
    /// Number of files below it on the older side.
    pub old_files: u64,
    /// Number of files below it on the newer side.
    pub new_files: u64,
    /// How many of them differ, not looking for renames.
    pub counts: Counts,
    /// Whether more differ than were counted.
    pub is_more: bool,
}

/// The folders directly in `directory` that differ: at most `most`, and whether there may be more.
pub fn folders(
    store: &Store,
    (older, newer): (Tree, Tree),
    directory: &FilePath,
    most: usize,
) -> Result<(Vec<FolderDiff>, bool), RepoError> {
    let (mut found, mut counted) = (Vec::new(), 0);
    let (names, mut is_more) = names(store, (older, newer), directory)?;
    for name in names {
        let Ok(path) = directory.join(&name) else { continue };
        let range = directory_range(&path);
        let mut changes = older.diff_range(store, newer, range.clone())?;
        let room = COUNTED_IN_ALL.saturating_sub(counted).min(COUNTED as u64);
        let mut counts = Counts::default();
        while counts.total() < room {
            let Some(change) = changes.next() else { break };
            let change = change?;
            let change = FileChange { path: path.clone(), old: change.old, new: change.new };
            counts.add(&Entry::from(change));
        }
        counted += counts.total();
        let is_more_below = counts.total() == room && changes.next().is_some();
        if counts.total() == 0 && !is_more_below {
            continue;
        }
        if found.len() == most {
            is_more = true;
            break;
        }
        let files = |tree: Tree| tree.range_totals(store, &range).map(|totals| totals.entries);
        let (old_files, new_files) = (files(older)?, files(newer)?);
        found.push(FolderDiff { path, old_files, new_files, counts, is_more: is_more_below });
    }
    Ok((found, is_more))
}

/// The names of the folders in a directory of either tree, in order; and whether not all children were looked at.
fn names(
    store: &Store,
    (older, newer): (Tree, Tree),
    directory: &FilePath,
) -> Result<(BTreeSet<String>, bool), RepoError> {
    let (mut names, mut is_more) = (BTreeSet::new(), false);
    for tree in [older, newer] {
        let mut count = 0;
        for entry in tree.list_directory(store, directory)?.take(LOOKED_AT) {
            let entry = entry?;
            count += 1;
            if matches!(entry.kind, PathKind::Directory { .. }) {
                names.insert(entry.name);
            }
        }
        is_more |= count == LOOKED_AT;
    }
    Ok((names, is_more))
}
