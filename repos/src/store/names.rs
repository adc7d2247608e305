//! Repositories, branches, tags, runs, jobs and pipelines, as the index knows them.

use std::ops::ControlFlow;

use rocksdb::Direction;
use serde::de::DeserializeOwned;
use specs::{BranchName, CommitId, Digest, PipelineName, RepoName, RunId, TagName};

use super::{Result, Store};
use crate::base::error::RepoError;
use crate::base::kind::{Kind, PackClass};
use crate::documents::{Commit, JournalEnd, ResultDocument};
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

    /// A row about a repository; `None` if it does not exist or is not visible.
    fn row_of<T: DeserializeOwned>(&self, repo: &RepoName, key: &[u8]) -> Result<Option<T>> {
        if self.sees(repo) { self.row(key) } else { Ok(None) }
    }

    /// All rows below `prefix`, in key order; `DamagedRow` if a key or value cannot be decoded.
    pub(super) fn rows<K, T: DeserializeOwned>(
        &self,
        prefix: &[u8],
        key_of: impl Fn(&[u8]) -> Option<K>,
    ) -> Result<Vec<(K, T)>> {
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
        let mut repos = self.named(&keys::repos())?;
        repos.retain(|(repo, _)| self.sees(repo));
        Ok(repos)
    }

    /// A repository; if it does not exist, an error with the nearest name.
    pub fn repo(&self, repo: &RepoName) -> Result<RepoRow> {
        if let Some(row) = self.row_of(repo, &keys::repo(repo))? {
            return Ok(row);
        }
        let names: Vec<String> = self.repos()?.into_iter().map(|(name, _)| name.to_string()).collect();
        Err(RepoError::RepoNotFound { repo: repo.clone(), similar: nearest(repo.as_str(), &names) })
    }

    /// Whether a repository exists.
    pub fn has_repo(&self, repo: &RepoName) -> Result<bool> {
        Ok(self.sees(repo) && self.index().get(&keys::repo(repo))?.is_some())
    }

    /// All branches of a repository, sorted by name.
    pub fn branches(&self, repo: &RepoName) -> Result<Vec<(BranchName, BranchRow)>> {
        if self.sees(repo) { self.named(&keys::branches(repo)) } else { Ok(Vec::new()) }
    }

    /// A branch, if it exists.
    pub fn find_branch(&self, repo: &RepoName, branch: &BranchName) -> Result<Option<BranchRow>> {
        self.row_of(repo, &keys::branch(repo, branch.as_str()))
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
        if self.sees(repo) { self.named(&keys::tags(repo)) } else { Ok(Vec::new()) }
    }

    /// A tag, if it exists.
    pub fn find_tag(&self, repo: &RepoName, tag: &str) -> Result<Option<TagRow>> {
        self.row_of(repo, &keys::tag(repo, tag))
    }

    /// The commit that a branch had in the run of this order, after all jobs up to it had ended: the outer `None` if the branch did not
    /// exist, the inner one if it had no commit.
    pub fn head_as_of(&self, repo: &RepoName, branch: &BranchName, order: u64) -> Result<Option<Option<CommitId>>> {
        let prefix = keys::heads(repo, branch.as_str());
        let mut found = None;
        if !self.sees(repo) {
            return Ok(None);
        }
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
        let row: Option<CommitRow> = self.row(&keys::commit(commit))?;
        Ok(row.filter(|row| self.sees(&row.repo)))
    }

    /// Visits all commits that the journal has named, in the order of their ids.
    pub(crate) fn visit_commits(&self, mut visit: impl FnMut(CommitId, CommitRow)) -> Result<()> {
        let prefix = keys::commits_from(&[]);
        self.index().try_visit(&prefix, &prefix, Direction::Forward, |key, value| {
            let id = key.last_chunk::<32>().ok_or_else(|| RepoError::damaged_row(key))?;
            let row: CommitRow = read(key, value)?;
            if self.sees(&row.repo) {
                visit(CommitId::new(Digest::from_bytes(*id)), row);
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// All versions of all pipelines, including deleted ones.
    pub(crate) fn all_pipeline_versions(&self) -> Result<Vec<PipelineRow>> {
        let versions = self.pipelines_ever()?.into_iter().map(|pipeline| self.pipeline_versions(&pipeline));
        Ok(versions.collect::<Result<Vec<_>>>()?.concat())
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
        names.retain(|name| self.sees_pipeline(name));
        Ok(names)
    }

    /// The documents of all jobs that have ended.
    pub(crate) fn job_documents(&self) -> Result<Vec<Digest>> {
        let rows: Vec<((), JobRow)> = self.rows(&keys::jobs(), |_| Some(()))?;
        let seen = rows.into_iter().map(|((), job)| job).filter(|job| self.sees_pipeline(&job.pipeline));
        Ok(seen.filter_map(|job| job.document).collect())
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
        let found = found.into_iter().map(|(_, digest)| digest);
        found.filter_map(|digest| self.sees_result(&digest).map(|sees| sees.then_some(digest)).transpose()).collect()
    }

    /// Whether a visible pipeline executed this result.
    pub(super) fn sees_result(&self, digest: &Digest) -> Result<bool> {
        Ok(!self.is_limited() || self.sees_pipeline(&self.whole().document::<ResultDocument>(digest)?.pipeline))
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
        let run: Option<RunRow> = self.row(&keys::run(order))?;
        Ok(run.and_then(|run| self.seen_run(run)))
    }

    /// The position of a run in the order of runs.
    pub fn run_order(&self, run: &RunId) -> Result<Option<u64>> {
        let order: Option<u64> = self.row(&keys::run_order(run))?;
        if !self.is_limited() {
            return Ok(order);
        }
        // Only runs with a visible part exist.
        Ok(order.map(|order| self.run_at(order)).transpose()?.flatten().map(|run| run.order))
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
    pub fn visit_runs(&self, visit: impl FnMut(RunRow) -> ControlFlow<()>) -> Result<()> {
        self.visit_runs_from(u64::MAX, visit)
    }

    /// Visits runs from order `order` backwards, until `visit` breaks: later ones are not read.
    pub fn visit_runs_from(&self, order: u64, mut visit: impl FnMut(RunRow) -> ControlFlow<()>) -> Result<()> {
        self.index().try_visit(&keys::runs(), &keys::run(order), Direction::Reverse, |key, value| {
            Ok(self.seen_run(read(key, value)?).map_or(ControlFlow::Continue(()), &mut visit))
        })
    }

    /// The jobs of a run.
    pub fn jobs_of_run(&self, order: u64) -> Result<Vec<JobRow>> {
        let jobs = self.rows(&keys::jobs_of_run(order), |_| Some(()))?.into_iter().map(|((), job): ((), JobRow)| job);
        Ok(jobs.filter(|job| self.sees_pipeline(&job.pipeline)).collect())
    }

    /// The job of a pipeline in a run.
    pub fn job(&self, order: u64, pipeline: &PipelineName) -> Result<Option<JobRow>> {
        if self.sees_pipeline(pipeline) { self.row(&keys::job(order, pipeline)) } else { Ok(None) }
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
        if !self.sees_pipeline(pipeline) {
            return Ok(());
        }
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
            if !self.sees_pipeline(&pipeline) {
                continue;
            }
            jobs.push(self.listed_job(u64::from_be_bytes(*order), &pipeline)?);
        }
        Ok(jobs)
    }

    /// Number of jobs that have not ended.
    pub fn open_jobs_count(&self) -> Result<u64> {
        if self.is_limited() {
            return Ok(self.open_jobs()?.len() as u64);
        }
        let (prefix, mut count) = (keys::open_jobs(), 0);
        self.index().visit(&prefix, &prefix, Direction::Forward, |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// All pipelines in their newest version, sorted by name.
    pub fn pipelines(&self) -> Result<Vec<(PipelineName, PipelineRow)>> {
        let mut pipelines = self.named(&keys::pipelines())?;
        pipelines.retain(|(pipeline, _)| self.sees_pipeline(pipeline));
        Ok(pipelines)
    }

    /// A pipeline, if it exists.
    pub fn find_pipeline(&self, pipeline: &PipelineName) -> Result<Option<PipelineRow>> {
        if self.sees_pipeline(pipeline) { self.row(&keys::pipeline(pipeline)) } else { Ok(None) }
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
        if self.sees_pipeline(pipeline) { self.row(&keys::version(pipeline, version)) } else { Ok(None) }
    }

    /// All versions of a pipeline, oldest first.
    pub fn pipeline_versions(&self, pipeline: &PipelineName) -> Result<Vec<PipelineRow>> {
        if !self.sees_pipeline(pipeline) {
            return Ok(Vec::new());
        }
        let rows = self.rows(&keys::versions(pipeline), |_| Some(()))?;
        Ok(rows.into_iter().map(|((), row)| row).collect())
    }

    /// Ids of commits that begin with these hex digits, at most `limit`.
    pub fn commits_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<CommitId>> {
        if self.is_limited()
            && let Ok(digest) = prefix.parse::<Digest>()
        {
            return self.seen_commit(CommitId::new(digest)).map(|seen| seen.into_iter().take(limit).collect());
        }
        let commits = self.by_prefix(prefix, self.before_sight(limit), 32, keys::commits_from, |key| {
            key.last_chunk::<32>().map(|bytes| CommitId::new(Digest::from_bytes(*bytes)))
        })?;
        self.seen_of(commits, limit, |commit| Ok(self.commit_row(commit)?.is_some()))
    }

    /// A commit, if it exists and is visible. It reads one row in either case, its own or the next one, so the time that it takes does not
    /// tell whether a hidden commit has this id.
    fn seen_commit(&self, id: CommitId) -> Result<Option<CommitId>> {
        let (all, own) = (keys::commits_from(&[]), keys::commit(&id));
        let mut seen = None;
        for from in [&own, &all] {
            let mut is_there = false;
            self.index().try_visit(&all, from, Direction::Forward, |key, value| {
                is_there = true;
                let row: CommitRow = read(key, value)?;
                seen = (self.sees(&row.repo) && key == own.as_slice()).then_some(id);
                Ok(ControlFlow::Break(()))
            })?;
            if is_there {
                break; // else all ids are smaller, and the first row stands for the next one
            }
        }
        Ok(seen)
    }

    /// Ids of runs that begin with these hex digits, at most `limit`.
    pub fn runs_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<RunId>> {
        let runs = self.by_prefix(prefix, self.before_sight(limit), 16, keys::run_orders_from, |key| {
            key.last_chunk::<16>().map(|bytes| RunId::from_bytes(*bytes))
        })?;
        self.seen_of(runs, limit, |run| Ok(self.run_order(run)?.is_some()))
    }

    /// Ids of datums (recipes that have a result) that begin with these hex digits, at most `limit`.
    pub fn datums_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<specs::DatumId>> {
        let before = self.before_sight(limit).saturating_mul(4);
        let mut ids = self.by_prefix(prefix, before, 32, keys::results_from, |key| {
            let (_, rest) = key.split_first()?;
            rest.first_chunk::<32>().map(|bytes| specs::DatumId::new(Digest::from_bytes(*bytes)))
        })?;
        ids.dedup();
        self.seen_of(ids, limit, |id| Ok(!self.results(id)?.is_empty()))
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
        let digest = |key: &[u8]| key.last_chunk::<32>().map(|bytes| Digest::from_bytes(*bytes));
        // First the open pack: when it is finished, its rows are in the index before they leave it.
        let mut found = self.in_open_pack_by_prefix(kind, prefix);
        found.extend(self.by_prefix(prefix, self.before_sight(limit), 32, keys, digest)?);
        if found.is_empty() && !self.is_owner() {
            found = self.objects_beside_writers(kind, prefix)?;
        }
        found.sort_unstable();
        found.dedup();
        let mut seen = self.seen_objects(kind, found)?;
        seen.truncate(limit);
        Ok(seen)
    }

    /// How many ids to read so that `limit` visible ones are among them.
    fn before_sight(&self, limit: usize) -> usize {
        if self.is_limited() { usize::MAX } else { limit }
    }

    /// The first visible ids.
    fn seen_of<T>(&self, ids: Vec<T>, limit: usize, is_seen: impl Fn(&T) -> Result<bool>) -> Result<Vec<T>> {
        let seen = |id: T| is_seen(&id).map(|is_seen| is_seen.then_some(id)).transpose();
        if self.is_limited() {
            ids.into_iter().filter_map(seen).take(limit).collect()
        } else {
            Ok(ids.into_iter().take(limit).collect())
        }
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
