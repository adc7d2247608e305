//! Descriptions of what was verified, signed and packed. The fields are in alphabetical order.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::Result;
use repos::Store;
use repos::log::checkpoint::{Checkpoint, verifier_key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{Digest, Reference};

use super::verify::{Link, Report, Since, Verdict, not_checked, worst};
use crate::sorted::Sorted;

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyView {
    /// How many links of each kind were checked.
    pub checked: BTreeMap<String, u64>,
    /// The links, if they are few.
    pub links: Vec<Link>,
    /// The links that do not hold.
    pub not_held: Vec<Link>,
    /// What was added to the journal since a checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<SinceView>,
    /// What was checked.
    pub subject: String,
    /// The verdict over all links.
    pub verdict: Verdict,
}

impl VerifyView {
    /// Number of checked links.
    pub fn total(&self) -> u64 {
        self.checked.values().sum()
    }

    /// Whether all links are listed one by one.
    pub fn is_listed(&self) -> bool {
        self.links.len() + self.not_held.len() == self.total() as usize
    }

    /// For each kind and reason the first link that could not be checked, with the number of such links among the kept ones.
    pub fn not_checked(&self) -> Vec<(&Link, u64)> {
        not_checked(&self.not_held)
    }

    /// The first link that does not hold; damage takes precedence.
    pub fn worst(&self) -> Option<&Link> {
        worst(&self.not_held)
    }
}

/// What was added to a journal since a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SinceView {
    /// Entries in the records after the checkpoint, counted by kind.
    pub entries: BTreeMap<String, u64>,
    /// Number of records in the journal now.
    pub records: u64,
}

/// The result of a verification.
pub fn verify_view(subject: &str, report: &Report, since: Option<&Since>) -> Sorted<VerifyView> {
    Sorted(VerifyView {
        checked: report.counts.iter().map(|(kind, count)| (kind.word().to_owned(), *count)).collect(),
        links: report.links.clone(),
        not_held: report.bad.clone(),
        since: since.map(|since| SinceView { entries: since.entries.clone(), records: since.records }),
        subject: subject.to_owned(),
        verdict: report.verdict(),
    })
}

/// A signed state of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointView {
    /// The file with the checkpoint, if it was written.
    pub file: Option<PathBuf>,
    /// Number of records in the journal.
    pub records: u64,
    /// The root of the Merkle tree over these records.
    pub root: Digest,
    /// The store's id.
    pub store: String,
    /// The signed note, with the requested proof.
    pub text: String,
    /// The key of this machine, in the format of signed notes.
    pub verifier_key: Option<String>,
}

/// What a checkpoint proves besides the state.
#[derive(Debug, Clone, Copy)]
pub enum Shows<'a> {
    /// Nothing else.
    State,
    /// That the journal has the record of this commit: a C2SP tlog-proof.
    Inclusion(&'a Reference),
    /// That the state with this many records is a prefix: the request to a witness, C2SP tlog-witness `add-checkpoint`.
    Since(u64),
}

/// Signs the state of the journal.
pub fn checkpoint(store: &Store, shows: Shows<'_>) -> Result<CheckpointView> {
    let checkpoint = store.checkpoint()?;
    let text = match shows {
        Shows::State => checkpoint.to_string(),
        Shows::Inclusion(reference) => inclusion(store, reference, &checkpoint)?,
        Shows::Since(old) => {
            let path = store.consistency(old, checkpoint.head.size)?;
            format!("old {old}\n{}\n{checkpoint}", lines(&path))
        }
    };
    let verifier_key = store.public_key()?.map(|key| verifier_key(&checkpoint.origin, &key));
    let (records, root) = (checkpoint.head.size, checkpoint.head.root);
    Ok(CheckpointView { file: None, records, root, store: checkpoint.origin, text, verifier_key })
}

fn inclusion(store: &Store, reference: &Reference, checkpoint: &Checkpoint) -> Result<String> {
    let commit = store.resolve(reference)?.id;
    let found = store.included(&commit, checkpoint.head.size)?;
    let extra = STANDARD.encode(&found.record);
    let head = format!("c2sp.org/tlog-proof@v1\nextra {extra}\nindex {}\n", found.index);
    Ok(format!("{head}{}\n{checkpoint}", lines(&found.path)))
}

fn lines(hashes: &[Digest]) -> String {
    hashes.iter().map(|hash| STANDARD.encode(hash.as_bytes()) + "\n").collect()
}

/// A written bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BundleView {
    /// What it discloses, one item per line.
    pub discloses: Vec<String>,
    /// The number of its entries.
    pub entries: usize,
    /// The file.
    pub file: PathBuf,
    /// The file's length.
    pub size_bytes: u64,
}
