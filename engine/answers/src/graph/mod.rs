//! The graph of repositories and pipelines, and how each pipeline is doing: now, or at an earlier moment.
//!
//! A node is a pipeline with its output repository, or a repository that people or clocks write to.
//!
//! As of a moment, the graph has the repositories and the versions of pipelines that counted then, and the jobs that there were, also if they
//! were deleted later. A pipeline counts as stopped if it was for that run.
//!
//! Not here: which part of it is shown, and where its nodes stand (`web`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use engine::graph::Pipeline;
use engine::live::{Live, LiveState};
use engine::{Graph, Result};
use repos::documents::JobDocument;
use repos::journal::{CauseKind, RepoKind, SealedState};
use repos::store::PipelineThen;
use repos::{JobRow, PipelineRow, Store, Timestamp};
use specs::{PipelineName, RepoName};

use crate::job::live_job;
use crate::moment::{Moment, runs_at};
use crate::pipeline::PipelineState;

/// Repositories and pipelines, and who reads what.
#[derive(Debug, Clone)]
pub struct GraphView {
    /// Repositories by name, then pipelines by name.
    pub nodes: Vec<Node>,
}

/// A node of the graph.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub what: What,
    /// The positions of the nodes that it reads, each once, rising.
    pub inputs: Vec<usize>,
    /// How many of its inputs are not visible to the one who asks.
    pub inputs_not_visible: usize,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum What {
    /// A repository that no pipeline writes.
    Repo {
        /// Its name.
        name: RepoName,
        /// Who writes to it; `None` if it is deleted.
        kind: Option<RepoKind>,
    },
    /// A pipeline with its output repository.
    Pipeline {
        /// Its name.
        name: PipelineName,
        /// Its version.
        version: u32,
        /// How it is doing.
        state: PipelineState,
        /// Its newest job.
        newest: Option<JobRow>,
    },
}

impl Node {
    /// Its name: no two nodes have the same.
    pub fn name(&self) -> &str {
        match &self.what {
            What::Repo { name, .. } => name.as_str(),
            What::Pipeline { name, .. } => name.as_str(),
        }
    }

    /// How it is doing, if it is a pipeline.
    pub fn state(&self) -> Option<PipelineState> {
        match &self.what {
            What::Repo { .. } => None,
            What::Pipeline { state, .. } => Some(*state),
        }
    }
}

/// The graph as far as it is visible, now or as of a moment. `live` is the activity of an engine in this process.
pub fn graph(store: &Store, live: Option<&Live>, moment: Option<&Moment>) -> Result<GraphView> {
    let present = Graph::load(store)?;
    let pipelines = match moment {
        None => now(store, live, &present)?,
        Some(moment) => then(store, live, &present, moment)?,
    };
    let repos = repos(store, &pipelines, moment)?;
    let mut places: HashMap<RepoName, usize> = HashMap::new();
    places.extend(repos.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)));
    let outputs = pipelines.iter().map(|(pipeline, _)| pipeline.name().output_repo());
    places.extend(outputs.enumerate().map(|(at, name)| (name, repos.len() + at)));
    let mut nodes: Vec<Node> = Vec::with_capacity(repos.len() + pipelines.len());
    nodes.extend(repos.into_iter().map(|(name, kind)| Node {
        what: What::Repo { name, kind },
        inputs: Vec::new(),
        inputs_not_visible: 0,
    }));
    for (pipeline, what) in pipelines {
        let read = reads(&pipeline);
        let inputs: BTreeSet<usize> = read.iter().filter_map(|repo| places.get(repo).copied()).collect();
        let inputs_not_visible = read.iter().filter(|repo| !store.sees(repo)).count();
        nodes.push(Node { what, inputs: inputs.into_iter().collect(), inputs_not_visible });
    }
    Ok(GraphView { nodes })
}

/// The repositories that a pipeline reads.
fn reads(pipeline: &Pipeline) -> BTreeSet<RepoName> {
    pipeline.spec.input.leaves().into_iter().map(|leaf| leaf.repo.clone()).collect()
}

/// A pipeline in its version, and its node.
type Found = (Arc<Pipeline>, What);

fn now(store: &Store, live: Option<&Live>, present: &Graph) -> Result<Vec<Found>> {
    let mut open: BTreeMap<PipelineName, Vec<JobRow>> = BTreeMap::new();
    for job in store.open_jobs()? {
        open.entry(job.pipeline.clone()).or_default().push(job);
    }
    let found = |pipeline: &Arc<Pipeline>| {
        let (name, version) = (pipeline.name().clone(), pipeline.version.version);
        let newest = store.newest_job(&name)?;
        let is_at_work = |job: &JobRow| live_job(live, job).is_some_and(|job| job.state != LiveState::Waiting);
        let jobs = Jobs {
            newest: newest.as_ref(),
            is_open: newest.as_ref().is_some_and(|job| job.sealed.is_none()),
            is_running: open.get(&name).is_some_and(|jobs| jobs.iter().any(is_at_work)),
        };
        let state = jobs.state(version, present.stopped.contains(&name));
        Ok((pipeline.clone(), What::Pipeline { name, version, state, newest }))
    };
    present.pipelines.values().map(found).collect()
}

/// What the state of a pipeline depends on.
#[derive(Debug, Clone, Copy)]
struct Jobs<'a> {
    newest: Option<&'a JobRow>,
    /// Whether the newest has not ended.
    is_open: bool,
    /// Whether one of them is being worked on.
    is_running: bool,
}

impl Jobs<'_> {
    /// As [`crate::pipeline::pipeline_view`] says it.
    fn state(self, version: u32, is_stopped: bool) -> PipelineState {
        let Some(newest) = self.newest else {
            return if is_stopped { PipelineState::Stopped } else { PipelineState::Current };
        };
        match newest.sealed {
            _ if is_stopped => PipelineState::Stopped,
            _ if self.is_running => PipelineState::Running,
            _ if self.is_open => PipelineState::Pending,
            // The jobs of older versions say nothing about this one.
            _ if newest.version != version => PipelineState::Current,
            Some(SealedState::Success) => PipelineState::Current,
            _ => PipelineState::Failed,
        }
    }
}

/// The pipelines as they were.
fn then(store: &Store, live: Option<&Live>, present: &Graph, moment: &Moment) -> Result<Vec<Found>> {
    let mut pipelines = Vec::new();
    for name in store.pipelines_ever()? {
        let Some(known) = store.pipeline_then(&name, moment.then())? else { continue };
        let mut jobs = Vec::new();
        store.visit_jobs(&name, moment.order, |job| {
            let (is_its, was_open) = (job.version > known.earlier, moment.was_open(&job));
            jobs.extend(is_its.then_some(job));
            // Jobs of a pipeline end in their order.
            if is_its && was_open { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let newest = jobs.first();
        let Some(version) = version_then(store, &name, &known, newest, moment)? else { continue };
        let pipeline = match present.pipelines.get(&name).filter(|pipeline| pipeline.version.version == version) {
            Some(pipeline) => pipeline.clone(),
            None => Arc::new(Pipeline::load_version(store, &name, version)?),
        };
        let mut is_running = false;
        for job in jobs.iter().filter(|job| moment.was_open(job)) {
            is_running = is_running || was_running(store, live, job, moment)?;
        }
        let is_open = newest.is_some_and(|job| moment.was_open(job));
        let state = Jobs { newest, is_open, is_running }.state(version, known.row.was_stopped(moment.order));
        pipelines.push((pipeline, What::Pipeline { name, version, state, newest: jobs.into_iter().next() }));
    }
    Ok(pipelines)
}

/// Whether an open job had begun.
fn was_running(store: &Store, live: Option<&Live>, job: &JobRow, moment: &Moment) -> Result<bool> {
    let began = match job.document {
        Some(document) => match store.document::<JobDocument>(&document) {
            Ok(document) => document.started_at,
            // Retention may have dropped it.
            Err(repos::RepoError::MissingObject { .. }) => None,
            Err(error) => return Err(error.into()),
        },
        None => live_job(live, job).filter(|job| job.state != LiveState::Waiting).and_then(|job| job.started_at),
    };
    Ok(began.is_some_and(|began| moment.at.is_none_or(|at| began <= at)))
}

/// The version of a pipeline that counted; `None` if it had none yet.
fn version_then(
    store: &Store,
    name: &PipelineName,
    known: &PipelineThen,
    newest: Option<&JobRow>,
    moment: &Moment,
) -> Result<Option<u32>> {
    let last = known.row.version;
    if newest.is_some_and(|job| job.version == last) {
        return Ok(Some(last));
    }
    let is_its = |row: &&PipelineRow| row.version > known.earlier && row.version <= last;
    let versions = store.pipeline_versions(name)?;
    for row in versions.iter().rev().filter(is_its).filter(|row| row.applied_at <= moment.time) {
        let has_jobs = newest.is_some_and(|job| job.version == row.version);
        if has_jobs || was_applied(store, name, row.version, row.applied_at, moment)? {
            return Ok(Some(row.version));
        }
    }
    Ok(None)
}

/// Whether a version was applied, not only tried, up to the moment: the runs at that time say so.
fn was_applied(store: &Store, name: &PipelineName, version: u32, at: Timestamp, moment: &Moment) -> Result<bool> {
    let runs = runs_at(store, at)?;
    let is_its = |run: &&repos::RunRow| run.jobs.iter().any(|job| job.pipeline == *name && job.version == version);
    // Without data for it there was no job.
    let run = runs.iter().find(is_its).or_else(|| runs.last());
    Ok(run.is_some_and(|run| run.cause.kind != CauseKind::Try && run.order <= moment.order))
}

/// The repositories that no pipeline of these writes, by name.
fn repos(store: &Store, pipelines: &[Found], moment: Option<&Moment>) -> Result<BTreeMap<RepoName, Option<RepoKind>>> {
    let outputs: BTreeSet<RepoName> = pipelines.iter().map(|(pipeline, _)| pipeline.name().output_repo()).collect();
    let mut repos = BTreeMap::new();
    let read = pipelines.iter().flat_map(|(pipeline, _)| reads(pipeline));
    repos.extend(read.filter(|repo| store.sees(repo)).map(|repo| (repo, None)));
    let known = match moment {
        None => store.repos()?,
        Some(moment) => store.repos_then(moment.then())?,
    };
    for (name, row) in known {
        let was_there = moment.is_none_or(|moment| row.created_at <= moment.time);
        if repos.contains_key(&name) || (was_there && row.kind != RepoKind::Output) {
            repos.insert(name, Some(row.kind));
        }
    }
    repos.retain(|name, _| !outputs.contains(name));
    Ok(repos)
}
