//! Which paths have or had some content or a name.

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

/// A period in which a path matched the query: every commit from the first to the last on one line of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The path.
    pub path: FilePath,
    /// The file at the end of the period.
    pub file: FileEntry,
    /// The first commit of the period: in its parent, if any, the path did not match.
    pub first: CommitId,
    /// The last commit of the period.
    pub last: CommitId,
    /// The commit after the last, in which the path no longer matches; absent if the period ends at a branch or tag.
    pub ended_by: Option<CommitId>,
}

/// What to search for.
#[derive(Debug, Clone)]
pub enum What {
    /// Files with this content.
    Bytes(Digest),
    /// Files whose path matches, whatever their content.
    Path(Glob),
}

impl What {
    /// Whether a file at this path matches.
    pub fn fits(&self, path: &FilePath, file: &FileEntry) -> bool {
        match self {
            Self::Bytes(digest) => file.digest == *digest,
            Self::Path(glob) => glob.matches(path.as_str()),
        }
    }
}

/// Passes on the periods in which paths of `repo` matched, over the histories that end in `tips`: path by path, and per path the newest
/// first. A period shared by several histories is reported for each of them.
pub fn held(
    store: &Store,
    repo: &RepoName,
    tips: &BTreeSet<CommitId>,
    what: &What,
    visit: &mut dyn FnMut(Held) -> Result<()>,
) -> Result<()> {
    if !store.sees(repo) {
        return Ok(());
    }
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
            // Paths that occur only in commits missing from the index.
            paths.into_iter().try_for_each(|path| search.path(&path, &tips, None, visit))
        }
    }
}

struct Search<'a> {
    store: &'a Store,
    repo: &'a RepoName,
    what: &'a What,
    /// Passed from one history to the next.
    links: Option<Links>,
}

/// The result of walking the commits that are not in the index.
#[derive(Default)]
struct Walk {
    seen: HashSet<CommitId>,
    /// Those tips that are not an ancestor of another tip.
    tips: BTreeSet<CommitId>,
    /// The numbers of the commits where the walk reached the index.
    entered: Vec<u32>,
    /// Matching paths.
    paths: BTreeSet<FilePath>,
}

impl Search<'_> {
    fn links(&mut self) -> &mut Links {
        self.links.get_or_insert_with(|| Links::new(self.store.index()))
    }

    /// The tips that are not an ancestor of another tip, as far as the index can tell; and the matching paths in commits missing from the
    /// index.
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
        // The deepest first: their ancestors follow.
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

    /// Walks back from a tip through the commits that are not in the index.
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

    /// The paths to which a commit in the index gave this content, or other content with the same first half of the digest.
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

    /// The first matching path after `after`, with all its rows, deepest first.
    fn next_path(&mut self, glob: &Glob, after: Option<&[u8]>) -> Result<Option<(FilePath, VecDeque<PathRow>)>> {
        let prefix = keys::path_changes_from(self.repo, glob.literal_prefix());
        let whole = keys::path_changes_from(self.repo, "");
        // The key continues with a zero byte after the path.
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

    /// The periods in which one path matched.
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
                    // A change within the period: of the executable bit or, in a search by name, of content.
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
