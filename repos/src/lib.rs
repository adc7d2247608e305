//! Objects, trees, commits, branches, journal and lineage: everything that a pv store holds.
//!
//! The modules, from ground to roof. Each uses only modules listed before it; a test checks this (`tests/rooms.rs`):
//!
//! ```text
//! base       errors, kinds of objects, time, hashes; fsync helpers and the hooks where tests inject faults or watch the disk
//! access     who may see and do what: roles, and the repositories that they cover
//! keys       signing keys for commits
//! objects    packs, manifests, and the object stores that can hold them
//! web        files downloaded from the web
//! documents  commits, recipes, results and more, as canonical JSON
//! settings   one table of all settings: name, type, default, check
//! tree       the files of a commit, and every other map, as content-defined search trees
//! log        the journal as a Merkle tree, and its signed roots
//! journal    every change that is not an object
//! index      what packs and journal add up to, and the history of every path; RocksDB, can be rebuilt
//! store      one folder on disk: reading and writing objects, publishing changes, resolving names
//! tokens     what people and programs show to a server, and the log of what was done with it
//! history    which commits changed which path, by lookup instead of a walk
//! files      what users do: put, rm, mv, cp, revert, get, find
//! gc         garbage collection: what to keep, what to prune, what to free
//! fsck       checks that a store is intact
//! ```
//! Everything is synchronous: a local read is one system call, an object store blocks on its own small runtime, and an async caller uses
//! one blocking task for each operation.
//! Not here: scheduling, containers, HTTP (`engine`).

pub mod access;
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
pub mod tokens;
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
