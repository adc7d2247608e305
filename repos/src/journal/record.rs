//! The records of the journal. They contain only names, ids, digests, states and times.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, Digest, PipelineName, RepoName, RunId, TagName};

use crate::base::pack_name::PackName;
use crate::base::pruned::PruneWhy;
use crate::base::time::Timestamp;
use crate::keys::{OwnKey, PublicKey, Signature};

/// The format number of unsigned records, as in stores of earlier versions.
pub const FORMAT: u32 = 1;
/// The format number of signed records, which this version writes; a higher number comes from a newer version.
pub const SIGNED_FORMAT: u32 = 2;

/// One change to the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Format number: [`FORMAT`] without a signature, [`SIGNED_FORMAT`] with one.
    pub format: u32,
    /// Digest of the previous record; absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// When it was written.
    pub at: Timestamp,
    /// What happened, in order.
    pub entries: Vec<Entry>,
    /// The signature over the bytes from [`signed_bytes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<RecordSignature>,
}

/// A key's signature of a record and, through the digest in `previous`, of all records before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSignature {
    /// Fingerprint of the key.
    pub key: Digest,
    /// The signature itself.
    pub signature: Signature,
}

/// The bytes of a record that a key signs: a line that says what it is, and the record's canonical JSON without `signature`.
///
/// No document starts with these bytes, so such a signature can never pass as that of a commit. Unknown fields are signed too.
pub fn signed_bytes(record: &serde_json::Value) -> Vec<u8> {
    let mut record = record.clone();
    if let Some(fields) = record.as_object_mut() {
        fields.remove("signature");
    }
    let mut bytes = b"pv journal record\n".to_vec();
    bytes.extend(crate::documents::canonical(&record));
    bytes
}

impl Record {
    /// A record without a signature.
    pub fn new(previous: Option<Digest>, at: Timestamp, entries: Vec<Entry>) -> Self {
        Self { format: FORMAT, previous, at, entries, signature: None }
    }

    /// The same record, signed.
    pub(crate) fn signed(self, key: &OwnKey) -> Self {
        let record = Self { format: SIGNED_FORMAT, signature: None, ..self };
        let value = serde_json::to_value(&record).expect("records have a JSON form");
        let signature = key.sign(&signed_bytes(&value));
        Self { signature: Some(RecordSignature { key: key.public().fingerprint(), signature }), ..record }
    }
}

/// One part of a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub enum Entry {
    /// The store was created; the first entry of a journal.
    Init { store: String, default_branch: BranchName },
    /// A repository was created.
    RepoCreate { repo: RepoName, repo_kind: RepoKind },
    /// A repository was deleted with its branches and tags.
    RepoDelete { repo: RepoName },
    /// A branch was deleted.
    BranchDelete { repo: RepoName, branch: BranchName },
    /// A tag was created. `document` has its message.
    TagCreate {
        repo: RepoName,
        tag: TagName,
        commit: CommitId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        document: Option<Digest>,
    },
    /// A tag was deleted.
    TagDelete { repo: RepoName, tag: TagName },
    /// A setting was set or, without a value, unset.
    Setting {
        key: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// A pipeline got a version. `document` is of kind version.
    PipelineApply { pipeline: PipelineName, version: u32, document: Digest },
    /// A version of a pipeline was tried. It uses up a version number, but does not become the pipeline's version.
    PipelineTry { pipeline: PipelineName, version: u32, document: Digest },
    /// A pipeline was deleted; its output repository becomes a user repository.
    PipelineDelete { pipeline: PipelineName },
    /// A pipeline gets no jobs from now on.
    PipelineStop { pipeline: PipelineName },
    /// A stopped pipeline gets jobs again.
    PipelineStart { pipeline: PipelineName },
    /// Unreachable objects were deleted with these packs; objects still needed were copied to others.
    Gc { removed: Vec<PackName> },
    /// Branches moved, which creates jobs.
    Run {
        run: RunId,
        cause: Cause,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        moves: Vec<Move>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        jobs: Vec<JobSeed>,
    },
    /// A job ended. `document` is of kind job and may be dropped later.
    Job {
        pipeline: PipelineName,
        run: RunId,
        state: SealedState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<CommitId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        document: Option<Digest>,
        /// The output branch's move, if the commit is good.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        moved: Option<Move>,
    },
    /// Files of commits are given up; documents, ids, trees and lineage stay. None of the commits is a head or tagged.
    CommitPrune { commits: Vec<CommitId>, why: PruneWhy, committer: String },
    /// A signing key. If it replaces `previous`, it is signed by that key: see [`crate::keys::replacement`].
    Key {
        public_key: PublicKey,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous: Option<Digest>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<Signature>,
    },
    /// The key that signs this record vouches for another key: what that key signed counts, before and after.
    KeyTrust { key: Digest },
    /// A commit that nothing names was deleted. The branch that had it was moved to its parent earlier in the same record.
    CommitDelete { commit: CommitId, committer: String },
}

/// Who writes to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RepoKind {
    /// People.
    User,
    /// The pipeline with the same name.
    Output,
    /// A cron schedule.
    Cron,
}

/// A move of a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Move {
    /// Its repository.
    pub repo: RepoName,
    /// Its name.
    pub branch: BranchName,
    /// Its commit before; absent if the branch did not exist or had no commit. The change is accepted only if this is still true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<CommitId>,
    /// Its new commit; absent for a branch without a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<CommitId>,
}

/// A job that a run creates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSeed {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// The pipeline's version at that time.
    pub version: u32,
}

/// Why a run was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// The kind of change.
    #[serde(rename = "cause")]
    pub kind: CauseKind,
    /// The claimed author of the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The identity that the store authenticated.
    pub committer: String,
    /// When the change was requested.
    pub at: Timestamp,
    /// References to what changed, such as `images@main`, `detect`, or the run that a retry names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<String>,
    /// The reason in the user's words: for a retry that continues without the failed datums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The kinds of causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words of the contract")]
pub enum CauseKind {
    Commit,
    Txn,
    Cron,
    Trigger,
    Move,
    Apply,
    Start,
    Rerun,
    Retry,
    Try,
    Rollback,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SealedState {
    /// All datums succeeded.
    Success,
    /// At least one datum failed, or the job could not be run.
    Failure,
    /// A user stopped it, or a new version replaced it.
    Killed,
    /// Its inputs do not exist because an upstream job failed.
    Unrunnable,
}

impl CauseKind {
    /// The word in the record.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Txn => "txn",
            Self::Cron => "cron",
            Self::Trigger => "trigger",
            Self::Move => "move",
            Self::Apply => "apply",
            Self::Start => "start",
            Self::Rerun => "rerun",
            Self::Retry => "retry",
            Self::Try => "try",
            Self::Rollback => "rollback",
        }
    }
}
