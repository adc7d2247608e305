//! What branches, tags, open jobs and recently named commits reach.

use std::collections::{BTreeMap, HashMap, HashSet};

use specs::CommitId;

use crate::base::pruned::PruneWhy;
use crate::base::time::Timestamp;
use crate::documents::Commit;
use crate::store::{Result, Store};

/// What holds commits: branches and tags first, then temporary holders.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// As text, such as `branch images@main`; a holder's number is its position here.
    pub(super) holders: Vec<String>,
    /// How many of them are branches and tags.
    lasting: u32,
    /// Each reachable commit: its first holder, and whether that is the only one.
    pub(super) commits: HashMap<CommitId, Held>,
    /// Heads and tagged commits.
    pub(super) pointed_to: HashSet<CommitId>,
}

/// What holds a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// The first of its holders.
    pub(super) by: u32,
    /// Whether there is no other holder.
    pub(super) alone: bool,
}

/// Everything that a commit depends on.
pub(super) fn below(commit: &Commit) -> impl Iterator<Item = CommitId> {
    let origins = commit.provenance.iter().map(|origin| origin.commit);
    commit.parents.iter().copied().chain(origins).chain(commit.sources.iter().map(|source| source.commit))
}

impl Reach {
    /// What is reachable, counting everything that the journal named after `since`.
    pub(super) fn of(store: &Store, since: Timestamp) -> Result<Self> {
        let mut reach = Self::default();
        let mut roots: BTreeMap<u32, Vec<CommitId>> = BTreeMap::new();
        for (holder, commit) in Self::of_pointers(store)? {
            reach.pointed_to.insert(commit);
            roots.insert(reach.holders.len() as u32, vec![commit]);
            reach.holders.push(holder);
        }
        reach.lasting = reach.holders.len() as u32;
        roots.insert(reach.lasting, inputs_of_open_jobs(store)?);
        reach.holders.push("open jobs".to_owned());
        let mut lately = Vec::new();
        store.visit_commits(|id, row| {
            if row.named_at > since {
                lately.push(id);
            }
        })?;
        roots.insert(reach.holders.len() as u32, lately);
        reach.holders.push("gc_grace".to_owned());
        for (holder, commits) in roots {
            reach.walk(store, holder, commits)?;
        }
        Ok(reach)
    }

    /// The commits that branches and tags point to.
    fn of_pointers(store: &Store) -> Result<Vec<(String, CommitId)>> {
        let mut pointers = Vec::new();
        for (repo, _) in store.repos()? {
            let branches = store.branches(&repo)?.into_iter();
            pointers.extend(branches.filter_map(|(name, row)| Some((format!("branch {repo}@{name}"), row.commit?))));
            let tags = store.tags(&repo)?.into_iter();
            pointers.extend(tags.map(|(name, row)| (format!("tag {repo}@{name}"), row.commit)));
        }
        Ok(pointers)
    }

    /// Visits a commit at most twice: for its first and for its second holder.
    fn walk(&mut self, store: &Store, holder: u32, mut open: Vec<CommitId>) -> Result<()> {
        while let Some(id) = open.pop() {
            match self.commits.get_mut(&id) {
                // Temporary holders do not change what a branch or tag holds alone.
                Some(held) if held.by == holder || !held.alone || holder >= self.lasting => continue,
                Some(held) => held.alone = false,
                None => {
                    self.commits.insert(id, Held { by: holder, alone: true });
                }
            }
            open.extend(below(&store.commit(&id)?));
        }
        Ok(())
    }
}

/// The branch heads at the time of each open job's run: everything that these jobs may read.
pub(super) fn inputs_of_open_jobs(store: &Store) -> Result<Vec<CommitId>> {
    let mut orders: Vec<u64> = store.open_jobs()?.into_iter().map(|job| job.order).collect();
    orders.dedup();
    let mut inputs = Vec::new();
    if orders.is_empty() {
        return Ok(inputs);
    }
    for (repo, _) in store.repos()? {
        for (branch, _) in store.branches(&repo)? {
            for order in &orders {
                inputs.extend(store.head_as_of(&repo, &branch, *order)?.flatten());
            }
        }
    }
    Ok(inputs)
}

/// What names a commit, apart from the branch `but`: other branches, tags, dependent commits, open jobs; as text.
pub fn named_by(store: &Store, commit: &CommitId, but: &str) -> Result<Vec<String>> {
    if store.is_limited() {
        let named_by = named_by(&store.whole(), commit, but)?;
        return named_by.iter().map(|what| store.without_hidden(what)).collect();
    }
    let reach = Reach::of_pointers(store)?;
    let mut named_by: Vec<String> =
        reach.into_iter().filter(|(holder, at)| at == commit && holder != but).map(|(holder, _)| holder).collect();
    let mut others = Vec::new();
    store.visit_commits(|id, row| {
        if row.pruned.is_none_or(|pruned| pruned.why != PruneWhy::Deleted) {
            others.push((id, row.repo));
        }
    })?;
    for (id, repo) in others {
        if below(&store.commit(&id)?).any(|other| other == *commit) {
            named_by.push(format!("commit {repo}@{}", id.short(12)));
        }
    }
    if inputs_of_open_jobs(store)?.contains(commit) {
        named_by.push("jobs that have not ended".to_owned());
    }
    Ok(named_by)
}
