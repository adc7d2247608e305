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
    let path = path.clone();
    if let kind @ PathKind::File(_) = kind_at(store, tree, place, &path)? {
        return Ok(Box::new(std::iter::once(Ok(Listed { path, kind }))));
    }
    if recursive {
        let files = tree.range(store, directory_range(&path))?;
        return Ok(Box::new(files.map(|entry| {
            let (key, file) = entry?;
            Ok(Listed { path: path_of(&key)?, kind: PathKind::File(file) })
        })));
    }
    Ok(Box::new(tree.list_directory(store, &path)?.map(move |entry| {
        let entry = entry?;
        let path = path.join(&entry.name).map_err(|error| RepoError::IllegalPaths(vec![error]))?;
        Ok(Listed { path, kind: entry.kind })
    })))
}
