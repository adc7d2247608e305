//! The graph of pipelines: who reads what, and which jobs a change causes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use repos::documents::{Commit, PipelineStamp, SpecDocument, VersionDocument};
use repos::journal::{JobSeed, Move};
use repos::{PipelineRow, RepoError, Store};
use specs::spec::{PfsInput, PipelineSpec, Trigger};
use specs::{BranchName, Digest, PipelineName, RepoName};

use crate::error::Result;

/// A pipeline in one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Digest of the version document.
    pub document: Digest,
    /// What was fixed at apply.
    pub version: VersionDocument,
    /// The spec.
    pub spec: PipelineSpec,
}

/// Cache of pipeline versions read during one query: many datums share one.
#[derive(Debug, Default)]
pub struct Versions(HashMap<(PipelineName, u32), Rc<Pipeline>>);

impl Versions {
    /// A version of a pipeline, as [`Pipeline::load_version`] reads it.
    pub fn get(&mut self, store: &Store, name: &PipelineName, version: u32) -> Result<Rc<Pipeline>> {
        let key = (name.clone(), version);
        if let Some(known) = self.0.get(&key) {
            return Ok(Rc::clone(known));
        }
        let pipeline = Rc::new(Pipeline::load_version(store, name, version)?);
        self.0.insert(key, Rc::clone(&pipeline));
        Ok(pipeline)
    }

    /// The version that made a commit; `None` for a user's commit.
    pub fn of_commit(&mut self, store: &Store, commit: &Commit) -> Result<Option<Rc<Pipeline>>> {
        commit.pipeline.as_ref().map(|stamp| self.get(store, &stamp.name, stamp.version)).transpose()
    }
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

    /// Reads a version of a pipeline, which may be deleted.
    pub fn load_version(store: &Store, name: &PipelineName, version: u32) -> Result<Self> {
        let row = store.pipeline_version(name, version)?.ok_or_else(|| RepoError::NotFound {
            what: format!("version {version} of pipeline `{name}` not found"),
            hint: Some("pv pipeline list lists all".to_owned()),
        })?;
        Self::load(store, &row)
    }

    /// Its name.
    pub fn name(&self) -> &PipelineName {
        &self.version.name
    }

    /// The branch that a leaf of the input reads; for one with a trigger, the branch that only the engine moves.
    pub fn input_branch(&self, leaf: &PfsInput) -> BranchOf {
        let branch = match &leaf.trigger {
            Some(_) => {
                // Equal leaves read the same commits, so they share the branch of the first.
                let at = self.spec.input.leaves().into_iter().position(|other| other == leaf).unwrap_or_default();
                trigger_branch(self.name(), at + 1).expect("apply refuses a name that is too long")
            }
            None => leaf.branch.clone().unwrap_or_else(|| self.version.default_branch.clone()),
        };
        (leaf.repo.clone(), branch)
    }

    /// The branches that it reads, each once.
    pub fn input_branches(&self) -> BTreeSet<BranchOf> {
        self.spec.input.leaves().into_iter().map(|leaf| self.input_branch(leaf)).collect()
    }

    /// The branches whose commits start its jobs: those that it reads, except with `propagation_spec.never`.
    pub fn starting_branches(&self) -> BTreeSet<BranchOf> {
        let leaves = self.spec.input.leaves().into_iter().filter(|leaf| !leaf.propagation_never);
        leaves.map(|leaf| self.input_branch(leaf)).collect()
    }

    /// The triggers of its input, each once.
    pub fn triggers(&self) -> Vec<TriggerOf<'_>> {
        let mut triggers: Vec<TriggerOf<'_>> = Vec::new();
        for leaf in self.spec.input.leaves() {
            let Some(trigger) = &leaf.trigger else { continue };
            let branch = self.input_branch(leaf);
            let source = trigger.branch.as_ref().or(leaf.branch.as_ref()).unwrap_or(&self.version.default_branch);
            if triggers.iter().all(|known| known.branch != branch) {
                triggers.push(TriggerOf { branch, source: (leaf.repo.clone(), source.clone()), trigger });
            }
        }
        triggers
    }

    /// Whether a branch is moved only by the engine, for this pipeline's input: the branch of a trigger or cron input.
    pub fn is_fed_by(&self, branch: &BranchOf) -> bool {
        self.triggers().iter().any(|trigger| trigger.branch == *branch)
            || self.spec.input.crons().iter().any(|cron| self.input_branch(&cron.ticks) == *branch)
    }

    /// Whether it depends on a branch: it reads it, or one of its triggers watches it.
    pub fn needs(&self, branch: &BranchOf) -> bool {
        self.input_branches().contains(branch) || self.triggers().iter().any(|trigger| trigger.source == *branch)
    }

    /// The branch that it writes.
    pub fn output_branch(&self) -> BranchOf {
        let branch = self.spec.output_branch.clone().unwrap_or_else(|| self.version.default_branch.clone());
        (self.name().output_repo(), branch)
    }

    /// What is executed: the spec's command, or else that of the image.
    pub fn command(&self) -> Vec<String> {
        let own = &self.spec.transform.cmd;
        if own.is_empty() { self.version.entrypoint.clone() } else { own.clone() }
    }

    /// The stamp for its output commits.
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

/// A trigger of a pipeline's input.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerOf<'a> {
    /// The branch that the trigger moves and the pipeline reads.
    pub branch: BranchOf,
    /// The branch whose commits it takes.
    pub source: BranchOf,
    /// Its conditions.
    pub trigger: &'a Trigger,
}

/// Which pipelines do something, for an error: by name, as far as they are visible; the others are counted.
pub(crate) fn users_in_words<'a>(
    store: &Store,
    pipelines: impl IntoIterator<Item = &'a PipelineName>,
    does: &str,
) -> Vec<String> {
    let (seen, hidden): (Vec<_>, Vec<_>) = pipelines.into_iter().partition(|name| store.sees_pipeline(name));
    let mut words: Vec<String> = seen.iter().map(|name| format!("pipeline `{name}` {does}")).collect();
    match hidden.len() {
        0 => {}
        1 => words.push(format!("a pipeline that is not visible to you {does}")),
        count => words.push(format!("each of {count} pipelines that are not visible to you {does}")),
    }
    words
}

/// The branch that the trigger of a pipeline's leaf moves; the first leaf has number 1.
pub fn trigger_branch(pipeline: &PipelineName, leaf: usize) -> Result<BranchName, specs::NameError> {
    format!("{pipeline}-trigger-{leaf}").parse()
}

/// All pipelines at one moment.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The number of pipeline changes up to this state.
    pub number: u64,
    /// The pipelines.
    pub pipelines: BTreeMap<PipelineName, Arc<Pipeline>>,
    /// The pipelines that get no jobs.
    pub stopped: BTreeSet<PipelineName>,
}

impl Graph {
    /// The newest versions of a store's pipelines, as far as they are visible. Read once after each change of pipelines.
    pub fn load(store: &Store) -> Result<Arc<Self>> {
        store.of_pipelines(|number| Self::read(store, number))
    }

    /// The newest versions of all pipelines, visible or not: for the consequences of a change. Its names may not reach the user of a
    /// limited handle: see [`users_in_words`].
    pub(crate) fn whole(store: &Store) -> Result<Arc<Self>> {
        Self::load(&store.whole())
    }

    fn read(store: &Store, number: u64) -> Result<Self> {
        let mut pipelines = BTreeMap::new();
        let mut stopped = BTreeSet::new();
        for (name, row) in store.pipelines()? {
            pipelines.insert(name.clone(), Arc::new(Pipeline::load(store, &row)?));
            if row.is_stopped() {
                stopped.insert(name);
            }
        }
        Ok(Self { number, pipelines, stopped })
    }

    /// Without pipelines that are not visible, or read something that is not.
    pub(crate) fn seen_through(mut self, store: &Store) -> Self {
        if store.is_limited() {
            let sees =
                |pipeline: &Pipeline| pipeline.spec.input.leaves().into_iter().all(|leaf| store.sees(&leaf.repo));
            self.pipelines.retain(|name, pipeline| store.sees_pipeline(name) && sees(pipeline));
            self.stopped.retain(|name| store.sees_pipeline(name));
        }
        self
    }

    /// The pipelines that get jobs, each after everything it reads from.
    pub fn at_work(&self) -> impl Iterator<Item = &Arc<Pipeline>> {
        self.in_order().into_iter().filter(|pipeline| !self.stopped.contains(pipeline.name()))
    }

    /// The pipeline that writes a branch.
    pub fn writer(&self, branch: &BranchOf) -> Option<&Arc<Pipeline>> {
        self.pipelines.get(&branch.0.as_pipeline()).filter(|pipeline| pipeline.output_branch() == *branch)
    }

    /// The pipelines in topological order: each after everything it reads from, and those of one depth by name. Linear (Kahn's algorithm).
    pub fn in_order(&self) -> Vec<&Arc<Pipeline>> {
        let mut waiting: HashMap<&PipelineName, usize> = HashMap::new();
        let mut readers: HashMap<&PipelineName, Vec<&Arc<Pipeline>>> = HashMap::new();
        for pipeline in self.pipelines.values() {
            let inputs = pipeline.input_branches();
            let upstream: BTreeSet<&PipelineName> =
                inputs.iter().filter_map(|branch| self.writer(branch)).map(|writer| writer.name()).collect();
            waiting.insert(pipeline.name(), upstream.len());
            for name in upstream {
                readers.entry(name).or_default().push(pipeline);
            }
        }
        let mut ordered = Vec::with_capacity(self.pipelines.len());
        let mut ready: Vec<_> = self.pipelines.values().filter(|pipeline| waiting[pipeline.name()] == 0).collect();
        // Apply only accepts specs without cycles, so all become ready.
        while !ready.is_empty() {
            let mut next = Vec::new();
            for reader in ready.iter().flat_map(|pipeline| readers.remove(pipeline.name()).unwrap_or_default()) {
                let left = waiting.entry(reader.name()).or_default();
                *left = left.saturating_sub(1);
                if *left == 0 {
                    next.push(reader);
                }
            }
            next.sort_by_key(|pipeline| pipeline.name());
            ordered.append(&mut ready);
            ready = next;
        }
        ordered
    }

    /// The jobs that follow from `moves` and from `changed` pipelines: one for each downstream pipeline that is not stopped, unless all its
    /// inputs are empty; in topological order.
    pub fn jobs_after(&self, store: &Store, moves: &[Move], changed: &BTreeSet<PipelineName>) -> Result<Vec<JobSeed>> {
        // Creating a branch gives nobody new data.
        let mut touched: BTreeSet<BranchOf> = moves
            .iter()
            .filter(|moved| moved.from != moved.to)
            .map(|moved| (moved.repo.clone(), moved.branch.clone()))
            .collect();
        let mut filled: BTreeSet<BranchOf> = moves
            .iter()
            .filter(|moved| moved.to.is_some())
            .map(|moved| (moved.repo.clone(), moved.branch.clone()))
            .collect();
        // What an open job will write counts as data: otherwise a pipeline applied before it ends would never see it.
        let open = store.open_jobs()?;
        filled.extend(open.iter().filter_map(|job| Some(self.pipelines.get(&job.pipeline)?.output_branch())));
        let mut jobs = Vec::new();
        for pipeline in self.at_work() {
            if !changed.contains(pipeline.name()) && pipeline.starting_branches().is_disjoint(&touched) {
                continue;
            }
            let inputs = pipeline.input_branches();
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

    /// The pipelines upstream of `names`, including these.
    pub fn upstream(&self, names: BTreeSet<PipelineName>) -> BTreeSet<PipelineName> {
        let mut above = names;
        for pipeline in self.in_order().into_iter().rev() {
            if above.contains(pipeline.name()) {
                let inputs = pipeline.input_branches();
                above
                    .extend(inputs.iter().filter_map(|branch| self.writer(branch)).map(|writer| writer.name().clone()));
            }
        }
        above
    }

    /// The pipelines that get jobs when `names` do: those downstream, and of `names` those that are not stopped.
    pub fn downstream(&self, names: &BTreeSet<PipelineName>) -> BTreeSet<PipelineName> {
        let mut below: BTreeSet<PipelineName> = names.difference(&self.stopped).cloned().collect();
        let mut branches: BTreeSet<BranchOf> = BTreeSet::new();
        for pipeline in self.at_work() {
            if below.contains(pipeline.name()) || !pipeline.starting_branches().is_disjoint(&branches) {
                below.insert(pipeline.name().clone());
                branches.insert(pipeline.output_branch());
            }
        }
        below
    }
}
