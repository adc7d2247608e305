//! From one file to everything that read it.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ops::ControlFlow;

use repos::documents::{Commit, ResultDocument};
use repos::store::Resolved;
use repos::tree::{FileEntry, KeyRange, Tree, path_of};
use repos::{JobRow, RepoError, Store};
use specs::{CommitId, Digest, FilePath, PipelineName, RepoName};

use super::back::results_of;
use super::nodes::{Forward, Reader};
use crate::datums::{DatumKey, Shape};
use crate::error::Result;
use crate::graph::{BranchOf, Graph, Pipeline};

/// Every datum that read the file at `at`, and what came of it: in the run of its commit, or with `all_runs` in every run that saw
/// these bytes under this path.
pub fn forward(store: &Store, at: &Resolved, all_runs: bool) -> Result<Forward> {
    let file = at.tree().file(store, &at.path)?.ok_or_else(|| RepoError::FileNotFound {
        path: at.path.clone(),
        place: at.place(),
        similar: None,
    })?;
    let mut search = Search { store, all_runs, seen: HashSet::new(), open: VecDeque::new(), readers: Vec::new() };
    search.open.push_back((at.commit.repo.clone(), at.id, at.path.clone(), file));
    while let Some((repo, commit, path, file)) = search.open.pop_front() {
        search.readers_of(&repo, commit, &path, file)?;
    }
    Ok(Forward {
        repo: at.commit.repo.clone(),
        commit: at.id,
        path: at.path.clone(),
        digest: file.digest,
        size_bytes: file.size,
        readers: search.readers,
    })
}

struct Search<'a> {
    store: &'a Store,
    all_runs: bool,
    /// Results in jobs that were found.
    seen: HashSet<(PipelineName, Digest)>,
    open: VecDeque<(RepoName, CommitId, FilePath, FileEntry)>,
    readers: Vec<Reader>,
}

impl Search<'_> {
    fn readers_of(&mut self, repo: &RepoName, commit: CommitId, path: &FilePath, file: FileEntry) -> Result<()> {
        let graph = Graph::load(self.store)?;
        for pipeline in graph.in_order() {
            for job in self.jobs(pipeline, repo, commit)? {
                // As the pipeline was when the job ran.
                let pipeline = Pipeline::load_version(self.store, &job.pipeline, job.version)?;
                self.readers_in(&pipeline, &job, repo, path, file)?;
            }
        }
        Ok(())
    }

    /// The jobs that took this commit: the one of its own run, else the first that took it; or all that saw the repository.
    fn jobs(&self, pipeline: &Pipeline, repo: &RepoName, commit: CommitId) -> Result<Vec<JobRow>> {
        let mut found: Vec<JobRow> = Vec::new();
        let mut failed = Ok(());
        let run = self.store.commit(&commit)?.run;
        self.store.visit_jobs(pipeline.name(), u64::MAX, |job| {
            let takes = || -> Result<bool> {
                let Some(output) = job.commit else { return Ok(false) };
                let mut origins = self.store.commit(&output)?.provenance.into_iter();
                Ok(origins.any(|origin| origin.repo == *repo && (self.all_runs || origin.commit == commit)))
            };
            match takes() {
                Ok(true) => found.push(job),
                Ok(false) => {}
                Err(error) => {
                    failed = Err(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        failed?;
        if self.all_runs {
            return Ok(found);
        }
        let own = found.iter().position(|job| job.run == run).unwrap_or(found.len().saturating_sub(1));
        Ok(found.into_iter().skip(own).take(1).collect())
    }

    /// The datums of a job that read the file.
    fn readers_in(
        &mut self,
        pipeline: &Pipeline,
        job: &JobRow,
        repo: &RepoName,
        path: &FilePath,
        file: FileEntry,
    ) -> Result<()> {
        let Some(id) = job.commit else { return Ok(()) };
        let commit = self.store.commit(&id)?;
        let branches = self.saw(&commit, repo, path, file)?;
        let leaves = pipeline.spec.input.leaves().into_iter().enumerate();
        let holders: BTreeSet<usize> = leaves
            .filter(|(_, leaf)| branches.contains(&pipeline.input_branch(leaf)))
            .map(|(number, _)| number)
            .collect();
        if holders.is_empty() {
            return Ok(());
        }
        let shape = Shape::of(&pipeline.spec.input);
        for (key, digest) in results_of(self.store, &commit)? {
            let reads = shape.reads(self.store, (&DatumKey::from_map(&key), &digest), path, &holders)?;
            if !reads || !self.seen.insert((pipeline.name().clone(), digest)) {
                continue;
            }
            let result: ResultDocument = self.store.document(&digest)?;
            let outputs = self.outputs(&result)?;
            let at_head = self.are_at_head(pipeline, &outputs)?;
            for (written, entry) in &outputs {
                self.open.push_back((commit.repo.clone(), id, written.clone(), *entry));
            }
            self.readers.push(Reader {
                pipeline: pipeline.name().clone(),
                job: format!("{}@{}", job.pipeline, job.run),
                datum: result.recipe,
                state: result.state,
                read: (repo.clone(), path.clone()),
                outputs: outputs.into_iter().map(|(path, _)| path).collect(),
                at_head,
            });
        }
        Ok(())
    }

    /// The branches whose commits, as the job took them, had these bytes under this path.
    fn saw(&self, commit: &Commit, repo: &RepoName, path: &FilePath, file: FileEntry) -> Result<Vec<BranchOf>> {
        let mut branches = Vec::new();
        for origin in commit.provenance.iter().filter(|origin| origin.repo == *repo) {
            let tree = Tree::at(self.store.commit(&origin.commit)?.tree);
            if tree.file(self.store, path)?.is_some_and(|seen| seen.digest == file.digest) {
                branches.push((origin.repo.clone(), origin.branch.clone()));
            }
        }
        Ok(branches)
    }

    fn outputs(&self, result: &ResultDocument) -> Result<Vec<(FilePath, FileEntry)>> {
        let Some(outputs) = result.outputs else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        for entry in Tree::at(outputs).range(self.store, KeyRange::all())? {
            let (key, file) = entry?;
            files.push((path_of(&key).map_err(RepoError::from)?, file));
        }
        Ok(files)
    }

    fn are_at_head(&self, pipeline: &Pipeline, outputs: &[(FilePath, FileEntry)]) -> Result<bool> {
        let (repo, branch) = pipeline.output_branch();
        let Some(head) = self.store.find_branch(&repo, &branch)?.and_then(|row| row.commit) else { return Ok(false) };
        let tree = Tree::at(self.store.commit(&head)?.tree);
        for (path, file) in outputs {
            if tree.file(self.store, path)? != Some(*file) {
                return Ok(false);
            }
        }
        Ok(!outputs.is_empty())
    }
}
