//! Documents: everything a store knows besides file content, as canonical JSON.
//!
//! The bytes are RFC 8785 JSON, and a document's id is their SHA-256. Absent fields and fields at their default are omitted, so a new field
//! changes no old id; a reader ignores unknown fields. Times are [`Timestamp`](crate::base::time::Timestamp)s; integers beyond 2^53 − 1 are
//! strings ([`big`]).
//! Not here: trees and maps (`tree`), the journal's records (`journal`).

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::access::Access;
use crate::base::kind::Kind;

mod code;
mod commit;
pub mod datums;
mod execution;
mod pipeline;
mod proof;

pub use code::{CodeStamp, GitCheck, GitDifference, GitHow, GitState};
pub use commit::{Commit, CommitError, CommitKind, JournalEnd, Origin, PipelineStamp, Provenance, Source};
pub use execution::{
    ExecutorKind, ExecutorStamp, JobDocument, Recipe, RecipeInput, Reference, ResultDocument, ResultState, TagDocument,
    Try,
};
pub use pipeline::{Host, ImageStamp, SpecDocument, Transform, VersionDocument};
pub use proof::{Certificate, CertifiedStage, Repetition, SignatureDocument};

/// A document of one kind.
pub trait Document: Serialize + DeserializeOwned {
    /// The kind it is stored as.
    const KIND: Kind;

    /// What somebody with this access sees of it: without the names and ids of what is not visible. `None` if all of it is hidden.
    ///
    /// A document that names no repository, pipeline, commit or run: it is visible, unchanged, to everyone who may see what refers to it.
    #[must_use]
    fn seen_by(self, access: &Access) -> Option<Self> {
        let _ = access;
        Some(self)
    }

    /// Its texts that the engine wrote, which may have names of what is not visible.
    fn texts(&mut self) -> Vec<&mut String> {
        Vec::new()
    }
}

/// The canonical bytes of a value.
///
/// # Panics
/// If the value has no JSON form, such as a map whose keys are not text; no document contains one.
pub fn canonical<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).expect("documents have a JSON form")
}

/// Whether a field is at its default and therefore omitted.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Serde for integers that can exceed 2^53 − 1: larger values are strings, because RFC 8785 numbers are doubles.
pub mod big {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const EXACT: u64 = (1 << 53) - 1;

    /// Writes a number, or a string when a double cannot hold it.
    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if *value <= EXACT { serializer.serialize_u64(*value) } else { serializer.collect_str(value) }
    }

    /// Reads either form.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(number),
            Form::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}
