//! The commit document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, Digest, FilePath, PipelineName, RepoName, RunId};

use super::{CodeStamp, Document, ImageStamp, is_default};
use crate::access::Access;
use crate::base::kind::Kind;
use crate::base::time::Timestamp;

/// An immutable version of a map of files. Its id is the SHA-256 of its canonical bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Commit {
    /// The source repository.
    pub repo: RepoName,
    /// The branch it was made on.
    pub branch: BranchName,
    /// The parent commit: none for the first commit, else one.
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
    /// The run it belongs to.
    pub run: RunId,
    /// Who made it.
    pub kind: CommitKind,
    /// The claimed author.
    #[serde(default, skip_serializing_if = "is_default")]
    pub author: String,
    /// The identity that the store authenticated.
    pub committer: String,
    /// The author's message.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// The input commits; outputs only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub provenance: Vec<Provenance>,
    /// Where files copied by `cp` came from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sources: Vec<Source>,
    /// Where files downloaded from the web came from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub origins: Vec<Origin>,
    /// The pipeline that made it; outputs only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pipeline: Option<PipelineStamp>,
    /// The job that made it, `PIPELINE@RUN`; outputs only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub job: Option<String>,
    /// Why this commit is bad: such a commit is never a branch head and never a base.
    #[serde(default, skip_serializing_if = "is_default")]
    pub error: Option<CommitError>,
    /// The end of the journal when the commit was made: a signature of the commit attests that the journal was at least this long.
    #[serde(default, skip_serializing_if = "is_default")]
    pub journal: Option<JournalEnd>,
}

/// A position in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalEnd {
    /// Number of records up to this position.
    pub records: u64,
    /// Digest of the last of them.
    pub last: Digest,
}

impl Document for Commit {
    const KIND: Kind = Kind::Commit;

    fn seen_by(mut self, access: &Access) -> Option<Self> {
        self.provenance.retain(|origin| access.sees(&origin.repo));
        self.sources.retain(|source| access.sees(&source.repo));
        access.sees(&self.repo).then_some(self)
    }

    fn texts(&mut self) -> Vec<&mut String> {
        self.error.iter_mut().map(|error| &mut error.message).collect()
    }
}

/// Who made a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommitKind {
    /// A person.
    User,
    /// A pipeline.
    Output,
    /// A cron schedule.
    Cron,
}

/// An input commit of an output commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// Its repository.
    pub repo: RepoName,
    /// The branch that the pipeline reads.
    pub branch: BranchName,
    /// The source commit.
    pub commit: CommitId,
}

/// Where copied files came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The source repository.
    pub repo: RepoName,
    /// The source commit.
    pub commit: CommitId,
    /// The file or directory in that commit.
    pub path: FilePath,
}

/// Where files from the web came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The file, or the directory that an archive was unpacked into.
    pub path: FilePath,
    /// The address, without anything that grants access.
    pub url: String,
}

/// The pipeline version that made a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineStamp {
    /// The pipeline.
    pub name: PipelineName,
    /// Its version, from 1.
    pub version: u32,
    /// Digest of the spec document.
    pub spec: Digest,
    /// Digest of the transform document.
    pub transform: Digest,
    /// The image; absent if it ran with the tools of a host.
    #[serde(default, skip_serializing_if = "is_default")]
    pub image: Option<ImageStamp>,
    /// The code laid out at `/code`, and the git commit of the spec's directory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub code: Option<CodeStamp>,
}

/// Why a commit is bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommitError {
    /// `failure` or `killed`.
    pub state: String,
    /// What went wrong.
    pub message: String,
}
