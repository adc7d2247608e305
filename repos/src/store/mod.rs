//! A store: one folder `.pv` with packs, journal, index and lock, as one process uses it.
//!
//! ```text
//! .pv/format     "pv store 1": which layout this is
//! .pv/packs/     finished packs, and `.part` files of living writers
//! .pv/objects    the URL of the place that holds packs and journal, if they are in an object store; then the two here are copies
//! .pv/cache/     copies of what was read from there
//! .pv/key        the private key that commits are signed with, mode 0600; never copied anywhere
//! .pv/journal    every change that is not an object
//! .pv/position   where the journal ends, as a witness; disposable
//! .pv/index/     RocksDB; disposable
//! .pv/lock       locked while somebody changes journal or index; holds who
//! .pv/removal.lock  locked while somebody removes packs
//! .pv/reserve    room for collecting garbage on a full disk
//! .pv/socket     there while an engine serves the store
//! ```
//! Readers take no lock. A writer reads, hashes and writes packs without it and takes it for the last step, [`Store::publish`]. An
//! *owner* ([`Store::own`], `pv run` and `pv serve`) keeps it for as long as it lives; other writers then hand it their last step.
//!
//! - `options` how to open a store; `open` finds, makes and opens stores, saves what dead writers left;
//!   `catch_up` brings the index up to packs and journal
//! - `lock` the locks, and how they are waited for
//! - `objects` writes and reads objects, each checked by its digest
//! - `copies` finds other copies of objects that are damaged where the index says
//! - `examine` reads objects for anyone who trusts nothing
//! - `parts` finds objects in packs that another process is still writing
//! - `noted` saves the journal's position, so that a lost end is noticed
//! - `content` cuts files into chunks and puts them together again
//! - `publish` the last step of every change; `recheck` looks again whether all is there that it names
//! - `fold` makes few packs of many small ones; `sweep` removes what nothing needs, as `sweep_plan` says, `reserve` keeps room for it
//! - `histories` when the history index is brought up, and by whom
//! - `held` which packs must not go yet, because what they hold is still to be named
//! - `names` repositories, branches, tags, runs, jobs, pipelines: what the index knows of them
//! - `pruned` what of commits is not kept any more
//! - `settings` what a store sets of the table of settings
//! - `mirror` copies packs and journal elsewhere, and makes stores from such copies
//! - `shared` stores whose packs and journal are in an object store
//! - `resolve` turns references into commits
//! - `heads` the states of the journal as roots of a Merkle tree, signed and proven
//! - `signing` signs commits as they are published, and says by whom they are signed
//! - `results` which results of executions count
//! - `vouching` what the signatures of records and results are worth; `witness` whether the journal has lost its end

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use bytes::Bytes;
use jiff::tz::TimeZone;
use specs::Digest;

use crate::base::faults::Faults;
use crate::base::pack_name::PackName;
use crate::base::time::Clock;
use crate::index::Index;
use crate::journal::{Journal, Position};
use crate::keys::{KeyFile, OwnKey};
use crate::objects::packs::PackStore;
use crate::objects::packs::writer::PackWriter;

mod catch_up;
mod content;
mod copies;
mod examine;
mod fold;
mod heads;
mod held;
mod histories;
mod lock;
mod mirror;
mod moves;
mod names;
mod noted;
mod objects;
mod open;
mod options;
mod parts;
mod pruned;
mod publish;
mod recheck;
mod reserve;
mod resolve;
mod results;
mod settings;
mod shared;
mod signing;
mod sweep;
mod sweep_plan;
mod vouching;
mod witness;

pub use crate::base::error::Result;
pub use crate::base::progress::Progress;
pub use content::{FileReader, Stored};
pub use examine::Examiner;
pub use heads::Included;
pub use held::Operation;
pub use mirror::{Mirrored, journal_at};
pub use moves::{BranchChange, BranchMove, MovedBy};
pub use options::OpenOptions;
pub use parts::Outline;
pub use publish::{Change, Publisher};
pub use resolve::Resolved;
pub use signing::{Signed, Vouched};
pub use sweep::{Marks, Swept};
pub use sweep_plan::SweepPlan;
pub use vouching::KeyStanding;
pub use witness::CutBack;

pub(crate) use lock::Lock;
pub(crate) use objects::{Place, is_gone, rows_about};
pub(crate) use open::write_format;

/// A store, opened by this process. Clones share all.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// In which times without one are meant.
    zone: TimeZone,
}

struct Inner {
    /// The folder that holds `.pv`.
    dir: PathBuf,
    packs: Arc<dyn PackStore>,
    journal: Journal,
    index: RwLock<Arc<Index>>,
    /// The journal's position that the index stands at.
    position: Mutex<Position>,
    meta: Mutex<PackWriter>,
    data: Mutex<PackWriter>,
    /// Held by the one large file that all cores work on.
    large_file: Mutex<()>,
    /// Decoding is cheap, reading and hashing is not: whole nodes, bounded by bytes.
    nodes: quick_cache::sync::Cache<Digest, Bytes, NodeWeight>,
    /// Made when the first object is found damaged.
    copies: Mutex<Option<Arc<copies::Copies>>>,
    clock: Arc<dyn Clock>,
    /// Held for as long as this lives, when it is an owner.
    owned: OnceLock<Lock>,
    /// Set when this owner comes to its end: from then on whatever it records is in finished packs.
    ends: AtomicBool,
    /// How to hand the last step of a change to the owner.
    publisher: OnceLock<Arc<dyn Publisher>>,
    /// Packs that others must not remove yet.
    held: Mutex<held::Held>,
    /// Packs that others, or this process, are writing.
    parts: Mutex<parts::Parts>,
    /// Packs in which this store may have found what it builds on.
    relied: Mutex<BTreeSet<PackName>>,
    /// Whether no pack is put off until it is needed.
    knows_all: AtomicBool,
    /// Held by the one thread that brings the history index up.
    following: Mutex<()>,
    /// Objects that this process has written, as far as their packs are finished.
    written: AtomicU64,
    notify: options::Notify,
    faults: Faults,
    key_file: KeyFile,
    /// Read, or made, when the first record is signed.
    key: Mutex<Option<Arc<OwnKey>>>,
    /// Whether it was said that this key does not count.
    told_of_key: AtomicBool,
    /// What is known of the commits that name results.
    naming: results::Naming,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    /// An owner leaves all in order for the next process; what another process wrote and did not publish is given up. Failures leave
    /// what a crash would leave.
    fn drop(&mut self) {
        let writers = [&mut self.data, &mut self.meta].map(|writer| writer.get_mut());
        for writer in writers.into_iter().flatten() {
            let left = if self.owned.get().is_some() { writer.finish().map(drop) } else { writer.discard() };
            if let Err(error) = left {
                tracing::warn!("an open pack is left to the next process: {error}");
            }
        }
        if let Ok(index) = self.index.get_mut()
            && let Err(error) = index.flush()
        {
            tracing::warn!("updating the index is left to the next process: {error}");
        }
    }
}

/// Weighs nodes by their bytes.
#[derive(Debug, Clone)]
struct NodeWeight;

impl quick_cache::Weighter<Digest, Bytes> for NodeWeight {
    fn weight(&self, _: &Digest, node: &Bytes) -> u64 {
        node.len() as u64 + 64
    }
}

impl Store {
    /// The folder that holds `.pv`.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// The folder `.pv`.
    pub fn folder(&self) -> PathBuf {
        self.inner.dir.join(open::FOLDER)
    }

    /// The same store for somebody in this time zone; else in UTC.
    #[must_use]
    pub fn in_zone(&self, zone: TimeZone) -> Self {
        Self { inner: self.inner.clone(), zone }
    }

    pub(crate) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The clock of this store.
    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    pub(crate) fn index(&self) -> Arc<Index> {
        self.inner.index.read().expect("no panic under this lock").clone()
    }

    pub(crate) fn packs(&self) -> &dyn PackStore {
        &*self.inner.packs
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.inner.journal
    }
}
