//! Finding, creating and opening stores; bringing the index up to date; salvaging packs of dead writers.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use jiff::tz::TimeZone;
use specs::BranchName;

use super::options::OpenOptions;
use super::shared;
use super::{Inner, Lock, NodeWeight, Store};
use crate::access::Right;
use crate::base::error::{IoContext, RepoError, is_of_disk};
use crate::base::kind::PackClass;
use crate::index::apply::{apply, cannot_have_happened, meta};
use crate::index::history::Batch;
use crate::index::log::advance;
use crate::index::rows::{decode, encode};
use crate::index::{Changes, Index, VERSION, View, keys};
use crate::journal::{Entry, Journal, Position, SharedJournal};
use crate::keys::KeyFile;
use crate::objects::packs::writer::{PackWriter, salvage};

pub(super) const FOLDER: &str = ".pv";
const FORMAT_FILE: &str = "format";
pub(super) const FORMAT: &str = "pv store 1\n";
/// Size of the in-memory node cache in bytes.
const NODE_CACHE_BYTES: u64 = 32 << 20;
/// About how many rows a process that does not own the store keeps in memory before it updates the index on disk.
const OVERLAY_ROWS: usize = 4096;
/// The same limit while a change is being made, when packs follow one another.
const OVERLAY_ROWS_OF_A_CHANGE: usize = 100_000;

impl OpenOptions {
    /// Creates a store in `dir/.pv`, with `default_branch` for references without a branch.
    pub fn init(&self, dir: &Path, default_branch: BranchName) -> Result<Store, RepoError> {
        let folder = dir.join(FOLDER);
        if folder.join(FORMAT_FILE).exists() {
            return Err(RepoError::StoreExists { dir: dir.to_owned() });
        }
        Self::ensure_not_shared(&folder)?;
        self.make(dir, default_branch)
    }

    /// Creates the folder's own part of a new store, and the first record if the journal has none.
    pub(super) fn make(&self, dir: &Path, default_branch: BranchName) -> Result<Store, RepoError> {
        let folder = dir.join(FOLDER);
        let packs = folder.join("packs");
        std::fs::create_dir_all(&packs).doing("create", &packs)?;
        let journal = folder.join("journal");
        if !journal.exists() {
            self.faults.step().doing("create", &journal)?;
            Journal::create(&journal)?;
        }
        let store = self.assemble(dir)?;
        let entry = Entry::Init { store: crate::base::random::hex(), default_branch };
        if store.position().records == 0 {
            let key = Store::key_entry(&*store.own_key()?);
            match store.publish(&super::Change::of(vec![entry, key])) {
                // Another machine created the store at the same time.
                Err(RepoError::Exists { .. }) => store.refresh()?,
                published => published?,
            }
        }
        // Last: a folder without this file is not a store, and `init` can continue in it.
        self.faults.step().doing("write", &folder.join(FORMAT_FILE))?;
        write_format(&folder)?;
        crate::base::durable::sync_folder(dir)?;
        store.fill_reserve();
        Ok(store)
    }

    /// Opens the store in `dir`.
    pub fn open(&self, dir: &Path) -> Result<Store, RepoError> {
        let format = dir.join(FOLDER).join(FORMAT_FILE);
        match std::fs::read(&format) {
            Ok(text) if text == FORMAT.as_bytes() => self.assemble(dir),
            Ok(text) if is_newer_format(&text) => {
                Err(RepoError::MadeByNewer { what: format!("the store at `{}`", dir.display()) })
            }
            Ok(_) => Err(RepoError::DamagedFormat { why: "it does not contain the store's format" }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && has_history(dir) => {
                Err(RepoError::DamagedFormat { why: "it is missing" })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(RepoError::NoStore { dir: dir.to_owned(), searched: false })
            }
            Err(error) => Err(error).doing("read", &format),
        }
    }

    /// Opens the store in `dir` despite any damage, for examination: if the journal is damaged, the store is in the state before the
    /// damage.
    ///
    /// Still fails if the store was made by a newer version.
    pub fn open_damaged(&self, dir: &Path) -> Result<Store, RepoError> {
        match self.open(dir) {
            Err(error) if error.kind() == specs::ErrorKind::Damaged => {}
            opened => return opened,
        }
        let store = self.unread(dir)?;
        // The next process that may write here will do it, and these packs contain nothing published.
        if let Err(error) = store.save_abandoned() {
            tracing::warn!("data of a dead writer is not recovered now: {error}");
        }
        match store.refresh() {
            Err(error) if error.kind() == specs::ErrorKind::Damaged => store.use_what_is_sound()?,
            refreshed => refreshed?,
        }
        Ok(store)
    }

    fn assemble(&self, dir: &Path) -> Result<Store, RepoError> {
        let store = self.unread(dir)?;
        // The next process that may write here will do it, and these packs contain nothing published.
        if let Err(error) = store.save_abandoned() {
            tracing::warn!("data of a dead writer is not recovered now: {error}");
        }
        store.refresh()?;
        Ok(store)
    }

    fn unread(&self, dir: &Path) -> Result<Store, RepoError> {
        let folder = dir.join(FOLDER);
        let place = shared::url_of(&folder)?.map(|url| self.place_at(&url)).transpose()?;
        let journal = folder.join("journal");
        let inner = Inner {
            dir: dir.to_owned(),
            packs: self.packs(&folder, place.as_ref()),
            journal: match &place {
                Some(place) => Journal::shared(journal, SharedJournal::new(place.clone())),
                None => Journal::new(journal),
            }
            .with_faults(self.faults.clone()),
            index: RwLock::new(Arc::new(Index::in_memory())),
            position: Mutex::default(),
            meta: Mutex::new(PackWriter::new(PackClass::Meta, self.pack_bytes)),
            data: Mutex::new(PackWriter::new(PackClass::Data, self.pack_bytes)),
            large_file: Mutex::default(),
            nodes: quick_cache::sync::Cache::with_weighter(20_000, NODE_CACHE_BYTES, NodeWeight),
            copies: Mutex::default(),
            clock: self.clock.clone(),
            owned: OnceLock::new(),
            publisher: OnceLock::new(),
            ends: false.into(),
            held: Mutex::default(),
            parts: Mutex::default(),
            relied: Mutex::default(),
            knows_all: false.into(),
            following: Mutex::default(),
            written: 0.into(),
            meter: super::meter::Meter::default(),
            notify: self.notify.clone(),
            faults: self.faults.clone(),
            key_file: KeyFile::at(self.key.clone().unwrap_or_else(|| folder.join("key")), self.faults.clone()),
            key: Mutex::default(),
            told_of_key: false.into(),
            naming: super::results::Naming::default(),
            ledger: Mutex::default(),
            turns: super::turns::Turns::default(),
            shelf: Mutex::default(),
        };
        Ok(Store { inner: Arc::new(inner), zone: TimeZone::UTC, access: None })
    }
}

/// Whether the text of the format file could come from a newer version.
fn is_newer_format(text: &[u8]) -> bool {
    let number = text.strip_prefix(b"pv store ").and_then(|rest| rest.strip_suffix(b"\n"));
    number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).is_some_and(|number: u32| number > 1)
}

/// Whether `dir/.pv` has records beyond the creation of the store: the format file is written right after that.
fn has_history(dir: &Path) -> bool {
    use std::io::BufRead;
    let journal = std::fs::File::open(dir.join(FOLDER).join("journal"));
    journal.is_ok_and(|file| std::io::BufReader::new(file).split(b'\n').nth(1).is_some())
}

/// Writes the file that states the version of the store's layout, durably.
pub(crate) fn write_format(folder: &Path) -> Result<(), RepoError> {
    write_durably(&folder.join(FORMAT_FILE), FORMAT.as_bytes())?;
    crate::base::durable::sync_folder(folder)
}

pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), RepoError> {
    use std::io::Write;
    let mut file = std::fs::File::create(path).doing("create", path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).doing("write", path)
}

impl Store {
    /// Creates a store in `dir/.pv`.
    pub fn init(dir: &Path, default_branch: BranchName) -> Result<Self, RepoError> {
        OpenOptions::default().init(dir, default_branch)
    }

    /// Opens the store in `dir`.
    pub fn open(dir: &Path) -> Result<Self, RepoError> {
        OpenOptions::default().open(dir)
    }

    /// The nearest folder from `start` upwards that contains a store.
    pub fn find(start: &Path) -> Result<PathBuf, RepoError> {
        for dir in start.ancestors() {
            if Self::is_readable_at(dir)? {
                return Ok(dir.to_owned());
            }
        }
        Err(RepoError::NoStore { dir: start.to_owned(), searched: true })
    }

    /// The name of a store's folder.
    pub const FOLDER: &str = FOLDER;

    /// Whether the format file still states the layout that the store was opened with.
    pub(crate) fn format_is_sound(&self) -> Result<bool, RepoError> {
        let path = self.folder().join(FORMAT_FILE);
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            read => Ok(read.doing("read", &path)? == FORMAT.as_bytes()),
        }
    }

    /// Whether `dir/.pv` contains a store.
    pub fn is_at(dir: &Path) -> bool {
        dir.join(FOLDER).join(FORMAT_FILE).exists()
    }

    /// Like [`Self::is_at`], but a folder that cannot be read is an error.
    fn is_readable_at(dir: &Path) -> Result<bool, RepoError> {
        let format = dir.join(FOLDER).join(FORMAT_FILE);
        match format.try_exists() {
            Ok(exists) => Ok(exists || has_history(dir)),
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Ok(false),
            Err(error) => Err(error).doing("look at", &format),
        }
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.folder().join("lock")
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.folder().join("index")
    }

    /// Finishes packs of writers that died. If another process holds the lock, that one does it.
    fn save_abandoned(&self) -> Result<(), RepoError> {
        let parts = self.packs().abandoned()?;
        if !parts.is_empty()
            && let Some(_lock) = Lock::try_take(&self.lock_path())?
        {
            for part in parts {
                // The lock on the file is released with the part: no one waits for its content.
                salvage(part)?;
            }
        }
        Ok(())
    }

    /// Reads what others have changed since this was opened or last refreshed.
    pub fn refresh(&self) -> Result<(), RepoError> {
        let mut position = self.locked_position();
        if self.index().is_writable() {
            return self.catch_up(&self.index(), &mut position);
        }
        let mut index = self.open_reading();
        if let Err(error) = self.catch_up(&index, &mut position) {
            if !error.is_of_index() {
                return Err(error);
            }
            tracing::warn!("the index is not used, because it cannot be read: {error}");
            index = Index::in_memory();
            self.catch_up(&index, &mut position)?;
        }
        if index.overlay_rows() > OVERLAY_ROWS {
            if self.try_catch_up_disk(&mut position) {
                return Ok(());
            }
            // The position may be that of the replaced index.
            self.catch_up(&index, &mut position)?;
        }
        self.use_index(index);
        Ok(())
    }

    /// Also indexes the deferred packs, since something was not found without them.
    pub(super) fn find_put_off(&self) -> Result<(), RepoError> {
        let mut position = self.locked_position();
        self.enter_put_off()?;
        if !self.index().is_writable() && self.index().overlay_rows() > OVERLAY_ROWS {
            self.try_catch_up_disk(&mut position);
        }
        Ok(())
    }

    /// Moves what a large change has added in memory to the disk, if no process holds the lock.
    pub(super) fn relieve_memory(&self) {
        if !self.index().is_writable() && self.index().overlay_rows() > OVERLAY_ROWS_OF_A_CHANGE {
            self.try_catch_up_disk(&mut self.locked_position());
        }
    }

    /// Updates the index on disk if no process holds the lock and the disk accepts it; returns whether it did.
    fn try_catch_up_disk(&self, position: &mut Position) -> bool {
        let done = Lock::try_take(&self.lock_path())
            .and_then(|lock| lock.map(|_lock| self.catch_up_disk(position)).transpose())
            .map(|done| done.is_some());
        done.unwrap_or_else(|error| {
            // The index can be rebuilt: no reader misses anything.
            tracing::warn!("the index on disk cannot be updated: {error}");
            false
        })
    }

    pub(super) fn use_index(&self, mut index: Index) {
        // A process may find out only now, or later, that the index on disk is damaged.
        let inner = Arc::downgrade(&self.inner);
        index.when_damaged(move || {
            let fresh = Index::in_memory();
            if let Some(inner) = inner.upgrade() {
                Self { inner, zone: TimeZone::UTC, access: None }.catch_up(&fresh, &mut Position::default())?;
            }
            Ok(fresh)
        });
        self.inner.copies.lock().expect("no panic under this lock").take();
        *self.inner.index.write().expect("no panic under this lock") = Arc::new(index);
    }

    /// Uses the packs, and the journal as far as it is readable.
    fn use_what_is_sound(&self) -> Result<(), RepoError> {
        let mut position = self.locked_position();
        let index = Index::in_memory();
        let packs = self.packs().list()?;
        self.follow_packs(&index, packs, true)?;
        let mut end = Position::default();
        let read = self.journal().visit(end, |record, after, leaf| {
            let mut view = View::new(&index);
            apply(&mut view, &record).map_err(|error| cannot_have_happened(after.records, error))?;
            advance(&mut view, &record, &after, leaf)?;
            index.commit(view.into_changes());
            end = after;
            Ok(())
        });
        match read {
            Err(error @ RepoError::MadeByNewer { .. }) => return Err(error),
            // Callers of `open_damaged` run a check that reports the damage.
            Ok(_) | Err(_) => *position = end,
        }
        self.use_index(index);
        Ok(())
    }

    /// The index on disk, or an empty one in memory if that is missing, damaged or of another version.
    pub(super) fn open_reading(&self) -> Index {
        let path = self.index_path();
        if !path.join("CURRENT").exists() {
            return Index::in_memory();
        }
        match Index::open_reading(&path).and_then(|index| Ok((is_current(&index)?, index))) {
            Ok((true, index)) => return index,
            Ok((false, _)) => tracing::debug!("the index has another version and is not used"),
            Err(RepoError::Index(error)) => tracing::warn!("the index is not used, because it cannot be read: {error}"),
            Err(error) => tracing::warn!("the index is not used, because it cannot be read: {error}"),
        }
        Index::in_memory()
    }

    /// Brings the index on disk up to date with packs and journal. The caller holds the lock.
    pub(super) fn catch_up_disk(&self, position: &mut Position) -> Result<(), RepoError> {
        self.catch_up_disk_with(position, None)
    }

    /// Like [`Self::catch_up_disk`], and also writes a step of the history index, if it still applies.
    pub(super) fn catch_up_disk_with(&self, position: &mut Position, step: Option<Batch>) -> Result<(), RepoError> {
        let index = self.open_caught_up(position)?;
        step.map_or(Ok(()), |step| step.take(&index))?;
        index.flush()?;
        drop(index);
        let reading = self.open_reading();
        self.catch_up(&reading, position)?;
        self.use_index(reading);
        Ok(())
    }

    /// The index on disk, up to date; rebuilt if it is damaged. The caller holds the lock.
    fn open_caught_up(&self, position: &mut Position) -> Result<Index, RepoError> {
        let index = self.open_writable()?;
        match self.catch_up(&index, position) {
            Err(error) if error.is_of_index() => {
                tracing::warn!("the index is damaged and will be rebuilt: {error}");
                drop(index);
                std::fs::remove_dir_all(self.index_path()).doing("remove", &self.index_path())?;
                let index = self.open_writable()?;
                self.catch_up(&index, position).map(|()| index)
            }
            done => done.map(|()| index),
        }
    }

    pub(super) fn open_writable(&self) -> Result<Index, RepoError> {
        let path = self.index_path();
        match Index::open_writable(&path, &self.inner.faults) {
            Ok(index) if is_current(&index).unwrap_or(false) => return Ok(index),
            Ok(index) if index.get(&keys::meta(meta::VERSION)).is_ok_and(|version| version.is_none()) => {
                mark_version(&index);
                return Ok(index);
            }
            // The existing index is good, and the disk may have no room for another.
            Err(RepoError::Index(error)) if is_of_disk(&error) => return Err(error.into()),
            Err(error @ RepoError::Io { .. }) => return Err(error),
            _ => {}
        }
        tracing::warn!("the index is damaged or has another version, and will be rebuilt");
        std::fs::remove_dir_all(&path).doing("remove", &path)?;
        let index = Index::open_writable(&path, &self.inner.faults)?;
        mark_version(&index);
        Ok(index)
    }

    /// Discards the index and rebuilds it from packs and journal. `InUse` if a process owns the store: the index is open there.
    pub fn rebuild_index(&self) -> Result<(), RepoError> {
        self.ensure_may(Right::Collect)?;
        if self.is_owner() || self.has_owner() {
            return Err(self.in_use());
        }
        let _removing = self.take_removal_lock()?;
        {
            let _lock = self.take_lock_without_owner()?;
            self.rebuild_locked(&mut self.locked_position())?;
        }
        match self.follow_all_histories() {
            // An owner appeared, which updates it in steps.
            Err(RepoError::InUse { .. }) => Ok(()),
            followed => followed,
        }
    }

    fn rebuild_locked(&self, position: &mut Position) -> Result<(), RepoError> {
        let path = self.index_path();
        if path.exists() {
            // An index that is ahead of the journal is the only evidence of the loss.
            if let Some(known) =
                self.open_reading().get(&keys::meta(meta::POSITION))?.as_deref().and_then(decode::<Position>)
            {
                self.journal().fetch(known)?;
                let found = self.journal().length()?;
                if found < known.bytes {
                    return Err(RepoError::ShortJournal { records: known.records, bytes: known.bytes, found });
                }
            }
            self.use_index(Index::in_memory());
            std::fs::remove_dir_all(&path).doing("remove", &path)?;
        }
        self.catch_up_disk(position)
    }

    /// Deletes the index; the next process that opens the store rebuilds it. The caller holds the lock, and must not use this store
    /// afterwards.
    pub(crate) fn forget_index(&self) -> Result<(), RepoError> {
        self.use_index(Index::in_memory());
        let path = self.index_path();
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.doing("remove", &path),
        }
    }

    /// The furthest known position of the journal, from sources other than the journal.
    pub(crate) fn known_position(&self) -> Option<Position> {
        let row = self.open_reading().get(&keys::meta(meta::POSITION)).ok().flatten();
        let known = [row.as_deref().and_then(decode::<Position>), self.noted_position()];
        known.into_iter().flatten().max_by_key(|position| position.records)
    }

    /// Becomes the owner: holds the lock and the index as long as this store lives. `InUse` if another process owns it and responds.
    pub fn own(&self) -> Result<(), RepoError> {
        self.ensure_may(Right::Collect)?;
        let lock = self.take_lock_without_owner()?;
        self.save_left_by_others()?;
        let index = self.open_caught_up(&mut self.locked_position())?;
        self.ensure_not_forged(&index)?;
        self.use_index(index);
        self.inner.owned.set(lock).map_err(|_| RepoError::InUse { holder: "this process".to_owned() })
    }

    /// Makes an owner that shuts down finish its open packs: everything it records from now on is in finished packs, so others can read all
    /// of it when no owner responds any more.
    pub fn end_owning(&self) -> Result<(), RepoError> {
        self.inner.ends.store(true, Ordering::Relaxed);
        self.finish_packs()
    }

    /// Flushes the index to disk, for the next process that opens the store.
    pub fn flush_index(&self) -> Result<(), RepoError> {
        self.index().flush()
    }

    fn save_left_by_others(&self) -> Result<(), RepoError> {
        self.packs().abandoned()?.into_iter().try_for_each(|part| salvage(part).map(drop))
    }

    /// Whether this process owns the store.
    pub fn is_owner(&self) -> bool {
        self.inner.owned.get().is_some()
    }
}

fn is_current(index: &Index) -> Result<bool, RepoError> {
    Ok(index.get(&keys::meta(meta::VERSION))?.as_deref().and_then(decode::<u32>) == Some(VERSION))
}

fn mark_version(index: &Index) {
    index.commit(Changes::from([(keys::meta(meta::VERSION), Some(encode(&VERSION)))]));
}
