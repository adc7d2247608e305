//! The position of a commit among its ancestors.

use std::collections::HashMap;
use std::sync::Arc;

use specs::{CommitId, Digest};

use super::commits::Commits;
use crate::base::error::{RepoError, Result};
use crate::index::{Index, keys};

/// The number that means "no commit": the parent of a first commit.
pub(crate) const NONE: u32 = 0;

/// The position of a commit in its history.
///
/// Only the beginning (number 0, no commit) and commits whose changes are not in the index have depth 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) commit: CommitId,
    pub(crate) parent: u32,
    pub(crate) depth: u32,
    /// An ancestor further back, so that lookups skip parents.
    pub(crate) jump: u32,
}

impl Link {
    /// The beginning of every history that is known from its first commit.
    const BEGINNING: Self =
        Self { commit: CommitId::new(Digest::from_bytes([0; 32])), parent: NONE, depth: 0, jump: NONE };

    /// The link of a commit whose changes are not known and that has this `number`.
    pub(crate) fn of_unknown(commit: CommitId, number: u32) -> Self {
        Self { commit, parent: number, depth: 0, jump: number }
    }

    /// Shape: 32 bytes of commit id, then parent, depth and jump as big-endian u32.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.commit.digest().as_bytes().to_vec();
        for number in [self.parent, self.depth, self.jump] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (commit, rest) = bytes.split_first_chunk::<32>()?;
        let number = |at: usize| rest.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        let commit = CommitId::new(Digest::from_bytes(*commit));
        (rest.len() == 12).then_some(Self { commit, parent: number(0)?, depth: number(4)?, jump: number(8)? })
    }
}

/// A source of links.
pub(crate) trait Rows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;
}

impl Rows for Index {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Self::get(self, key)
    }
}

impl Rows for crate::index::View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Self::get(self, key)
    }
}

/// The number of a commit, if it is in the index.
pub(crate) fn number_of(rows: &impl Rows, commit: &CommitId) -> Result<Option<u32>> {
    let key = keys::number(commit);
    let Some(found) = rows.get(&key)? else { return Ok(None) };
    let number = found.try_into().map_err(|_| RepoError::damaged_row(&key))?;
    Ok(Some(u32::from_be_bytes(number)))
}

/// The link with a number.
pub(crate) fn link_of(rows: &impl Rows, number: u32) -> Result<Option<Link>> {
    if number == NONE {
        return Ok(Some(Link::BEGINNING));
    }
    let key = keys::link(number);
    let Some(found) = rows.get(&key)? else { return Ok(None) };
    Link::decode(&found).map(Some).ok_or_else(|| RepoError::damaged_row(&key))
}

/// The link of a commit whose parent has the number `parent`. If the two jumps behind it are equally long, its jump covers both; else it is
/// one step. So every lookup takes O(log n) steps.
pub(crate) fn link_after(rows: &impl Rows, commit: CommitId, parent: u32) -> Result<Option<Link>> {
    let Some(before) = link_of(rows, parent)? else { return Ok(None) };
    let Some(one) = link_of(rows, before.jump)? else { return Ok(None) };
    let Some(two) = link_of(rows, one.jump)? else { return Ok(None) };
    let is_even = before.depth - one.depth == one.depth - two.depth;
    let jump = if is_even { one.jump } else { parent };
    Ok(Some(Link { commit, parent, depth: before.depth + 1, jump }))
}

/// Looks up links and caches them.
#[derive(Debug)]
pub(crate) struct Links {
    index: Arc<Index>,
    known: HashMap<u32, Link>,
}

impl Links {
    pub(crate) fn new(index: Arc<Index>) -> Self {
        Self { index, known: HashMap::new() }
    }

    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// The number of a commit whose changes are in the index.
    pub(crate) fn number(&mut self, commit: &CommitId) -> Result<Option<u32>> {
        let number = number_of(&*self.index, commit)?;
        Ok(match number {
            Some(number) if self.link(number)?.is_some_and(|link| link.depth > 0) => Some(number),
            _ => None,
        })
    }

    /// Whether the index has the changes of a commit.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn has(&mut self, commit: &CommitId) -> Result<bool> {
        Ok(self.number(commit)?.is_some())
    }

    pub(crate) fn link(&mut self, number: u32) -> Result<Option<Link>> {
        if let Some(known) = self.known.get(&number) {
            return Ok(Some(*known));
        }
        let link = link_of(&*self.index, number)?;
        if let Some(link) = link {
            self.known.insert(number, link);
        }
        Ok(link)
    }

    /// Whether `older` is `newer` or an ancestor of it. Commits that the index lacks are walked.
    pub(crate) fn leads_to(&mut self, commits: &impl Commits, newer: CommitId, older: CommitId) -> Result<bool> {
        let number_of = |id: &CommitId| Ok::<_, RepoError>(commits.commit_row(id)?.map_or(0, |row| row.order));
        let (mut at, beginning) = (Some(newer), number_of(&older)?);
        while let Some(id) = at {
            if id == older {
                return Ok(true);
            }
            // An ancestor never has a later run.
            if number_of(&id)? < beginning {
                return Ok(false);
            }
            if let (Some(from), Some(to)) = (self.number(&id)?, self.number(&older)?) {
                let depth = self.link(to)?.map_or(0, |link| link.depth);
                if self.ancestor(from, depth)? == Some(to) {
                    return Ok(true);
                }
                // Below a gap in the index the history may continue; only a walk can tell.
                let bottom = self.ancestor(from, 0)?.filter(|bottom| *bottom != NONE);
                at = bottom.map(|bottom| self.link(bottom)).transpose()?.flatten().map(|link| link.commit);
                continue;
            }
            at = commits.commit(&id)?.parents.first().copied();
        }
        Ok(false)
    }

    /// The ancestor of `number` at `depth`, or `number` itself if it has this depth; `None` if its known history starts at a greater depth.
    pub(crate) fn ancestor(&mut self, number: u32, depth: u32) -> Result<Option<u32>> {
        let mut at = number;
        loop {
            let Some(link) = self.link(at)? else { return Ok(None) };
            if link.depth <= depth {
                return Ok((link.depth == depth).then_some(at));
            }
            let is_far = self.link(link.jump)?.is_some_and(|jump| jump.depth >= depth);
            at = if is_far { link.jump } else { link.parent };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::index::Changes;

    struct Memory(RefCell<BTreeMap<Vec<u8>, Vec<u8>>>);

    impl Rows for Memory {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
            Ok(self.0.borrow().get(key).cloned())
        }
    }

    fn commit(number: u32) -> CommitId {
        CommitId::new(crate::base::hash::digest_of(&number.to_be_bytes()))
    }

    /// An index of the numbers 1.. with the given parents (0 for none).
    fn forest(parents: &[u32]) -> Index {
        let rows = Memory(RefCell::default());
        for (number, parent) in (1..).zip(parents) {
            let link = link_after(&rows, commit(number), *parent).unwrap().unwrap();
            rows.0.borrow_mut().insert(keys::link(number), link.encode());
        }
        let index = Index::in_memory();
        index.commit(rows.0.into_inner().into_iter().map(|(key, value)| (key, Some(value))).collect::<Changes>());
        index
    }

    proptest! {
        #[test]
        fn the_ancestor_at_a_depth_is_the_one_that_parents_lead_to(choices in proptest::collection::vec(any::<prop::sample::Index>(), 1..60)) {
            let parents: Vec<u32> = (0..).zip(&choices).map(|(number, choice)| choice.index(number + 1) as u32).collect();
            let mut links = Links { index: Arc::new(forest(&parents)), known: HashMap::new() };
            for number in 1..=parents.len() as u32 {
                let mut at = number;
                let mut depth = links.link(number).unwrap().unwrap().depth;
                prop_assert_eq!(links.ancestor(number, depth + 1).unwrap(), None);
                while at != NONE {
                    prop_assert_eq!(links.ancestor(number, depth).unwrap(), Some(at));
                    at = parents[at as usize - 1];
                    depth -= 1;
                }
                prop_assert_eq!(links.ancestor(number, depth).unwrap(), Some(NONE));
            }
        }
    }

    #[test]
    fn the_way_to_an_old_ancestor_is_short() {
        let parents: Vec<u32> = (0..10_000).collect();
        let mut links = Links { index: Arc::new(forest(&parents)), known: HashMap::new() };
        assert_eq!(links.ancestor(10_000, 17).unwrap(), Some(17));
        assert!(links.known.len() < 100, "{} links were read", links.known.len());
    }
}
