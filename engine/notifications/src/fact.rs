//! Facts: what happened, as far as rules can be about it. Small, and kept until it is sent.

use repos::Timestamp;
use repos::hash::digest_of;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use specs::words::{count, plural};
use specs::{BranchName, CommitId, Digest, FilePath, NotificationName, PipelineName, RepoName, RunId};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub(crate) enum Fact {
    /// A job ended with failed datums, or could not be run.
    JobFailed { pipeline: PipelineName, run: RunId, reason: Option<String> },
    /// A job succeeded after others had failed.
    JobRecovered { pipeline: PipelineName, run: RunId, failed: u64, since: Option<Timestamp> },
    /// A file appeared, or its content changed.
    NewFile { at: Head, path: FilePath, digest: Digest, size_bytes: u64, is_changed: bool },
    /// More files than are told one by one.
    NewFiles { at: Head, files: u64, first: Vec<FilePath> },
    /// A record is new or changed.
    Record { at: Head, path: FilePath, place: String, field: String, value: String, record: Value },
    /// More records than are told one by one.
    Records { at: Head, field: String, value: String, records: u64, first: Vec<FilePath> },
    /// The last runs of a pipeline have not succeeded, or not yet.
    Behind { pipeline: PipelineName, runs: u64, limit: u64 },
    /// Little disk space is left.
    DiskLow { free_bytes: u64, least_bytes: u64 },
    /// A change could not be looked into: nobody knows what it brought.
    Unreadable { at: Head, why: String },
}

/// A branch, and the commit that it moved to: its head then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) repo: RepoName,
    pub(crate) branch: BranchName,
    pub(crate) commit: CommitId,
}

impl Head {
    /// `threat@main`
    fn named(&self) -> String {
        format!("{}@{}", self.repo, self.branch)
    }

    /// A file of its commit, as commands take it: `threat@1a2b3c4d5e6f:/flags/a.json`.
    pub(crate) fn reference(&self, path: &FilePath) -> String {
        format!("{}@{}:{path}", self.repo, self.commit.short(12))
    }
}

impl Fact {
    /// A word for programs.
    pub(crate) fn event(&self) -> &'static str {
        match self {
            Self::JobFailed { .. } => "job.failed",
            Self::JobRecovered { .. } => "job.recovered",
            Self::NewFile { .. } => "file.new",
            Self::NewFiles { .. } => "files.new",
            Self::Record { .. } => "record.new",
            Self::Records { .. } => "records.new",
            Self::Behind { .. } => "pipeline.behind",
            Self::DiskLow { .. } => "disk.low",
            Self::Unreadable { .. } => "change.unreadable",
        }
    }

    /// One line: what, and where.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::JobFailed { pipeline, reason, .. } => {
                let why = reason.as_deref().and_then(|why| why.lines().next()).unwrap_or_default();
                if why.is_empty() {
                    format!("job of {pipeline} failed")
                } else {
                    format!("job of {pipeline} failed: {why}")
                }
            }
            Self::JobRecovered { pipeline, failed, .. } => {
                format!("{pipeline} succeeds again after {}", plural(*failed, "failed job", "failed jobs"))
            }
            Self::NewFile { at, path, is_changed, .. } => {
                let what = if *is_changed { "changed file" } else { "new file" };
                format!("{what} {path} in {}", at.named())
            }
            Self::NewFiles { at, files, .. } => format!("{} new or changed files in {}", count(*files), at.named()),
            Self::Record { at, path, field, value, .. } => format!("{field}={value} in {}:{path}", at.named()),
            Self::Records { at, field, value, records, .. } => {
                format!("{} records with {field}={value} in {}", count(*records), at.named())
            }
            Self::Behind { pipeline, runs, .. } => {
                format!("{pipeline} is {} behind", plural(*runs, "run", "runs"))
            }
            Self::DiskLow { free_bytes, .. } => {
                format!("the disk of the store has only {} MB left", free_bytes / 1_000_000)
            }
            Self::Unreadable { at, .. } => format!("a change of {} cannot be looked into", at.named()),
        }
    }

    /// What tells it apart from the other facts of the same record.
    fn key(&self) -> String {
        let event = self.event();
        match self {
            Self::JobFailed { pipeline, run, .. } | Self::JobRecovered { pipeline, run, .. } => {
                format!("{event} {pipeline}@{run}")
            }
            Self::NewFile { at, path, .. } => format!("{event} {}:{path}", at.named()),
            Self::Record { at, path, place, field, value, .. } => {
                format!("{event} {}:{path} {place} {field}={value}", at.named())
            }
            Self::Records { at, field, value, .. } => format!("{event} {} {field}={value}", at.named()),
            Self::NewFiles { at, .. } | Self::Unreadable { at, .. } => format!("{event} {} {}", at.named(), at.commit),
            Self::Behind { pipeline, limit, .. } => format!("{event} {pipeline} {limit}"),
            Self::DiskLow { .. } => event.to_owned(),
        }
    }

    /// The id of its notification: the same whenever it is derived again from the record with this number.
    pub(crate) fn id(&self, name: &NotificationName, created_at: Timestamp, record: u64) -> String {
        let text = format!("pv notification\n{name}\n{created_at}\n{record}\n{}", self.key());
        format!("msg_{}", digest_of(text.as_bytes()).short(32))
    }

    /// The id of a notification of a state that began at this time.
    pub(crate) fn level_id(&self, name: &NotificationName, created_at: Timestamp, since: Timestamp) -> String {
        let text = format!("pv notification\n{name}\n{created_at}\nsince {since}\n{}", self.key());
        format!("msg_{}", digest_of(text.as_bytes()).short(32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_for_the_same_fact_of_the_same_record_alone() {
        let fact = |pipeline: &str| Fact::JobFailed {
            pipeline: pipeline.parse().unwrap(),
            run: RunId::from_bytes([7; 16]),
            reason: None,
        };
        let (name, at): (NotificationName, _) = ("night".parse().unwrap(), Timestamp::from_micros(1_000_000));
        let id = fact("detect").id(&name, at, 7);
        assert_eq!(id, fact("detect").id(&name, at, 7));
        assert!(id.starts_with("msg_") && id.len() == 36, "{id}");
        let others = [
            fact("other").id(&name, at, 7),
            fact("detect").id(&name, at, 8),
            fact("detect").id(&"day".parse().unwrap(), at, 7),
            fact("detect").id(&name, Timestamp::from_micros(2_000_000), 7),
            fact("detect").level_id(&name, at, at),
        ];
        assert!(others.iter().all(|other| *other != id));
    }
}
