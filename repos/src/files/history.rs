//! Which commits changed a path, and which files only moved.

use std::collections::HashMap;

use specs::{CommitId, Digest, FilePath};

use crate::documents::Commit;
use crate::history::{Did, FileChange, PathHistory};
use crate::store::{Resolved, Result, Store};
use crate::tree::FileEntry;

/// A file that moved to another path with the same content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The old path.
    pub from: FilePath,
    /// The new path.
    pub to: FilePath,
    /// The file.
    pub file: FileEntry,
}

/// Removes from `changes` the pairs of a removed and an added file with equal content. Empty files prove nothing and stay.
pub fn pair_renames(changes: Vec<FileChange>) -> (Vec<Renamed>, Vec<FileChange>) {
    let mut removed: HashMap<Digest, Vec<FilePath>> = HashMap::new();
    for change in &changes {
        if let FileChange { path, old: Some(old), new: None } = change
            && old.size > 0
        {
            removed.entry(old.digest).or_default().push(path.clone());
        }
    }
    let mut renamed = Vec::new();
    for change in &changes {
        if let FileChange { path, old: None, new: Some(new) } = change
            && let Some(from) = removed.get_mut(&new.digest).filter(|from| !from.is_empty())
        {
            // If there are several, prefer one with the same name.
            let at = from.iter().position(|from| from.name() == path.name()).unwrap_or(0);
            renamed.push(Renamed { from: from.remove(at), to: path.clone(), file: *new });
        }
    }
    let gone: std::collections::HashSet<&FilePath> = renamed.iter().flat_map(|pair| [&pair.from, &pair.to]).collect();
    let rest = changes.into_iter().filter(|change| !gone.contains(&change.path)).collect();
    (renamed, rest)
}

/// A commit of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// Its id.
    pub id: CommitId,
    /// Its document.
    pub commit: Commit,
    /// What it did to the requested path itself; `None` without a path, or if it only changed something below it.
    pub did: Option<Did>,
}

/// A commit and its ancestors, newest first; with a path, only those that changed something at or below it. Ends after the first error.
#[derive(Debug)]
pub struct Log<'s> {
    store: &'s Store,
    next: Option<CommitId>,
    /// The history of the path, if there is one.
    path: Option<PathHistory<'s>>,
}

/// The history of a commit, including itself. A path in the reference selects commits.
pub fn log<'s>(store: &'s Store, from: &Resolved) -> Result<Log<'s>> {
    let path = if from.path.is_root() {
        None
    } else {
        Some(PathHistory::with_below(store, &from.commit.repo, from.id, &from.path)?)
    };
    Ok(Log { store, next: Some(from.id), path })
}

impl Log<'_> {
    fn advance(&mut self) -> Result<Option<Logged>> {
        let (id, did) = match &mut self.path {
            Some(path) => match path.next().transpose()? {
                Some(change) => change,
                None => return Ok(None),
            },
            None => match self.next {
                Some(id) => (id, None),
                None => return Ok(None),
            },
        };
        let commit = self.store.commit(&id)?;
        self.next = commit.parents.first().copied();
        Ok(Some(Logged { id, commit, did }))
    }
}

impl Iterator for Log<'_> {
    type Item = Result<Logged>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance().transpose();
        if matches!(next, Some(Err(_))) {
            (self.next, self.path) = (None, None);
        }
        next
    }
}
