//! Objects, trees, commits, branches, journal and lineage: everything that a pv store holds.
//!
//! The rooms, from ground to roof; each knows those before it and none behind it, which a test holds (`tests/rooms.rs`):
//!
//! ```text
//! base       errors, kinds of objects, time, hashes; what waits for the disk, where tests stop or watch it
//! keys       who vouches for commits
//! objects    packs, manifests, and the places in object stores where they can lie
//! web        files that are read from the web, once
//! documents  commits, recipes, results …: canonical JSON
//! settings   one table of all settings: name, type, default, check
//! tree       commits' files and all other maps as content-defined search trees
//! log        the journal as a Merkle tree, and signed roots of it
//! journal    every change that is not an object
//! index      what packs and journal add up to, and the history of every path; RocksDB, disposable
//! store      one folder on disk: objects in, objects out, the last step of every change, names
//! history    which commits changed which path, looked up instead of walked
//! files      what users do: put, rm, mv, cp, revert, get, find
//! gc         what is garbage: what a collection keeps, prunes, and frees
//! fsck       whether all of a store is as it was written
//! ```
//! Synchronous throughout: callers that are async use one blocking task an operation.
//! Not here: scheduling, containers, HTTP (`engine`).

mod base;
pub mod documents;
pub mod files;
pub mod fsck;
pub mod gc;
pub mod history;
mod index;
pub mod journal;
pub mod keys;
pub mod log;
mod objects;
pub mod settings;
pub mod store;
pub mod tree;
pub mod web;

pub use base::error::RepoError;
pub use base::faults::Faults;
pub use base::pruned::Pruned;
pub use base::random::{bytes as random_bytes, hex as random_hex};
pub use base::stop::{fail_at, set_stop_point, stop_at};
pub use base::time::Timestamp;
pub use base::watch::Step;
#[cfg(any(test, feature = "testing"))]
pub use base::watch::watch;
pub use base::{hash, kind as object, time};
pub use index::log::KeySpan;
pub use index::rows::{
    BranchRow, CommitRow, Doubt, DoubtWhy, JobRow, KeyRow, PipelineRow, RepoRow, RunRow, Stop, TagRow,
};
pub use objects::{manifest, packs, place};
pub use store::{Change, OpenOptions, Publisher, Store};
