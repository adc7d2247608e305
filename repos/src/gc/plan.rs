//! Which commits give up their files.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use specs::{BranchName, CommitId, RepoName};

use super::reach::{Reach, inputs_of_open_jobs};
use crate::base::pruned::PruneWhy;
use crate::base::time::Timestamp;
use crate::store::{Result, Store};

/// Commits that give up their files now, with the reason of each.
#[derive(Debug, Default)]
pub struct Plan {
    /// By id.
    pub commits: BTreeMap<CommitId, PruneWhy>,
    pub(super) reach: Reach,
}

/// Which commits of a branch's history to prune.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All but this number of the newest.
    AllBut(usize),
    /// Those made before this time.
    MadeBefore(Timestamp),
    /// The ancestors of this commit.
    Under(CommitId),
}

/// `time` minus a duration.
fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(time.as_micros().saturating_sub(micros))
}

impl Plan {
    /// The commits selected by the settings `retention` and `gc_grace`.
    pub fn of_settings(store: &Store) -> Result<Self> {
        let now = store.clock().now();
        // List commits first: a commit that an owner records in between must not be listed here yet missing from `reach`.
        let mut rows = Vec::new();
        store.visit_commits(|id, row| rows.push((id, row.pruned.map(|pruned| pruned.why))))?;
        let mut plan = Self { commits: BTreeMap::new(), reach: Reach::of(store, earlier(now, store.gc_grace()?))? };
        let too_old = store.retention()?.map(|age| earlier(now, age));
        let needed: HashSet<CommitId> = inputs_of_open_jobs(store)?.into_iter().collect();
        for (id, pruned) in rows {
            if !plan.reach.commits.contains_key(&id) {
                if pruned.is_none_or(|why| why < PruneWhy::Expired) {
                    plan.commits.insert(id, PruneWhy::Expired);
                }
            } else if let Some(too_old) = too_old
                && pruned.is_none()
                && !plan.reach.pointed_to.contains(&id)
                && !needed.contains(&id)
                && store.commit(&id)?.created_at < too_old
            {
                plan.commits.insert(id, PruneWhy::Retention);
            }
        }
        Ok(plan)
    }

    /// Commits of one or all branches of a repository to prune. Leaves out heads, tagged commits, inputs of open jobs, commits that already
    /// gave up their files, and those that another branch keeps.
    pub fn of_selection(
        store: &Store,
        repo: &RepoName,
        branch: Option<&BranchName>,
        selection: Selection,
    ) -> Result<Self> {
        // Jobs that are not visible may need a commit too.
        let whole = store.whole();
        let mut plan = Self { commits: BTreeMap::new(), reach: Reach::of(&whole, store.clock().now())? };
        let (mut pruned, mut kept) = (BTreeSet::new(), HashSet::new());
        for (name, row) in store.branches(repo)? {
            let is_meant = branch.is_none_or(|branch| *branch == name);
            let mut next = row.commit;
            let mut is_under = false;
            for newer in 0_usize.. {
                let Some(id) = next else { break };
                let commit = store.commit(&id)?;
                let goes = match selection {
                    Selection::AllBut(count) => newer >= count,
                    Selection::MadeBefore(time) => commit.created_at < time,
                    Selection::Under(_) => is_under,
                };
                is_under |= selection == Selection::Under(id);
                if is_meant && goes {
                    pruned.insert(id);
                } else if is_meant || !is_meant_anyway(selection) {
                    kept.insert(id);
                }
                next = commit.parents.first().copied();
            }
        }
        let needed: HashSet<CommitId> = inputs_of_open_jobs(&whole)?.into_iter().collect();
        for id in pruned {
            let stays = kept.contains(&id) || needed.contains(&id) || plan.reach.pointed_to.contains(&id);
            if !stays && store.is_pruned(&id)?.is_none() {
                plan.commits.insert(id, PruneWhy::Asked);
            }
        }
        Ok(plan)
    }

    /// The plan's commits by reason.
    pub(super) fn by_reason(&self) -> BTreeMap<PruneWhy, Vec<CommitId>> {
        let mut by_reason: BTreeMap<PruneWhy, Vec<CommitId>> = BTreeMap::new();
        for (commit, why) in &self.commits {
            by_reason.entry(*why).or_default().push(*commit);
        }
        by_reason
    }
}

/// Whether the selection applies to a commit regardless of its branch: an old commit is old everywhere.
fn is_meant_anyway(selection: Selection) -> bool {
    matches!(selection, Selection::MadeBefore(_) | Selection::Under(_))
}
