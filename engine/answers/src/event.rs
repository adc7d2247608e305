//! Events: the changes of a store, one for each record of its journal, in order.

use repos::Timestamp;
use repos::journal::{Cause, Entry, Move, Record, RepoKind, SealedState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, PipelineName, RepoName, RunId, TagName};

use engine::live::job_id;

/// A change of the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    /// The number of the journal's record: later events have larger numbers.
    pub id: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, in order.
    pub changes: Vec<Happened>,
}

/// A part of a change of the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub enum Happened {
    /// The store was created.
    StoreCreated,
    /// A repository was created.
    RepoCreated { repo: RepoName, repo_kind: RepoKind },
    /// A repository was deleted.
    RepoDeleted { repo: RepoName },
    /// A branch was deleted.
    BranchDeleted { repo: RepoName, branch: BranchName },
    /// A tag was created.
    TagCreated { repo: RepoName, tag: TagName, commit: CommitId },
    /// A tag was deleted.
    TagDeleted { repo: RepoName, tag: TagName },
    /// A setting was changed.
    SettingChanged { key: String },
    /// A pipeline got a version.
    PipelineApplied { pipeline: PipelineName, version: u32 },
    /// A version of a pipeline was tried.
    PipelineTried { pipeline: PipelineName, version: u32 },
    /// A pipeline was deleted.
    PipelineDeleted { pipeline: PipelineName },
    /// A pipeline was stopped.
    PipelineStopped { pipeline: PipelineName },
    /// A stopped pipeline was started.
    PipelineStarted { pipeline: PipelineName },
    /// Branches moved, which created jobs.
    Run {
        run: RunId,
        #[serde(flatten)]
        cause: Cause,
        moves: Vec<Move>,
        jobs: Vec<String>,
    },
    /// A job ended.
    JobEnded {
        job: String,
        pipeline: PipelineName,
        run: RunId,
        state: SealedState,
        commit: Option<CommitId>,
        moved: Option<Move>,
    },
    /// Files of commits were given up.
    CommitsPruned { commits: Vec<CommitId>, committer: String },
    /// A commit was deleted.
    CommitDeleted { commit: CommitId, committer: String },
    /// Garbage was collected.
    GarbageCollected,
    /// The keys that sign changed.
    KeysChanged,
}

impl EventView {
    /// The event of a record with this number.
    pub fn of(id: u64, record: &Record) -> Self {
        Self { id, at: record.at, changes: record.entries.iter().map(Happened::of).collect() }
    }
}

impl Happened {
    fn of(entry: &Entry) -> Self {
        match entry.clone() {
            Entry::Init { .. } => Self::StoreCreated,
            Entry::RepoCreate { repo, repo_kind } => Self::RepoCreated { repo, repo_kind },
            Entry::RepoDelete { repo } => Self::RepoDeleted { repo },
            Entry::BranchDelete { repo, branch } => Self::BranchDeleted { repo, branch },
            Entry::TagCreate { repo, tag, commit, .. } => Self::TagCreated { repo, tag, commit },
            Entry::TagDelete { repo, tag } => Self::TagDeleted { repo, tag },
            Entry::Setting { key, .. } => Self::SettingChanged { key },
            Entry::PipelineApply { pipeline, version, .. } => Self::PipelineApplied { pipeline, version },
            Entry::PipelineTry { pipeline, version, .. } => Self::PipelineTried { pipeline, version },
            Entry::PipelineDelete { pipeline } => Self::PipelineDeleted { pipeline },
            Entry::PipelineStop { pipeline } => Self::PipelineStopped { pipeline },
            Entry::PipelineStart { pipeline } => Self::PipelineStarted { pipeline },
            Entry::Gc { .. } => Self::GarbageCollected,
            Entry::Run { run, cause, moves, jobs } => {
                let jobs = jobs.iter().map(|job| job_id(&job.pipeline, &run)).collect();
                Self::Run { run, cause, moves, jobs }
            }
            Entry::Job { pipeline, run, state, commit, moved, .. } => {
                let job = job_id(&pipeline, &run);
                Self::JobEnded { job, pipeline, run, state, commit, moved }
            }
            Entry::CommitPrune { commits, committer, .. } => Self::CommitsPruned { commits, committer },
            Entry::CommitDelete { commit, committer } => Self::CommitDeleted { commit, committer },
            Entry::Key { .. } | Entry::KeyTrust { .. } => Self::KeysChanged,
        }
    }

    /// Whether it is about this repository: a branch, tag or commit of it.
    pub fn is_about_repo(&self, name: &RepoName) -> bool {
        match self {
            Self::RepoCreated { repo, .. }
            | Self::RepoDeleted { repo }
            | Self::BranchDeleted { repo, .. }
            | Self::TagCreated { repo, .. }
            | Self::TagDeleted { repo, .. } => repo == name,
            Self::Run { moves, .. } => moves.iter().any(|moved| moved.repo == *name),
            Self::JobEnded { pipeline, .. } => pipeline.output_repo() == *name,
            _ => false,
        }
    }

    /// Whether it is about this pipeline: a version or job of it.
    pub fn is_about_pipeline(&self, name: &PipelineName) -> bool {
        match self {
            Self::PipelineApplied { pipeline, .. }
            | Self::PipelineTried { pipeline, .. }
            | Self::PipelineDeleted { pipeline }
            | Self::PipelineStopped { pipeline }
            | Self::PipelineStarted { pipeline }
            | Self::JobEnded { pipeline, .. } => pipeline == name,
            Self::Run { run, jobs, .. } => jobs.contains(&job_id(name, run)),
            _ => false,
        }
    }

    /// Whether it is about this job.
    pub fn is_about_job(&self, id: &str) -> bool {
        match self {
            Self::Run { jobs, .. } => jobs.iter().any(|job| job == id),
            Self::JobEnded { job, .. } => job == id,
            _ => false,
        }
    }

    /// Whether it belongs to this run.
    pub fn is_of_run(&self, id: &RunId) -> bool {
        match self {
            Self::Run { run, .. } | Self::JobEnded { run, .. } => run == id,
            _ => false,
        }
    }
}
