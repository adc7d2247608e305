//! What was there at an earlier moment: branches, repositories and pipelines, also those that were deleted since.
//!
//! Two kinds of rows of the index say it, and no deletion removes them: each move of a branch, and each repository or pipeline that was
//! deleted, as it was in the end. A question about a repository's branches scans the moves of that repository; one about repositories or
//! pipelines reads those that were deleted and those that are there.
//!
//! A moment after a run is one in the order of runs: what was deleted counts as gone from the next run on.
//! Not here: who moved a branch, and why (`moves`).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rocksdb::Direction;
use specs::{BranchName, PipelineName, RepoName};

use super::{Result, Store};
use crate::base::error::RepoError;
use crate::base::time::Timestamp;
use crate::index::keys;
use crate::index::rows::{BranchRow, EndedRow, MoveRow, Moved, PipelineRow, RepoRow, read};

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// When the jobs of the run of this order, and of those before it, had ended.
    Run(u64),
    /// A time.
    Time(Timestamp),
}

impl Then {
    /// Whether something had happened: at a time, or in the order of runs.
    fn is_after(self, at: Timestamp, order: u64) -> bool {
        match self {
            Self::Run(last) => order <= last,
            Self::Time(time) => at <= time,
        }
    }
}

/// A pipeline as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineThen {
    /// Its row: the present one, or that which it had when it was deleted. So its version may be a later one.
    pub row: PipelineRow,
    /// Versions up to this one are those of earlier pipelines with the same name, which had been deleted; 0 without any.
    pub earlier: u32,
}

impl Store {
    /// The branches that a repository had, by name.
    pub fn branches_then(&self, repo: &RepoName, then: Then) -> Result<Vec<(BranchName, BranchRow)>> {
        self.moved_until(repo, &keys::moves_of_repo(repo), then)
    }

    /// A branch as it was; `None` if it did not exist.
    pub fn branch_then(&self, repo: &RepoName, branch: &BranchName, then: Then) -> Result<Option<BranchRow>> {
        let found = self.moved_until(repo, &keys::moves(repo, branch.as_str()), then)?;
        Ok(found.into_iter().next().map(|(_, row)| row))
    }

    /// Where the moves below `prefix` had led to.
    fn moved_until(&self, repo: &RepoName, prefix: &[u8], then: Then) -> Result<Vec<(BranchName, BranchRow)>> {
        let mut there: BTreeMap<BranchName, (u64, BranchRow)> = BTreeMap::new();
        if !self.sees(repo) {
            return Ok(Vec::new());
        }
        self.index().try_visit(prefix, prefix, Direction::Forward, |key, value| {
            let (branch, order) = keys::in_branch_move(key, repo).ok_or_else(|| RepoError::damaged_row(key))?;
            let MoveRow { at, now } = read(key, value)?;
            if !then.is_after(at, order) {
                return Ok(ControlFlow::Continue(()));
            }
            match now {
                Moved::Gone => {
                    there.remove(&branch);
                }
                // In the order of runs, the job of an earlier run that ends late changes nothing of a later one.
                Moved::To(_) if matches!(then, Then::Run(_)) && there.get(&branch).is_some_and(|had| had.0 > order) => {
                }
                Moved::To(commit) => {
                    there.insert(branch, (order, BranchRow { commit, moved_at: at }));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(there.into_iter().map(|(branch, (_, row))| (branch, row)).collect())
    }

    /// The repositories that had not been deleted, by name: also those that were created later.
    pub fn repos_then(&self, then: Then) -> Result<Vec<(RepoName, RepoRow)>> {
        let mut there: BTreeMap<RepoName, RepoRow> = self.repos()?.into_iter().collect();
        let ended: Vec<(RepoName, EndedRow<RepoRow>)> = self.rows(&keys::ended_repos(), keys::in_ended_repo)?;
        // Backwards: of several with one name, the first whose end had not come.
        for (repo, ended) in ended.into_iter().rev() {
            if self.sees(&repo) && !then.is_after(ended.at, ended.order) {
                there.insert(repo, ended.last);
            }
        }
        Ok(there.into_iter().collect())
    }

    /// A repository that had not been deleted, as it was in the end or is; it may have been created later.
    pub fn repo_then(&self, repo: &RepoName, then: Then) -> Result<Option<RepoRow>> {
        if !self.sees(repo) {
            return Ok(None);
        }
        let ended: Vec<((), EndedRow<RepoRow>)> = self.rows(&keys::ended_repos_named(repo), |_| Some(()))?;
        match ended.into_iter().find(|((), ended)| !then.is_after(ended.at, ended.order)) {
            Some(((), ended)) => Ok(Some(ended.last)),
            None => self.row(&keys::repo(repo)),
        }
    }

    /// A pipeline that had not been deleted; it may have been applied later.
    pub fn pipeline_then(&self, pipeline: &PipelineName, then: Then) -> Result<Option<PipelineThen>> {
        if !self.sees_pipeline(pipeline) {
            return Ok(None);
        }
        let mut earlier = 0;
        let ended: Vec<((), EndedRow<PipelineRow>)> =
            self.rows(&keys::ended_pipelines_named(pipeline), |_| Some(()))?;
        for ((), ended) in ended {
            if !then.is_after(ended.at, ended.order) {
                return Ok(Some(PipelineThen { row: ended.last, earlier }));
            }
            earlier = ended.last.version;
        }
        Ok(self.find_pipeline(pipeline)?.map(|row| PipelineThen { row, earlier }))
    }
}
