//! Lists a directory, or the changes of a commit, entry by entry: a listing may have a million.

use std::fmt;

use engine::{EngineError, Result};
use repos::files::{self, Match, Matching};
use repos::store::Resolved;
use repos::tree::{PathKind, Tree};
use repos::{RepoError, Store};
use specs::{FilePath, Glob, Reference, RepoName, Source};

use super::ListedView;
use crate::named::{Files, find_files};

/// What to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Listing<'a> {
    /// All files below, instead of one level.
    pub recursive: bool,
    /// Only files that the commit added or modified.
    pub changed: bool,
    /// Only files and directories that match.
    pub matching: Option<&'a Glob>,
}

/// Entries of a listing, read lazily.
pub type Lines<'s> = Box<dyn Iterator<Item = Result<ListedView>> + 's>;

/// Something that exists and has no commit yet.
#[derive(Debug, Clone, PartialEq)]
pub enum Empty {
    /// None of its branches has a commit.
    Repo(RepoName),
    /// A branch.
    Branch(Reference),
}

impl fmt::Display for Empty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repo(repo) => write!(f, "repository `{repo}`"),
            Self::Branch(reference) => write!(f, "branch `{reference}`"),
        }
    }
}

/// The named repository or branch, if it exists and has no commit.
pub fn without_commits(store: &Store, source: &Source) -> Result<Option<Empty>> {
    let Source::Reference(reference) = source else { return Ok(None) };
    let is_whole = reference.path.as_ref().is_none_or(FilePath::is_root);
    if !is_whole || !store.has_repo(&reference.repo)? {
        return Ok(None);
    }
    let branch = match &reference.revision {
        None if store.branches(&reference.repo)?.iter().all(|(_, row)| row.commit.is_none()) => {
            return Ok(Some(Empty::Repo(reference.repo.clone())));
        }
        None => return Ok(None),
        Some(revision) => revision.as_branch(),
    };
    let row = branch.map(|branch| store.find_branch(&reference.repo, &branch)).transpose()?.flatten();
    Ok(row.filter(|row| row.commit.is_none()).map(|_| Empty::Branch(reference.clone())))
}

/// The content of a source. `NotFound`, after the last entry, for a glob that matches nothing.
pub fn listing<'s>(store: &'s Store, source: &Source, wanted: Listing<'s>) -> Result<Lines<'s>> {
    listing_after(store, source, wanted, None)
}

/// Like [`listing`], for one who has seen everything up to the path `after`: that may be left out, and is not read if nothing but a
/// directory is listed.
pub fn listing_after<'s>(
    store: &'s Store,
    source: &Source,
    wanted: Listing<'s>,
    after: Option<&FilePath>,
) -> Result<Lines<'s>> {
    let (tree, path, place) = match find_files(store, source)? {
        Files::Commit(at) if wanted.changed => return changed(store, &at, wanted.matching),
        _ if wanted.changed => {
            let what = format!("--changed is for commits, and `{source}` is not a commit");
            return Err(EngineError::Usage { what, hint: Some(format!("pv ls {source}")) });
        }
        Files::Commit(at) => (at.tree(), at.path.clone(), at.place()),
        Files::Tree { tree, path, place } => (tree, path, place),
        Files::One { file, name } => {
            let path = FilePath::root().join(&name).map_err(|error| RepoError::IllegalPaths(vec![error]))?;
            return Ok(Box::new(std::iter::once(Ok(ListedView::new(path, PathKind::File(file))))));
        }
    };
    if let Some(glob) = wanted.matching {
        return matching(store, (tree, path, place), glob, wanted.recursive);
    }
    let listed = files::list_tree_after(store, tree, &place, &path, (wanted.recursive, after))?;
    Ok(Box::new(listed.map(|listed| listed.map(|line| ListedView::new(line.path, line.kind)).map_err(Into::into))))
}

/// The files that a commit added or modified.
fn changed<'s>(store: &'s Store, at: &Resolved, glob: Option<&'s Glob>) -> Result<Lines<'s>> {
    let mut matching = glob.map(Matching::new);
    let changes = files::changes_of(store, &at.commit, Some(&at.path))?;
    Ok(Box::new(changes.filter_map(move |change| {
        let change = match change {
            Ok(change) => change,
            Err(error) => return Some(Err(error.into())),
        };
        let fits = matching.as_mut().is_none_or(|matching| matching.fits(&change.path));
        change.new.filter(|_| fits).map(|file| Ok(ListedView::new(change.path, PathKind::File(file))))
    })))
}

/// Lists each matching file and directory once; with `recursive` also the files in these directories.
fn matching<'s>(
    store: &'s Store,
    (tree, path, place): (Tree, FilePath, String),
    glob: &'s Glob,
    recursive: bool,
) -> Result<Lines<'s>> {
    let mut found = files::matching(store, tree, &path, glob)?;
    let mut last = None;
    let mut is_over = false;
    let line = {
        let place = place.clone();
        move |found: Match, last: &mut Option<FilePath>| -> Result<Option<ListedView>> {
            let is_new = last.as_ref() != Some(&found.by);
            *last = Some(found.by.clone());
            if recursive || found.by == found.path {
                return Ok(Some(ListedView::new(found.path, PathKind::File(found.file))));
            }
            let kind = is_new.then(|| files::kind_at(store, tree, &place, &found.by)).transpose()?;
            Ok(kind.map(|kind| ListedView::new(found.by, kind)))
        }
    };
    Ok(Box::new(std::iter::from_fn(move || {
        while !is_over {
            match found.next() {
                Some(Ok(one)) => {
                    if let Some(listed) = line(one, &mut last).transpose() {
                        return Some(listed);
                    }
                }
                Some(Err(error)) => return Some(Err(error.into())),
                None => {
                    is_over = true;
                    if last.is_none() {
                        return Some(Err(files::nothing_matches(glob, &place, &path).into()));
                    }
                }
            }
        }
        None
    })))
}
