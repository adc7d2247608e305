//! Lists a directory, or everything at and below it.

use specs::FilePath;

use super::lookup::kind_at;
use crate::base::error::RepoError;
use crate::store::{Resolved, Result, Store};
use crate::tree::files::{directory_range, path_of};
use crate::tree::{PathKind, Tree};

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The whole path.
    pub path: FilePath,
    /// File or directory.
    pub kind: PathKind,
}

/// The children of the directory that a reference names, or with `recursive` all files below it; if it names a file, only that.
///
/// Sorted by bytes, read lazily.
pub fn list<'s>(
    store: &'s Store,
    at: &Resolved,
    recursive: bool,
) -> Result<Box<dyn Iterator<Item = Result<Listed>> + 's>> {
    list_tree(store, at.tree(), &at.place(), &at.path, recursive)
}

/// Like [`list`], for a tree that need not belong to a commit; errors call it `place`.
pub fn list_tree<'s>(
    store: &'s Store,
    tree: Tree,
    place: &str,
    path: &FilePath,
    recursive: bool,
) -> Result<Box<dyn Iterator<Item = Result<Listed>> + 's>> {
    list_tree_after(store, tree, place, path, (recursive, None))
}

/// Like [`list_tree`]: only what comes after the path `after`, at a cost that does not depend on how much comes before it.
pub fn list_tree_after<'s>(
    store: &'s Store,
    tree: Tree,
    place: &str,
    path: &FilePath,
    (recursive, after): (bool, Option<&FilePath>),
) -> Result<Box<dyn Iterator<Item = Result<Listed>> + 's>> {
    let path = path.clone();
    let (after, from) = (after.cloned(), after.cloned());
    let is_after = move |listed: &Result<Listed>| {
        listed.as_ref().map_or(true, |listed| after.as_ref().is_none_or(|after| listed.path > *after))
    };
    if let kind @ PathKind::File(_) = kind_at(store, tree, place, &path)? {
        return Ok(Box::new(std::iter::once(Ok(Listed { path, kind })).filter(is_after)));
    }
    if recursive {
        let mut range = directory_range(&path);
        if let Some(from) = from {
            range.from = range.from.max(from.as_str().as_bytes().to_vec());
        }
        let files = tree.range(store, range)?.map(|entry| {
            let (key, file) = entry?;
            Ok(Listed { path: path_of(&key)?, kind: PathKind::File(file) })
        });
        return Ok(Box::new(files.filter(is_after)));
    }
    // The child that `after` is, or is below.
    let below = from.as_ref().and_then(|from| from.below(&path)).unwrap_or_default();
    let name = below.split('/').next().unwrap_or_default();
    let children = tree.list_directory_from(store, &path, name)?.map(move |entry| {
        let entry = entry?;
        let path = path.join(&entry.name).map_err(|error| RepoError::IllegalPaths(vec![error]))?;
        Ok(Listed { path, kind: entry.kind })
    });
    Ok(Box::new(children.filter(is_after)))
}
