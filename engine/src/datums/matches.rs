//! Which paths of a commit a glob matches.

use std::collections::{BTreeMap, BTreeSet};

use repos::tree::files::{directory_range, path_of};
use repos::tree::{FileEntry, PathKind, Tree};
use repos::{RepoError, Store};
use specs::{FilePath, Glob};

use super::Arm;

/// What a matched path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// One file.
    File(FileEntry),
    /// A directory: all that lies below it.
    Directory,
}

/// A matched path of which something differs between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedMatch {
    /// The path.
    pub path: FilePath,
    /// What it was; `None` for a new one.
    pub old: Option<Match>,
    /// What it is; `None` for one that is gone.
    pub new: Option<Match>,
}

/// What is at `path`, if anything. An empty commit has no root to match.
pub fn match_at(store: &Store, tree: Tree, path: &FilePath) -> Result<Option<Match>, RepoError> {
    Ok(match tree.kind_at(store, path)? {
        None | Some(PathKind::Directory { files: 0, .. }) => None,
        Some(PathKind::File(file)) => Some(Match::File(file)),
        Some(PathKind::Directory { .. }) => Some(Match::Directory),
    })
}

/// All paths that `glob` matches, in byte order. Looks only where the glob's literal beginning leads.
pub fn matches(store: &Store, tree: Tree, glob: &Glob) -> Result<BTreeMap<FilePath, Match>, RepoError> {
    let mut found = BTreeMap::new();
    if glob.is_root() {
        found.extend(match_at(store, tree, &FilePath::root())?.map(|matched| (FilePath::root(), matched)));
    } else if let Some(depth) = glob.depth() {
        descend(store, tree, glob, &FilePath::root(), depth, &mut found)?;
    } else {
        for entry in tree.range(store, repos::tree::KeyRange::prefix(glob.literal_prefix().as_bytes()))? {
            let (key, file) = entry?;
            let path = path_of(&key)?;
            for directory in std::iter::successors(path.parent(), FilePath::parent) {
                if !found.contains_key(&directory) && glob.matches(directory.as_str()) {
                    found.insert(directory, Match::Directory);
                }
            }
            if glob.matches(path.as_str()) {
                found.insert(path, Match::File(file));
            }
        }
    }
    Ok(found)
}

/// Matches `depth` parts below `directory`.
fn descend(
    store: &Store,
    tree: Tree,
    glob: &Glob,
    directory: &FilePath,
    depth: usize,
    found: &mut BTreeMap<FilePath, Match>,
) -> Result<(), RepoError> {
    let literal = glob.literal_prefix();
    for entry in tree.list_directory(store, directory)? {
        let entry = entry?;
        let path = directory.join(&entry.name).map_err(|error| RepoError::IllegalPaths(vec![error]))?;
        let can_lead_there = literal.starts_with(path.as_str()) || path.as_str().starts_with(literal);
        match entry.kind {
            _ if !can_lead_there => {}
            PathKind::Directory { .. } if depth > 1 => descend(store, tree, glob, &path, depth - 1, found)?,
            PathKind::File(file) if depth == 1 && glob.matches(path.as_str()) => {
                found.insert(path, Match::File(file));
            }
            PathKind::Directory { .. } if glob.matches(path.as_str()) => {
                found.insert(path, Match::Directory);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The matched paths that differ between two trees, in byte order: a file that differs, or a directory in which something differs.
pub fn changed_matches(store: &Store, old: Tree, new: Tree, glob: &Glob) -> Result<Vec<ChangedMatch>, RepoError> {
    let mut candidates = BTreeSet::new();
    for change in old.diff(store, new)? {
        let path = path_of(&change?.key)?;
        for candidate in std::iter::successors(Some(path), FilePath::parent) {
            if candidates.contains(&candidate) {
                break; // and so are the directories above it
            }
            candidates.insert(candidate);
        }
    }
    candidates
        .into_iter()
        .filter(|path| if path.is_root() { glob.is_root() } else { glob.matches(path.as_str()) })
        .map(|path| {
            let (old, new) = (match_at(store, old, &path)?, match_at(store, new, &path)?);
            Ok(ChangedMatch { path, old, new })
        })
        .collect()
}

/// Whether a datum reads a path that `glob` matches over this arm: the arm's own path, or a file below it.
pub(crate) fn reads(store: &Store, tree: Tree, arm: &Arm, glob: &Glob) -> Result<bool, RepoError> {
    let is_matched = |path: &FilePath| if path.is_root() { glob.is_root() } else { glob.matches(path.as_str()) };
    if is_matched(&arm.path) || arm.matched != Match::Directory {
        return Ok(is_matched(&arm.path));
    }
    for entry in tree.range(store, directory_range(&arm.path))? {
        if is_matched(&path_of(&entry?.0)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The files that a match stands for, with their full paths, in byte order.
pub(crate) fn files_of(
    store: &Store,
    tree: Tree,
    path: &FilePath,
    matched: Match,
) -> Result<Vec<(FilePath, FileEntry)>, RepoError> {
    match matched {
        Match::File(file) => Ok(vec![(path.clone(), file)]),
        Match::Directory => tree
            .range(store, directory_range(path))?
            .map(|entry| entry.and_then(|(key, file)| Ok((path_of(&key)?, file))))
            .collect(),
    }
}
