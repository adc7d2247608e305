//! The index: what packs and journal add up to, stored in `RocksDB` for fast lookups. It can always be rebuilt.
//!
//! It catches up from packs and journal, is never ahead of them, and is rebuilt if it is missing or has another version. `RocksDB`'s
//! write-ahead log is off: after a crash the index is merely behind. A process that may not write to it (a reader, or a writer that leaves
//! catching up to a later one) keeps newer rows in an *overlay* in memory and sees the same state. A reader takes no lock of `RocksDB`, so
//! readers and writers never wait for each other.
//!
//! Packs come and go: an object whose row names a removed pack (`packs`) does not exist.
//!
//! [`history`] records which commits changed which path, [`mod@log`] has the tree over the journal.
//! [`keys`] defines the layout of keys, [`rows`] the values, [`apply`] what each journal entry changes and when it is refused.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, RwLock};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DEFAULT_COLUMN_FAMILY_NAME, Direction,
    FlushOptions, InfoLogger, IteratorMode, LogLevel, Options, WriteBatch, WriteOptions,
};
use serde::de::DeserializeOwned;

use specs::CommitId;

use crate::base::error::{IoContext, RepoError};
use crate::base::faults::Faults;
use crate::base::pack_name::PackName;

pub(crate) mod apply;
mod damage;
mod derived;
pub(crate) mod history;
pub(crate) mod keys;
pub(crate) mod log;
mod packs;
pub(crate) mod rows;
mod rules;

/// Increased with every change to the layout of keys or rows; an index with another version is rebuilt.
pub(crate) const VERSION: u32 = 6;

/// Changes of rows: a value, or `None` to delete.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Called with the key and value of each row.
type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// The index as one process sees it.
#[derive(Debug)]
pub(crate) struct Index {
    db: Option<DB>,
    /// Whether changes are written to disk; false after the disk refused one.
    writable: AtomicBool,
    overlay: RwLock<Changes>,
    faults: Faults,
    packs: RwLock<packs::Packs>,
    /// Packs that exist but are not in the index yet, with their lengths.
    put_off: RwLock<Vec<(PackName, u64)>>,
    /// Whether another look at the packs found nothing new.
    settled: AtomicBool,
    /// Rebuilds the index if the one on disk turns out to be damaged; `stand_in` is the result.
    maker: damage::Maker,
    stand_in: OnceLock<damage::StandIn>,
    /// Values that users of the store derived from rows.
    pub(crate) derived: derived::Derived,
}

fn options() -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(64 << 20));
    table.set_bloom_filter(10.0, false);
    table.set_cache_index_and_filter_blocks(true);
    // Partitioned: a call that reads a few rows then reads, checks and caches a few KiB instead of a file's whole filter and index.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(32 << 20);
    options.set_max_open_files(-1);
    // There are few files: the default of 16 threads takes longer to start than opening the files does.
    options.set_max_file_opening_threads(1);
    // Nobody reads these statistics.
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    // No log file: that saves a file, to which every reader would also write.
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Error, tell));
    options.set_max_background_jobs(2);
    // The default in this RocksDB version; set explicitly, because damaged blocks must never yield wrong rows.
    options.set_paranoid_checks(true);
    options
}

/// Passes on `RocksDB`'s log messages. Errors are also returned from the call, and handled there; the header, which it sends at any level,
/// lists its version and options.
fn tell(level: LogLevel, text: &str) {
    match level {
        LogLevel::Fatal => tracing::error!("index: {text}"),
        LogLevel::Error | LogLevel::Warn => tracing::debug!("index: {text}"),
        LogLevel::Info | LogLevel::Debug | LogLevel::Header => tracing::trace!("index: {text}"),
    }
}

impl Index {
    /// Opens for writing; only the holder of the store's lock may do so.
    pub(crate) fn open_writable(path: &Path, faults: &Faults) -> Result<Self, RepoError> {
        faults.step().doing("open", path)?;
        let db = DB::open(&options(), path)?;
        let index = Self { writable: AtomicBool::new(true), faults: faults.clone(), ..Self::of(Some(db)) };
        index.load_packs()?;
        Ok(index)
    }

    /// Opens the state on disk; changes stay in memory. Works beside a writer.
    pub(crate) fn open_reading(path: &Path) -> Result<Self, RepoError> {
        let mut tries = 0;
        let db = loop {
            // A writer may replace files after we read the list and before we open them: then read the list again. With its one column
            // family named, RocksDB does not first open all files to test whether they are fully compacted.
            let family = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options());
            match DB::open_cf_descriptors_read_only(&options(), path, [family], false) {
                Ok(db) => break db,
                Err(_) if tries < 5 => tries += 1,
                Err(error) => return Err(error.into()),
            }
        };
        let index = Self::of(Some(db));
        index.load_packs()?;
        Ok(index)
    }

    /// An index without a disk, for small or temporary uses.
    pub(crate) fn in_memory() -> Self {
        Self::of(None)
    }

    fn of(db: Option<DB>) -> Self {
        Self {
            db,
            writable: AtomicBool::new(false),
            overlay: RwLock::default(),
            faults: Faults::default(),
            packs: RwLock::default(),
            put_off: RwLock::default(),
            settled: AtomicBool::new(false),
            maker: damage::Maker::default(),
            stand_in: OnceLock::new(),
            derived: derived::Derived::default(),
        }
    }

    /// Whether changes are written to disk.
    pub(crate) fn is_writable(&self) -> bool {
        self.writable.load(Ordering::SeqCst)
    }

    /// Number of rows that are only in memory.
    pub(crate) fn overlay_rows(&self) -> usize {
        self.overlay.read().expect("no panic under this lock").len()
    }

    /// The value at `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RepoError> {
        if !self.is_writable()
            && let Some(value) = self.overlay.read().expect("no panic under this lock").get(key)
        {
            return Ok(value.clone());
        }
        if let Some(stand_in) = self.stand_in() {
            return stand_in.get(key);
        }
        match self.db.as_ref().map(|db| db.get(key)) {
            None => Ok(None),
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => self.replace(error)?.get(key),
        }
    }

    /// Visits the rows whose key begins with `prefix`, from `start` (which also begins with it) in `direction`.
    pub(crate) fn visit(
        &self,
        prefix: &[u8],
        start: &[u8],
        direction: Direction,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), RepoError> {
        let mut last = Vec::new();
        let walked = self.walk(prefix, start, direction, &mut |key, value| {
            last.clear();
            last.extend_from_slice(key);
            visit(key, value)
        });
        let Err(RepoError::Index(error)) = walked else { return walked };
        self.replace(error)?;
        let from = if last.is_empty() { start } else { &last };
        self.walk(prefix, from, direction, &mut |key, value| {
            if key == last { ControlFlow::Continue(()) } else { visit(key, value) }
        })
    }

    /// Like [`Self::visit`], and stops at the first error of `visit`.
    pub(crate) fn try_visit(
        &self,
        prefix: &[u8],
        start: &[u8],
        direction: Direction,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, RepoError>,
    ) -> Result<(), RepoError> {
        let mut done = Ok(());
        self.visit(prefix, start, direction, |key, value| {
            visit(key, value).unwrap_or_else(|error| {
                done = Err(error);
                ControlFlow::Break(())
            })
        })?;
        done
    }

    /// The decoded value at `key`; `DamagedRow` if it cannot be decoded.
    pub(crate) fn row<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, RepoError> {
        self.get(key)?.map(|bytes| rows::read(key, &bytes)).transpose()
    }

    fn walk(&self, prefix: &[u8], start: &[u8], direction: Direction, visit: Visit<'_>) -> Result<(), RepoError> {
        let mut fresh = self.overlay_slice(prefix, start, direction).into_iter().peekable();
        let forward = matches!(direction, Direction::Forward);
        let stand_in = self.stand_in().map(|stand_in| stand_in.overlay_slice(prefix, start, direction).into_iter());
        let stand_in = stand_in.into_iter().flatten().filter_map(|(key, value)| Some(Ok((key.into(), value?.into()))));
        let disk = self.db.as_ref().filter(|_| self.stand_in().is_none());
        let disk = disk.map(|db| db.iterator(IteratorMode::From(start, direction)));
        for row in disk.into_iter().flatten().chain(stand_in) {
            let (key, value): (Box<[u8]>, Box<[u8]>) = row?;
            if !key.starts_with(prefix) {
                break;
            }
            let mut shadowed = false;
            while let Some((next, _)) = fresh.peek()
                && (if forward { next.as_slice() <= &*key } else { next.as_slice() >= &*key })
            {
                shadowed |= next.as_slice() == &*key;
                let (next, value) = fresh.next().expect("just seen");
                if let Some(value) = value
                    && visit(&next, &value).is_break()
                {
                    return Ok(());
                }
            }
            if !shadowed && visit(&key, &value).is_break() {
                return Ok(());
            }
        }
        for (key, value) in fresh {
            if let Some(value) = value
                && visit(&key, &value).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn overlay_slice(&self, prefix: &[u8], start: &[u8], direction: Direction) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let overlay = self.overlay.read().expect("no panic under this lock");
        let own = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| (key.clone(), value.clone());
        match direction {
            Direction::Forward => {
                overlay.range(start.to_vec()..).take_while(|(key, _)| key.starts_with(prefix)).map(own).collect()
            }
            Direction::Reverse => {
                let backwards = overlay.range(..=start.to_vec()).rev();
                backwards.take_while(|(key, _)| key.starts_with(prefix)).map(own).collect()
            }
        }
    }

    /// Applies changes atomically. If the disk refuses them, they and all later ones stay in memory: packs and journal have the same
    /// information, and the next process brings the disk up to date.
    pub(crate) fn commit(&self, changes: Changes) {
        if self.is_writable() {
            match self.write(&changes) {
                Ok(()) => return,
                Err(error) => tracing::warn!("the index continues in memory: {error}"),
            }
        }
        // Extend the overlay before readers start to look there.
        self.overlay.write().expect("no panic under this lock").extend(changes);
        self.writable.store(false, Ordering::SeqCst);
    }

    fn write(&self, changes: &Changes) -> Result<(), RepoError> {
        let mut batch = WriteBatch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        self.faults.step().doing("write", Path::new("the index"))?;
        self.db.as_ref().expect("a writable index has a disk").write_opt(batch, &write)?;
        Ok(())
    }

    /// Flushes rows in `RocksDB`'s memory to the disk.
    pub(crate) fn flush(&self) -> Result<(), RepoError> {
        if let (true, Some(db)) = (self.is_writable(), &self.db) {
            let mut options = FlushOptions::default();
            options.set_wait(true);
            self.faults.step().doing("write", Path::new("the index"))?;
            db.flush_opt(&options)?;
        }
        Ok(())
    }
}

/// The rows with uncommitted changes on top: an entry sees the effects of earlier entries in its record.
#[derive(Debug)]
pub(crate) struct View<'a> {
    index: &'a Index,
    /// The index that knows the packs.
    packs: &'a Index,
    changes: Changes,
}

impl<'a> View<'a> {
    pub(crate) fn new(index: &'a Index) -> Self {
        Self::beside(index, index)
    }

    /// A view of an index that knows only the journal, together with one that knows the packs.
    pub(crate) fn beside(index: &'a Index, packs: &'a Index) -> Self {
        Self { index, packs, changes: Changes::new() }
    }

    /// What a commit's document says; `None` if no known pack contains it.
    pub(crate) fn said(&self, commit: &CommitId) -> Result<Option<rows::SaidRow>, RepoError> {
        Ok(self.packs.get(&keys::said(commit))?.as_deref().and_then(rows::decode))
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RepoError> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.index.get(key),
        }
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }

    /// The rows whose key begins with `prefix`.
    pub(crate) fn rows(&self, prefix: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, RepoError> {
        let mut rows = BTreeMap::new();
        self.index.visit(prefix, prefix, Direction::Forward, |key, value| {
            rows.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        })?;
        for (key, value) in self.changes.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix)) {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        Ok(rows)
    }

    /// Deletes every row whose key begins with `prefix`.
    pub(crate) fn delete_prefix(&mut self, prefix: &[u8]) -> Result<(), RepoError> {
        let gone = self.rows(prefix)?;
        self.changes.extend(gone.into_keys().map(|key| (key, None)));
        Ok(())
    }

    pub(crate) fn into_changes(self) -> Changes {
        self.changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_of(index: &Index, prefix: &[u8], start: &[u8], direction: Direction) -> Vec<String> {
        let mut keys = Vec::new();
        index
            .visit(prefix, start, direction, |key, _| {
                keys.push(String::from_utf8_lossy(key).into_owned());
                ControlFlow::Continue(())
            })
            .unwrap();
        keys
    }

    #[test]
    fn a_reader_sees_disk_and_memory_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Index::open_writable(folder.path(), &Faults::default()).unwrap();
        let rows = ["a1", "a3", "a5", "b1"].map(|key| (key.as_bytes().to_vec(), Some(b"disk".to_vec())));
        writer.commit(rows.into_iter().collect());
        writer.flush().unwrap();
        let reader = Index::open_reading(folder.path()).unwrap();
        reader.commit(Changes::from([
            (b"a2".to_vec(), Some(b"memory".to_vec())),
            (b"a3".to_vec(), None),
            (b"a6".to_vec(), Some(vec![])),
        ]));
        assert_eq!(keys_of(&reader, b"a", b"a", Direction::Forward), ["a1", "a2", "a5", "a6"]);
        assert_eq!(keys_of(&reader, b"a", b"a5", Direction::Reverse), ["a5", "a2", "a1"]);
        assert_eq!(reader.get(b"a3").unwrap(), None);
        assert_eq!(writer.get(b"a3").unwrap().unwrap(), b"disk");
    }
    #[test]
    fn what_the_disk_refuses_stays_in_memory_with_all_that_follows() {
        let folder = tempfile::tempdir().unwrap();
        let row = |key: &[u8]| Changes::from([(key.to_vec(), Some(key.to_vec()))]);
        let index = Index::open_writable(folder.path(), &Faults::once(2)).unwrap();
        for key in [b"a1", b"a2", b"a3"] {
            index.commit(row(key));
        }
        assert_eq!(keys_of(&index, b"a", b"a", Direction::Forward), ["a1", "a2", "a3"]);
        assert!(!index.is_writable());
        assert_eq!(index.get(b"a3").unwrap().unwrap(), b"a3", "after the disk would take it again");
        index.flush().unwrap();
    }
}
