//! Turns references into commits.

use std::collections::{BTreeMap, BTreeSet};

use specs::reference::{IdPrefix, Reference, Revision, RevisionBase};
use specs::{BranchName, CommitId, FilePath, RepoName, RunId};

use super::names::nearest;
use super::{Result, Store};
use crate::base::error::RepoError;
use crate::base::kind::Kind;
use crate::base::pruned::PruneWhy;
use crate::documents::{Commit, JobDocument};
use crate::index::rows::{JobRow, RunRow};
use crate::journal::SealedState;
use crate::tree::Tree;

/// Maximum number of ids listed for an ambiguous prefix.
const CANDIDATES: usize = 10;

/// A resolved reference.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The commit's id.
    pub id: CommitId,
    /// Its document.
    pub commit: Commit,
    /// The path in the reference; `/` if it has none.
    pub path: FilePath,
}

impl Resolved {
    /// Its files.
    pub fn tree(&self) -> Tree {
        Tree::at(self.commit.tree)
    }

    /// The commit as text: `images@c07d5e21ab34`.
    pub fn place(&self) -> String {
        format!("{}@{}", self.commit.repo, self.id.short(12))
    }
}

impl Store {
    /// The commit that a reference names.
    pub fn resolve(&self, reference: &Reference) -> Result<Resolved> {
        if !self.has_repo(&reference.repo)? && !self.names_own_commit(reference)? {
            self.repo(&reference.repo)?;
        }
        let id = match &reference.revision {
            None => self.head(&reference.repo, &self.default_branch()?)?,
            Some(revision) => self.resolve_revision(&reference.repo, revision)?,
        };
        if let Some(pruned) = self.is_pruned(&id)?.filter(|pruned| pruned.why == PruneWhy::Deleted) {
            let hint = format!("pv log {} lists its commits", reference.repo);
            let place = format!("{}@{}", reference.repo, id.short(12));
            return Err(RepoError::NotFound { what: format!("{place} not found: {pruned}"), hint: Some(hint) });
        }
        let commit = self.commit(&id)?;
        Self::ensure_in_repo(&reference.repo, &id, &commit)?;
        Ok(Resolved { id, commit, path: reference.path.clone().unwrap_or_else(FilePath::root) })
    }

    /// Whether a reference names a commit by its id, and the commit belongs to the repository: it outlives the repository.
    fn names_own_commit(&self, reference: &Reference) -> Result<bool> {
        let Some(prefix) = reference.revision.as_ref().and_then(Revision::as_hex_prefix) else { return Ok(false) };
        match self.commits_by_prefix(prefix, 2)?.as_slice() {
            [id] => Ok(self.commit_row(id)?.is_some_and(|row| row.repo == reference.repo)),
            _ => Ok(false),
        }
    }

    /// Refuses a commit of another repository: a record may have moved a branch to it while its document was not visible.
    fn ensure_in_repo(repo: &RepoName, id: &CommitId, commit: &Commit) -> Result<()> {
        if commit.repo == *repo {
            return Ok(());
        }
        let why = format!("a branch or tag of `{repo}` points to it, but it belongs to `{}`", commit.repo);
        Err(RepoError::DamagedObject { kind: Kind::Commit, digest: id.digest(), why })
    }

    /// The head of a branch; an error if it has no commit.
    pub fn head(&self, repo: &RepoName, branch: &BranchName) -> Result<CommitId> {
        self.branch(repo, branch)?.commit.ok_or_else(|| RepoError::NoCommit {
            reference: format!("`{repo}@{branch}`"),
            why: "it has no commits yet".to_owned(),
        })
    }

    fn resolve_revision(&self, repo: &RepoName, revision: &Revision) -> Result<CommitId> {
        let base = match &revision.base {
            RevisionBase::Word(word) => self.resolve_word(repo, word, revision)?,
            RevisionBase::BranchOfRun { branch, run } => {
                let run = self.run(&self.run_by_prefix(run)?)?;
                self.commit_of_run(repo, Some(branch), &run)?
            }
            RevisionBase::BranchThen { branch, time } => self.head_then(repo, branch.as_ref(), time)?,
        };
        self.go_back(repo, base, revision)
    }

    fn go_back(&self, repo: &RepoName, base: CommitId, revision: &Revision) -> Result<CommitId> {
        let mut id = base;
        for have in 0..revision.back {
            id = *self.commit(&id)?.parents.first().ok_or_else(|| RepoError::NotSoFarBack {
                reference: format!("{repo}@{revision}"),
                back: revision.back,
                have: have + 1,
            })?;
        }
        Ok(id)
    }

    fn resolve_word(&self, repo: &RepoName, word: &str, revision: &Revision) -> Result<CommitId> {
        if let Ok(branch) = word.parse::<BranchName>() {
            if let Some(row) = self.find_branch(repo, &branch)? {
                return row.commit.map_or_else(|| self.head(repo, &branch), Ok);
            }
            if let Some(row) = self.find_tag(repo, word)? {
                return Ok(row.commit);
            }
        }
        if let Some(prefix) = revision.as_hex_prefix()
            && let Some(id) = self.resolve_id(repo, prefix)?
        {
            return Ok(id);
        }
        let branches = self.branches(repo)?.into_iter().map(|(name, _)| name.to_string());
        let names: Vec<String> =
            branches.chain(self.tags(repo)?.into_iter().map(|(name, _)| name.to_string())).collect();
        let similar = nearest(word, &names).map(|name| format!("{repo}@{name}"));
        Err(match word.parse() {
            Ok(branch) if revision.as_hex_prefix().is_none() => {
                RepoError::BranchNotFound { repo: repo.clone(), branch, similar }
            }
            _ => RepoError::RevisionNotFound { repo: repo.clone(), revision: word.to_owned(), similar },
        })
    }

    /// A commit of this repository; for the id of a run, or of another repository's commit, what that run made or used here.
    fn resolve_id(&self, repo: &RepoName, prefix: &str) -> Result<Option<CommitId>> {
        let commits = self.commits_by_prefix(prefix, CANDIDATES)?;
        let runs = self.runs_by_prefix(prefix, CANDIDATES)?;
        match (commits.as_slice(), runs.as_slice()) {
            ([], []) => Ok(None),
            ([commit], []) => {
                let row = self.commit_row(commit)?;
                let row = row.ok_or_else(|| RepoError::RunNotFound { run: commit.to_string() })?;
                if row.repo == *repo {
                    return Ok(Some(*commit));
                }
                // A commit that two runs share, such as one that a branch moved back to, counts for the run that made it.
                let run = self.run(&self.commit(commit)?.run)?;
                self.commit_of_run(repo, None, &run).map(Some)
            }
            ([], [run]) => self.commit_of_run(repo, None, &self.run(run)?).map(Some),
            _ => {
                let commits = commits.iter().map(|id| format!("commit {}", id.short(16)));
                let candidates = commits.chain(runs.iter().map(|id| format!("run {}", id.short(16)))).collect();
                Err(RepoError::AmbiguousId { prefix: prefix.to_owned(), candidates })
            }
        }
    }

    /// The run whose id, or a commit of which, begins with these digits.
    pub fn run_by_prefix(&self, prefix: &IdPrefix) -> Result<RunId> {
        let runs = self.runs_by_prefix(prefix.as_str(), CANDIDATES)?;
        let mut found: BTreeSet<RunId> = runs.into_iter().collect();
        for commit in self.commits_by_prefix(prefix.as_str(), CANDIDATES)? {
            found.insert(self.commit(&commit)?.run);
        }
        match found.len() {
            0 => Err(RepoError::RunNotFound { run: prefix.to_string() }),
            1 => Ok(*found.first().expect("one run")),
            _ => Err(RepoError::AmbiguousId {
                prefix: prefix.to_string(),
                candidates: found.iter().map(|id| format!("run {}", id.short(16))).collect(),
            }),
        }
    }

    /// The commit of a repository that a run made or, failing that, used.
    pub fn commit_of_run(&self, repo: &RepoName, branch: Option<&BranchName>, run: &RunRow) -> Result<CommitId> {
        // What lies between may be hidden: only commits of this repository are returned.
        let (whole, is_seen) = (self.whole(), self.sees(repo));
        let jobs = whole.jobs_of_run(run.order)?;
        let mut candidates = BTreeMap::new();
        if let Some(run) = whole.run_at(run.order)?.filter(|_| is_seen) {
            candidates = whole.made_by_run(repo, &run, &jobs)?;
            if candidates.is_empty() {
                candidates = whole.used_by_run(repo, &run, &jobs)?;
            }
        }
        candidates.retain(|made_on, _| branch.is_none_or(|branch| branch == made_on));
        let reference = || format!("`{repo}@{}`", run.run.short(12));
        let commits: BTreeSet<CommitId> = candidates.values().copied().collect();
        match commits.len() {
            0 => Err(RepoError::NoCommit { reference: reference(), why: self.why_no_commit(repo, &jobs)? }),
            1 => Ok(*commits.first().expect("one commit")),
            _ => Err(RepoError::SeveralCommits {
                repo: repo.clone(),
                run: run.run,
                candidates: candidates.iter().map(|(branch, id)| format!("{branch} {}", id.short(12))).collect(),
            }),
        }
    }

    fn made_by_run(&self, repo: &RepoName, run: &RunRow, jobs: &[JobRow]) -> Result<BTreeMap<BranchName, CommitId>> {
        let moves = run.moves.iter().filter(|moved| moved.repo == *repo);
        let mut made: BTreeMap<BranchName, CommitId> =
            moves.filter_map(|moved| Some((moved.branch.clone(), moved.to?))).collect();
        for job in jobs.iter().filter(|job| job.pipeline.output_repo() == *repo) {
            if let Some(id) = job.commit {
                made.insert(self.commit(&id)?.branch, id);
            }
        }
        Ok(made)
    }

    /// What the run's output commits depend on, at any depth.
    fn used_by_run(&self, repo: &RepoName, run: &RunRow, jobs: &[JobRow]) -> Result<BTreeMap<BranchName, CommitId>> {
        let mut used: BTreeMap<BranchName, (u64, CommitId)> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut open: Vec<CommitId> = jobs.iter().filter_map(|job| job.commit).collect();
        open.extend(run.moves.iter().filter_map(|moved| moved.to));
        while let Some(id) = open.pop() {
            for origin in self.commit(&id)?.provenance {
                if origin.repo == *repo {
                    // If two versions are legitimately used, the newer one is the run's.
                    let order = self.commit_row(&origin.commit)?.map_or(0, |row| row.order);
                    let newest = used.entry(origin.branch).or_insert((order, origin.commit));
                    *newest = (*newest).max((order, origin.commit));
                }
                if seen.insert(origin.commit) {
                    open.push(origin.commit);
                }
            }
        }
        Ok(used.into_iter().map(|(branch, (_, commit))| (branch, commit)).collect())
    }

    fn why_no_commit(&self, repo: &RepoName, jobs: &[JobRow]) -> Result<String> {
        let Some(job) = jobs.iter().find(|job| job.pipeline.output_repo() == *repo && self.sees(repo)) else {
            return Ok("the run neither made nor used a commit of it".to_owned());
        };
        let state = match job.sealed {
            None => return Ok(format!("job `{}` has not ended", job.pipeline)),
            Some(SealedState::Success) => "succeeded",
            Some(SealedState::Failure) => "failed",
            Some(SealedState::Killed) => "was killed",
            Some(SealedState::Unrunnable) => "could not be run",
        };
        let reason =
            job.document.map(|digest| self.document::<JobDocument>(&digest)).transpose()?.and_then(|job| job.reason);
        let reason = reason.map(|reason| self.without_hidden(&reason)).transpose()?;
        Ok(format!("job `{}` {state}{}", job.pipeline, reason.map_or_else(String::new, |reason| format!(": {reason}"))))
    }
}
