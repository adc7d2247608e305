//! Objects, trees, commits, branches, journal and lineage: everything that a pv store holds.
//!
//! ```text
//! files      what users do: put, rm, mv, cp, revert, get, find
//! keep       what is garbage: what a collection keeps, prunes, and frees
//! fsck       whether all of a store is as it was written
//! store      one folder on disk: objects in, objects out, the last step of every change, names
//! tree       commits' files and all other maps as content-defined search trees
//! settings   one table of all settings: name, type, default, check
//! documents  commits, recipes, results …: canonical JSON
//! history    which commits changed which path, looked up instead of walked
//! index      what packs and journal add up to; RocksDB, disposable
//! journal    every change that is not an object
//! log        the journal as a Merkle tree, and signed roots of it
//! keys       who vouches for commits
//! stop       points at which tests end the process
//! watch      where tests see what reaches the disk
//! place      a prefix of an object store, where packs and journal can be kept
//! web        files that are read from the web, once
//! packs      the few large files in which all objects lie
//! ```
//! Synchronous throughout: callers that are async use one blocking task an operation.
//! Not here: scheduling, containers, HTTP (`engine`).

pub mod documents;
mod error;
mod faults;
pub mod files;
pub mod fsck;
pub mod hash;
pub mod history;
mod index;
pub mod journal;
pub mod keep;
pub mod keys;
pub mod log;
pub mod manifest;
pub mod object;
pub mod packs;
mod parallel;
pub mod place;
pub mod settings;
mod stop;
pub mod store;
pub mod time;
pub mod tree;
mod watch;
pub mod web;
mod writeback;

pub use error::RepoError;
pub use faults::Faults;
pub use index::rows::{
    BranchRow, CommitRow, Doubt, DoubtWhy, JobRow, KeyRow, PipelineRow, Pruned, RepoRow, RunRow, Stop, TagRow,
};
pub use stop::{fail_at, set_stop_point, stop_at};
pub use store::{Change, OpenOptions, Publisher, Store};
pub use time::Timestamp;
pub use watch::Step;
#[cfg(any(test, feature = "testing"))]
pub use watch::watch;

/// 128 random bits as 32 hex digits.
pub fn random_hex() -> String {
    specs::RunId::from_bytes(random_bytes()).to_string()
}

/// 128 random bits.
pub fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
