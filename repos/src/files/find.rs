//! Where bytes or names are and were, over the histories of all branches and tags.

use std::collections::{BTreeMap, BTreeSet};

use specs::{CommitId, FilePath, RepoName};

use crate::history::{Held, What, held};
use crate::store::{Result, Store};
use crate::tree::{FileEntry, Tree};

/// A path that has, or had, what was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The repository.
    pub repo: RepoName,
    /// The path.
    pub path: FilePath,
    /// The file as it was last.
    pub file: FileEntry,
    /// The first commit with it.
    pub first: CommitId,
    /// The last commit with it.
    pub last: CommitId,
    /// The commit in which it had it no more, after the last one; absent while a branch or tag ends with it.
    pub ended_by: Option<CommitId>,
    /// Whether a branch's head has it.
    pub at_head: bool,
}

/// A commit with its place in the order of runs.
type Placed = (u64, CommitId);

/// One path over all its times.
struct Trail {
    first: Placed,
    last: Placed,
    file: FileEntry,
    ended_by: Option<CommitId>,
}

/// Finds every path that has or had these bytes or this name, sorted by repository and path: by the history index, so in time that
/// depends on what is found.
pub fn find(store: &Store, what: &What) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for (repo, _) in store.repos()? {
        find_in(store, &repo, what, &mut found)?;
    }
    Ok(found)
}

fn find_in(store: &Store, repo: &RepoName, what: &What, found: &mut Vec<Found>) -> Result<()> {
    let heads: BTreeSet<CommitId> = store.branches(repo)?.into_iter().filter_map(|(_, row)| row.commit).collect();
    let tags = store.tags(repo)?.into_iter().map(|(_, row)| row.commit);
    let tips: BTreeSet<CommitId> = heads.iter().copied().chain(tags).collect();
    let mut trails: BTreeMap<FilePath, Trail> = BTreeMap::new();
    held(store, repo, &tips, what, &mut |held| {
        let Held { path, file, first, last, ended_by } = held;
        let (first, last) = (place(store, first)?, place(store, last)?);
        let trail = trails.entry(path).or_insert(Trail { first, last, file, ended_by });
        trail.first = trail.first.min(first);
        if last > trail.last {
            (trail.last, trail.file, trail.ended_by) = (last, file, ended_by);
        }
        Ok(())
    })?;
    if trails.is_empty() {
        return Ok(());
    }
    let trees = heads.iter().map(|head| Ok(Tree::at(store.commit(head)?.tree))).collect::<Result<Vec<_>>>()?;
    let mut trees = trees.into_iter().map(|tree| tree.cursor(store)).collect::<Result<Vec<_>>>()?;
    for (path, trail) in trails {
        let mut at_head = false;
        for tree in &mut trees {
            let file = tree.get(path.as_str().as_bytes())?;
            at_head = at_head || file.is_some_and(|file| what.fits(&path, &file));
        }
        let Trail { first: (_, first), last: (_, last), file, ended_by } = trail;
        found.push(Found { repo: repo.clone(), path, file, first, last, ended_by, at_head });
    }
    Ok(())
}

fn place(store: &Store, id: CommitId) -> Result<Placed> {
    Ok((store.commit_row(&id)?.map_or(0, |row| row.order), id))
}
