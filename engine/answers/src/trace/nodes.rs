//! What a trace finds, as data.

use std::collections::BTreeMap;

use repos::Timestamp;
use repos::documents::{CodeStamp, CommitKind, ExecutorStamp, ImageStamp, ResultState, Try};
use schemars::JsonSchema;
use serde::Serialize;
use specs::{BranchName, CommitId, DatumId, Digest, FilePath, Network, PipelineName, RepoName, RunId};

use crate::run::CauseView;

/// The full provenance of one file.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Trace {
    /// The file with its origins.
    #[serde(flatten)]
    pub file: FileNode,
    /// The commit that was asked about.
    pub version: VersionNode,
    /// Datums on the way, each counted once.
    pub datums: usize,
    /// Files that people committed, each counted once.
    pub source_files: usize,
    /// What was not followed because the trace was to end there; each is marked where it stands, too.
    pub cut: Vec<String>,
    /// What could not be followed, and why.
    pub gaps: Vec<String>,
    /// Whether everything was followed to commits of people: nothing was cut, and there is no gap.
    pub complete: bool,
    /// Whether something could not be followed because it is damaged or missing.
    #[serde(skip)]
    pub is_damaged: bool,
}

/// The commit that a trace starts from.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct VersionNode {
    /// The branch for which it was made.
    pub branch: BranchName,
    /// The run that made it. The trace tells what was true then.
    pub run: RunId,
    /// Who writes it: people, a job, a clock.
    pub kind: CommitKind,
    /// Who is said to have made it; of an output, who caused its run.
    pub author: String,
    /// Whom the store authenticated.
    pub committer: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The job that made it, `PIPELINE@RUN`; outputs only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// That the job did not succeed, and why: the commit was never the head of a branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A file of a commit and where it came from.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FileNode {
    /// Its repository.
    pub repo: RepoName,
    /// The commit in which it was looked at.
    pub commit: CommitId,
    /// Its path.
    pub path: FilePath,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Whether it is executable.
    pub executable: bool,
    /// The input of its datum that has the same bytes: it is a link to that file, or a copy of it. Never said of an empty file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<SameAs>,
    /// Where it came from.
    pub origin: Origin,
}

/// A file that a datum read, of which one that it wrote has the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
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

/// Where a file came from.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A datum wrote it.
    Datum(Box<DatumNode>),
    /// A datum wrote it that stands elsewhere in this trace.
    SeenDatum(DatumId),
    /// Somebody committed it.
    Source(Box<SourceNode>),
    /// This could not be found out; why.
    Gap(String),
    /// It was not looked further: the asked depth is reached.
    Cut,
}

/// A datum: what was executed, where, and what it read.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DatumNode {
    /// Digest of its recipe.
    pub id: DatumId,
    /// Digest of its result's document.
    pub result: Digest,
    /// How it ended.
    pub state: ResultState,
    /// The command's exit code.
    pub exit_code: Option<i32>,
    /// How many tries it took.
    pub tries: usize,
    /// The tries before the last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier_tries: Vec<Try>,
    /// The pipeline for which it ran.
    pub pipeline: PipelineName,
    /// The pipeline's version then.
    pub version: u32,
    /// When that version was applied.
    pub applied_at: Option<Timestamp>,
    /// Who is said to have applied it.
    pub applied_by: Option<String>,
    /// The job that made the bytes, `PIPELINE@RUN`.
    pub job: String,
    /// Whether the commit in which the file was looked at took the bytes over from that job.
    pub cached: bool,
    /// The job that took them over, `PIPELINE@RUN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_over_by: Option<String>,
    /// Why that job's run came about.
    pub cause: Option<CauseView>,
    /// The image; absent under the process executor.
    pub image: Option<ImageStamp>,
    /// Digest of the document of what was executed.
    pub transform: Digest,
    /// The command.
    pub cmd: Vec<String>,
    /// Lines that it read from its stdin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stdin: Vec<String>,
    /// Environment variables that the spec sets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Names of the secrets that it saw; values are stored nowhere in commits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Files of the host that its command names, under the process executor.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub host_files: BTreeMap<String, Digest>,
    /// The code at `/code`, and how it and the spec compare with git; of old records that nothing was compared.
    pub code: Option<CodeStamp>,
    /// Which network it saw.
    pub network: Network,
    /// Where it ran.
    pub executor: ExecutorStamp,
    /// When its last try started.
    pub started_at: Option<Timestamp>,
    /// When that ended.
    pub finished_at: Option<Timestamp>,
    /// What the last try printed, an object of kind log.
    pub log: Option<Digest>,
    /// Whether the file that was asked about has the bytes of an input: taken over, not written.
    pub by_reference: bool,
    /// What it read, in spec order; inputs outside the recipe last.
    pub inputs: Vec<InputNode>,
    /// Inputs of a large group that are not among them.
    #[serde(skip_serializing_if = "is_none")]
    pub more_inputs: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What a datum read of one input: a file, or a directory.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each marks another thing, and any of them go together")]
pub struct InputNode {
    /// The input's name.
    pub input: String,
    /// The matched path.
    pub path: FilePath,
    /// SHA-256 of the file's bytes; of a directory the root of the map of its files, which stands for all of them.
    pub digest: Option<Digest>,
    /// The branch and commit in which it was found; absent when it was not.
    pub commit: Option<BranchCommit>,
    /// How much a matched directory holds; absent for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<Extent>,
    /// Whether the datum saw the names of the files only, and no bytes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_files: bool,
    /// Whether it is outside the recipe.
    pub reference: bool,
    /// Whether the input's branch had a newer commit by the run that made what was asked about: a stopped pipeline, a failed job or an
    /// input that starts no job is between.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub older: bool,
    /// Whether it is a directory whose files stand elsewhere in this trace, under a datum that read it too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub seen: bool,
    /// The files there; the first ones of a large directory.
    pub files: Vec<FileNode>,
}

/// A commit, and the branch that a job took it from.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BranchCommit {
    /// Its repository.
    pub repo: RepoName,
    /// The branch; absent for an input outside the recipe.
    pub branch: Option<BranchName>,
    /// The commit.
    #[serde(rename = "commit")]
    pub id: CommitId,
}

/// How much a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Extent {
    /// Files at any depth.
    pub files: u64,
    /// Sum of their sizes.
    pub size_bytes: u64,
}

/// The commit that brought a file in.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SourceNode {
    /// The commit that introduced these bytes under this path.
    pub commit: CommitId,
    /// Who is said to have made it.
    pub author: String,
    /// Whom the store authenticated.
    pub committer: String,
    /// Why, in the author's words.
    pub message: String,
    /// When.
    pub created_at: Timestamp,
    /// Why its bytes are not here any more, if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
    /// The address on the web that it was read from, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_from: Option<String>,
    /// Where it was copied from, if it was.
    pub copied_from: Option<FileNode>,
}

/// Who brought a file into a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Brought {
    /// The commit: of a source the one that introduced the file, of an output the one in which it was looked at.
    pub commit: CommitId,
    /// The author; of an output the job that executed its datum, `PIPELINE@RUN`.
    pub by: String,
    /// Why, in the author's words; empty for outputs.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// Everything that read a file.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Forward {
    /// Its repository.
    pub repo: RepoName,
    /// The commit in which it was looked at.
    pub commit: CommitId,
    /// Its path.
    pub path: FilePath,
    /// SHA-256 of its bytes; absent when a directory or a commit was asked about.
    pub digest: Option<Digest>,
    /// Its length; of several files the sum.
    pub size_bytes: u64,
    /// How many files were asked about, and how much of them was followed; absent for one file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// What is at this path now; absent when a directory or a commit was asked about.
    pub now: Option<Now>,
    /// Whether all runs were looked at; else of each pipeline only the job that took this commit.
    pub all_runs: bool,
    /// Where these bytes are and were among the files of people; empty when only one run was looked at.
    pub places: Vec<ForwardPlace>,
    /// The datums that read it, or read what came of it, upstream first.
    pub readers: Vec<Reader>,
    /// Jobs that were not looked at and have datums that read these bytes at this path, newest first; looked for only where `readers` are
    /// none. No more than ten.
    pub read_in_other_jobs: Vec<String>,
    /// Whether something was not followed further, because the asked depth is reached.
    pub cut: bool,
}

/// The files with which a trace forward starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Start {
    /// Whether only those are meant that the commit brought: added, or with other bytes than before.
    pub brought: bool,
    /// How many there are.
    pub files: u64,
    /// Those among them that were not followed, because there are many.
    pub left_out: u64,
}

/// A path that has or had the bytes of a file.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ForwardPlace {
    /// Its repository.
    pub repo: RepoName,
    /// The path.
    pub path: FilePath,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// The first commit with them. Since then they may have been away: the periods tell.
    pub first: Mention,
    /// The commit in which the path had other bytes, or none, after the last one with them; absent while a branch or tag ends with them.
    pub ended_by: Option<Mention>,
    /// Whether there is no file since, rather than another one.
    pub removed: bool,
    /// Whether a branch's head has them.
    pub at_head: bool,
    /// The periods in which the path had them, oldest first.
    pub periods: Vec<ForwardPeriod>,
    /// How many periods there were before these.
    pub periods_before: u64,
}

/// Commits one after the other that have the bytes of a file at a path.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ForwardPeriod {
    /// The first of them.
    pub first: Mention,
    /// The last of them.
    pub last: CommitId,
    /// The commit after the last, in which the path has other bytes or none; absent while a branch or tag ends with the last.
    pub ended_by: Option<Mention>,
    /// Whether there is no file in that commit, rather than another one.
    pub removed: bool,
    /// Whether one of them is a branch's head.
    pub at_head: bool,
}

/// Whether the head of the branch, on which the commit of a file was made, has the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtHead {
    /// The same bytes.
    Same,
    /// Other bytes.
    Other,
    /// No file.
    Gone,
    /// There is no such branch any more, or it has no commit.
    NoBranch,
}

/// What is at the path now.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Now {
    /// The branch on which the commit was made.
    pub branch: BranchName,
    /// What its head has there.
    pub state: AtHead,
    /// The commit since which that is so; absent for the same bytes, and without a head.
    pub since: Option<Mention>,
}

/// A commit and who made it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Mention {
    /// Its id.
    pub commit: CommitId,
    /// Who is said to have made it.
    pub author: String,
    /// Why, in the author's words.
    pub message: String,
    /// When.
    pub created_at: Timestamp,
}

/// A datum that read a file.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Reader {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// The pipeline's version.
    pub version: u32,
    /// The job in whose output it stands, `PIPELINE@RUN`; of several the newest.
    pub job: String,
    /// The place of the job's run in the order of runs.
    #[serde(skip)]
    pub order: u64,
    /// Its id.
    pub datum: DatumId,
    /// How it ended.
    pub state: ResultState,
    /// The file that it read: of which repository, and its path.
    pub read: (RepoName, FilePath),
    /// How many paths its recipe names.
    pub inputs_count: usize,
    /// The files that it wrote; may be none.
    pub outputs: Vec<Made>,
}

/// A file that a datum wrote.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Made {
    /// Its path in the output repository.
    pub path: FilePath,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its length.
    pub size_bytes: u64,
    /// Whether the head of the output branch has it, as it was written.
    pub at_head: bool,
}
