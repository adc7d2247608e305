//! The journal: the ordered record of every change that is not an object.
//!
//! Packs and journal are the whole truth of a store; a change has happened when its record is durable, after the data it names.
//! One record is one change, all or nothing; its entries take effect in order. A record names the digest of the one before it, so
//! nobody can take out or reorder records unnoticed.
//!
//! The bytes are lines: `<SHA-256 of the JSON, 64 hex digits> <canonical JSON>\n`. A last line that is not whole was never
//! acknowledged and is cut off by the next writer.
//! - `local` the file; of a store in an object store it is a copy, to which `Journal::fetch` adds what is new
//! - `shared` the records in an object store
//! - `record` what a record says
//!
//! Not here: what the changes add up to (`index`), messages and other text (documents that the records name).

mod local;
mod record;
mod shared;

pub use local::{Journal, Position, Read};
pub(crate) use shared::SharedJournal;

pub use record::{Cause, CauseKind, Entry, FORMAT, JobSeed, Move, PruneWhy, Record, RepoKind, SealedState};
