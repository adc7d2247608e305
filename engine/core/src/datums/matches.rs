//! Which paths of a commit a glob matches, and which of these changed between two commits.
//!
//! Both visit one match after another and hold none in memory. In key order everything below a directory is contiguous, so a directory has
//! been visited exactly if it contains the previous path.

use repos::tree::files::{directory_range, path_of};
use repos::tree::{Cursor, FileEntry, KeyRange, PathKind, Step, Tree};
use repos::{RepoError, Store};
use specs::{FilePath, Glob};

use super::InputMatch;

/// What is at a matched path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// One file.
    File(FileEntry),
    /// A directory: everything below it.
    Directory,
}

/// A matched path with a difference between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChangedMatch {
    pub(super) path: FilePath,
    /// The old match; `None` for a new one.
    pub(super) old: Option<Match>,
    /// The new match; `None` for a removed one.
    pub(super) new: Option<Match>,
}

/// What is at `path`, if anything. The root of an empty commit does not match.
pub fn match_at(store: &Store, tree: Tree, path: &FilePath) -> Result<Option<Match>, RepoError> {
    Finder::new(store, tree)?.at(path)
}

/// Looks up paths; cheap for paths close to each other.
pub(super) struct Finder<'s>(Cursor<'s, FileEntry, Store>);

impl<'s> Finder<'s> {
    pub(super) fn new(store: &'s Store, tree: Tree) -> Result<Self, RepoError> {
        Ok(Self(tree.cursor(store)?))
    }

    pub(super) fn at(&mut self, path: &FilePath) -> Result<Option<Match>, RepoError> {
        match self.0.get(path.as_str().as_bytes())? {
            Some(file) => Ok(Some(Match::File(file))),
            None => self.directory_at(path),
        }
    }

    fn directory_at(&mut self, path: &FilePath) -> Result<Option<Match>, RepoError> {
        let prefix = path.as_prefix();
        self.0.seek(prefix.as_bytes())?;
        let next = self.0.peek();
        let is_one = matches!(next, Some(Step::Entry { key, .. }) if key.starts_with(prefix.as_bytes()));
        Ok(is_one.then_some(Match::Directory))
    }
}

/// Called with a match.
pub(super) type VisitMatch<'v> = dyn FnMut(FilePath, Match) -> Result<(), RepoError> + 'v;

/// All paths that `glob` matches. Searches only below the glob's literal prefix, and no deeper than its depth.
pub(super) fn visit_matches(
    store: &Store,
    tree: Tree,
    glob: &Glob,
    visit: &mut VisitMatch<'_>,
) -> Result<(), RepoError> {
    if let Some(depth) = glob.depth() {
        if glob.is_root() {
            let root = FilePath::root();
            return match match_at(store, tree, &root)? {
                Some(matched) => visit(root, matched),
                None => Ok(()),
            };
        }
        return descend(store, tree, glob, &FilePath::root(), depth, visit);
    }
    let mut before = None;
    for entry in tree.range(store, KeyRange::prefix(glob.literal_prefix()))? {
        let (key, file) = entry?;
        let path = path_of(&key)?;
        for directory in new_directories(&path, before.as_ref()) {
            if glob.matches(directory.as_str()) {
                visit(directory, Match::Directory)?;
            }
        }
        if glob.matches(path.as_str()) {
            visit(path.clone(), Match::File(file))?;
        }
        before = Some(path);
    }
    Ok(())
}

/// The directories that contain `path` but not the previous one, deepest first.
fn new_directories<'p>(path: &FilePath, before: Option<&'p FilePath>) -> impl Iterator<Item = FilePath> + use<'p> {
    let above = std::iter::successors(path.parent(), FilePath::parent);
    above.take_while(move |directory| before.is_none_or(|before| !directory.contains(before)))
}

/// Visits matches `depth` parts below `directory`.
fn descend(
    store: &Store,
    tree: Tree,
    glob: &Glob,
    directory: &FilePath,
    depth: usize,
    visit: &mut VisitMatch<'_>,
) -> Result<(), RepoError> {
    let literal = glob.literal_prefix();
    for entry in tree.list_directory(store, directory)? {
        let entry = entry?;
        let path = directory.join(&entry.name).map_err(|error| RepoError::IllegalPaths(vec![error]))?;
        let can_lead_there = literal.starts_with(path.as_str()) || path.as_str().starts_with(literal);
        match entry.kind {
            _ if !can_lead_there => {}
            PathKind::Directory { .. } if depth > 1 => descend(store, tree, glob, &path, depth - 1, visit)?,
            PathKind::File(file) if depth == 1 && glob.matches(path.as_str()) => visit(path, Match::File(file))?,
            PathKind::Directory { .. } if glob.matches(path.as_str()) => visit(path, Match::Directory)?,
            _ => {}
        }
    }
    Ok(())
}

/// Called with a matched path that differs.
pub(super) type VisitChange<'v> = dyn FnMut(ChangedMatch) -> Result<(), RepoError> + 'v;

/// The matched paths that differ between two trees: a file that differs, or a directory with a difference in it. Each is visited once.
pub(super) fn visit_changes(
    store: &Store,
    (old, new): (Tree, Tree),
    glob: &Glob,
    visit: &mut VisitChange<'_>,
) -> Result<(), RepoError> {
    if old == new {
        return Ok(());
    }
    let (mut in_old, mut in_new) = (Finder::new(store, old)?, Finder::new(store, new)?);
    if glob.is_root() {
        let path = FilePath::root();
        let (old, new) = (in_old.at(&path)?, in_new.at(&path)?);
        return visit(ChangedMatch { path, old, new });
    }
    let mut before = None;
    for change in old.diff_range(store, new, KeyRange::prefix(glob.literal_prefix()))? {
        let change = change?;
        let path = path_of(&change.key)?;
        for path in new_directories(&path, before.as_ref()).filter(|path| glob.matches(path.as_str())) {
            let (old, new) = (in_old.at(&path)?, in_new.at(&path)?);
            // If it is a file on one side, it is visited as a changed file.
            if ![old, new].iter().any(|side| matches!(side, Some(Match::File(_)))) {
                visit(ChangedMatch { path, old, new })?;
            }
        }
        if glob.matches(path.as_str()) {
            let side = |file: Option<FileEntry>, finder: &mut Finder<'_>| match file {
                Some(file) => Ok(Some(Match::File(file))),
                None => finder.directory_at(&path),
            };
            let (old, new) = (side(change.old, &mut in_old)?, side(change.new, &mut in_new)?);
            visit(ChangedMatch { path: path.clone(), old, new })?;
        }
        before = Some(path);
    }
    Ok(())
}

/// Whether a datum reads a path that `glob` matches through this input: its own path, or a file below it.
pub fn reads(store: &Store, tree: Tree, input: &InputMatch, glob: &Glob) -> Result<bool, RepoError> {
    let is_matched = |path: &FilePath| if path.is_root() { glob.is_root() } else { glob.matches(path.as_str()) };
    if is_matched(&input.path) || input.matched != Match::Directory {
        return Ok(is_matched(&input.path));
    }
    for entry in tree.range(store, directory_range(&input.path))? {
        if is_matched(&path_of(&entry?.0)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The files of a match, with their full paths, in byte order.
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
