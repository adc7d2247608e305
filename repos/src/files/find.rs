//! Finds where content or names are and were, over the histories of all branches and tags.
//!
//! Of each path, the newest ten periods are listed and the earlier ones are counted.

use std::collections::{BTreeMap, BTreeSet};

use specs::{CommitId, FilePath, RepoName};

use crate::base::error::RepoError;
use crate::history::{Held, What, held};
use crate::index::history::Links;
use crate::store::{Result, Store};
use crate::tree::{FileEntry, Tree};

/// Maximum number of periods reported for a path; the newest are kept.
const PERIODS: usize = 10;

/// A path that matches or once matched the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The source repository.
    pub repo: RepoName,
    /// The path.
    pub path: FilePath,
    /// The file as it last was.
    pub file: FileEntry,
    /// The first commit with it. It may have been absent between the first and the last: see `periods`.
    pub first: CommitId,
    /// The last commit with it.
    pub last: CommitId,
    /// Whether it is at the head of a branch.
    pub at_head: bool,
    /// The periods in which it existed, oldest first; at least one.
    pub periods: Vec<Period>,
    /// Number of earlier periods that are left out.
    pub periods_before: u64,
}

/// A line of consecutive commits that all match. Where branches diverge, each has its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// The first of them.
    pub first: CommitId,
    /// The last of them.
    pub last: CommitId,
    /// The file in the last commit.
    pub file: FileEntry,
    /// The commit after the last, in which it is gone; absent while a branch or tag ends with the last.
    pub ended_by: Option<CommitId>,
    /// Whether one of them is the head of a branch.
    pub at_head: bool,
}

/// A commit with its position in the order of runs.
type Placed = (u64, CommitId);

/// One path over all its periods.
struct Trail {
    file: FileEntry,
    /// By the first and last commit of each period, and the commit that ended it.
    periods: BTreeMap<(Placed, Placed, Option<CommitId>), FileEntry>,
    first: Placed,
    last: Placed,
}

/// Finds every path that has or had this content or name, sorted by repository and path. Uses the history index, so the time depends on the
/// number of matches.
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
        let (first, last) = (place(store, held.first)?, place(store, held.last)?);
        let Held { path, file, ended_by, .. } = held;
        trails.entry(path).or_insert_with(|| Trail::new(file, first, last)).add(file, first, last, ended_by);
        Ok(())
    })?;
    if trails.is_empty() {
        return Ok(());
    }
    let trees = heads.iter().map(|head| Ok((*head, Tree::at(store.commit(head)?.tree)))).collect::<Result<Vec<_>>>()?;
    let trees = trees.into_iter().map(|(head, tree)| Ok((head, tree.cursor(store)?)));
    let mut trees = trees.collect::<Result<Vec<_>>>()?;
    let mut links = Links::new(store.index());
    for (path, trail) in trails {
        let mut with_it = Vec::new();
        for (head, tree) in &mut trees {
            let file = tree.get(path.as_str().as_bytes())?;
            with_it.extend(file.is_some_and(|file| what.fits(&path, &file)).then_some(*head));
        }
        let before = trail.periods.len().saturating_sub(PERIODS);
        let mut periods = Vec::new();
        for (((_, first), (_, last), ended_by), file) in trail.periods.into_iter().skip(before) {
            let mut at_head = false;
            for head in &with_it {
                let is_within = |links: &mut Links| {
                    Ok::<_, RepoError>(links.leads_to(store, last, *head)? && links.leads_to(store, *head, first)?)
                };
                at_head = at_head || *head == last || is_within(&mut links)?;
            }
            periods.push(Period { first, last, file, ended_by, at_head });
        }
        found.push(Found {
            repo: repo.clone(),
            path,
            file: trail.file,
            first: trail.first.1,
            last: trail.last.1,
            at_head: !with_it.is_empty(),
            periods,
            periods_before: before as u64,
        });
    }
    Ok(())
}

impl Trail {
    fn new(file: FileEntry, first: Placed, last: Placed) -> Self {
        Self { file, periods: BTreeMap::new(), first, last }
    }

    fn add(&mut self, file: FileEntry, first: Placed, last: Placed, ended_by: Option<CommitId>) {
        self.first = self.first.min(first);
        if last > self.last {
            (self.last, self.file) = (last, file);
        }
        self.periods.insert((first, last, ended_by), file);
    }
}

fn place(store: &Store, id: CommitId) -> Result<Placed> {
    Ok((store.commit_row(&id)?.map_or(0, |row| row.order), id))
}
