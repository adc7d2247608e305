//! Brings the history index up to the commits that the journal has named.
//!
//! Applying a journal record leaves a row for every commit that is new: it *waits*. A step takes some of them, parents before children,
//! and makes their rows; a commit with many changes takes several steps and notes how far it has come. All rows of a step are written
//! together, so after a crash the index is merely behind. A commit that has begun keeps its number, so doing a part again is not a harm.

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

/// What a commit costs beside its changes, in changes: its documents and the way down its tree are read.
const COMMIT_COST: usize = 32;
/// Bytes of a path that cost as much as a change.
const PATH_COST: usize = 64;
/// Commits that a step looks at.
const COMMITS: usize = 1024;

/// How far the history index has come. The text is another one after every step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    text: String,
    /// The last number that was given.
    number: u32,
}

/// How far the index has come with a commit.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    number: u32,
    /// The last path that is done.
    after: FilePath,
}

/// Rows to be written together.
#[derive(Debug)]
pub(crate) struct Step {
    /// Where the index stood.
    mark: Option<Vec<u8>>,
    rows: Changes,
    /// What it cost, in changes.
    pub(crate) cost: usize,
    /// Whether no commit waits after it.
    pub(crate) is_last: bool,
}

impl Step {
    /// The next step, of about `most` changes; without rows when no commit waits. The caller holds the store's lock, so that what is not
    /// there is missing.
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

    /// Writes the rows, unless the index is not the one any more that they were made for, or continues in memory.
    pub(crate) fn take(self, index: &Index) -> Result<()> {
        if index.is_writable() && index.get(&keys::meta(meta::HISTORY))? == self.mark {
            index.commit(self.rows);
        }
        Ok(())
    }
}

/// Some commits that wait, in the order of runs.
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
    /// Changes that the step may still take.
    left: usize,
}

impl<C: Commits> Follower<'_, C> {
    /// Enters a commit after those that it comes after; false when the step is full.
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

    /// Enters a commit, or the next part of it; false when there is more.
    fn commit(&mut self, id: CommitId, key: Vec<u8>, document: Option<Commit>) -> Result<bool> {
        self.left = self.left.saturating_sub(COMMIT_COST);
        if let Some(document) = &document
            && self.rows.get(&keys::repo(&document.repo))?.is_none()
        {
            // Nobody can ask any more.
            self.rows.delete(key);
            return Ok(true);
        }
        // Empty while it only waits.
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

    /// The commit's link; `None` when its parent is not in the index.
    fn link_of(&self, id: CommitId, commit: &Commit) -> Result<Option<Link>> {
        let parent = match commit.parents.first() {
            None => Some(NONE),
            Some(parent) => number_of(&self.rows, parent)?,
        };
        parent.map_or(Ok(None), |parent| link_after(&self.rows, id, parent))
    }

    /// Makes the rows of what a commit changed after the path `after`; the last path when the step is full before all is done.
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

/// `None` for what is damaged or not there (any more); other failures may pass.
fn readable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.is_of_index() || matches!(error, RepoError::Io { .. }) => Err(error),
        Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
