//! Brings the history index up to the commits that the journal has named.
//!
//! Applying a journal record leaves a row for each new commit: it *waits*. A step takes some waiting commits, parents before children, and
//! writes their rows; a commit with many changes takes several steps and records its progress. All rows of a step are written together, so
//! after a crash the index is merely behind. A commit in progress keeps its number, so repeating a part is harmless.

use std::ops::ControlFlow;

use rocksdb::Direction;
use serde::{Deserialize, Serialize};
use specs::{CommitId, Digest, ErrorKind, FilePath};

use super::commits::{Commits, parent_tree};
use super::did::Did;
use super::link::{Link, NONE, link_after, number_of};
use crate::base::error::{RepoError, Result};
use crate::documents::Commit;
use crate::index::apply::meta;
use crate::index::rows::{encode, read};
use crate::index::{Changes, Index, View, keys};
use crate::tree::{Change, FileEntry, KeyRange, Tree, path_of};

/// The cost of a commit besides its changes, in changes: its documents and the path down its tree are read.
const COMMIT_COST: usize = 32;
/// A path of this many bytes costs as much as a change.
const PATH_COST: usize = 64;
/// Maximum number of commits in a step.
const COMMITS: usize = 1024;

/// The progress of the history index. The text changes with every step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    text: String,
    /// The last number assigned.
    number: u32,
}

/// The progress within one commit.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    number: u32,
    /// The last path that is done.
    after: FilePath,
}

/// Rows to be written together.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The mark at which the step started.
    mark: Option<Vec<u8>>,
    rows: Changes,
    /// The cost of the step, in changes.
    pub(crate) cost: usize,
    /// Whether no commit waits after this step.
    pub(crate) is_last: bool,
}

impl Batch {
    /// The next step, of about `most` changes; it has no rows if no commit waits. The caller holds the store's lock, so an absent object is
    /// really missing.
    pub(crate) fn next(commits: &impl Commits, index: &Index, most: usize) -> Result<Self> {
        let mark = index.get(&keys::meta(meta::HISTORY))?;
        let waiting = waiting(index)?;
        if waiting.is_empty() {
            return Ok(Self { mark, rows: Changes::new(), cost: 0, is_last: true });
        }
        let known = mark.as_deref().map(|mark| read::<Mark>(&keys::meta(meta::HISTORY), mark)).transpose()?;
        let number = known.map_or(NONE, |mark| mark.number);
        let mut follower = Follower { commits, rows: View::new(index), number, left: most };
        let mut is_last = waiting.len() < COMMITS;
        for commit in waiting {
            if !follower.line(commit)? {
                is_last = false;
                break;
            }
        }
        let Follower { mut rows, number, left, .. } = follower;
        rows.put(keys::meta(meta::HISTORY), encode(&Mark { text: crate::base::random::hex(), number }));
        Ok(Self { mark, rows: rows.into_changes(), cost: most.saturating_sub(left).max(1), is_last })
    }

    /// Writes the rows, unless the index has moved on since the step was made, or continues in memory.
    pub(crate) fn take(self, index: &Index) -> Result<()> {
        if index.is_writable() && index.get(&keys::meta(meta::HISTORY))? == self.mark {
            index.commit(self.rows);
        }
        Ok(())
    }
}

/// Some of the waiting commits, in the order of runs.
fn waiting(index: &Index) -> Result<Vec<CommitId>> {
    let mut commits = Vec::new();
    let prefix = keys::all_waiting();
    index.visit(&prefix, &prefix, Direction::Forward, |key, _| {
        commits.extend(key.last_chunk::<32>().map(|id| CommitId::new(Digest::from_bytes(*id))));
        if commits.len() < COMMITS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(commits)
}

struct Follower<'a, C> {
    commits: &'a C,
    rows: View<'a>,
    number: u32,
    /// Number of changes that the step may still take.
    left: usize,
}

impl<C: Commits> Follower<'_, C> {
    /// Adds a commit after its waiting ancestors; false if the step is full.
    fn line(&mut self, commit: CommitId) -> Result<bool> {
        let mut line = Vec::new();
        let mut next = Some(commit);
        while let Some(id) = next {
            let Some(key) = self.waiting_key(&id)? else { break };
            let document = readable(self.commits.commit(&id))?;
            next = document.as_ref().and_then(|document| document.parents.first().copied());
            line.push((id, key, document));
        }
        for (id, key, document) in line.into_iter().rev() {
            if self.left < COMMIT_COST || !self.commit(id, key, document)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn waiting_key(&self, id: &CommitId) -> Result<Option<Vec<u8>>> {
        let Some(row) = self.commits.commit_row(id)? else { return Ok(None) };
        let key = keys::waiting(row.order, id);
        Ok(self.rows.get(&key)?.is_some().then_some(key))
    }

    /// Adds a commit, or the next part of it; false if more remains.
    fn commit(&mut self, id: CommitId, key: Vec<u8>, document: Option<Commit>) -> Result<bool> {
        self.left = self.left.saturating_sub(COMMIT_COST);
        if let Some(document) = &document
            && self.rows.get(&keys::repo(&document.repo))?.is_none()
        {
            // The repository is deleted, so no query can need these rows.
            self.rows.delete(key);
            return Ok(true);
        }
        // Empty if the commit only waits.
        let begun = self.rows.get(&key)?.filter(|begun| !begun.is_empty());
        let begun = begun.map(|begun| read::<Begun>(&key, &begun)).transpose()?;
        let number = if let Some(begun) = &begun {
            begun.number
        } else {
            self.number += 1;
            self.number
        };
        let after = match document {
            Some(document) => self.link_of(id, &document)?.zip(Some(document)),
            None => None,
        };
        let link = match after {
            None => Link::of_unknown(id, number),
            Some((link, document)) => {
                match readable(self.changes(&document, link.depth, number, begun.map(|begun| begun.after)))? {
                    None => Link::of_unknown(id, number),
                    Some(None) => link,
                    Some(Some(after)) => {
                        self.rows.put(key, encode(&Begun { number, after }));
                        return Ok(false);
                    }
                }
            }
        };
        self.rows.put(keys::link(number), link.encode());
        self.rows.put(keys::number(&id), number.to_be_bytes().to_vec());
        self.rows.delete(key);
        Ok(true)
    }

    /// The commit's link; `None` if its parent is not in the index.
    fn link_of(&self, id: CommitId, commit: &Commit) -> Result<Option<Link>> {
        let parent = match commit.parents.first() {
            None => Some(NONE),
            Some(parent) => number_of(&self.rows, parent)?,
        };
        parent.map_or(Ok(None), |parent| link_after(&self.rows, id, parent))
    }

    /// Writes rows for what a commit changed after the path `after`; returns the last path if the step is full before all is done.
    fn changes(
        &mut self,
        commit: &Commit,
        depth: u32,
        number: u32,
        after: Option<FilePath>,
    ) -> Result<Option<FilePath>> {
        // The key right after a path is that path with a zero byte.
        let from = after.map_or(Vec::new(), |after| [after.as_str().as_bytes(), &[0]].concat());
        let older = parent_tree(self.commits, commit)?;
        for change in older.diff_range(self.commits, Tree::at(commit.tree), KeyRange { from, to: None })? {
            let Change { key, old, new }: Change<FileEntry> = change?;
            let path = path_of(&key)?;
            let did = Did::of(old.is_some(), new);
            self.rows.put(keys::path_change(&commit.repo, path.as_str(), depth, number), did.encode());
            if let Some(file) = new {
                self.rows.put(keys::holder(&file.digest, &commit.repo, path.as_str()), Vec::new());
            }
            self.left = self.left.saturating_sub(1 + path.as_str().len() / PATH_COST);
            if self.left == 0 {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

/// `None` for an object that is damaged or missing; other failures are passed on, since they may be transient.
fn readable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.is_of_index() || matches!(error, RepoError::Io { .. }) => Err(error),
        Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
