//! The result of a trace, as data.

use std::collections::BTreeMap;

use repos::Timestamp;
use repos::documents::{CodeStamp, CommitKind, ExecutorStamp, ImageStamp, ResultState, Try};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, DatumId, Digest, FilePath, Network, PipelineName, RepoName, RunId};

use crate::run::CauseView;
use crate::sight::is_none;

/// The full provenance of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// The file with its origins.
    #[serde(flatten)]
    pub file: FileNode,
    /// The requested commit.
    pub version: VersionNode,
    /// Number of datums in the trace, each counted once.
    pub datums: usize,
    /// Number of files committed by users, each counted once.
    pub source_files: usize,
    /// What was not followed because of the depth limit; each is also marked in its place.
    pub cut: Vec<String>,
    /// What could not be followed, and why.
    pub gaps: Vec<String>,
    /// Whether everything was followed to users' commits: nothing was cut, and there is no gap.
    pub complete: bool,
    /// Whether something could not be followed because it is damaged or missing.
    #[serde(skip)]
    pub is_damaged: bool,
}

/// The commit that a trace starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionNode {
    /// The branch it was made for.
    pub branch: BranchName,
    /// The run that made it. The trace shows the state at that time.
    pub run: RunId,
    /// Who made it: a user, a job, a cron input.
    pub kind: CommitKind,
    /// The claimed author; for an output, who caused its run.
    pub author: String,
    /// The identity that the store authenticated.
    pub committer: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// The job that made it, `PIPELINE@RUN`; outputs only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Why the job did not succeed, if so: then the commit was never the head of a branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A file of a commit and where it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileNode {
    /// Its repository.
    pub repo: RepoName,
    /// The commit in which it was examined.
    pub commit: CommitId,
    /// Its path.
    pub path: FilePath,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Whether it is executable.
    pub executable: bool,
    /// The input of its datum with the same content: the file is a link to it, or a copy. Never set for an empty file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<SameAs>,
    /// Its origin.
    pub origin: Origin,
}

/// An input file whose content equals that of an output file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SameAs {
    /// The input's name.
    pub input: String,
    /// Its repository.
    pub repo: RepoName,
    /// The commit in which it was found.
    pub commit: CommitId,
    /// Its path.
    pub path: FilePath,
}

/// The origin of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A datum wrote it.
    Datum(Box<DatumNode>),
    /// It was written by a datum that is elsewhere in this trace.
    SeenDatum(DatumId),
    /// A user committed it.
    Source(Box<SourceNode>),
    /// Unknown, for this reason.
    Gap(String),
    /// Not followed: the depth limit is reached.
    Cut,
}

/// A datum: what was executed, where, and what it read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DatumNode {
    /// Digest of its recipe.
    pub id: DatumId,
    /// Digest of its result's document.
    pub result: Digest,
    /// How it ended.
    pub state: ResultState,
    /// The command's exit code.
    pub exit_code: Option<i32>,
    /// Number of tries.
    pub tries: usize,
    /// All tries before the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_tries: Vec<Try>,
    /// The pipeline it ran for.
    pub pipeline: PipelineName,
    /// The pipeline's version then.
    pub version: u32,
    /// When that version was applied.
    pub applied_at: Option<Timestamp>,
    /// Who applied it, according to the record.
    pub applied_by: Option<String>,
    /// The job that wrote the content, `PIPELINE@RUN`.
    pub job: String,
    /// Whether the examined commit took the content from the cache.
    pub cached: bool,
    /// The job that took it from there, `PIPELINE@RUN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_over_by: Option<String>,
    /// Why that job's run was created.
    pub cause: Option<CauseView>,
    /// The image; absent if it ran with the tools of a host.
    pub image: Option<ImageStamp>,
    /// Digest of the transform document.
    pub transform: Digest,
    /// The command.
    pub cmd: Vec<String>,
    /// Lines of its stdin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stdin: Vec<String>,
    /// Environment variables that the spec sets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Names of its secrets; their values are stored in no commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Files of the host named in its command, under the process executor.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_files: BTreeMap<String, Digest>,
    /// The code at `/code`, and how it and the spec compare with git; old records say that nothing was compared.
    pub code: Option<CodeStamp>,
    /// Its network access.
    pub network: Network,
    /// Where it ran.
    pub executor: ExecutorStamp,
    /// The worker on which its last try ran, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// When its last try started.
    pub started_at: Option<Timestamp>,
    /// When its last try ended.
    pub finished_at: Option<Timestamp>,
    /// The log of the last try, an object of kind log.
    pub log: Option<Digest>,
    /// Whether the requested file has the content of an input: linked or copied, not newly written.
    pub by_reference: bool,
    /// What it read, in spec order; inputs outside the recipe last.
    pub inputs: Vec<InputNode>,
    /// Number of further inputs of a large group.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more_inputs: u64,
    /// How many of its inputs are not visible to the one who asks.
    #[serde(default, skip_serializing_if = "is_none")]
    pub not_visible: u64,
}

/// What a datum read of one input: a file, or a directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each marks another thing, and any of them go together")]
pub struct InputNode {
    /// The input's name.
    pub input: String,
    /// The matched path.
    pub path: FilePath,
    /// SHA-256 of the file's content; for a directory, the root of the map of its files.
    pub digest: Option<Digest>,
    /// The branch and commit in which it was found; absent if it was not found.
    pub commit: Option<BranchCommit>,
    /// The size of a matched directory; absent for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<Extent>,
    /// Whether the datum saw only the names of the files, not their content.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_files: bool,
    /// Whether it is outside the recipe.
    pub reference: bool,
    /// Whether the input's branch had a newer commit by the time of the run that made the requested commit: because of a stopped pipeline,
    /// a failed job, or an input that starts no job.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub older: bool,
    /// Whether it is a directory whose files are elsewhere in this trace, under another datum that read it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seen: bool,
    /// Its files; the first ones of a large directory.
    pub files: Vec<FileNode>,
}

/// A commit, and the branch from which a job read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BranchCommit {
    /// Its repository.
    pub repo: RepoName,
    /// The branch; absent for an input outside the recipe.
    pub branch: Option<BranchName>,
    /// The commit.
    #[serde(rename = "commit")]
    pub id: CommitId,
}

/// The size of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Extent {
    /// Number of files at any depth.
    pub files: u64,
    /// Sum of their sizes.
    pub size_bytes: u64,
}

/// The commit that introduced a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceNode {
    /// The commit that introduced this content under this path.
    pub commit: CommitId,
    /// The claimed author.
    pub author: String,
    /// The identity that the store authenticated.
    pub committer: String,
    /// The author's message.
    pub message: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Why its content is no longer stored, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
    /// The web address it was downloaded from, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_from: Option<String>,
    /// The file it was copied from, if any.
    pub copied_from: Option<FileNode>,
}

/// Who committed a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Brought {
    /// The commit: for a source, the one that introduced the file; for an output, the one in which it was examined.
    pub commit: CommitId,
    /// The author; for an output, the job that executed its datum, `PIPELINE@RUN`.
    pub by: String,
    /// The author's message; empty for outputs.
    pub message: String,
    /// When it was committed.
    pub at: Timestamp,
}

/// Everything that read a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forward {
    /// Its repository.
    pub repo: RepoName,
    /// The commit in which it was examined.
    pub commit: CommitId,
    /// Its path.
    pub path: FilePath,
    /// SHA-256 of its content; absent if a directory or a commit was requested.
    pub digest: Option<Digest>,
    /// Its size in bytes; for several files the sum.
    pub size_bytes: u64,
    /// Number of requested files, and how many were followed; absent for one file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// What is at this path now; absent if a directory or a commit was requested.
    pub now: Option<Now>,
    /// Whether all runs were examined; otherwise, for each pipeline, only the job that read this commit.
    pub all_runs: bool,
    /// Where this content is and was among users' files; empty if only one run was examined.
    pub places: Vec<ForwardPlace>,
    /// The datums that read it, or something derived from it, upstream first.
    pub readers: Vec<Reader>,
    /// Jobs that were not examined but have datums that read this content at this path, newest first; only searched if `readers` is empty.
    /// At most ten.
    pub read_in_other_jobs: Vec<String>,
    /// Whether something was not followed because the depth limit is reached.
    pub cut: bool,
    /// How many pipelines that are not visible to the one who asks took a commit with the file, or with something derived from it.
    #[serde(default, skip_serializing_if = "is_none")]
    pub not_visible: u64,
}

/// The files at which a forward trace starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Start {
    /// Whether only files introduced by the commit are included: added, or with changed content.
    pub brought: bool,
    /// Number of files.
    pub files: u64,
    /// Number of files that were not followed because there are many.
    pub left_out: u64,
}

/// A path that has or had the bytes of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardPlace {
    /// Its repository.
    pub repo: RepoName,
    /// The path.
    pub path: FilePath,
    /// SHA-256 of the content.
    pub digest: Digest,
    /// The first commit with it. It may have been absent since: see the periods.
    pub first: Mention,
    /// The commit after the last one with it, in which the path has other content or none; absent while a branch or tag ends with it.
    pub ended_by: Option<Mention>,
    /// Whether the file was removed in that commit, rather than changed.
    pub removed: bool,
    /// Whether it is at the head of a branch.
    pub at_head: bool,
    /// The periods in which the path had it, oldest first.
    pub periods: Vec<ForwardPeriod>,
    /// Number of earlier periods that are left out.
    pub periods_before: u64,
}

/// Consecutive commits that have the content of a file at a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardPeriod {
    /// The first of them.
    pub first: Mention,
    /// The last of them.
    pub last: CommitId,
    /// The commit after the last, in which the path has other content or none; absent while a branch or tag ends with the last.
    pub ended_by: Option<Mention>,
    /// Whether the file was removed in that commit, rather than changed.
    pub removed: bool,
    /// Whether one of them is the head of a branch.
    pub at_head: bool,
}

/// Whether the branch on which the file's commit was made has the file at its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtHead {
    /// The same content.
    Same,
    /// Other content.
    Other,
    /// No file.
    Gone,
    /// The branch no longer exists, or has no commit.
    NoBranch,
}

/// What is at the path now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Now {
    /// The branch on which the commit was made.
    pub branch: BranchName,
    /// What its head has there.
    pub state: AtHead,
    /// The commit that changed it; absent for the same content, and without a head.
    pub since: Option<Mention>,
}

/// A commit and who made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mention {
    /// Its id.
    pub commit: CommitId,
    /// The claimed author.
    pub author: String,
    /// The author's message.
    pub message: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A datum that read a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reader {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// The pipeline's version.
    pub version: u32,
    /// The job whose output contains it, `PIPELINE@RUN`; of several the newest.
    pub job: String,
    /// The position of the job's run in the order of runs.
    #[serde(skip)]
    pub order: u64,
    /// Its id.
    pub datum: DatumId,
    /// How it ended.
    pub state: ResultState,
    /// The file that it read: repository and path.
    pub read: (RepoName, FilePath),
    /// Number of paths in its recipe.
    pub inputs_count: usize,
    /// The files that it wrote; may be empty.
    pub outputs: Vec<Made>,
}

/// A file that a datum wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// Its path in the output repository.
    pub path: FilePath,
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Whether the head of the output branch has it unchanged.
    pub at_head: bool,
}
