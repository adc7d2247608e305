//! The values of the index. Each is JSON, but for locations of objects, which are many.

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

/// Reads a row's value; `None` when it is not one, which only a damaged index gives: [`read`] says so.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

/// Reads the value of the row at `key`; `DamagedRow` when it is not one.
pub(crate) fn read<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, RepoError> {
    decode(bytes).ok_or_else(|| RepoError::damaged_row(key))
}

/// Where an object is.
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

    /// The row of a pack's index that this was made from.
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
    /// Who writes it.
    pub kind: RepoKind,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BranchRow {
    /// Where it points; absent when it has no commit yet.
    pub commit: Option<CommitId>,
    /// When it came to point there.
    pub moved_at: Timestamp,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TagRow {
    /// Where it points for good.
    pub commit: CommitId,
    /// Its message, a document of kind tag.
    pub document: Option<Digest>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// Its id.
    pub run: RunId,
    /// Its place in the one order of runs, from 1.
    pub order: u64,
    /// Why it came about.
    pub cause: Cause,
    /// What moved.
    pub moves: Vec<Move>,
    /// The jobs that it caused.
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
    /// The run's place in the order of runs.
    pub order: u64,
    /// The pipeline's version.
    pub version: u32,
    /// How it ended; absent while it has not.
    pub sealed: Option<SealedState>,
    /// Its output commit.
    pub commit: Option<CommitId>,
    /// More about it, a document of kind job.
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
    /// When it was stopped, oldest first; only the last may continue. Kept with the pipeline, not with each version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<Stop>,
}

/// Runs from which a pipeline got no job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The order of the last run before it was stopped.
    pub after: u64,
    /// The order of the last run before it was started; absent while it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl PipelineRow {
    /// Whether it gets no jobs now.
    pub fn is_stopped(&self) -> bool {
        self.stops.last().is_some_and(|stop| stop.until.is_none())
    }

    /// Whether it was stopped when the run of this order came.
    pub fn was_stopped(&self, order: u64) -> bool {
        self.stops.iter().any(|stop| stop.after < order && stop.until.is_none_or(|until| order <= until))
    }
}

/// A commit that the journal has named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitRow {
    /// Its repository.
    pub repo: RepoName,
    /// Its run's place in the order of runs.
    pub order: u64,
    /// When the journal last named it: as where a branch went to or came from, as a job's output, with a tag, or as what a branch
    /// or tag that was deleted pointed to.
    pub named_at: Timestamp,
    /// That its files are not kept any more; absent while they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Pruned>,
}

/// A key that commits are signed with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyRow {
    /// Its public half.
    pub public_key: PublicKey,
    /// The fingerprint of the key whose place it took.
    pub previous: Option<Digest>,
    /// That key's word for it.
    pub signature: Option<Signature>,
    /// When it was recorded.
    pub at: Timestamp,
    /// How many runs there were then: the commits of later ones are signed.
    pub after: u64,
    /// When another took its place; absent while it counts for new commits.
    pub replaced_at: Option<Timestamp>,
    /// The number of the record that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_in: Option<u64>,
    /// Whether it counts: it is the store's first, or took the place of one that counts, or one that counts vouches for it.
    pub vouched: bool,
}

/// What a commit's document says that the journal is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SaidRow {
    pub(crate) repo: RepoName,
    pub(crate) branch: BranchName,
    pub(crate) kind: CommitKind,
    pub(crate) run: RunId,
    /// Whether it is of a job that failed.
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
    /// When it says that it was written.
    pub at: Timestamp,
    /// What it does, in words.
    pub does: String,
    /// What is wrong.
    pub why: DoubtWhy,
    /// The key that is said to have signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// Whether it says what is executed, and how: versions of pipelines, settings.
    pub commands: bool,
}

impl Doubt {
    /// What is wrong, in words.
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
    /// It is not signed, and one before it is.
    Unsigned,
    /// The journal does not know its key.
    UnknownKey,
    /// Its signature is not of its key.
    Bad,
    /// Another key had taken the place of its key.
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
