//! What differs between two trees, and what a commit changed.

use specs::FilePath;

use crate::documents::Commit;
use crate::index::history;
use crate::store::{Result, Store};
use crate::tree::files::{directory_range, path_of};
use crate::tree::{Diff, FileEntry, Tree};

/// One path whose file differs between two trees. At least one of `old` and `new` is present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The path.
    pub path: FilePath,
    /// The file before; `None` when it was added.
    pub old: Option<FileEntry>,
    /// The file after; `None` when it was removed.
    pub new: Option<FileEntry>,
}

/// The differences between two trees in the order of paths, read lazily.
#[derive(Debug)]
pub struct Changes<'s> {
    /// The difference at the requested path itself.
    own: Option<FileChange>,
    below: Diff<'s, FileEntry, Store>,
}

impl Iterator for Changes<'_> {
    type Item = Result<FileChange>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(own) = self.own.take() {
            return Some(Ok(own));
        }
        let change = self.below.next()?;
        Some(change.and_then(|change| Ok(FileChange { path: path_of(&change.key)?, old: change.old, new: change.new })))
    }
}

/// What differs in `newer`, at and below `path` (`None` for everything). Shared subtrees are not read.
pub fn diff<'s>(store: &'s Store, older: Tree, newer: Tree, path: Option<&FilePath>) -> Result<Changes<'s>> {
    let all = FilePath::root();
    let path = path.unwrap_or(&all);
    let mut own = None;
    if !path.is_root() && older != newer {
        let (old, new) = (older.file(store, path)?, newer.file(store, path)?);
        own = (old != new).then(|| FileChange { path: path.clone(), old, new });
    }
    Ok(Changes { own, below: older.diff_range(store, newer, directory_range(path))? })
}

/// The files of a commit's parent; empty for a first commit.
pub fn parent_tree(store: &Store, commit: &Commit) -> Result<Tree> {
    history::parent_tree(store, commit)
}

/// What a commit changed relative to its parent, at and below `path`.
pub fn changes_of<'s>(store: &'s Store, commit: &Commit, path: Option<&FilePath>) -> Result<Changes<'s>> {
    diff(store, parent_tree(store, commit)?, Tree::at(commit.tree), path)
}
