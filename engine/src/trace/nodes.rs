//! What a trace finds, as data.

use repos::Timestamp;
use repos::documents::{CodeStamp, ExecutorStamp, ImageStamp, ResultState};
use repos::journal::Cause;
use serde::Serialize;
use specs::{CommitId, DatumId, Digest, FilePath, Network, PipelineName, RepoName};

/// Everything that one file rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// The file with its origins.
    #[serde(flatten)]
    pub file: FileNode,
    /// Datums on the way, each counted once.
    pub datums: usize,
    /// Files that people committed, each counted once.
    pub source_files: usize,
    /// What could not be followed, and why.
    pub gaps: Vec<String>,
    /// Whether everything was followed to commits of people.
    pub complete: bool,
    /// Whether something could not be followed because it is damaged or missing.
    #[serde(skip)]
    pub is_damaged: bool,
}

/// A file of a commit and where it came from.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// Where it came from.
    pub origin: Origin,
}

/// Where a file came from.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// The pipeline for which it ran.
    pub pipeline: PipelineName,
    /// The pipeline's version then.
    pub version: u32,
    /// When that version was applied.
    pub applied_at: Option<Timestamp>,
    /// The job that made the bytes, `PIPELINE@RUN`.
    pub job: String,
    /// Whether the commit that was asked about took the bytes over from that job.
    pub cached: bool,
    /// Why that job's run came about.
    pub cause: Option<Cause>,
    /// The image; absent under the process executor.
    pub image: Option<ImageStamp>,
    /// The command.
    pub cmd: Vec<String>,
    /// The code at `/code`, and the git commit of the spec's directory.
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
    /// What it read.
    pub inputs: Vec<InputNode>,
}

/// What a datum read of one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputNode {
    /// The input's name.
    pub input: String,
    /// The matched path.
    pub path: FilePath,
    /// Whether it lies outside the recipe.
    pub reference: bool,
    /// Whether the input's branch had a newer commit by the run that made what was asked about: a stopped pipeline, a failed job or an
    /// input that starts no job lies between.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub older: bool,
    /// The files there.
    pub files: Vec<FileNode>,
}

/// The commit that brought a file in.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// Where it was copied from, if it was.
    pub copied_from: Option<FileNode>,
}

/// Everything that read a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forward {
    /// Its repository.
    pub repo: RepoName,
    /// The commit in which it was looked at.
    pub commit: CommitId,
    /// Its path.
    pub path: FilePath,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its length.
    pub size_bytes: u64,
    /// Where these bytes are and were among the files of people; empty when only one run was looked at.
    pub places: Vec<ForwardPlace>,
    /// The datums that read it, or read what came of it, upstream first.
    pub readers: Vec<Reader>,
    /// Whether something was not followed further, because the asked depth is reached.
    pub cut: bool,
}

/// A path that has or had the bytes of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForwardPlace {
    /// Its repository.
    pub repo: RepoName,
    /// The path.
    pub path: FilePath,
    /// The first commit with them.
    pub first: Mention,
    /// The commit in which the path had other bytes, or none, after the last one with them; absent while a branch or tag ends with them.
    pub ended_by: Option<Mention>,
    /// Whether there is no file since, rather than another one.
    pub removed: bool,
    /// Whether a branch's head has them.
    pub at_head: bool,
}

/// A commit and who made it.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reader {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// The pipeline's version.
    pub version: u32,
    /// The job in whose output it stands, `PIPELINE@RUN`; of several the newest.
    pub job: String,
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
#[derive(Debug, Clone, PartialEq, Serialize)]
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
