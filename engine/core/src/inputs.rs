//! Which commits a job reads: never an inconsistent mix of old and new ones.
//!
//! For each input branch a job reads the commit of its own run, or else that of the newest earlier run that gave the branch a good commit,
//! and waits while a job of an earlier run on that branch is open. In everything it depends on, no branch may occur with two different
//! commits.
//!
//! The check has limits. It does not look behind a commit made on another branch to which a user or a trigger moved this branch, nor behind
//! commits of a pipeline that was stopped in the run that took them, nor at inputs with `propagation_spec.never`.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use repos::documents::Commit;
use repos::journal::SealedState;
use repos::tree::Tree;
use repos::{JobRow, PipelineRow, Store};
use specs::spec::PfsInput;
use specs::{CommitId, PipelineName};

use crate::error::Result;
use crate::graph::{BranchOf, Pipeline};
use crate::recipe::Leaf;

/// What a job waits for before it starts, or before its next datum starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitsFor {
    /// A job of the same pipeline in an earlier run.
    EarlierRun,
    /// A job of an upstream pipeline.
    Pipeline(PipelineName),
    /// A job of an upstream pipeline that is not visible to the one who asks.
    Hidden,
    /// Space on the disk.
    Disk,
    /// A worker: none has joined.
    Worker,
    /// A worker that suits it and has a free slot.
    Room,
    /// What a cluster has to do first, in its words.
    Cluster(String),
    /// Only an engine to run it.
    Engine,
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EarlierRun => f.pad("for its earlier run"),
            Self::Pipeline(name) => write!(f, "for {name}"),
            Self::Hidden => f.pad("for a pipeline that is not visible to you"),
            Self::Disk => f.pad("disk"),
            Self::Worker => f.pad("no worker has joined: pv worker join URL"),
            Self::Room => f.pad("no worker that suits it has a free slot"),
            Self::Cluster(why) => f.pad(why),
            Self::Engine => f.pad("for pv run"),
        }
    }
}

impl WaitsFor {
    /// The same, without the name of a pipeline that is not visible.
    #[must_use]
    pub fn seen_through(self, store: &Store) -> Self {
        match self {
            Self::Pipeline(name) if !store.sees_pipeline(&name) => Self::Hidden,
            what => what,
        }
    }
}

/// Whether a job can start.
#[derive(Debug, Clone)]
pub enum Readiness {
    /// With these inputs, one for each leaf of the spec.
    Ready(Vec<Leaf>),
    /// Not before something else has ended.
    Waits(WaitsFor),
    /// Never.
    Unrunnable {
        /// The reason, naming the upstream pipeline.
        reason: String,
    },
}

/// Resolves the inputs of an open job. `open` are all open jobs, in the order of runs.
pub fn inputs_of(store: &Store, pipeline: &Pipeline, job: &JobRow, open: &[JobRow]) -> Result<Readiness> {
    InputResolver::new(store, open).inputs_of(pipeline, job)
}

/// Why a job created now can never read these inputs together; `None` if it can.
pub(crate) fn refusal(store: &Store, leaves: &[Leaf]) -> Result<Option<String>> {
    InputResolver::new(store, &[]).mixed(u64::MAX, leaves)
}

/// Resolves the inputs of many jobs at one moment.
#[derive(Debug)]
pub struct InputResolver<'a> {
    store: &'a Store,
    open: &'a [JobRow],
    /// Cache of pipeline versions.
    versions: RefCell<HashMap<(PipelineName, u32), Arc<Pipeline>>>,
    /// Cache of pipeline rows, which say when pipelines were stopped.
    rows: RefCell<HashMap<PipelineName, Option<PipelineRow>>>,
}

/// Apply refuses specs with this many inputs; one applied by an older version is reported here.
fn too_many(inputs: usize) -> Option<String> {
    let most = usize::from(u16::MAX);
    (inputs > most).then(|| format!("it has {inputs} inputs, but at most {most} are possible: apply it with fewer"))
}

impl<'a> InputResolver<'a> {
    /// `open` are all open jobs, in the order of runs.
    pub fn new(store: &'a Store, open: &'a [JobRow]) -> Self {
        Self { store, open, versions: RefCell::default(), rows: RefCell::default() }
    }

    /// Resolves the inputs of an open job.
    pub fn inputs_of(&self, pipeline: &Pipeline, job: &JobRow) -> Result<Readiness> {
        if self.open.iter().any(|other| other.pipeline == job.pipeline && other.order < job.order) {
            return Ok(Readiness::Waits(WaitsFor::EarlierRun));
        }
        let inputs = pipeline.spec.input.leaves();
        if let Some(reason) = too_many(inputs.len()) {
            return Ok(Readiness::Unrunnable { reason });
        }
        let mut leaves = Vec::new();
        for input in inputs {
            let branch = pipeline.input_branch(input);
            let writer = branch.0.as_pipeline();
            if let Some(upstream) = self.open_writer(&branch, job.order)? {
                return Ok(Readiness::Waits(WaitsFor::Pipeline(upstream.pipeline.clone())));
            }
            if let Some(state) = self.gave_nothing(job, &writer, &branch)? {
                return Ok(Readiness::Unrunnable { reason: format!("{writer} {state}") });
            }
            leaves.push(self.leaf(input, branch, job.order)?);
        }
        Ok(match self.mixed(job.order, &leaves)? {
            None => Readiness::Ready(leaves),
            Some(reason) => Readiness::Unrunnable { reason },
        })
    }

    /// The inputs of a job as far as they are known before it can start; `Err` with the pipeline for one that a job has still to write.
    pub fn known_inputs(&self, pipeline: &Pipeline, job: &JobRow) -> Result<Vec<Result<Leaf, PipelineName>>> {
        let input = |input| {
            let branch = pipeline.input_branch(input);
            if let Some(upstream) = self.open_writer(&branch, job.order)? {
                return Ok(Err(upstream.pipeline.clone()));
            }
            self.leaf(input, branch, job.order).map(Ok)
        };
        pipeline.spec.input.leaves().into_iter().map(input).collect()
    }

    /// A job of this or an earlier run that has still to write a branch.
    fn open_writer(&self, branch: &BranchOf, order: u64) -> Result<Option<&'a JobRow>> {
        let writer = branch.0.as_pipeline();
        for upstream in self.open.iter().filter(|other| other.pipeline == writer && other.order <= order) {
            if self.writes(upstream, branch)? {
                return Ok(Some(upstream));
            }
        }
        Ok(None)
    }

    /// What a branch gives to a run of this order.
    fn leaf(&self, input: &PfsInput, branch: BranchOf, order: u64) -> Result<Leaf> {
        let commit = self.store.head_as_of(&branch.0, &branch.1, order)?.flatten();
        let tree = commit.map(|id| self.store.commit(&id)).transpose()?;
        let tree = tree.map_or(Tree::empty(), |commit| Tree::at(commit.tree));
        Ok(Leaf { input: input.clone(), branch, commit, tree })
    }

    /// Whether a job's commit goes to a branch: its repository may have others, which users move.
    fn writes(&self, job: &JobRow, branch: &BranchOf) -> Result<bool> {
        Ok(self.version(&job.pipeline, job.version)?.output_branch() == *branch)
    }

    fn version(&self, name: &PipelineName, version: u32) -> Result<Arc<Pipeline>> {
        let key = (name.clone(), version);
        if let Some(known) = self.versions.borrow().get(&key) {
            return Ok(known.clone());
        }
        let pipeline = Arc::new(Pipeline::load_version(self.store, name, version)?);
        self.versions.borrow_mut().insert(key, pipeline.clone());
        Ok(pipeline)
    }

    /// How an upstream job of this same run ended without a result: using an older commit instead would be inconsistent.
    fn gave_nothing(&self, job: &JobRow, writer: &PipelineName, branch: &BranchOf) -> Result<Option<&'static str>> {
        let Some(upstream) = self.store.job(job.order, writer)? else { return Ok(None) };
        let state = match upstream.sealed {
            Some(SealedState::Failure) => "failed",
            Some(SealedState::Killed) => "was killed",
            Some(SealedState::Unrunnable) => "is unrunnable",
            Some(SealedState::Success) | None => return Ok(None),
        };
        Ok(self.writes(&upstream, branch)?.then_some(state))
    }

    /// Whether a pipeline was stopped at the time of this run.
    fn was_stopped(&self, pipeline: &PipelineName, order: u64) -> Result<bool> {
        if let Some(row) = self.rows.borrow().get(pipeline) {
            return Ok(row.as_ref().is_some_and(|row| row.was_stopped(order)));
        }
        let row = self.store.find_pipeline(pipeline)?;
        let was = row.as_ref().is_some_and(|row| row.was_stopped(order));
        self.rows.borrow_mut().insert(pipeline.clone(), row);
        Ok(was)
    }

    /// A branch that occurs with two different commits in what the leaves depend on.
    ///
    /// Three kinds of edges may lead to an older commit, and are not followed: inputs whose new commits start no job, the commits of
    /// pipelines that were stopped, and branches to which users or triggers moved a commit made on another branch.
    fn mixed(&self, order: u64, leaves: &[Leaf]) -> Result<Option<String>> {
        let mut seen: HashMap<BranchOf, (CommitId, String)> = HashMap::new();
        let mut edges: Vec<Edge> = Vec::new();
        for leaf in leaves.iter().filter(|leaf| !leaf.input.propagation_never) {
            let Some(commit) = leaf.commit else { continue };
            edges.push(Edge { branch: leaf.branch.clone(), commit, order, through: leaf.branch.0.to_string() });
        }
        while let Some(Edge { branch, commit: id, order, through }) = edges.pop() {
            if let Some((other, other_through)) = seen.get(&branch) {
                if *other == id {
                    continue;
                }
                return Ok(Some(format!(
                    "`{}@{}` would be read in two versions: {} through {through}, {} through {other_through}",
                    branch.0,
                    branch.1,
                    id.short(8),
                    other.short(8),
                )));
            }
            let commit: Commit = self.store.commit(&id)?;
            let is_followed = commit.branch == branch.1 && !self.was_stopped(&branch.0.as_pipeline(), order)?;
            if is_followed && !commit.provenance.is_empty() {
                let order = self.store.run_order(&commit.run)?.unwrap_or_default();
                let late = self.may_be_late(&commit)?;
                let origins = commit.provenance.into_iter().map(|origin| ((origin.repo, origin.branch), origin.commit));
                let origins = origins.filter(|(branch, _)| !late.contains(branch));
                edges.extend(origins.map(|(branch, commit)| Edge { branch, commit, order, through: through.clone() }));
            }
            seen.insert(branch, (id, through));
        }
        Ok(None)
    }

    /// The branches whose new commits started no job of the pipeline that made a commit.
    fn may_be_late(&self, commit: &Commit) -> Result<BTreeSet<BranchOf>> {
        let Some(stamp) = &commit.pipeline else { return Ok(BTreeSet::new()) };
        let pipeline = self.version(&stamp.name, stamp.version)?;
        Ok(pipeline.input_branches().difference(&pipeline.starting_branches()).cloned().collect())
    }
}

/// A job or commit read a commit of a branch.
struct Edge {
    branch: BranchOf,
    commit: CommitId,
    /// The run that read it.
    order: u64,
    /// The input of the job through which it is reached.
    through: String,
}
