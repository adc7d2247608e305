//! The files of a tree that a glob matches, themselves or through a directory above them.

use specs::{FilePath, Glob};

use super::{Edits, rework};
use crate::base::error::RepoError;
use crate::store::{Resolved, Result, Store};
use crate::tree::files::{directory_range, path_of};
use crate::tree::{FileEntry, PathKind, Tree};

/// A glob over whole paths, as in pipelines: it matches a path and everything below it.
#[derive(Debug, Clone)]
pub struct Matching<'g> {
    glob: &'g Glob,
    /// The directory examined last, and the directory above it that matches.
    last: Option<(FilePath, Option<FilePath>)>,
}

impl<'g> Matching<'g> {
    /// A matcher for this glob.
    pub fn new(glob: &'g Glob) -> Self {
        Self { glob, last: None }
    }

    /// The file itself or the topmost matching directory above it; fastest for paths in order.
    pub fn by(&mut self, path: &FilePath) -> Option<FilePath> {
        if self.glob.is_root() {
            return Some(FilePath::root());
        }
        let parent = path.parent().unwrap_or_else(FilePath::root);
        if self.last.as_ref().is_none_or(|(last, _)| *last != parent) {
            let by = self.directory(&parent);
            self.last = Some((parent, by));
        }
        let (_, directory) = self.last.as_ref()?;
        directory.clone().or_else(|| self.glob.matches(path.as_str()).then(|| path.clone()))
    }

    /// The topmost matching directory, at `path` or above it.
    fn directory(&self, path: &FilePath) -> Option<FilePath> {
        let above: Vec<FilePath> = std::iter::successors(Some(path.clone()), FilePath::parent).collect();
        above.into_iter().rev().find(|path| !path.is_root() && self.glob.matches(path.as_str()))
    }

    /// Whether a file matches, itself or through a directory above it.
    pub fn fits(&mut self, path: &FilePath) -> bool {
        self.by(path).is_some()
    }
}

/// A file that a glob matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The file or directory that matches.
    pub by: FilePath,
    /// The file.
    pub path: FilePath,
    /// Its entry.
    pub file: FileEntry,
}

/// The files at and below `path` that a glob matches, in order, read lazily.
pub fn matching<'s>(
    store: &'s Store,
    tree: Tree,
    path: &FilePath,
    glob: &'s Glob,
) -> Result<Box<dyn Iterator<Item = Result<Match>> + Send + 's>> {
    let mut matching = Matching::new(glob);
    if let (false, Some(PathKind::File(file))) = (path.is_root(), tree.kind_at(store, path)?) {
        let found = matching.by(path).map(|by| Ok(Match { by, path: path.clone(), file }));
        return Ok(Box::new(found.into_iter()));
    }
    // All matches are below the literal prefix of the glob.
    let start = glob.literal_prefix();
    let start = start.strip_suffix('/').or_else(|| Some(start.rsplit_once('/')?.0)).unwrap_or_default();
    let start: FilePath = start.parse().unwrap_or_else(|_| FilePath::root());
    let from = if path.contains(&start) { start } else { path.clone() };
    let entries = tree.range(store, directory_range(&from))?;
    Ok(Box::new(entries.filter_map(move |entry| {
        let read = entry.and_then(|(key, file)| Ok((path_of(&key)?, file)));
        match read {
            Ok((path, file)) => matching.by(&path).map(|by| Ok(Match { by, path, file })),
            Err(error) => Some(Err(error)),
        }
    })))
}

/// `NotFound` for a glob that matches nothing at and below `path`; errors call the tree `place`.
pub fn nothing_matches(glob: &Glob, place: &str, path: &FilePath) -> RepoError {
    let below = if path.is_root() { String::new() } else { format!(" below `{path}`") };
    RepoError::NotFound { what: format!("nothing{below} in {place} matches `{glob}`"), hint: glob_hint(glob.as_str()) }
}

/// What may be wrong with a glob that matches nothing.
pub fn glob_hint(glob: &str) -> Option<String> {
    let set = glob.match_indices('[').find(|(at, _)| !glob[..*at].ends_with('\\'));
    set.map(|_| format!("`[` starts a character set; for a literal `[` write `{}`", glob.replace('[', "\\[")))
}

/// Removes everything that a glob matches at and below `path`; directories only with `recursive`.
pub fn rm_matching(
    store: &Store,
    base: Tree,
    place: &str,
    path: &FilePath,
    glob: &Glob,
    recursive: bool,
) -> Result<Edits> {
    let mut edits = Edits::default();
    for found in matching(store, base, path, glob)? {
        let Match { by, path, .. } = found?;
        if by != path && !recursive {
            return Err(RepoError::IsDirectory { path: by, place: place.to_owned() });
        }
        edits.files.insert(path, None);
    }
    if edits.files.is_empty() { Err(nothing_matches(glob, place, path)) } else { Ok(edits) }
}

/// Copies everything that a glob matches at and below the path of `from` to the same relative paths below `to`.
pub fn cp_matching(
    store: &Store,
    from: &Resolved,
    glob: &Glob,
    repo: &specs::RepoName,
    base: Tree,
    to: &FilePath,
) -> Result<Edits> {
    let mut edits = Edits::default();
    let mut last = None;
    for found in matching(store, from.tree(), &from.path, glob)? {
        let by = found?.by;
        if last.as_ref() == Some(&by) {
            continue;
        }
        let at = match by.below(&from.path) {
            Some(below) => to.join(below).map_err(|error| RepoError::IllegalPaths(vec![error]))?,
            None => to.clone(),
        };
        let one = rework::cp(store, &Resolved { path: by.clone(), ..from.clone() }, repo, base, &at)?;
        edits.files.extend(one.files);
        edits.sources.extend(one.sources);
        last = Some(by);
    }
    if edits.files.is_empty() { Err(nothing_matches(glob, &from.place(), &from.path)) } else { Ok(edits) }
}
