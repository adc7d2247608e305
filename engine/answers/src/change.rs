//! What a change of files did.

use std::path::PathBuf;

use engine::target::CommitOutcome;
use engine::transaction::Outcome;
use repos::files::ChangeSummary;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, RepoName, RunId};

/// The result of a change of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutView {
    /// The repository.
    pub repo: RepoName,
    /// The branch.
    pub branch: BranchName,
    /// The commit; without a change, the head of the branch.
    pub commit: Option<CommitId>,
    /// The run of the commit; `null` if nothing changed.
    pub run: Option<RunId>,
    /// Whether something differs; then a commit was made, unless it was a preview.
    pub changed: bool,
    /// Number of paths that did not exist.
    pub added: u64,
    /// Number of paths whose content or executable bit changed.
    pub modified: u64,
    /// Number of paths removed.
    pub removed: u64,
    /// Number of given paths that already had the same content and bit.
    pub unchanged: u64,
    /// Size of all given files in bytes, new or not.
    pub size_bytes: u64,
    /// Bytes of these that are new to the store.
    pub new_bytes: u64,
    /// The sources that were left out because they could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedView>,
}

/// A source that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkippedView {
    /// The source.
    pub path: PathBuf,
    /// Why it could not be read.
    pub why: String,
}

impl PutView {
    /// What `summary` says of a change of a branch.
    pub fn new(
        (repo, branch): (&RepoName, &BranchName),
        summary: &ChangeSummary,
        commit: Option<CommitId>,
        run: Option<RunId>,
    ) -> Self {
        Self {
            repo: repo.clone(),
            branch: branch.clone(),
            commit,
            run,
            changed: summary.is_change(),
            added: summary.added,
            modified: summary.modified,
            removed: summary.removed,
            unchanged: summary.unchanged,
            size_bytes: summary.size_bytes,
            new_bytes: summary.new_bytes,
            skipped: Vec::new(),
        }
    }

    /// The same, with the sources that were left out.
    #[must_use]
    pub fn skipped(mut self, skipped: &[(PathBuf, String)]) -> Self {
        let skipped = skipped.iter().map(|(path, why)| SkippedView { path: path.clone(), why: why.clone() });
        self.skipped = skipped.collect();
        self
    }
}

impl From<&CommitOutcome> for PutView {
    fn from(outcome: &CommitOutcome) -> Self {
        let CommitOutcome { target, summary, skipped, .. } = outcome;
        Self::new((&target.repo, &target.branch), summary, outcome.head(), outcome.run()).skipped(skipped)
    }
}

/// What a transaction did to each branch that it names; with `is_preview`, what it would do.
pub fn transaction_views(outcome: &Outcome, is_preview: bool) -> Vec<PutView> {
    let view = |change: &engine::transaction::BranchChange| {
        let commit = change.to.filter(|_| !is_preview);
        let run = outcome.run.filter(|_| change.is_moved);
        let view = PutView::new((&change.repo, &change.branch), &change.summary, commit, run);
        PutView { changed: change.is_moved, ..view }
    };
    outcome.branches.iter().map(view).collect()
}
