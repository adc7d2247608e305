//! The files before and after a file in its directory.

use engine::Result;
use repos::tree::{Cursor, FileEntry, Step, Tree, path_of};
use repos::{RepoError, Store};
use specs::FilePath;

/// Most directories that are passed over on the way to the next file.
const DIRECTORIES: usize = 100;

/// The files before and after this one in its directory, by name. Directories between them are passed over, within a bound.
///
/// Costs as much as a few lookups, however many files the directory has.
pub fn beside(store: &Store, tree: Tree, path: &FilePath) -> Result<(Option<FilePath>, Option<FilePath>)> {
    let directory = path.parent().unwrap_or_else(FilePath::root).as_prefix();
    Ok((before(store, tree, path, &directory)?, after(store, tree, path, &directory)?))
}

/// The part of a key that is a child of the directory: its whole key, and whether it is a file.
fn child<'k>(key: &'k [u8], directory: &str) -> Option<(&'k [u8], bool)> {
    let name = key.strip_prefix(directory.as_bytes())?;
    Some(match name.iter().position(|byte| *byte == b'/') {
        Some(end) => (&key[..directory.len() + end], false),
        None => (key, true),
    })
}

fn before(store: &Store, tree: Tree, path: &FilePath, directory: &str) -> Result<Option<FilePath>> {
    let mut bound = path.as_str().as_bytes().to_vec();
    for _ in 0..DIRECTORIES {
        let mut cursor = tree.cursor(store)?;
        let Some(last) = last_before(&mut cursor, &bound)? else { return Ok(None) };
        match child(&last, directory) {
            None => return Ok(None),
            Some((key, true)) => return Ok(Some(path_of(key).map_err(RepoError::from)?)),
            // Everything in this directory begins with its name and a `/`.
            Some((name, false)) => bound = [name, b"/"].concat(),
        }
    }
    Ok(None)
}

/// The last key before `bound`. Whole subtrees are passed by their last keys.
fn last_before(cursor: &mut Cursor<'_, FileEntry, Store>, bound: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut last = None;
    while let Some(step) = cursor.peek() {
        match step {
            step if step.last_key() < bound => {
                last = Some(step.last_key().to_vec());
                cursor.skip();
            }
            Step::Subtree { .. } => cursor.enter()?,
            Step::Entry { .. } => break,
        }
    }
    Ok(last)
}

fn after(store: &Store, tree: Tree, path: &FilePath, directory: &str) -> Result<Option<FilePath>> {
    let mut cursor = tree.cursor(store)?;
    let mut from = [path.as_str().as_bytes(), b"\0"].concat();
    for _ in 0..DIRECTORIES {
        cursor.seek(&from)?;
        let Some(Step::Entry { key, .. }) = cursor.peek() else { return Ok(None) };
        match child(key, directory) {
            None => return Ok(None),
            Some((key, true)) => return Ok(Some(path_of(key).map_err(RepoError::from)?)),
            // `0` is the byte after `/`.
            Some((name, false)) => from = [name, b"0"].concat(),
        }
    }
    Ok(None)
}
