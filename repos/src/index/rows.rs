//! The values of the index. All are JSON except the locations of objects, because those are many.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, Digest, PipelineName, RepoName, RunId};

use crate::base::error::RepoError;
use crate::base::pruned::Pruned;
use crate::base::time::Timestamp;
use crate::documents::{Commit, CommitKind, ResultState};
use crate::journal::{Cause, JobSeed, Move, RepoKind, SealedState};
use crate::keys::{PublicKey, Signature};
use crate::objects::packs::format::Row;

/// A row's value as stored.
pub(crate) fn encode<T: Serialize>(row: &T) -> Vec<u8> {
    serde_json::to_vec(row).expect("rows have a JSON form")
}

/// Decodes a row's value; `None` if it is malformed, which only happens in a damaged index: [`read`] reports that.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

/// Decodes the value of the row at `key`; `DamagedRow` if it is malformed.
pub(crate) fn read<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, RepoError> {
    decode(bytes).ok_or_else(|| RepoError::damaged_row(key))
}

/// The location of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) pack: u32,
    pub(crate) offset: u64,
    pub(crate) codec: u8,
    pub(crate) stored_bytes: u32,
    pub(crate) raw_bytes: u32,
}

impl Location {
    pub(crate) fn of(row: &Row, pack: u32) -> Self {
        Self { pack, offset: row.offset, codec: row.codec, stored_bytes: row.stored_bytes, raw_bytes: row.raw_bytes }
    }

    /// The row of the pack's own index that this was made from.
    pub(crate) fn row(&self, kind: u8, digest: Digest) -> Row {
        let Self { offset, codec, stored_bytes, raw_bytes, .. } = *self;
        Row { kind, digest, offset, codec, stored_bytes, raw_bytes }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(21);
        bytes.extend_from_slice(&self.pack.to_be_bytes());
        bytes.extend_from_slice(&self.offset.to_be_bytes());
        bytes.push(self.codec);
        bytes.extend_from_slice(&self.stored_bytes.to_be_bytes());
        bytes.extend_from_slice(&self.raw_bytes.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 21] = bytes.try_into().ok()?;
        Some(Self {
            pack: u32::from_be_bytes(bytes[0..4].try_into().ok()?),
            offset: u64::from_be_bytes(bytes[4..12].try_into().ok()?),
            codec: bytes[12],
            stored_bytes: u32::from_be_bytes(bytes[13..17].try_into().ok()?),
            raw_bytes: u32::from_be_bytes(bytes[17..21].try_into().ok()?),
        })
    }
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepoRow {
    /// Who writes to it.
    pub kind: RepoKind,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BranchRow {
    /// The commit it points to; absent if it has no commit yet.
    pub commit: Option<CommitId>,
    /// When it moved there.
    pub moved_at: Timestamp,
}

/// Where a branch moved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MoveRow {
    /// When.
    pub(crate) at: Timestamp,
    /// What it was since then.
    pub(crate) now: Moved,
}

/// What a branch was after a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Moved {
    /// At this commit; without one, if it had none.
    To(Option<CommitId>),
    /// Deleted, on its own or with its repository.
    Gone,
}

/// What was deleted, as it was in the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EndedRow<T> {
    pub(crate) last: T,
    /// When it was deleted.
    pub(crate) at: Timestamp,
    /// The order of the first run without it.
    pub(crate) order: u64,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TagRow {
    /// The commit it points to, for ever.
    pub commit: CommitId,
    /// Its message, a document of kind tag.
    pub document: Option<Digest>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// Its id.
    pub run: RunId,
    /// Its position in the total order of runs, from 1.
    pub order: u64,
    /// What caused it.
    pub cause: Cause,
    /// The branches that moved.
    pub moves: Vec<Move>,
    /// The jobs that it created.
    pub jobs: Vec<JobSeed>,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRow {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its run.
    pub run: RunId,
    /// The run's position in the order of runs.
    pub order: u64,
    /// The pipeline's version.
    pub version: u32,
    /// How it ended; absent while it is open.
    pub sealed: Option<SealedState>,
    /// Its output commit.
    pub commit: Option<CommitId>,
    /// Details, a document of kind job.
    pub document: Option<Digest>,
    /// When its run was accepted.
    pub created_at: Timestamp,
    /// When it ended.
    pub sealed_at: Option<Timestamp>,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineRow {
    /// Its newest version, from 1.
    pub version: u32,
    /// That version's document.
    pub document: Digest,
    /// When that version was applied.
    pub applied_at: Timestamp,
    /// When it was stopped, oldest first; only the last stop may still be open. Stored with the pipeline, not with each version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<Stop>,
}

/// A range of runs in which a pipeline got no jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The order of the last run before it was stopped.
    pub after: u64,
    /// The order of the last run before it was started again; absent while it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl PipelineRow {
    /// Whether it is stopped now.
    pub fn is_stopped(&self) -> bool {
        self.stops.last().is_some_and(|stop| stop.until.is_none())
    }

    /// Whether it was stopped for the run of this order.
    pub fn was_stopped(&self, order: u64) -> bool {
        self.stops.iter().any(|stop| stop.after < order && stop.until.is_none_or(|until| order <= until))
    }
}

/// A commit that the journal has named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitRow {
    /// Its repository.
    pub repo: RepoName,
    /// The position of its run in the order of runs.
    pub order: u64,
    /// When the journal last named it: as the source or target of a branch move, as a job's output, with a tag, or as the target of a
    /// branch or tag that was deleted.
    pub named_at: Timestamp,
    /// Set if its files were given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Pruned>,
}

/// A signing key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyRow {
    /// Its public half.
    pub public_key: PublicKey,
    /// The fingerprint of the key that it replaced.
    pub previous: Option<Digest>,
    /// That key's signature of the replacement.
    pub signature: Option<Signature>,
    /// When it was recorded.
    pub at: Timestamp,
    /// Number of runs at that time: the commits of later runs are signed.
    pub after: u64,
    /// When it was replaced; absent while it counts for new commits.
    pub replaced_at: Option<Timestamp>,
    /// The number of the record that replaced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_in: Option<u64>,
    /// Whether it counts: it is the store's first key, or it replaced a key that counts, or a key that counts vouches for it.
    pub vouched: bool,
}

/// What a commit's document states that must agree with the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SaidRow {
    pub(crate) repo: RepoName,
    pub(crate) branch: BranchName,
    pub(crate) kind: CommitKind,
    pub(crate) run: RunId,
    /// Whether it belongs to a failed job.
    pub(crate) failed: bool,
}

impl SaidRow {
    pub(crate) fn of(commit: &Commit) -> Self {
        let Commit { repo, branch, kind, run, error, .. } = commit;
        Self { repo: repo.clone(), branch: branch.clone(), kind: *kind, run: *run, failed: error.is_some() }
    }
}

/// Why a record of the journal does not count as vouched for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Doubt {
    /// The record's number, from 1.
    pub record: u64,
    /// Its digest.
    pub digest: Digest,
    /// When it claims to have been written.
    pub at: Timestamp,
    /// What it does, in words.
    pub does: String,
    /// What is wrong with it.
    pub why: DoubtWhy,
    /// The key that supposedly signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// Whether it determines what is executed, and how: versions of pipelines, settings.
    pub commands: bool,
}

impl Doubt {
    /// Describes what is wrong.
    pub fn words(&self) -> String {
        let key = self.key.map(|key| key.short(12)).unwrap_or_default();
        match self.why {
            DoubtWhy::Unsigned => "it is not signed, but the records before it are".to_owned(),
            DoubtWhy::UnknownKey => format!("it is signed by key {key}, which is not in the journal"),
            DoubtWhy::Bad => format!("its signature was not made by key {key}"),
            DoubtWhy::Replaced => format!("it is signed by key {key}, which had been replaced"),
            DoubtWhy::Unvouched => format!("it is signed by key {key}, which is not trusted"),
        }
    }
}

/// What is wrong with a record of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubtWhy {
    /// It is not signed, although an earlier record is.
    Unsigned,
    /// The journal does not know its key.
    UnknownKey,
    /// Its signature is not valid for its key.
    Bad,
    /// Its key had been replaced by another.
    Replaced,
    /// No key that counts vouches for its key.
    Unvouched,
}

/// A result of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ResultRow {
    pub(crate) state: ResultState,
    pub(crate) exit_code: Option<i32>,
}
