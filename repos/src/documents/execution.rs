//! Documents about execution (recipe, result, job), and the message of a tag.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, DatumId, Digest, FilePath, Network, PipelineName, RepoName, RunId};

use super::{Document, big, is_default};
use crate::access::{self, Access};
use crate::base::kind::Kind;
use crate::base::time::Timestamp;

/// Transform and inputs: these determine a datum's output. Its digest is the datum's id and the cache key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Digest of the transform document.
    pub transform: Digest,
    /// One for each input of the pipeline's spec, in spec order, without those marked `reference`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inputs: Vec<RecipeInput>,
}

impl Document for Recipe {
    const KIND: Kind = Kind::Recipe;

    /// A recipe does not say which repositories its inputs are from, so none is seen: [`crate::Store::recipe`] asks for each.
    fn seen_by(mut self, access: &Access) -> Option<Self> {
        if !access.sees_all() {
            self.inputs.clear();
        }
        Some(self)
    }
}

/// What a datum sees of one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecipeInput {
    /// The input's name: its folder below `/pfs`.
    pub name: String,
    /// The path that the glob matched.
    pub path: FilePath,
    /// SHA-256 of the matched file's bytes; absent for a directory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub digest: Option<Digest>,
    /// Whether the matched file is executable.
    #[serde(default, skip_serializing_if = "is_default")]
    pub executable: bool,
    /// For a matched directory: root of the map of exactly the entries below it, under their full paths.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tree: Option<Digest>,
    /// Whether the files are presented empty.
    #[serde(default, skip_serializing_if = "is_default")]
    pub empty_files: bool,
    /// The key of a join or group.
    #[serde(default, skip_serializing_if = "is_default")]
    pub key: Option<String>,
}

/// One finished execution of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResultDocument {
    /// What was executed.
    pub recipe: DatumId,
    /// How it ended.
    pub state: ResultState,
    /// Root of the map of output files; absent if it failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outputs: Option<Digest>,
    /// Number of output files.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outputs_count: u64,
    /// Inputs marked `reference`: visible to the datum, but not part of the recipe.
    #[serde(default, skip_serializing_if = "is_default")]
    pub references: Vec<Reference>,
    /// The pipeline it ran for.
    pub pipeline: PipelineName,
    /// The pipeline's version.
    pub version: u32,
    /// The run in which it ran.
    pub run: RunId,
    /// Where it ran.
    pub executor: ExecutorStamp,
    /// The network access it had.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network: Network,
    /// All tries, in order; exit code, log and times of the result are those of the last.
    pub tries: Vec<Try>,
    /// Authenticates the result for the place that executed it: HMAC-SHA-256 of the document with this field set to 64 zeros, under a key
    /// derived from that place's private key. A place with another key accepts the result only if a signed commit names it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mac: Option<Digest>,
}

impl Document for ResultDocument {
    const KIND: Kind = Kind::Result;

    /// A visible job may have taken the result from the cache, where another pipeline had put it: then a stand-in is in its place.
    fn seen_by(mut self, access: &Access) -> Option<Self> {
        self.references.retain(|reference| access.sees(&reference.repo));
        if !access.sees_pipeline(&self.pipeline) {
            self.pipeline = access::stand_in(0).as_pipeline();
            self.run = RunId::from_bytes([0; 16]);
            self.version = 0;
            self.mac = None;
        }
        Some(self)
    }

    fn texts(&mut self) -> Vec<&mut String> {
        self.tries.iter_mut().filter_map(|attempt| attempt.reason.as_mut()).collect()
    }
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultState {
    /// The command ended with an accepted exit code.
    Success,
    /// It failed, and the error command handled it.
    Recovered,
    /// It failed in every try.
    Failed,
}

/// An input outside the recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct Reference {
    pub input: String,
    pub repo: RepoName,
    pub commit: CommitId,
    pub path: FilePath,
    pub digest: Digest,
}

/// Where a datum was executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecutorStamp {
    /// Which executor.
    pub kind: ExecutorKind,
    /// Its version.
    #[serde(default, skip_serializing_if = "is_default")]
    pub version: String,
    /// The machine's name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub host: String,
}

impl ExecutorStamp {
    /// In words, with the worker on which a try ran, if it ran on one: `workers on gpu-1`.
    pub fn on(&self, worker: Option<&str>) -> String {
        match worker {
            Some(worker) => format!("{self} on {worker}"),
            None => self.to_string(),
        }
    }
}

/// `docker 28.2 on edge`: as far as it is known.
impl std::fmt::Display for ExecutorStamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.kind)?;
        if !self.version.is_empty() {
            write!(f, " {}", self.version)?;
        }
        if !self.host.is_empty() {
            write!(f, " on {}", self.host)?;
        }
        Ok(())
    }
}

/// The ways to execute a datum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorKind {
    /// In a container.
    Docker,
    /// As a process of this host, in its own namespaces.
    Process,
    /// On machines that have joined, in a container or as a process there.
    Workers,
    /// In a pod of a cluster.
    Kubernetes,
}

impl std::fmt::Display for ExecutorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Docker => "docker",
            Self::Process => "process",
            Self::Workers => "workers",
            Self::Kubernetes => "kubernetes",
        })
    }
}

/// One try of a datum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Try {
    /// The command's exit code; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why the try failed, if the exit code does not say it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reason: Option<String>,
    /// The output it printed, an object of kind log; absent if it printed nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub log: Option<Digest>,
    /// When the command was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Before the command: how long its input files were read, sent and laid out, in milliseconds. Absent if it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_ms: Option<u64>,
    /// After the command: how long its output was read, hashed and stored, in milliseconds. Absent like `pull_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_in_ms: Option<u64>,
    /// Its memory limit in bytes; absent unless the limit may grow from try to try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The worker on which it ran, by name; absent if it ran on the machine of its executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

/// Details of a finished job beyond its commit and journal record. May be dropped later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobDocument {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The run.
    pub run: RunId,
    /// The pipeline's version.
    pub version: u32,
    /// Where its datums were executed.
    pub executor: ExecutorStamp,
    /// Why it ended as it did, unless it succeeded.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reason: Option<String>,
    /// When its run was created.
    pub created_at: Timestamp,
    /// When its first datum was examined; absent if it never started.
    #[serde(default, skip_serializing_if = "is_default")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Number of datums.
    #[serde(default, with = "big", skip_serializing_if = "is_default")]
    pub datums_total: u64,
    /// Executed successfully in this job.
    #[serde(default, with = "big", skip_serializing_if = "is_default")]
    pub datums_processed: u64,
    /// Taken from the base or the cache.
    #[serde(default, with = "big", skip_serializing_if = "is_default")]
    pub datums_cached: u64,
    /// Failed.
    #[serde(default, with = "big", skip_serializing_if = "is_default")]
    pub datums_failed: u64,
    /// Recovered.
    #[serde(default, with = "big", skip_serializing_if = "is_default")]
    pub datums_recovered: u64,
}

impl Document for JobDocument {
    const KIND: Kind = Kind::Job;

    fn seen_by(self, access: &Access) -> Option<Self> {
        access.sees_pipeline(&self.pipeline).then_some(self)
    }

    fn texts(&mut self) -> Vec<&mut String> {
        self.reason.iter_mut().collect()
    }
}

/// The message of a tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TagDocument {
    /// The claimed author.
    #[serde(default, skip_serializing_if = "is_default")]
    pub author: String,
    /// The author's message.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
}

impl Document for TagDocument {
    const KIND: Kind = Kind::Tag;
}
