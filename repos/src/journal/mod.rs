//! The journal: the ordered record of every change that is not an object.
//!
//! Packs and journal are the whole truth of a store; a change has happened once its record is durable, after the data it names.
//! One record is one atomic change; its entries take effect in order. Each record contains the digest of the one before it, so nobody can
//! remove or reorder records unnoticed.
//!
//! Each record is signed by a key of the store; records of earlier versions are unsigned and stay readable for ever. Through the digest of
//! the previous record, a signed record vouches for everything its signer saw. `store::vouching` decides what each signature is worth.
//!
//! The bytes are lines: `<SHA-256 of the JSON, 64 hex digits> <canonical JSON>\n`. An incomplete last line was never acknowledged; the next
//! writer truncates it.
//! - `local`: the file; for a store in an object store it is a copy, to which `Journal::fetch` appends new records
//! - `shared`: the records in an object store
//! - `fork`: detects when the two disagree
//! - `record`: the content of a record
//!
//! Not here: what the changes add up to (`index`), messages and other text (documents that the records name).

mod fork;
mod local;
mod record;
mod shared;

pub(crate) use fork::{Fork, side};
pub(crate) use local::Line;
pub use local::{Journal, Position, Read};
pub(crate) use shared::SharedJournal;

pub use crate::base::pruned::PruneWhy;

pub use record::{
    Cause, CauseKind, Entry, FORMAT, JobSeed, Move, Record, RecordSignature, RepoKind, SIGNED_FORMAT, SealedState,
    signed_bytes,
};
