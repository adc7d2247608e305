//! Which paths have or had some bytes or a name.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ops::ControlFlow;

use rocksdb::Direction;
use specs::{CommitId, Digest, FilePath, Glob, RepoName};

use super::changes::changes_of;
use super::path::{PathHistory, PathRow};
use crate::base::error::RepoError;
use crate::index::history::{Did, Links, NONE};
use crate::index::keys;
use crate::store::{Result, Store};
use crate::tree::{FileEntry, path_of};

/// A period for which a path had what was looked for: in each commit from the first to the last of one line of commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The path.
    pub path: FilePath,
    /// The file as it was last.
    pub file: FileEntry,
    /// The first commit of the period: in the one before it, if there is one, the path had something else or nothing.
    pub first: CommitId,
    /// The last commit of the period.
    pub last: CommitId,
    /// The commit after that, in which the path has something else or nothing; absent when a branch or tag ends with the period.
    pub ended_by: Option<CommitId>,
}

/// What is looked for.
#[derive(Debug, Clone)]
pub enum What {
    /// Files with these bytes.
    Bytes(Digest),
    /// Files whose path matches, with whatever bytes.
    Path(Glob),
}

impl What {
    /// Whether a file at this path is one of those.
    pub fn fits(&self, path: &FilePath, file: &FileEntry) -> bool {
        match self {
            Self::Bytes(digest) => file.digest == *digest,
            Self::Path(glob) => glob.matches(path.as_str()),
        }
    }
}

/// Hands over the periods for which paths of `repo` had what is looked for, over the histories that end in `tips`: path after path, and of
/// each the newest first. A period that several of the histories have comes for each of them.
pub fn held(
    store: &Store,
    repo: &RepoName,
    tips: &BTreeSet<CommitId>,
    what: &What,
    visit: &mut dyn FnMut(Held) -> Result<()>,
) -> Result<()> {
    let mut search = Search { store, repo, what, links: Some(Links::new(store.index())) };
    let (tips, mut paths) = search.ends(tips)?;
    match what {
        What::Bytes(digest) => {
            paths.extend(search.holders(digest)?);
            paths.into_iter().try_for_each(|path| search.path(&path, &tips, None, visit))
        }
        What::Path(glob) => {
            let mut after: Option<Vec<u8>> = None;
            while let Some((path, rows)) = search.next_path(glob, after.as_deref())? {
                paths.remove(&path);
                search.path(&path, &tips, Some(&rows), visit)?;
                after = Some(path.as_str().as_bytes().to_vec());
            }
            // What only commits have that the index does not.
            paths.into_iter().try_for_each(|path| search.path(&path, &tips, None, visit))
        }
    }
}

struct Search<'a> {
    store: &'a Store,
    repo: &'a RepoName,
    what: &'a What,
    /// Lent to one history after the other.
    links: Option<Links>,
}

/// What a walk over the commits that the index does not have finds.
#[derive(Default)]
struct Walk {
    seen: HashSet<CommitId>,
    /// The tips among them that none of them comes after.
    tips: BTreeSet<CommitId>,
    /// The numbers with which it came into the index.
    entered: Vec<u32>,
    /// Paths that fit.
    paths: BTreeSet<FilePath>,
}

impl Search<'_> {
    fn links(&mut self) -> &mut Links {
        self.links.get_or_insert_with(|| Links::new(self.store.index()))
    }

    /// The tips that no other tip comes after, as far as the index tells; and the paths that fit in commits that it does not have.
    fn ends(&mut self, tips: &BTreeSet<CommitId>) -> Result<(Vec<CommitId>, BTreeSet<FilePath>)> {
        let (mut numbered, mut walk) = (Vec::new(), Walk::default());
        for tip in tips {
            match self.links().number(tip)? {
                Some(number) => {
                    let depth = self.links().link(number)?.map_or(0, |link| link.depth);
                    numbered.push((depth, number, *tip));
                }
                None => {
                    walk.tips.insert(*tip);
                }
            }
        }
        for tip in tips {
            self.walk(*tip, &mut walk)?;
        }
        // The deepest first: those that come before it follow.
        numbered.sort_unstable_by(|one, other| other.cmp(one));
        let (mut ends, mut above) = (Vec::from_iter(walk.tips), walk.entered);
        for (depth, number, tip) in numbered {
            let mut is_covered = false;
            for other in &above {
                is_covered = is_covered || self.links().ancestor(*other, depth)? == Some(number);
            }
            if !is_covered {
                above.push(number);
                ends.push(tip);
            }
        }
        Ok((ends, walk.paths))
    }

    /// Goes through the commits from a tip back that the index does not have.
    fn walk(&mut self, tip: CommitId, walk: &mut Walk) -> Result<()> {
        let mut next = Some(tip);
        while let Some(id) = next {
            if let Some(number) = self.links().number(&id)? {
                if id != tip {
                    walk.entered.push(number);
                }
                let bottom = self.links().ancestor(number, 0)?.filter(|bottom| *bottom != NONE);
                let hole = bottom.map(|bottom| self.links().link(bottom)).transpose()?.flatten();
                next = hole.map(|link| link.commit);
                continue;
            }
            if !walk.seen.insert(id) {
                return Ok(());
            }
            let commit = self.store.commit(&id)?;
            for change in changes_of(self.store, &commit, None)? {
                let change = change?;
                if change.new.is_some_and(|file| self.what.fits(&change.path, &file)) {
                    walk.paths.insert(change.path);
                }
            }
            next = commit.parents.first().copied();
            if let Some(next) = &next {
                walk.tips.remove(next);
            }
        }
        Ok(())
    }

    /// The paths to which a commit that the index has gave these bytes, or others with the same first half of a digest.
    fn holders(&mut self, digest: &Digest) -> Result<Vec<FilePath>> {
        let mut paths = Vec::new();
        let prefix = keys::holders(digest);
        self.links().index().clone().try_visit(&prefix, &prefix, Direction::Forward, |key, _| {
            let (repo, path) = keys::in_holder(key).ok_or_else(|| RepoError::damaged_row(key))?;
            paths.extend((repo == *self.repo).then_some(path));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(paths)
    }

    /// The first path after `after` that fits, with all its rows, deepest first.
    fn next_path(&mut self, glob: &Glob, after: Option<&[u8]>) -> Result<Option<(FilePath, VecDeque<PathRow>)>> {
        let prefix = keys::path_changes_from(self.repo, glob.literal_prefix());
        let whole = keys::path_changes_from(self.repo, "");
        // The rows of a path have a zero byte after it.
        let start = after.map_or(prefix.clone(), |after| [&whole, after, &[1]].concat());
        let mut found: Option<(FilePath, VecDeque<PathRow>)> = None;
        let mut other: Vec<u8> = Vec::new();
        let repo = self.repo;
        self.links().index().clone().try_visit(&prefix, &start, Direction::Forward, |key, value| {
            let damaged = || RepoError::damaged_row(key);
            let (path, depth, number) = keys::in_path_change(key, repo).ok_or_else(damaged)?;
            match &mut found {
                Some((found, rows)) if found.as_str().as_bytes() == path => {
                    rows.push_front((depth, number, Did::decode(value).ok_or_else(damaged)?));
                }
                Some(_) => return Ok(ControlFlow::Break(())),
                None if other == path => {}
                None => {
                    let whole = path_of(path).map_err(|_| damaged())?;
                    if glob.matches(whole.as_str()) {
                        let did = Did::decode(value).ok_or_else(damaged)?;
                        found = Some((whole, VecDeque::from([(depth, number, did)])));
                    } else {
                        other.clear();
                        other.extend_from_slice(path);
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// The periods for which one path had what is looked for.
    fn path(
        &mut self,
        path: &FilePath,
        tips: &[CommitId],
        rows: Option<&VecDeque<PathRow>>,
        visit: &mut dyn FnMut(Held) -> Result<()>,
    ) -> Result<()> {
        for tip in tips {
            let links = self.links.take().unwrap_or_else(|| Links::new(self.store.index()));
            let mut history = match rows {
                Some(rows) => PathHistory::with_rows(self.store, links, (self.repo, path), *tip, rows.clone()),
                None => PathHistory::with_links(self.store, links, (self.repo, path), *tip),
            };
            let (mut ended_by, mut open): (_, Option<Held>) = (None, None);
            for change in &mut history {
                let (first, did) = change?;
                match (did.and_then(|did| did.file()).filter(|file| self.what.fits(path, file)), &mut open) {
                    // A change within the period: of the executable bit, or of bytes where the name is looked for.
                    (Some(_), Some(held)) => held.first = first,
                    (Some(file), None) => {
                        let last = match &ended_by {
                            None => *tip,
                            Some(next) => self.store.commit(next)?.parents.first().copied().unwrap_or(first),
                        };
                        open = Some(Held { path: path.clone(), file, first, last, ended_by });
                    }
                    (None, _) => open.take().map_or(Ok(()), &mut *visit)?,
                }
                ended_by = Some(first);
            }
            open.map_or(Ok(()), &mut *visit)?;
            self.links = Some(history.into_links());
        }
        Ok(())
    }
}
