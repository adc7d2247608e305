//! The graph of pipelines: who reads what, and which jobs a change causes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use repos::documents::{PipelineStamp, SpecDocument, VersionDocument};
use repos::journal::{JobSeed, Move};
use repos::{PipelineRow, RepoError, Store};
use specs::spec::{PfsInput, PipelineSpec};
use specs::{BranchName, Digest, PipelineName, RepoName};

use crate::error::Result;

/// A pipeline in one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Digest of the version document.
    pub document: Digest,
    /// What was settled at apply.
    pub version: VersionDocument,
    /// The spec.
    pub spec: PipelineSpec,
}

/// A branch of a repository.
pub type BranchOf = (RepoName, BranchName);

impl Pipeline {
    /// Reads the version that a row names.
    pub fn load(store: &Store, row: &PipelineRow) -> Result<Self> {
        let version: VersionDocument = store.document(&row.document)?;
        let SpecDocument(spec) = store.document(&version.spec)?;
        let spec = serde_json::from_value(spec)
            .map_err(|_| RepoError::MadeByNewer { what: format!("the spec of pipeline `{}`", version.name) })?;
        Ok(Self { document: row.document, version, spec })
    }

    /// Reads one version of a pipeline, also of one that was deleted.
    pub fn load_version(store: &Store, name: &PipelineName, version: u32) -> Result<Self> {
        let row = store.pipeline_version(name, version)?.ok_or_else(|| RepoError::NotFound {
            what: format!("version {version} of pipeline `{name}` not found"),
            hint: Some("pv pipeline list shows all".to_owned()),
        })?;
        Self::load(store, &row)
    }

    /// Its name.
    pub fn name(&self) -> &PipelineName {
        &self.version.name
    }

    /// The branch that a leaf of the input reads.
    pub fn input_branch(&self, leaf: &PfsInput) -> BranchOf {
        (leaf.repo.clone(), leaf.branch.clone().unwrap_or_else(|| self.version.default_branch.clone()))
    }

    /// The branches that it reads, each once.
    pub fn input_branches(&self) -> BTreeSet<BranchOf> {
        self.spec.input.leaves().into_iter().map(|leaf| self.input_branch(leaf)).collect()
    }

    /// The branch that it writes.
    pub fn output_branch(&self) -> BranchOf {
        let branch = self.spec.output_branch.clone().unwrap_or_else(|| self.version.default_branch.clone());
        (self.name().output_repo(), branch)
    }

    /// What is executed: the spec's command, else that of the image.
    pub fn command(&self) -> Vec<String> {
        let own = &self.spec.transform.cmd;
        if own.is_empty() { self.version.entrypoint.clone() } else { own.clone() }
    }

    /// What an output commit says of it.
    pub fn stamp(&self) -> PipelineStamp {
        PipelineStamp {
            name: self.version.name.clone(),
            version: self.version.version,
            spec: self.version.spec,
            transform: self.version.transform,
            image: self.version.image.clone(),
            code: self.version.code.clone(),
        }
    }
}

/// All pipelines at one moment.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The number of pipeline changes that it is the state after.
    pub number: u64,
    /// The pipelines.
    pub pipelines: BTreeMap<PipelineName, Arc<Pipeline>>,
}

impl Graph {
    /// The pipelines of a store in their newest versions.
    pub fn load(store: &Store) -> Result<Self> {
        let number = store.graph()?;
        let mut pipelines = BTreeMap::new();
        for (name, row) in store.pipelines()? {
            pipelines.insert(name, Arc::new(Pipeline::load(store, &row)?));
        }
        Ok(Self { number, pipelines })
    }

    /// The pipeline that writes a branch.
    pub fn writer(&self, branch: &BranchOf) -> Option<&Arc<Pipeline>> {
        self.pipelines.get(&branch.0.as_pipeline()).filter(|pipeline| pipeline.output_branch() == *branch)
    }

    /// The pipelines in an order in which each comes after all that it reads from.
    pub fn in_order(&self) -> Vec<&Arc<Pipeline>> {
        let mut ordered: Vec<&Arc<Pipeline>> = Vec::with_capacity(self.pipelines.len());
        let mut placed: BTreeSet<&PipelineName> = BTreeSet::new();
        // Specs without cycles are all that apply lets in, so each round places at least one.
        while ordered.len() < self.pipelines.len() {
            let ready: Vec<_> = self
                .pipelines
                .values()
                .filter(|pipeline| !placed.contains(pipeline.name()))
                .filter(|pipeline| {
                    let mut upstream =
                        pipeline.input_branches().into_iter().filter_map(|branch| self.writer(&branch).cloned());
                    upstream.all(|upstream| placed.contains(upstream.name()))
                })
                .collect();
            if ready.is_empty() {
                break;
            }
            placed.extend(ready.iter().map(|pipeline| pipeline.name()));
            ordered.extend(ready);
        }
        ordered
    }

    /// The jobs that follow when `moves` are made and `changed` pipelines start anew: one for each pipeline downstream, unless all its
    /// inputs are empty; in topological order.
    pub fn jobs_after(&self, store: &Store, moves: &[Move], changed: &BTreeSet<PipelineName>) -> Result<Vec<JobSeed>> {
        let mut touched: BTreeSet<BranchOf> =
            moves.iter().map(|moved| (moved.repo.clone(), moved.branch.clone())).collect();
        let mut filled: BTreeSet<BranchOf> = moves
            .iter()
            .filter(|moved| moved.to.is_some())
            .map(|moved| (moved.repo.clone(), moved.branch.clone()))
            .collect();
        // What an open job will write is data too: without this, a pipeline applied before it ends would never see it.
        let open = store.open_jobs()?;
        filled.extend(open.iter().filter_map(|job| Some(self.pipelines.get(&job.pipeline)?.output_branch())));
        let mut jobs = Vec::new();
        for pipeline in self.in_order() {
            let inputs = pipeline.input_branches();
            if !changed.contains(pipeline.name()) && inputs.is_disjoint(&touched) {
                continue;
            }
            let mut has_data = !inputs.is_disjoint(&filled);
            for (repo, branch) in &inputs {
                has_data = has_data || store.find_branch(repo, branch)?.is_some_and(|row| row.commit.is_some());
            }
            if has_data {
                touched.insert(pipeline.output_branch());
                filled.insert(pipeline.output_branch());
                jobs.push(JobSeed { pipeline: pipeline.name().clone(), version: pipeline.version.version });
            }
        }
        Ok(jobs)
    }

    /// The pipelines that lie below `names`, themselves included.
    pub fn downstream(&self, names: &BTreeSet<PipelineName>) -> BTreeSet<PipelineName> {
        let mut below = names.clone();
        let mut branches: BTreeSet<BranchOf> = BTreeSet::new();
        for pipeline in self.in_order() {
            if below.contains(pipeline.name()) || !pipeline.input_branches().is_disjoint(&branches) {
                below.insert(pipeline.name().clone());
                branches.insert(pipeline.output_branch());
            }
        }
        below
    }
}
