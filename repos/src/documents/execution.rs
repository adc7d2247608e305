//! Documents of execution: recipe, result, job; and the message of a tag.

use serde::{Deserialize, Serialize};
use specs::{CommitId, DatumId, Digest, FilePath, Network, PipelineName, RepoName, RunId};

use super::{Document, big, is_default};
use crate::base::kind::Kind;
use crate::base::time::Timestamp;

/// Transform and inputs: determines a datum's output. Its digest is the datum's id and the key of the cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Digest of the transform document.
    pub transform: Digest,
    /// One for each arm, in spec order, without those marked `reference`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inputs: Vec<RecipeInput>,
}

impl Document for Recipe {
    const KIND: Kind = Kind::Recipe;
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
    /// Files have no content.
    #[serde(default, skip_serializing_if = "is_default")]
    pub empty_files: bool,
    /// The key of a join or group.
    #[serde(default, skip_serializing_if = "is_default")]
    pub key: Option<String>,
}

/// One finished execution of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultDocument {
    /// What was executed.
    pub recipe: DatumId,
    /// How it ended.
    pub state: ResultState,
    /// Root of the map of output files; absent when it failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outputs: Option<Digest>,
    /// Number of output files.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outputs_count: u64,
    /// Inputs marked `reference`: seen, but outside the recipe.
    #[serde(default, skip_serializing_if = "is_default")]
    pub references: Vec<Reference>,
    /// The pipeline for which it ran.
    pub pipeline: PipelineName,
    /// The pipeline's version.
    pub version: u32,
    /// The run in which it ran.
    pub run: RunId,
    /// Where it ran.
    pub executor: ExecutorStamp,
    /// Which network it saw.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network: Network,
    /// Each try, in order; exit code, log and times of the result are those of the last.
    pub tries: Vec<Try>,
    /// The word of who executed it, for itself: HMAC-SHA-256 of the document with this field at 64 zeros, under a key derived from the
    /// private key of the place. Who has another key takes the result when a signed commit names it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mac: Option<Digest>,
}

impl Document for ResultDocument {
    const KIND: Kind = Kind::Result;
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultState {
    /// The command ended with an accepted exit code.
    Success,
    /// It failed, and the error command took care of it.
    Recovered,
    /// It failed in every try.
    Failed,
}

/// An input outside the recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct Reference {
    pub input: String,
    pub repo: RepoName,
    pub commit: CommitId,
    pub path: FilePath,
    pub digest: Digest,
}

/// Where a datum was executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// The ways to execute a datum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorKind {
    /// In a container.
    Docker,
    /// As a process of this host in namespaces of its own.
    Process,
}

impl std::fmt::Display for ExecutorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Docker => "docker",
            Self::Process => "process",
        })
    }
}

/// One try of a datum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Try {
    /// The command's exit code; absent when it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why the try failed, when the exit code does not say it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reason: Option<String>,
    /// What it printed, an object of kind log; absent when it printed nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub log: Option<Digest>,
    /// When the command was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// What is kept of a finished job beside its commit and the journal's record. May be dropped later.
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
    /// Why it ended as it did, when that was not success.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reason: Option<String>,
    /// When its run came about.
    pub created_at: Timestamp,
    /// When its first datum was looked at; absent when it never started.
    #[serde(default, skip_serializing_if = "is_default")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// All its datums.
    #[serde(default, with = "big", skip_serializing_if = "is_default")]
    pub datums_total: u64,
    /// Executed with success in this job.
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
}

/// The message of a tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TagDocument {
    /// Who is said to have made it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub author: String,
    /// Why, in the author's words.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
}

impl Document for TagDocument {
    const KIND: Kind = Kind::Tag;
}
