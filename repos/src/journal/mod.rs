//! The journal: the ordered record of every change that is not an object.
//!
//! Packs and journal are the whole truth of a store; a change has happened when its record is durable, after the data it names.
//! One record is one change, all or nothing; its entries take effect in order. A record names the digest of the one before it, so
//! nobody can take out or reorder records unnoticed.
//!
//! Each record is signed by a key of the store; those of earlier versions are not, and are read for ever. By the digest of the one
//! before it a signed record vouches for all that its signer saw. What each signature is worth, `store::vouching` says.
//!
//! The bytes are lines: `<SHA-256 of the JSON, 64 hex digits> <canonical JSON>\n`. A last line that is not whole was never
//! acknowledged and is cut off by the next writer.
//! - `local` the file; of a store in an object store it is a copy, to which `Journal::fetch` adds what is new
//! - `shared` the records in an object store
//! - `fork` when the two do not go together
//! - `record` what a record says
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
