//! What vouches for a commit: signatures of it, and certificates that its datums were executed again.

use serde::{Deserialize, Serialize};
use specs::{CommitId, Digest, FilePath, PipelineName};

use super::{Document, ExecutorStamp, is_default};
use crate::base::kind::Kind;
use crate::base::time::Timestamp;
use crate::keys::Signature;

/// A signature of a commit. What is signed are the bytes of the commit's document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureDocument {
    /// The commit.
    pub commit: CommitId,
    /// Fingerprint of the key that signed it.
    pub key: Digest,
    /// The signature itself.
    pub signature: Signature,
}

impl Document for SignatureDocument {
    const KIND: Kind = Kind::Signature;
}

/// What came of executing the datums of a commit, and of all that it depends on, once more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// The commit.
    pub commit: CommitId,
    /// The one file that it is about; absent when it is about all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path: Option<FilePath>,
    /// When the last datum ended.
    pub at: Timestamp,
    /// Whom the store authenticated.
    pub committer: String,
    /// The version of `pv` that did it.
    pub made_by: String,
    /// What executed the datums.
    pub executor: ExecutorStamp,
    /// The worst of all stages.
    pub outcome: Repetition,
    /// Each commit whose datums were executed, upstream first.
    pub stages: Vec<CertifiedStage>,
}

impl Document for Certificate {
    const KIND: Kind = Kind::Certificate;
}

/// What came of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CertifiedStage {
    /// The commit that holds its outputs.
    pub commit: CommitId,
    /// The pipeline.
    pub pipeline: PipelineName,
    /// How many datums were executed to an end. Before `left_out` and `not_run` were told it also counted those that could not be.
    pub datums: u64,
    /// How many were left out, since they reach the network and nobody allowed that.
    #[serde(default, skip_serializing_if = "is_default")]
    pub left_out: u64,
    /// How many could not be executed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub not_run: u64,
    /// What came of it.
    pub outcome: Repetition,
    /// Paths that are not as they were, in order; the first of them if there are many.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paths: Vec<FilePath>,
    /// How many there are beyond.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paths_more: u64,
    /// Why not all of it was executed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub why: Option<String>,
}

/// What came of executing something again, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repetition {
    /// All outputs are the same, byte for byte.
    Identical,
    /// Some of it was not executed: it could not be, or was left out.
    NotRun,
    /// Some outputs are others.
    Differs,
}

impl Repetition {
    /// The words for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::NotRun => "cannot run",
            Self::Differs => "differs",
        }
    }
}
