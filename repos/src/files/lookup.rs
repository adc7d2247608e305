//! What is at a path; if nothing is, a suggestion for what was meant.

use specs::FilePath;

use crate::base::error::RepoError;
use crate::store::{Result, Store};
use crate::tree::{PathKind, Tree};

/// Maximum number of names in a directory that are compared with a missing one.
const COMPARED: usize = 10_000;

/// What is at `path` in `tree`; `FileNotFound` with the nearest existing path if nothing is. Errors call the tree `place`.
pub fn kind_at(store: &Store, tree: Tree, place: &str, path: &FilePath) -> Result<PathKind> {
    if let Some(kind) = tree.kind_at(store, path)? {
        return Ok(kind);
    }
    let similar = similar(store, tree, path)?.map(|path| path.to_string());
    Err(RepoError::FileNotFound { path: path.clone(), place: place.to_owned(), similar })
}

/// The path with its first wrong part replaced by the nearest existing name, if the result exists.
fn similar(store: &Store, tree: Tree, path: &FilePath) -> Result<Option<FilePath>> {
    let mut wrong = path.clone();
    let mut rest = String::new();
    while let Some(parent) = wrong.parent() {
        let names = names_in(store, tree, &parent)?;
        if !names.is_empty() {
            let Some(name) = specs::nearest(wrong.name(), names.iter().map(String::as_str)) else { return Ok(None) };
            let Ok(near) = parent.join(&format!("{name}{rest}")) else { return Ok(None) };
            return Ok(tree.kind_at(store, &near)?.map(|_| near));
        }
        rest = format!("/{}{rest}", wrong.name());
        wrong = parent;
    }
    Ok(None)
}

fn names_in(store: &Store, tree: Tree, directory: &FilePath) -> Result<Vec<String>> {
    tree.list_directory(store, directory)?.take(COMPARED).map(|entry| entry.map(|entry| entry.name)).collect()
}
