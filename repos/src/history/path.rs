//! The changes of one path, newest first: looked up in the index where possible, walked otherwise.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;

use rocksdb::Direction;
use specs::{CommitId, FilePath, RepoName};

use super::changes::{changes_of, parent_tree};
use crate::base::error::RepoError;
use crate::documents::Commit;
use crate::index::history::{Did, Link, Links, NONE};
use crate::index::keys;
use crate::store::{Result, Store};
use crate::tree::Tree;

/// Number of rows read at a time.
const ROWS: usize = 64;
/// Maximum number of rows read below a directory; beyond that its history is walked.
const MOST_BELOW: usize = 100_000;
/// Sorts after the depth and number of every row.
const LAST: (u32, u32) = (u32::MAX, u32::MAX);

/// A change of one path in the index: the depth and number of the commit, and what it did.
pub(super) type PathRow = (u32, u32, Did);

/// The commits that changed a path, newest first, with what each did to the file there: `None` if it only changed something below the path.
/// Ends after the first error.
#[derive(Debug)]
pub struct PathHistory<'s> {
    store: &'s Store,
    links: Links,
    repo: RepoName,
    path: FilePath,
    at: At,
    /// The next rows, of this commit's history and of others; deepest first.
    rows: VecDeque<PathRow>,
    /// Where to continue reading; `None` if all rows are read.
    before: Option<(u32, u32)>,
    below: Below,
    /// The last row that was examined.
    passed: (u32, u32),
}

/// Where the history continues.
#[derive(Debug, Clone, Copy)]
enum At {
    /// At this commit.
    Commit(CommitId),
    /// At the rows of this number and of its ancestors.
    Number(u32),
    End,
}

/// Which changes below the path count too.
#[derive(Debug)]
enum Below {
    Nothing,
    /// Depth and number of all commits that changed something below it, including other histories.
    Rows(BTreeSet<(u32, u32)>),
    /// Too many: walking the history as it is read is cheaper.
    TooMuch,
}

impl<'s> PathHistory<'s> {
    /// The changes of the file at `path`, from the commit backwards. `repo` is the commit's repository.
    pub fn new(store: &'s Store, repo: &RepoName, commit: CommitId, path: &FilePath) -> Self {
        Self::with_links(store, Links::new(store.index()), (repo, path), commit)
    }

    /// Like [`Self::new`], and the changes below `path`.
    pub fn with_below(store: &'s Store, repo: &RepoName, commit: CommitId, path: &FilePath) -> Result<Self> {
        let links = Links::new(store.index());
        let (mut rows, mut read) = (BTreeSet::new(), 0);
        let prefix = keys::path_changes_from(repo, &path.as_prefix());
        links.index().try_visit(&prefix, &prefix, Direction::Forward, |key, _| {
            read += 1;
            let (_, depth, number) = keys::in_path_change(key, repo).ok_or_else(|| RepoError::damaged_row(key))?;
            rows.insert((depth, number));
            Ok(if read <= MOST_BELOW { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        let below = if read <= MOST_BELOW { Below::Rows(rows) } else { Below::TooMuch };
        Ok(Self { below, ..Self::with_links(store, links, (repo, path), commit) })
    }

    /// The changes of the file, with links that are already cached.
    pub(super) fn with_links(
        store: &'s Store,
        links: Links,
        (repo, path): (&RepoName, &FilePath),
        commit: CommitId,
    ) -> Self {
        let (repo, path, at) = (repo.clone(), path.clone(), At::Commit(commit));
        let (rows, before) = (VecDeque::new(), Some(LAST));
        Self { store, links, repo, path, at, rows, before, below: Below::Nothing, passed: LAST }
    }

    /// Like [`Self::with_links`], with all rows of the path, deepest first.
    pub(super) fn with_rows(
        store: &'s Store,
        links: Links,
        at: (&RepoName, &FilePath),
        commit: CommitId,
        rows: VecDeque<PathRow>,
    ) -> Self {
        Self { rows, before: None, ..Self::with_links(store, links, at, commit) }
    }

    /// Gives the links back.
    pub(super) fn into_links(self) -> Links {
        self.links
    }

    fn advance(&mut self) -> Result<Option<(CommitId, Option<Did>)>> {
        loop {
            match self.at {
                At::End => return Ok(None),
                At::Commit(id) => match self.number(&id)? {
                    Some(number) => self.at = At::Number(number),
                    None => {
                        if let Some(change) = self.walk(id)? {
                            return Ok(Some(change));
                        }
                    }
                },
                At::Number(number) => {
                    let Some(link) = self.links.link(number)?.filter(|_| number != NONE) else {
                        self.at = At::End;
                        continue;
                    };
                    if link.depth == 0 {
                        // A gap is walked, and its ancestors may be in the index again, at any depth.
                        (self.at, self.before, self.passed) = (At::Commit(link.commit), Some(LAST), LAST);
                        self.rows.clear();
                    } else if let Some((found, did)) = self.look_up(number, link.depth)? {
                        self.at = At::Number(found.parent);
                        return Ok(Some((found.commit, did)));
                    }
                }
            }
        }
    }

    fn number(&mut self, id: &CommitId) -> Result<Option<u32>> {
        match self.below {
            Below::TooMuch => Ok(None),
            _ => self.links.number(id),
        }
    }

    /// What a commit that is not in the index did, if anything; continues to its parent.
    fn walk(&mut self, id: CommitId) -> Result<Option<(CommitId, Option<Did>)>> {
        let commit = self.store.commit(&id)?;
        self.at = commit.parents.first().map_or(At::End, |parent| At::Commit(*parent));
        let did = did_at(self.store, &commit, &self.path)?;
        if did.is_some() || matches!(self.below, Below::Nothing) {
            return Ok(did.map(|did| (id, Some(did))));
        }
        let below = changes_of(self.store, &commit, Some(&self.path))?.next().transpose()?;
        Ok(below.map(|_| (id, None)))
    }

    /// The newest change by a commit or its ancestors; without one, continues where the index's knowledge of them begins.
    fn look_up(&mut self, number: u32, depth: u32) -> Result<Option<(Link, Option<Did>)>> {
        while let Some((row_depth, row_number, did)) = self.next_row(depth)? {
            if self.links.ancestor(number, row_depth)? == Some(row_number) {
                return Ok(self.links.link(row_number)?.map(|link| (link, did)));
            }
        }
        self.at = self.links.ancestor(number, 0)?.map_or(At::End, At::Number);
        Ok(None)
    }

    /// The next row at most at this `depth`.
    fn next_row(&mut self, depth: u32) -> Result<Option<(u32, u32, Option<Did>)>> {
        let own = self.own_row(depth)?;
        let below = match &self.below {
            Below::Rows(rows) => rows.range(..self.passed.min((depth, u32::MAX))).next_back().copied(),
            _ => None,
        };
        let next = own.map(|(depth, number, _)| (depth, number)).max(below);
        self.passed = next.unwrap_or(self.passed);
        let did = own.filter(|(depth, number, _)| Some((*depth, *number)) == next).map(|(_, _, did)| did);
        if did.is_some() {
            self.rows.pop_front();
        }
        Ok(next.map(|(depth, number)| (depth, number, did)))
    }

    /// The first row of the path itself, at most at this `depth`; it stays in the queue.
    fn own_row(&mut self, depth: u32) -> Result<Option<PathRow>> {
        loop {
            match self.rows.front() {
                Some(row) if row.0 <= depth => return Ok(Some(*row)),
                Some(_) => {
                    self.rows.pop_front();
                }
                None => {
                    let Some(before) = self.before else { return Ok(None) };
                    self.read_rows(before.min((depth, u32::MAX)))?;
                }
            }
        }
    }

    fn read_rows(&mut self, (depth, number): (u32, u32)) -> Result<()> {
        let prefix = keys::path_changes(&self.repo, self.path.as_str());
        let start = keys::path_change(&self.repo, self.path.as_str(), depth, number);
        let (repo, rows) = (&self.repo, &mut self.rows);
        self.links.index().try_visit(&prefix, &start, Direction::Reverse, |key, value| {
            let row = keys::in_path_change(key, repo).zip(Did::decode(value));
            let ((_, depth, number), did) = row.ok_or_else(|| RepoError::damaged_row(key))?;
            rows.push_back((depth, number, did));
            Ok(if rows.len() < ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        let last = self.rows.back().filter(|_| self.rows.len() == ROWS);
        self.before = last.and_then(|(depth, number, _)| match number.checked_sub(1) {
            Some(number) => Some((*depth, number)),
            None => depth.checked_sub(1).map(|depth| (depth, u32::MAX)),
        });
        Ok(())
    }
}

/// What a commit did to a path, from its files and its parent's.
pub(super) fn did_at(store: &Store, commit: &Commit, path: &FilePath) -> Result<Option<Did>> {
    let (old, new) = (parent_tree(store, commit)?.file(store, path)?, Tree::at(commit.tree).file(store, path)?);
    Ok((old != new).then(|| Did::of(old.is_some(), new)))
}

impl Iterator for PathHistory<'_> {
    type Item = Result<(CommitId, Option<Did>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance().transpose();
        if matches!(next, Some(Err(_))) {
            self.at = At::End;
        }
        next
    }
}

/// The commit that gave a path the file that it has in `commit`; `None` if the path has no file there.
pub fn introduced(store: &Store, repo: &RepoName, commit: CommitId, path: &FilePath) -> Result<Option<CommitId>> {
    let newest = PathHistory::new(store, repo, commit, path).next().transpose()?;
    Ok(newest.filter(|(_, did)| did.is_some_and(|did| did.file().is_some())).map(|(commit, _)| commit))
}
