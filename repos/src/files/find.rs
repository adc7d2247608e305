//! Where bytes or names are and were, over the histories of all branches and tags.

use std::collections::{BTreeMap, HashSet};

use specs::{CommitId, Digest, FilePath, Glob, RepoName};

use super::history::{FileChange, changes_of};
use crate::documents::Commit;
use crate::store::{Result, Store};
use crate::tree::{FileEntry, Tree};

/// What is looked for.
#[derive(Debug, Clone)]
pub enum What {
    /// Files with these bytes.
    Bytes(Digest),
    /// Files whose path matches, with whatever bytes.
    Path(Glob),
}

impl What {
    fn fits(&self, path: &FilePath, file: Option<&FileEntry>) -> bool {
        match self {
            Self::Bytes(digest) => file.is_some_and(|file| file.digest == *digest),
            Self::Path(glob) => file.is_some() && glob.matches(path.as_str()),
        }
    }
}

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
    /// Whether a branch's head has it.
    pub at_head: bool,
}

/// A commit with its place in the order of runs.
type Placed = (u64, CommitId);

/// One path while the histories are walked; commits come in the order of runs.
struct Trail {
    first: Placed,
    last: (Placed, FileEntry),
    at_head: bool,
}

/// Finds every path that has or had these bytes or this name, sorted by repository and path. Each commit is compared with its parent once.
pub fn find(store: &Store, what: &What) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for (repo, _) in store.repos()? {
        for (path, trail) in find_in(store, &repo, what)? {
            let Trail { first: (_, first), last: ((_, last), file), at_head } = trail;
            found.push(Found { repo: repo.clone(), path, file, first, last, at_head });
        }
    }
    Ok(found)
}

fn find_in(store: &Store, repo: &RepoName, what: &What) -> Result<BTreeMap<FilePath, Trail>> {
    let branches = store.branches(repo)?.into_iter().filter_map(|(_, row)| row.commit);
    let heads: HashSet<CommitId> = branches.collect();
    let tags = store.tags(repo)?.into_iter().map(|(_, row)| row.commit);
    let tips: HashSet<CommitId> = heads.iter().copied().chain(tags).collect();
    let mut trails = BTreeMap::new();
    for (placed, commit) in history(store, &tips)? {
        for change in changes_of(store, &commit, None)? {
            follow(store, &mut trails, what, placed, &commit, change?)?;
        }
    }
    for tip in tips {
        extend_to(store, &mut trails, what, tip, heads.contains(&tip))?;
    }
    Ok(trails)
}

/// All commits from which the tips came, each once, in the order of runs.
fn history(store: &Store, tips: &HashSet<CommitId>) -> Result<Vec<(Placed, Commit)>> {
    let mut seen = HashSet::new();
    let mut open: Vec<CommitId> = tips.iter().copied().collect();
    let mut commits = Vec::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let commit = store.commit(&id)?;
            open.extend(&commit.parents);
            commits.push((place(store, id)?, commit));
        }
    }
    commits.sort_unstable_by_key(|(placed, _)| *placed);
    Ok(commits)
}

fn place(store: &Store, id: CommitId) -> Result<Placed> {
    Ok((store.commit_row(&id)?.map_or(0, |row| row.order), id))
}

fn follow(
    store: &Store,
    trails: &mut BTreeMap<FilePath, Trail>,
    what: &What,
    placed: Placed,
    commit: &Commit,
    change: FileChange,
) -> Result<()> {
    let FileChange { path, old, new } = change;
    if let Some(file) = new.filter(|file| what.fits(&path, Some(file))) {
        let trail = trails.entry(path).or_insert(Trail { first: placed, last: (placed, file), at_head: false });
        trail.last = trail.last.max_by_place((placed, file));
    } else if let (Some(parent), Some(file)) = (commit.parents.first(), old.filter(|file| what.fits(&path, Some(file))))
        && let Some(trail) = trails.get_mut(&path)
    {
        trail.last = trail.last.max_by_place((place(store, *parent)?, file));
    }
    Ok(())
}

/// What a tip still has, it has last.
fn extend_to(
    store: &Store,
    trails: &mut BTreeMap<FilePath, Trail>,
    what: &What,
    tip: CommitId,
    is_head: bool,
) -> Result<()> {
    let tree = Tree::at(store.commit(&tip)?.tree);
    let placed = place(store, tip)?;
    let mut files = tree.cursor(store)?;
    for (path, trail) in trails {
        if let Some(file) = files.get(path.as_str().as_bytes())?.filter(|file| what.fits(path, Some(file))) {
            trail.last = trail.last.max_by_place((placed, file));
            trail.at_head |= is_head;
        }
    }
    Ok(())
}

/// The later of two places with what is there.
trait Later: Copy {
    fn max_by_place(self, other: Self) -> Self;
}

impl Later for (Placed, FileEntry) {
    fn max_by_place(self, other: Self) -> Self {
        if other.0 >= self.0 { other } else { self }
    }
}
