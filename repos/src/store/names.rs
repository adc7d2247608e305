//! Repositories, branches, tags, runs, jobs and pipelines, as the index knows them.

use std::ops::ControlFlow;

use rocksdb::Direction;
use serde::de::DeserializeOwned;
use specs::{BranchName, CommitId, Digest, PipelineName, RepoName, RunId, TagName};

use super::{Result, Store};
use crate::base::error::RepoError;
use crate::base::kind::{Kind, PackClass};
use crate::documents::{Commit, JournalEnd};
use crate::index::apply::meta;
use crate::index::keys;
use crate::index::rows::{BranchRow, CommitRow, JobRow, PipelineRow, RepoRow, RunRow, TagRow, read};

/// The text after `prefix` in a key.
fn name_in<T: std::str::FromStr>(key: &[u8], prefix: &[u8]) -> Option<T> {
    std::str::from_utf8(key.get(prefix.len()..)?).ok()?.parse().ok()
}

impl Store {
    pub(super) fn row<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>> {
        self.index().row(key)
    }

    /// All rows below `prefix`, in key order; `DamagedRow` if a key or value cannot be decoded.
    fn rows<K, T: DeserializeOwned>(&self, prefix: &[u8], key_of: impl Fn(&[u8]) -> Option<K>) -> Result<Vec<(K, T)>> {
        let mut rows = Vec::new();
        self.index().try_visit(prefix, prefix, Direction::Forward, |key, value| {
            rows.push((key_of(key).ok_or_else(|| RepoError::damaged_row(key))?, read(key, value)?));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(rows)
    }

    pub(super) fn named<K: std::str::FromStr, T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<(K, T)>> {
        self.rows(prefix, |key| name_in(key, prefix))
    }

    /// The store's own id, 32 hex digits.
    pub fn id(&self) -> Result<String> {
        Ok(self.row(&keys::meta(meta::STORE))?.unwrap_or_default())
    }

    /// All repositories, sorted by name.
    pub fn repos(&self) -> Result<Vec<(RepoName, RepoRow)>> {
        self.named(&keys::repos())
    }

    /// A repository; if it does not exist, an error with the nearest name.
    pub fn repo(&self, repo: &RepoName) -> Result<RepoRow> {
        if let Some(row) = self.row(&keys::repo(repo))? {
            return Ok(row);
        }
        let names: Vec<String> = self.repos()?.into_iter().map(|(name, _)| name.to_string()).collect();
        Err(RepoError::RepoNotFound { repo: repo.clone(), similar: nearest(repo.as_str(), &names) })
    }

    /// Whether a repository exists.
    pub fn has_repo(&self, repo: &RepoName) -> Result<bool> {
        Ok(self.index().get(&keys::repo(repo))?.is_some())
    }

    /// All branches of a repository, sorted by name.
    pub fn branches(&self, repo: &RepoName) -> Result<Vec<(BranchName, BranchRow)>> {
        self.named(&keys::branches(repo))
    }

    /// A branch, if it exists.
    pub fn find_branch(&self, repo: &RepoName, branch: &BranchName) -> Result<Option<BranchRow>> {
        self.row(&keys::branch(repo, branch.as_str()))
    }

    /// A branch; if it does not exist, an error with the nearest name.
    pub fn branch(&self, repo: &RepoName, branch: &BranchName) -> Result<BranchRow> {
        if let Some(row) = self.find_branch(repo, branch)? {
            return Ok(row);
        }
        self.repo(repo)?;
        let names: Vec<String> = self.branches(repo)?.into_iter().map(|(name, _)| name.to_string()).collect();
        let similar = nearest(branch.as_str(), &names).map(|name| format!("{repo}@{name}"));
        Err(RepoError::BranchNotFound { repo: repo.clone(), branch: branch.clone(), similar })
    }

    /// All tags of a repository, sorted by name.
    pub fn tags(&self, repo: &RepoName) -> Result<Vec<(TagName, TagRow)>> {
        self.named(&keys::tags(repo))
    }

    /// A tag, if it exists.
    pub fn find_tag(&self, repo: &RepoName, tag: &str) -> Result<Option<TagRow>> {
        self.row(&keys::tag(repo, tag))
    }

    /// The commit that a branch had in the run of this order, after all jobs up to it had ended: the outer `None` if the branch did not
    /// exist, the inner one if it had no commit.
    pub fn head_as_of(&self, repo: &RepoName, branch: &BranchName, order: u64) -> Result<Option<Option<CommitId>>> {
        let prefix = keys::heads(repo, branch.as_str());
        let mut found = None;
        self.index().try_visit(
            &prefix,
            &keys::head(repo, branch.as_str(), order),
            Direction::Reverse,
            |key, value| {
                found = Some(read(key, value)?);
                Ok(ControlFlow::Break(()))
            },
        )?;
        Ok(found)
    }

    /// What the index knows of a commit; `None` if the journal never named it.
    pub fn commit_row(&self, commit: &CommitId) -> Result<Option<CommitRow>> {
        self.row(&keys::commit(commit))
    }

    /// Visits all commits that the journal has named, in the order of their ids.
    pub(crate) fn visit_commits(&self, mut visit: impl FnMut(CommitId, CommitRow)) -> Result<()> {
        let prefix = keys::commits_from(&[]);
        self.index().try_visit(&prefix, &prefix, Direction::Forward, |key, value| {
            let id = key.last_chunk::<32>().ok_or_else(|| RepoError::damaged_row(key))?;
            visit(CommitId::new(Digest::from_bytes(*id)), read(key, value)?);
            Ok(ControlFlow::Continue(()))
        })
    }

    /// All versions of all pipelines, including deleted ones.
    pub(crate) fn all_pipeline_versions(&self) -> Result<Vec<PipelineRow>> {
        Ok(self.rows(&keys::all_versions(), |_| Some(()))?.into_iter().map(|((), row)| row).collect())
    }

    /// The names of all pipelines, including deleted ones.
    pub fn pipelines_ever(&self) -> Result<Vec<PipelineName>> {
        let prefix = keys::all_versions();
        let mut names: Vec<PipelineName> = Vec::new();
        self.index().try_visit(&prefix, &prefix, Direction::Forward, |key, _| {
            let end = key.iter().position(|byte| *byte == 0).unwrap_or(key.len());
            let name: PipelineName =
                key.get(..end).and_then(|key| name_in(key, &prefix)).ok_or_else(|| RepoError::damaged_row(key))?;
            names.extend((names.last() != Some(&name)).then_some(name));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(names)
    }

    /// The documents of all jobs that have ended.
    pub(crate) fn job_documents(&self) -> Result<Vec<Digest>> {
        let rows: Vec<((), JobRow)> = self.rows(&keys::jobs(), |_| Some(()))?;
        Ok(rows.into_iter().filter_map(|((), job)| job.document).collect())
    }

    /// Visits all existing results: digest, and when each ended.
    pub(crate) fn visit_results(&self, mut visit: impl FnMut(Digest, crate::base::time::Timestamp)) -> Result<()> {
        let prefix = keys::results_from(&[]);
        self.index().try_visit(&prefix, &prefix, Direction::Forward, |key, _| {
            let (at, digest) = keys::result_in(key).ok_or_else(|| RepoError::damaged_row(key))?;
            visit(digest, at);
            Ok(ControlFlow::Continue(()))
        })
    }

    /// The results of any job that ended at `since` or later, in the order in which they ended. Scans the keys of all results.
    pub fn results_since(&self, since: crate::base::time::Timestamp) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        self.visit_results(|digest, at| {
            if at >= since {
                found.push((at, digest));
            }
        })?;
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, digest)| digest).collect())
    }

    /// The commit's document.
    pub fn commit(&self, commit: &CommitId) -> Result<Commit> {
        self.document(&commit.digest())
    }

    /// Stores a commit's document, including the current end of the journal, and returns its id. Others see the commit once the journal
    /// names it.
    pub fn put_commit(&self, commit: &Commit) -> Result<CommitId> {
        let end = self.position();
        let journal = end.last.map(|last| JournalEnd { records: end.records, last });
        self.put_about(&Commit { journal, ..commit.clone() }).map(CommitId::new)
    }

    /// A run by its position in the order of runs, from 1.
    pub fn run_at(&self, order: u64) -> Result<Option<RunRow>> {
        self.row(&keys::run(order))
    }

    /// The position of a run in the order of runs.
    pub fn run_order(&self, run: &RunId) -> Result<Option<u64>> {
        self.row(&keys::run_order(run))
    }

    /// A run.
    pub fn run(&self, run: &RunId) -> Result<RunRow> {
        let order = self.run_order(run)?.ok_or_else(|| RepoError::RunNotFound { run: run.to_string() })?;
        self.run_at(order)?.ok_or_else(|| RepoError::damaged_row(&keys::run(order)))
    }

    /// Number of runs; also the order of the newest.
    pub fn runs_count(&self) -> Result<u64> {
        Ok(self.row(&keys::meta(meta::RUNS))?.unwrap_or(0))
    }

    /// Visits runs from the newest backwards, until `visit` breaks.
    pub fn visit_runs(&self, mut visit: impl FnMut(RunRow) -> ControlFlow<()>) -> Result<()> {
        let prefix = keys::runs();
        self.index().try_visit(&prefix, &keys::after(&prefix), Direction::Reverse, |key, value| {
            read(key, value).map(&mut visit)
        })
    }

    /// The jobs of a run.
    pub fn jobs_of_run(&self, order: u64) -> Result<Vec<JobRow>> {
        Ok(self.rows(&keys::jobs_of_run(order), |_| Some(()))?.into_iter().map(|((), job)| job).collect())
    }

    /// The job of a pipeline in a run.
    pub fn job(&self, order: u64, pipeline: &PipelineName) -> Result<Option<JobRow>> {
        self.row(&keys::job(order, pipeline))
    }

    /// A job that another row refers to.
    fn listed_job(&self, order: u64, pipeline: &PipelineName) -> Result<JobRow> {
        self.job(order, pipeline)?.ok_or_else(|| RepoError::damaged_row(&keys::job(order, pipeline)))
    }

    /// Visits a pipeline's jobs from order `order` backwards, until `visit` breaks.
    pub fn visit_jobs(
        &self,
        pipeline: &PipelineName,
        order: u64,
        mut visit: impl FnMut(JobRow) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut orders = Vec::new();
        let prefix = keys::jobs_of_pipeline(pipeline);
        let mut from = Some(order);
        while let Some(start) = from {
            orders.clear();
            self.index().visit(&prefix, &keys::pipeline_job(pipeline, start), Direction::Reverse, |key, _| {
                orders.push(keys::trailing_order(key));
                if orders.len() < 64 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            for order in &orders {
                if visit(self.listed_job(*order, pipeline)?).is_break() {
                    return Ok(());
                }
            }
            from = orders.last().filter(|_| orders.len() == 64).and_then(|last| last.checked_sub(1));
        }
        Ok(())
    }

    /// A pipeline's newest job.
    pub fn newest_job(&self, pipeline: &PipelineName) -> Result<Option<JobRow>> {
        let mut newest = None;
        self.visit_jobs(pipeline, u64::MAX, |job| {
            newest = Some(job);
            ControlFlow::Break(())
        })?;
        Ok(newest)
    }

    /// Jobs that have not ended, in the order of runs.
    pub fn open_jobs(&self) -> Result<Vec<JobRow>> {
        let prefix = keys::open_jobs();
        let mut open = Vec::new();
        self.index().visit(&prefix, &prefix, Direction::Forward, |key, _| {
            open.push(key[prefix.len()..].to_vec());
            ControlFlow::Continue(())
        })?;
        let mut jobs = Vec::new();
        for key in open {
            let damaged = || RepoError::damaged_row(&[&prefix, key.as_slice()].concat());
            let (order, pipeline) = key.split_first_chunk::<8>().ok_or_else(damaged)?;
            let pipeline = name_in(pipeline, b"").ok_or_else(damaged)?;
            jobs.push(self.listed_job(u64::from_be_bytes(*order), &pipeline)?);
        }
        Ok(jobs)
    }

    /// All pipelines in their newest version, sorted by name.
    pub fn pipelines(&self) -> Result<Vec<(PipelineName, PipelineRow)>> {
        self.named(&keys::pipelines())
    }

    /// A pipeline, if it exists.
    pub fn find_pipeline(&self, pipeline: &PipelineName) -> Result<Option<PipelineRow>> {
        self.row(&keys::pipeline(pipeline))
    }

    /// A pipeline; if it does not exist, an error with the nearest name.
    pub fn pipeline(&self, pipeline: &PipelineName) -> Result<PipelineRow> {
        if let Some(row) = self.find_pipeline(pipeline)? {
            return Ok(row);
        }
        let names: Vec<String> = self.pipelines()?.into_iter().map(|(name, _)| name.to_string()).collect();
        let similar = nearest(pipeline.as_str(), &names);
        Err(RepoError::PipelineNotFound { pipeline: pipeline.clone(), similar })
    }

    /// A version of a pipeline, which may be deleted.
    pub fn pipeline_version(&self, pipeline: &PipelineName, version: u32) -> Result<Option<PipelineRow>> {
        self.row(&keys::version(pipeline, version))
    }

    /// All versions of a pipeline, oldest first.
    pub fn pipeline_versions(&self, pipeline: &PipelineName) -> Result<Vec<PipelineRow>> {
        let rows = self.rows(&keys::versions(pipeline), |_| Some(()))?;
        Ok(rows.into_iter().map(|((), row)| row).collect())
    }

    /// Ids of commits that begin with these hex digits, at most `limit`.
    pub fn commits_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<CommitId>> {
        self.by_prefix(prefix, limit, 32, keys::commits_from, |key| {
            key.last_chunk::<32>().map(|bytes| CommitId::new(Digest::from_bytes(*bytes)))
        })
    }

    /// Ids of runs that begin with these hex digits, at most `limit`.
    pub fn runs_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<RunId>> {
        self.by_prefix(prefix, limit, 16, keys::run_orders_from, |key| {
            key.last_chunk::<16>().map(|bytes| RunId::from_bytes(*bytes))
        })
    }

    /// Ids of datums (recipes that have a result) that begin with these hex digits, at most `limit`.
    pub fn datums_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<specs::DatumId>> {
        let mut ids = self.by_prefix(prefix, limit * 4, 32, keys::results_from, |key| {
            let (_, rest) = key.split_first()?;
            rest.first_chunk::<32>().map(|bytes| specs::DatumId::new(Digest::from_bytes(*bytes)))
        })?;
        ids.dedup();
        ids.truncate(limit);
        Ok(ids)
    }

    /// Digests of objects of a kind that begin with these hex digits, at most `limit`.
    pub fn objects_by_prefix(&self, kind: Kind, prefix: &str, limit: usize) -> Result<Vec<Digest>> {
        let found = self.known_objects_by_prefix(kind, prefix, limit)?;
        if !found.is_empty() || kind.class() == PackClass::Meta {
            return Ok(found);
        }
        // Deferred packs of content are indexed only when needed.
        self.know_all()?;
        self.known_objects_by_prefix(kind, prefix, limit)
    }

    fn known_objects_by_prefix(&self, kind: Kind, prefix: &str, limit: usize) -> Result<Vec<Digest>> {
        let keys = |bytes: &[u8]| keys::objects_from(kind as u8, bytes);
        self.by_prefix(prefix, limit, 32, keys, |key| key.last_chunk::<32>().map(|bytes| Digest::from_bytes(*bytes)))
    }

    fn by_prefix<T: std::fmt::Display>(
        &self,
        hex: &str,
        limit: usize,
        id_bytes: usize,
        keys_from: impl Fn(&[u8]) -> Vec<u8>,
        id: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>> {
        let whole: Vec<u8> = (0..hex.len() / 2)
            .map_while(|at| hex.get(at * 2..at * 2 + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect();
        let mut found = Vec::new();
        if hex.len() > id_bytes * 2 || whole.len() != hex.len() / 2 {
            return Ok(found);
        }
        let prefix = keys_from(&whole);
        self.index().visit(&prefix, &prefix, Direction::Forward, |key, _| {
            found.extend(id(key).filter(|id| id.to_string().starts_with(hex)));
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(found)
    }
}

/// The most likely candidate, if one is near enough.
pub(crate) fn nearest(word: &str, candidates: &[String]) -> Option<String> {
    specs::diagnostics::nearest(word, candidates.iter().map(String::as_str)).map(str::to_owned)
}
