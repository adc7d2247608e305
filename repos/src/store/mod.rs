//! A store: one folder `.pv` with packs, journal, index and lock, as one process uses it.
//!
//! ```text
//! .pv/format     "pv store 1": the version of this layout
//! .pv/packs/     finished packs, and `.part` files of live writers
//! .pv/objects    the URL of the place with packs and journal, if they are in an object store; then the two here are copies
//! .pv/cache/     copies of what was read from there
//! .pv/key        the private key that signs commits, mode 0600; never copied anywhere
//! .pv/journal    every change that is not an object
//! .pv/position   where the journal ends, so that a truncated journal is noticed; can be recreated
//! .pv/index/     RocksDB; can be rebuilt
//! .pv/lock       locked while a process changes journal or index; names the holder
//! .pv/removal.lock  locked while a process removes packs
//! .pv/reserve    space for collecting garbage on a full disk
//! .pv/received/  what clients of a server have sent and not committed yet; can be recreated by sending it again
//! .pv/requests/  what a server keeps of requests: answers, uploads that are not done, sessions of browsers; may be lost
//! .pv/socket     exists while an engine serves the store
//! ```
//! Readers take no lock. A writer reads, hashes and writes packs without it and takes it for the last step, [`Store::publish`]. An *owner*
//! ([`Store::own`], `pv run` and `pv serve`) keeps the lock as long as it lives; other writers then hand it their last step.
//!
//! - `options`: how to open a store; `open` finds, creates and opens stores, and salvages packs of dead writers; `catch_up` brings the
//!   index up to date with packs and journal
//! - `lock`: the locks, and how to wait for them
//! - `objects`: writes and reads objects, verifying each by its digest
//! - `copies`: finds other copies of objects whose indexed copy is damaged
//! - `examine`: reads objects for verification
//! - `parts`: finds objects in packs that another process is still writing
//! - `noted`: saves the journal's position, so that a truncated journal is noticed
//! - `content`: chunks files and reassembles them
//! - `received`: takes objects that clients send, with `ledger`, which remembers who sent what
//! - `shelf`: what a server keeps of requests
//! - `publish`: the last step of every change; `recheck`: checks again that everything it names exists
//! - `turns`: who commits to a branch next
//! - `meter`: what this process has written, for those who watch it
//! - `fold`: merges small packs; `sweep`: removes garbage as planned by `sweep_plan`; `reserve`: keeps disk space for that
//! - `histories`: when the history index is updated, and by which process
//! - `held`: which packs must not be removed yet, because their content is still to be named
//! - `names`: repositories, branches, tags, runs, jobs, pipelines, as the index knows them
//! - `past`: branches, repositories and pipelines at an earlier moment; `moves`: who moved a branch, and why
//! - `pruned`: which content of commits was given up
//! - `settings`: the settings of this store
//! - `seen`: what a limited handle sees; `needs`: what each entry of a change needs; `permit`: whether a handle has that
//! - `mirror`: copies packs and journal elsewhere, and makes stores from such copies
//! - `shared`: stores whose packs and journal are in an object store
//! - `resolve`: turns references into commits
//! - `records`: the journal as a list of numbered records, for those who follow it
//! - `heads`: states of the journal as Merkle roots, with signatures and proofs
//! - `signing`: signs commits as they are published, and reports their signatures
//! - `results`: which results of executions count
//! - `vouching`: what the signatures of records and results are worth; `witness`: whether the journal has lost its end

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use bytes::Bytes;
use jiff::tz::TimeZone;
use specs::Digest;

use crate::access::Access;
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
mod ledger;
mod lock;
mod meter;
mod mirror;
mod moves;
mod names;
mod needs;
mod noted;
mod objects;
mod open;
mod options;
mod parts;
mod past;
mod permit;
mod pruned;
mod publish;
mod received;
mod recheck;
mod records;
mod reserve;
mod resolve;
mod results;
mod seen;
mod settings;
mod shared;
mod shelf;
mod short_ids;
mod signing;
mod sweep;
mod sweep_plan;
mod turns;
mod vouching;
mod witness;

pub use crate::base::error::Result;
pub use crate::base::progress::Progress;
pub use content::{ContentSink, FileReader, MAX_CHUNK, Stored, chunk_lengths, put_bytes_into, put_into};
pub use examine::Examiner;
pub use heads::Included;
pub use held::Operation;
pub use mirror::{Mirrored, journal_at};
pub use moves::{BranchChange, BranchMove, MovedBy};
pub use options::OpenOptions;
pub use parts::Outline;
pub use past::{PipelineThen, Then};
pub use publish::{Change, Publisher};
pub use received::{MOST_ASKED, MOST_CHUNKS, MOST_LIKE, Sender};
pub use resolve::Resolved;
pub use shelf::Shelf;
pub use signing::{Signed, Vouched};
pub use sweep::{Marks, Swept};
pub use sweep_plan::SweepPlan;
pub use turns::Turn;
pub use vouching::KeyStanding;
pub use witness::CutBack;

pub(crate) use ledger::Watch;
pub(crate) use lock::Lock;
pub(crate) use objects::{ObjectLocation, is_gone, rows_about};
pub(crate) use open::write_format;

/// A store opened by this process. Clones share everything.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// The zone for times given without one.
    zone: TimeZone,
    /// Who uses this handle; `None` for no limit.
    access: Option<Arc<Access>>,
}

struct Inner {
    /// The folder that contains `.pv`.
    dir: PathBuf,
    packs: Arc<dyn PackStore>,
    journal: Journal,
    index: RwLock<Arc<Index>>,
    /// The journal position of the index.
    position: Mutex<Position>,
    meta: Mutex<PackWriter>,
    data: Mutex<PackWriter>,
    /// Held by the one large file that uses all cores.
    large_file: Mutex<()>,
    /// Caches whole nodes, bounded in bytes: decoding is cheap, but reading and hashing are not.
    nodes: quick_cache::sync::Cache<Digest, Bytes, NodeWeight>,
    /// Computed when the first damaged object is found.
    copies: Mutex<Option<Arc<copies::Copies>>>,
    clock: Arc<dyn Clock>,
    /// The lock, if this process is an owner.
    owned: OnceLock<Lock>,
    /// Set when this owner shuts down: everything it records afterwards is in finished packs.
    ends: AtomicBool,
    /// Hands the last step of a change to the owner.
    publisher: OnceLock<Arc<dyn Publisher>>,
    /// Packs that others must not remove yet.
    held: Mutex<held::Held>,
    /// Packs being written by others or by this process.
    parts: Mutex<parts::Parts>,
    /// Packs in which this store may have found objects that its change builds on.
    relied: Mutex<BTreeSet<PackName>>,
    /// Whether no pack is deferred any more.
    knows_all: AtomicBool,
    /// Held by the one thread that updates the history index.
    following: Mutex<()>,
    /// Number of objects written by this process, counting finished packs only.
    written: AtomicU64,
    meter: meter::Meter,
    notify: options::Notify,
    faults: Faults,
    key_file: KeyFile,
    /// Read or created when the first record is signed.
    key: Mutex<Option<Arc<OwnKey>>>,
    /// Whether it was already reported that this key does not count.
    told_of_key: AtomicBool,
    /// Cached knowledge of the commits that name results.
    naming: results::Naming,
    /// Opened when it is first needed.
    ledger: Mutex<Option<Arc<ledger::Ledger>>>,
    turns: turns::Turns,
    /// Opened when it is first needed.
    shelf: Mutex<Option<Arc<shelf::Shelf>>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    /// An owner leaves everything in order for the next process; any other process discards what it wrote but did not publish. Failures
    /// leave what a crash would leave.
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

/// Weighs nodes by their size in bytes.
#[derive(Debug, Clone)]
struct NodeWeight;

impl quick_cache::Weighter<Digest, Bytes> for NodeWeight {
    fn weight(&self, _: &Digest, node: &Bytes) -> u64 {
        node.len() as u64 + 64
    }
}

impl Store {
    /// The folder that contains `.pv`.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// The folder `.pv`.
    pub fn folder(&self) -> PathBuf {
        self.inner.dir.join(open::FOLDER)
    }

    /// The same store for a user in this time zone; the default is UTC.
    #[must_use]
    pub fn in_zone(&self, zone: TimeZone) -> Self {
        Self { zone, ..self.clone() }
    }

    /// The time that words of a reference mean now; `None` outside the supported range of years.
    pub fn instant(&self, time: &specs::AsOf) -> Option<crate::base::time::Timestamp> {
        let now = jiff::Timestamp::from_microsecond(self.clock().now().as_micros()).unwrap_or_default();
        let then = time.instant(now, &self.zone)?;
        Some(crate::base::time::Timestamp::from_micros(then.as_microsecond()))
    }

    /// The clock of this store.
    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    /// The clock, for those who outlive this handle.
    pub fn clock_handle(&self) -> Arc<dyn Clock> {
        self.inner.clock.clone()
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
