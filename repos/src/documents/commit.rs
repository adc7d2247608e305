//! The commit document.

use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, Digest, FilePath, PipelineName, RepoName, RunId};

use super::{CodeStamp, Document, ImageStamp, is_default};
use crate::base::kind::Kind;
use crate::base::time::Timestamp;

/// An immutable version of a map of files. Its id is the SHA-256 of its canonical bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The repository.
    pub repo: RepoName,
    /// The branch it was made on.
    pub branch: BranchName,
    /// The commits before it: none for the first, else one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub parents: Vec<CommitId>,
    /// Root of the tree of files.
    pub tree: Digest,
    /// Root of the map from output path to the result that wrote it; outputs only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lineage: Option<Digest>,
    /// Root of the datums map; outputs only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub datums: Option<Digest>,
    /// The run that it belongs to.
    pub run: RunId,
    /// Who made it.
    pub kind: CommitKind,
    /// Who is said to have made it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub author: String,
    /// Whom the store authenticated.
    pub committer: String,
    /// Why it was made, in its author's words.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The input commits; outputs only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub provenance: Vec<Provenance>,
    /// Where files that `cp` took over came from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sources: Vec<Source>,
    /// Where files that were read from the web came from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub origins: Vec<Origin>,
    /// The pipeline that made it; outputs only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pipeline: Option<PipelineStamp>,
    /// The job that made it, `PIPELINE@RUN`; outputs only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub job: Option<String>,
    /// Why this commit is not good: it is never a branch's head and never a base.
    #[serde(default, skip_serializing_if = "is_default")]
    pub error: Option<CommitError>,
    /// How far the journal went when it was made: anyone who signs the commit says that the journal was at least this long.
    #[serde(default, skip_serializing_if = "is_default")]
    pub journal: Option<JournalEnd>,
}

/// A place in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEnd {
    /// Records up to there.
    pub records: u64,
    /// Digest of the last of them.
    pub last: Digest,
}

impl Document for Commit {
    const KIND: Kind = Kind::Commit;
}

/// Who makes commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitKind {
    /// A person.
    User,
    /// A pipeline.
    Output,
    /// The clock.
    Cron,
}

/// An input commit of an output commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Provenance {
    /// Its repository.
    pub repo: RepoName,
    /// The branch that the pipeline reads.
    pub branch: BranchName,
    /// The commit.
    pub commit: CommitId,
}

/// Where copied files came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// The repository.
    pub repo: RepoName,
    /// The commit.
    pub commit: CommitId,
    /// The file or directory there.
    pub path: FilePath,
}

/// Where files from the web came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// The file, or the directory whose files an archive held.
    pub path: FilePath,
    /// The address, without anything that could open it to others.
    pub url: String,
}

/// The pipeline version that made a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineStamp {
    /// The pipeline.
    pub name: PipelineName,
    /// Its version, from 1.
    pub version: u32,
    /// Digest of the spec document.
    pub spec: Digest,
    /// Digest of the transform document.
    pub transform: Digest,
    /// The image; absent under the process executor.
    #[serde(default, skip_serializing_if = "is_default")]
    pub image: Option<ImageStamp>,
    /// The code laid out at `/code`, and the git commit of the spec's directory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub code: Option<CodeStamp>,
}

/// Why a commit is not good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitError {
    /// `failure` or `killed`.
    pub state: String,
    /// What went wrong.
    pub message: String,
}
