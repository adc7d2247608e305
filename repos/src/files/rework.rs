//! Edits of stored files: rm, mv, cp, revert. No content is moved.

use std::collections::BTreeMap;

use specs::{FilePath, RepoName};

use super::lookup::kind_at;
use super::{Edits, apply};
use crate::base::error::RepoError;
use crate::documents::Source;
use crate::history::changes_of;
use crate::store::{Resolved, Result, Store};
use crate::tree::files::{directory_range, path_of};
use crate::tree::{FileEntry, PathKind, Tree};

/// Maximum number of conflicting paths named in an error.
const NAMED: usize = 20;

/// Removes files, and with `recursive` directories. Errors call the tree `place`.
pub fn rm(store: &Store, base: Tree, place: &str, paths: &[FilePath], recursive: bool) -> Result<Edits> {
    let mut edits = Edits::default();
    for path in paths {
        match kind_at(store, base, place, path)? {
            PathKind::Directory { .. } if !recursive => {
                return Err(RepoError::IsDirectory { path: path.clone(), place: place.to_owned() });
            }
            kind => edits.files.extend(files_at(store, base, path, kind)?.into_iter().map(|(path, _)| (path, None))),
        }
    }
    Ok(edits)
}

/// Moves a file or directory. `to` is the whole new path.
pub fn mv(store: &Store, base: Tree, place: &str, from: &FilePath, to: &FilePath) -> Result<Edits> {
    ensure_not_itself("move", from, to)?;
    let kind = kind_at(store, base, place, from)?;
    ensure_nothing_in_the_way(store, base, kind, to)?;
    let mut files = BTreeMap::new();
    for (path, file) in files_at(store, base, from, kind)? {
        files.insert(rebased(&path, from, to)?, Some(file));
        // A path can be the source of one file and the target of another.
        files.entry(path).or_insert(None);
    }
    Ok(Edits { files, ..Edits::default() })
}

/// Copies a file or directory of a commit into a tree of `repo`. `to` is the whole path of the copy.
pub fn cp(store: &Store, from: &Resolved, repo: &RepoName, base: Tree, to: &FilePath) -> Result<Edits> {
    if from.commit.repo == *repo && from.tree() == base {
        ensure_not_itself("copy", &from.path, to)?;
    }
    let kind = kind_at(store, from.tree(), &from.place(), &from.path)?;
    let files = files_at(store, from.tree(), &from.path, kind)?;
    files.iter().try_for_each(|(path, file)| store.ensure_not_pruned(&from.id, path, file))?;
    let mut edits = copied(store, from.tree(), &from.place(), &from.path, base, to)?;
    if from.commit.repo != *repo {
        edits.sources.push(Source { repo: from.commit.repo.clone(), commit: from.id, path: from.path.clone() });
    }
    Ok(edits)
}

/// Copies a file or directory of a tree of the same repository, which need not belong to a commit. Errors call that tree `place`.
pub fn cp_within(store: &Store, tree: Tree, place: &str, from: &FilePath, base: Tree, to: &FilePath) -> Result<Edits> {
    if tree == base {
        ensure_not_itself("copy", from, to)?;
    }
    copied(store, tree, place, from, base, to)
}

fn copied(store: &Store, tree: Tree, place: &str, from: &FilePath, base: Tree, to: &FilePath) -> Result<Edits> {
    let kind = kind_at(store, tree, place, from)?;
    ensure_nothing_in_the_way(store, base, kind, to)?;
    let files = files_at(store, tree, from, kind)?;
    let files: Result<_> = files.into_iter().map(|(path, file)| Ok((rebased(&path, from, to)?, Some(file)))).collect();
    Ok(Edits { files: files?, ..Edits::default() })
}

/// Undoes the changes of one commit on top of `head`. `RevertConflict` if one of its paths has changed since.
pub fn revert(store: &Store, commit: &Resolved, head: Tree) -> Result<Edits> {
    let mut edits = Edits::default();
    let mut conflicts = Vec::new();
    for change in changes_of(store, &commit.commit, None)? {
        let change = change?;
        let now = head.file(store, &change.path)?;
        if now == change.new {
            if let (Some(old), Some(before)) = (&change.old, commit.commit.parents.first()) {
                store.ensure_not_pruned(before, &change.path, old)?;
            }
            edits.files.insert(change.path, change.old);
        } else if now != change.old {
            conflicts.push(change.path);
        }
    }
    if conflicts.is_empty() {
        match apply(store, head, &edits) {
            Err(RepoError::Clashes { paths }) => conflicts = paths,
            applied => return applied.map(|_| edits),
        }
    }
    let changed = conflicts.len();
    conflicts.truncate(NAMED);
    Err(RepoError::RevertConflict { place: commit.place(), changed, paths: conflicts })
}

/// The file at `path`, or all files below it, sorted.
fn files_at(store: &Store, tree: Tree, path: &FilePath, kind: PathKind) -> Result<Vec<(FilePath, FileEntry)>> {
    if let PathKind::File(file) = kind {
        return Ok(vec![(path.clone(), file)]);
    }
    let entries = tree.range(store, directory_range(path))?;
    entries.map(|entry| entry.and_then(|(key, file)| Ok((path_of(&key)?, file)))).collect()
}

fn rebased(path: &FilePath, from: &FilePath, to: &FilePath) -> Result<FilePath> {
    match path.below(from) {
        Some(below) => to.join(below).map_err(|error| RepoError::IllegalPaths(vec![error])),
        None => Ok(to.clone()),
    }
}

fn ensure_not_itself(verb: &str, from: &FilePath, to: &FilePath) -> Result<()> {
    if from == to || from.contains(to) {
        return Err(RepoError::Usage { what: format!("cannot {verb} `{from}` into itself, `{to}`"), hint: None });
    }
    Ok(())
}

/// A file may replace a file, and a directory may be merged into a directory; nothing else.
fn ensure_nothing_in_the_way(store: &Store, base: Tree, kind: PathKind, to: &FilePath) -> Result<()> {
    let there = base.kind_at(store, to)?;
    let (what, hint) = match (kind, there) {
        (PathKind::File(_), Some(PathKind::Directory { .. })) => {
            ("directory", Some(format!("give the full new path, such as `{}NAME`", to.as_prefix())))
        }
        (PathKind::Directory { .. }, Some(PathKind::File(_))) => ("file", None),
        _ => return Ok(()),
    };
    Err(RepoError::Usage { what: format!("a {what} is in the way at `{to}`"), hint })
}
