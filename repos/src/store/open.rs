//! Finding, making and opening stores; catching the index up; saving what dead writers left.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock};
use std::time::Duration;

use specs::BranchName;

use super::{Inner, Lock, NodeWeight, Store};
use crate::documents::ResultDocument;
use crate::error::{IoContext, RepoError};
use crate::index::apply::{apply, meta};
use crate::index::rows::{Location, decode, encode};
use crate::index::{Changes, Index, VERSION, View, keys};
use crate::journal::{Entry, Journal, Position};
use crate::object::{Kind, PackClass};
use crate::packs::codec::unpack;
use crate::packs::format::Row;
use crate::packs::writer::{FULL_BYTES, PackWriter, read_index, salvage};
use crate::packs::{LocalPacks, PackName, PackStore};
use crate::time::{Clock, SystemClock};

pub(super) const FOLDER: &str = ".pv";
const FORMAT_FILE: &str = "format";
const FORMAT: &str = "pv store 1\n";
/// Bytes of nodes kept in memory.
const NODE_CACHE_BYTES: u64 = 64 << 20;
/// A process that does not own the store keeps at most about this many rows in memory before the index on disk is caught up.
const OVERLAY_ROWS: usize = 4096;
/// The same while a change is being made, when packs come one after another.
const OVERLAY_ROWS_OF_A_CHANGE: usize = 200_000;
/// Rows of a pack that are read into the index at a time.
const ROWS_AT_A_TIME: usize = 50_000;

/// Tells people what a process waits for.
pub(super) type Notify = Arc<dyn Fn(&str) + Send + Sync>;

/// How to open a store.
#[derive(Clone)]
pub struct OpenOptions {
    clock: Arc<dyn Clock>,
    notify: Notify,
    pack_bytes: u64,
    #[cfg(any(test, feature = "testing"))]
    wrap_packs: Option<WrapPacks>,
}

/// Puts something around the place where packs are kept, such as one that fails.
#[cfg(any(test, feature = "testing"))]
type WrapPacks = Arc<dyn Fn(Arc<dyn PackStore>) -> Arc<dyn PackStore> + Send + Sync>;

impl std::fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenOptions").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            notify: Arc::new(|_| {}),
            pack_bytes: FULL_BYTES,
            #[cfg(any(test, feature = "testing"))]
            wrap_packs: None,
        }
    }
}

impl OpenOptions {
    /// Another clock than the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Called with what this process waits for, when that takes longer than a moment.
    #[must_use]
    pub fn notify(mut self, notify: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.notify = Arc::new(notify);
        self
    }

    /// Begins another pack when one is longer than this many bytes; 1 GiB if not set.
    #[must_use]
    pub fn pack_bytes(mut self, bytes: u64) -> Self {
        self.pack_bytes = bytes;
        self
    }

    /// Puts something around the place where packs are kept.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn wrap_packs(
        mut self,
        wrap: impl Fn(Arc<dyn PackStore>) -> Arc<dyn PackStore> + Send + Sync + 'static,
    ) -> Self {
        self.wrap_packs = Some(Arc::new(wrap));
        self
    }

    #[cfg_attr(
        not(any(test, feature = "testing")),
        expect(clippy::unused_self, reason = "tests put a wrapper around it")
    )]
    fn packs(&self, folder: &Path) -> Arc<dyn PackStore> {
        let local = Arc::new(LocalPacks::new(folder.join("packs")));
        #[cfg(any(test, feature = "testing"))]
        if let Some(wrap) = &self.wrap_packs {
            return wrap(local);
        }
        local
    }

    /// Makes a store in `dir/.pv`, with `default_branch` for references that name none.
    pub fn init(&self, dir: &Path, default_branch: BranchName) -> Result<Store, RepoError> {
        let folder = dir.join(FOLDER);
        if folder.join(FORMAT_FILE).exists() {
            return Err(RepoError::StoreExists { dir: dir.to_owned() });
        }
        let packs = folder.join("packs");
        std::fs::create_dir_all(&packs).doing("create", &packs)?;
        let journal = folder.join("journal");
        if !journal.exists() {
            Journal::create(&journal)?;
        }
        let store = self.assemble(dir)?;
        let entry = Entry::Init { store: crate::random_hex(), default_branch };
        if store.position().records == 0 {
            store.publish(&super::Change::of(vec![entry]))?;
        }
        // Last: a folder without this file is no store, and `init` may go on with it.
        let format = folder.join(FORMAT_FILE);
        write_durably(&format, FORMAT.as_bytes())?;
        crate::packs::sync_folder(&folder)?;
        crate::packs::sync_folder(dir)?;
        store.fill_reserve();
        Ok(store)
    }

    /// Opens the store in `dir`.
    pub fn open(&self, dir: &Path) -> Result<Store, RepoError> {
        let format = dir.join(FOLDER).join(FORMAT_FILE);
        match std::fs::read_to_string(&format) {
            Ok(text) if text == FORMAT => self.assemble(dir),
            Ok(_) => Err(RepoError::MadeByNewer { what: format!("the store at `{}`", dir.display()) }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(RepoError::NoStore { dir: dir.to_owned(), searched: false })
            }
            Err(error) => Err(error).doing("read", &format),
        }
    }

    fn assemble(&self, dir: &Path) -> Result<Store, RepoError> {
        let folder = dir.join(FOLDER);
        let inner = Inner {
            dir: dir.to_owned(),
            packs: self.packs(&folder),
            journal: Journal::new(folder.join("journal")),
            index: RwLock::new(Arc::new(Index::in_memory())),
            position: Mutex::default(),
            meta: Mutex::new(PackWriter::new(PackClass::Meta, self.pack_bytes)),
            data: Mutex::new(PackWriter::new(PackClass::Data, self.pack_bytes)),
            nodes: quick_cache::sync::Cache::with_weighter(20_000, NODE_CACHE_BYTES, NodeWeight),
            clock: self.clock.clone(),
            owned: OnceLock::new(),
            publisher: OnceLock::new(),
            held: Mutex::default(),
            relied: Mutex::default(),
            notify: self.notify.clone(),
        };
        let store = Store { inner: Arc::new(inner) };
        store.save_abandoned()?;
        store.refresh()?;
        Ok(store)
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), RepoError> {
    use std::io::Write;
    let mut file = std::fs::File::create(path).doing("create", path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).doing("write", path)
}

impl Store {
    /// Makes a store in `dir/.pv`.
    pub fn init(dir: &Path, default_branch: BranchName) -> Result<Self, RepoError> {
        OpenOptions::default().init(dir, default_branch)
    }

    /// Opens the store in `dir`.
    pub fn open(dir: &Path) -> Result<Self, RepoError> {
        OpenOptions::default().open(dir)
    }

    /// The nearest folder from `start` upwards that holds a store.
    pub fn find(start: &Path) -> Result<PathBuf, RepoError> {
        for dir in start.ancestors() {
            if Self::is_readable_at(dir)? {
                return Ok(dir.to_owned());
            }
        }
        Err(RepoError::NoStore { dir: start.to_owned(), searched: true })
    }

    /// The name of the folder that a store is kept in.
    pub const FOLDER: &str = FOLDER;

    /// Whether a store is kept in `dir/.pv`.
    pub fn is_at(dir: &Path) -> bool {
        dir.join(FOLDER).join(FORMAT_FILE).exists()
    }

    /// The same, but a folder that may not be looked into is an error.
    fn is_readable_at(dir: &Path) -> Result<bool, RepoError> {
        let format = dir.join(FOLDER).join(FORMAT_FILE);
        match format.try_exists() {
            Ok(exists) => Ok(exists),
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Ok(false),
            Err(error) => Err(error).doing("look at", &format),
        }
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.folder().join("lock")
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.folder().join("index")
    }

    /// Finishes packs of writers that died. Somebody else who holds the lock does it, or will.
    fn save_abandoned(&self) -> Result<(), RepoError> {
        let parts = self.packs().abandoned()?;
        if !parts.is_empty()
            && let Some(_lock) = Lock::try_take(&self.lock_path())?
        {
            for part in parts {
                // The lock on the file goes with the part: nobody waits for what it holds.
                salvage(part)?;
            }
        }
        Ok(())
    }

    /// Sees what others have done since this was opened or last refreshed.
    pub fn refresh(&self) -> Result<(), RepoError> {
        let mut position = self.locked_position();
        if self.index().is_writable() {
            return self.catch_up(&self.index(), &mut position);
        }
        let mut index = self.open_reading();
        if let Err(error) = self.catch_up(&index, &mut position) {
            let RepoError::Index(_) = error else { return Err(error) };
            tracing::warn!("the index cannot be read and is not used: {error}");
            index = Index::in_memory();
            self.catch_up(&index, &mut position)?;
        }
        if index.overlay_rows() > OVERLAY_ROWS
            && let Some(_lock) = Lock::try_take(&self.lock_path())?
        {
            return self.catch_up_disk(&mut position);
        }
        self.use_index(index);
        Ok(())
    }

    /// Brings what a large change has added in memory to the disk, if nobody holds the lock just now.
    pub(super) fn relieve_memory(&self) -> Result<(), RepoError> {
        if !self.index().is_writable()
            && self.index().overlay_rows() > OVERLAY_ROWS_OF_A_CHANGE
            && let Some(_lock) = Lock::try_take(&self.lock_path())?
        {
            self.catch_up_disk(&mut self.locked_position())?;
        }
        Ok(())
    }

    pub(super) fn use_index(&self, index: Index) {
        *self.inner.index.write().expect("no panic under this lock") = Arc::new(index);
    }

    /// The index on disk, or an empty one in memory when that is missing, damaged or of another version.
    pub(super) fn open_reading(&self) -> Index {
        let path = self.index_path();
        if !path.join("CURRENT").exists() {
            return Index::in_memory();
        }
        match Index::open_reading(&path) {
            Ok(index) if is_current(&index).unwrap_or(false) => index,
            _ => Index::in_memory(),
        }
    }

    /// Brings the index on disk up to packs and journal. The caller holds the lock.
    pub(super) fn catch_up_disk(&self, position: &mut Position) -> Result<(), RepoError> {
        let index = self.open_writable()?;
        self.catch_up(&index, position)?;
        index.flush()?;
        drop(index);
        let reading = self.open_reading();
        self.catch_up(&reading, position)?;
        self.use_index(reading);
        Ok(())
    }

    pub(super) fn open_writable(&self) -> Result<Index, RepoError> {
        let path = self.index_path();
        if let Ok(index) = Index::open_writable(&path) {
            if is_current(&index).unwrap_or(false) {
                return Ok(index);
            }
            if index.get(&keys::meta(meta::VERSION)).is_ok_and(|version| version.is_none()) {
                mark_version(&index)?;
                return Ok(index);
            }
        }
        tracing::warn!("the index is damaged or of another version and is made anew");
        std::fs::remove_dir_all(&path).doing("remove", &path)?;
        let index = Index::open_writable(&path)?;
        mark_version(&index)?;
        Ok(index)
    }

    /// Throws the index away and makes it anew from packs and journal.
    pub fn rebuild_index(&self) -> Result<(), RepoError> {
        let _removing = self.take_removal_lock()?;
        let _lock = self.take_lock()?;
        let mut position = self.locked_position();
        let path = self.index_path();
        if path.exists() {
            // An index that knows more than the journal is all that tells of the loss.
            if let Some(known) =
                self.open_reading().get(&keys::meta(meta::POSITION))?.as_deref().and_then(decode::<Position>)
            {
                let found = self.journal().length()?;
                if found < known.bytes {
                    return Err(RepoError::ShortJournal { records: known.records, bytes: known.bytes, found });
                }
            }
            self.use_index(Index::in_memory());
            std::fs::remove_dir_all(&path).doing("remove", &path)?;
        }
        self.catch_up_disk(&mut position)
    }

    /// Becomes the owner: holds the lock and the index for as long as this store lives.
    pub fn own(&self) -> Result<(), RepoError> {
        let lock = self.take_lock()?;
        self.save_left_by_others()?;
        let index = self.open_writable()?;
        let mut position = self.locked_position();
        self.catch_up(&index, &mut position)?;
        self.use_index(index);
        self.inner.owned.set(lock).map_err(|_| RepoError::InUse { holder: "this process".to_owned() })
    }

    fn save_left_by_others(&self) -> Result<(), RepoError> {
        self.packs().abandoned()?.into_iter().try_for_each(|part| salvage(part).map(drop))
    }

    /// Whether this process owns the store.
    pub fn is_owner(&self) -> bool {
        self.inner.owned.get().is_some()
    }

    /// Waits for the lock; says for whom.
    pub(super) fn take_lock(&self) -> Result<Lock, RepoError> {
        self.wait_for(&self.lock_path())
    }

    /// Waits for the right to remove packs, which one process at a time has. Taken before the lock.
    pub(super) fn take_removal_lock(&self) -> Result<Lock, RepoError> {
        self.wait_for(&self.removal_lock_path())
    }

    pub(super) fn removal_lock_path(&self) -> PathBuf {
        self.folder().join("removal.lock")
    }

    fn wait_for(&self, path: &Path) -> Result<Lock, RepoError> {
        for waited in 0_u32.. {
            if let Some(lock) = Lock::try_take(path)? {
                return Ok(lock);
            }
            if waited == 100 {
                (self.inner.notify)(&format!("waiting for {}", Lock::holder(path)));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        unreachable!("the loop has no end")
    }

    /// The journal's position with the right to change index and position: what is looked at and what is recorded belong together.
    /// Taken after the lock on a pack writer, never before.
    pub(super) fn locked_position(&self) -> MutexGuard<'_, Position> {
        self.inner.position.lock().expect("no panic under this lock")
    }

    /// Brings an index up to packs and journal, and `position` with it.
    pub(super) fn catch_up(&self, index: &Index, position: &mut Position) -> Result<(), RepoError> {
        let from: Position = index.get(&keys::meta(meta::POSITION))?.as_deref().and_then(decode).unwrap_or_default();
        // The journal first: whatever its records name lies in packs that were finished before, and so are listed after.
        let mut read = crate::journal::Read { records: Vec::new(), end: from };
        let length = self.journal().length()?;
        if length < from.bytes {
            return Err(RepoError::ShortJournal { records: from.records, bytes: from.bytes, found: length });
        }
        if length != from.bytes {
            read = self.journal().read_after(from)?;
        }
        self.follow_packs(index)?;
        for (record, after) in &read.records {
            let mut view = View::new(index);
            apply(&mut view, record)?;
            view.put(keys::meta(meta::POSITION), encode(after));
            index.commit(view.into_changes())?;
        }
        *position = read.end;
        Ok(())
    }

    /// Enters packs that are new, then takes out those that are gone: what counts of these lies in the new ones.
    fn follow_packs(&self, index: &Index) -> Result<(), RepoError> {
        let listed: HashSet<PackName> = loop {
            let mut listed = self.packs().list()?;
            // Of two copies the one that is entered last counts. A folded pack is longer than each of those that it replaces and that
            // are about to go.
            listed.sort_unstable_by_key(|(name, length)| (*length, *name));
            if self.register_new(index, &listed)? {
                break listed.into_iter().map(|(name, _)| name).collect();
            }
        };
        let known = index.pack_names();
        known.iter().filter(|name| !listed.contains(*name)).try_for_each(|name| index.forget_pack(name))?;
        self.rely_on(known.into_iter().filter(|name| listed.contains(name)));
        Ok(())
    }

    /// Enters packs that the index does not know; false when one is gone, so that the list is old.
    fn register_new(&self, index: &Index, listed: &[(PackName, u64)]) -> Result<bool, RepoError> {
        for (name, length) in listed.iter().filter(|(name, _)| index.pack_number(name).is_none()) {
            match read_index(self.packs(), name, *length).and_then(|rows| self.register(index, name, &rows)) {
                Ok(()) => {}
                // All else must stay readable; what it held is missing until `fsck` has named it.
                Err(error @ RepoError::DamagedPack { .. }) => tracing::warn!("{error}"),
                Err(error) if super::objects::is_gone(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Has the copies in a pack that the index knows count, whatever others there are. The caller holds the lock on the position.
    pub(super) fn prefer(&self, index: &Index, name: &PackName, rows: &[Row]) -> Result<(), RepoError> {
        self.register(index, name, rows)?;
        let Some(number) = index.pack_number(name) else { return Ok(()) };
        let place = |row: &Row| (keys::object(row.kind, &row.digest), Some(Location::of(row, number).encode()));
        rows.chunks(ROWS_AT_A_TIME).try_for_each(|rows| index.commit(rows.iter().map(place).collect()))
    }

    /// Enters the objects of a finished pack into an index. The caller holds the lock on the position.
    pub(super) fn register(&self, index: &Index, name: &PackName, rows: &[Row]) -> Result<(), RepoError> {
        if index.pack_number(name).is_some() {
            return Ok(());
        }
        let number = index.next_pack()?;
        for rows in rows.chunks(ROWS_AT_A_TIME) {
            let mut changes = Changes::new();
            for row in rows {
                let key = keys::object(row.kind, &row.digest);
                // A result that the index knows from another pack is not read again: folding moves many.
                let is_new_result = row.kind == Kind::Result as u8 && index.get(&key)?.is_none();
                changes.insert(key, Some(Location::of(row, number).encode()));
                if is_new_result {
                    let bytes = unpack(row, self.packs().read(name, row.stored_range())?);
                    if let Some(Ok(result)) = bytes.map(|bytes| serde_json::from_slice::<ResultDocument>(&bytes)) {
                        let (key, value) = super::objects::result_row(&row.digest, &result);
                        changes.insert(key, Some(value));
                    }
                }
            }
            index.commit(changes)?;
        }
        index.enter_pack(name)
    }
}

fn is_current(index: &Index) -> Result<bool, RepoError> {
    Ok(index.get(&keys::meta(meta::VERSION))?.as_deref().and_then(decode::<u32>) == Some(VERSION))
}

fn mark_version(index: &Index) -> Result<(), RepoError> {
    index.commit(Changes::from([(keys::meta(meta::VERSION), Some(encode(&VERSION)))]))
}
