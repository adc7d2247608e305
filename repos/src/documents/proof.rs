//! Evidence for a commit: its signatures, and certificates that its datums were executed again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, Digest, FilePath, PipelineName};

use super::{Document, ExecutorStamp, is_default};
use crate::access::Access;
use crate::base::kind::Kind;
use crate::base::time::Timestamp;
use crate::keys::Signature;

/// A signature of a commit. The signed bytes are those of the commit's document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureDocument {
    /// The source commit.
    pub commit: CommitId,
    /// Fingerprint of the key that signed it.
    pub key: Digest,
    /// The signature itself.
    pub signature: Signature,
}

impl Document for SignatureDocument {
    const KIND: Kind = Kind::Signature;
}

/// The result of executing again the datums of a commit and of everything it depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// The source commit.
    pub commit: CommitId,
    /// The one file it covers; absent if it covers all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path: Option<FilePath>,
    /// When the last datum ended.
    pub at: Timestamp,
    /// The identity that the store authenticated.
    pub committer: String,
    /// The version of `pv` that made it.
    pub made_by: String,
    /// What executed the datums.
    pub executor: ExecutorStamp,
    /// The worst outcome of all stages.
    pub outcome: Repetition,
    /// Each commit whose datums were executed, upstream first.
    pub stages: Vec<CertifiedStage>,
}

impl Document for Certificate {
    const KIND: Kind = Kind::Certificate;

    fn seen_by(mut self, access: &Access) -> Option<Self> {
        self.stages.retain(|stage| access.sees_pipeline(&stage.pipeline));
        Some(self)
    }

    fn texts(&mut self) -> Vec<&mut String> {
        self.stages.iter_mut().filter_map(|stage| stage.why.as_mut()).collect()
    }
}

/// The result of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CertifiedStage {
    /// The commit that holds its outputs.
    pub commit: CommitId,
    /// The pipeline.
    pub pipeline: PipelineName,
    /// Number of datums executed to the end. Records without `left_out` and `not_run` also count those that could not be executed.
    pub datums: u64,
    /// Number of datums left out because they use the network, which was not allowed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub left_out: u64,
    /// Number of datums that could not be executed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub not_run: u64,
    /// The outcome.
    pub outcome: Repetition,
    /// Paths that differ, in order; only the first of them if there are many.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paths: Vec<FilePath>,
    /// How many more paths differ.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paths_more: u64,
    /// Why not everything was executed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub why: Option<String>,
}

/// The outcome of repeating an execution, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Repetition {
    /// All outputs are the same, byte for byte.
    Identical,
    /// Some of it was not executed: it could not be, or was left out.
    NotRun,
    /// Some outputs differ.
    Differs,
}

impl Repetition {
    /// The words shown to people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::NotRun => "cannot run",
            Self::Differs => "differs",
        }
    }
}
