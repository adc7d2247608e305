//! Local copies of data read from a place: files in one folder, written under a temporary name and renamed, so other processes see only
//! complete ones.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::SystemTime;

use bytes::Bytes;

use crate::base::error::{IoContext, RepoError};
use crate::base::kind::PackClass;
use crate::objects::packs::local::read_range;
use crate::objects::packs::{LocalPacks, PackName, PackStore};

/// Limit for copies of data packs, in bytes; also at most a quarter of the free disk space is used.
const LIMIT_BYTES: u64 = 4 << 30;
/// A file is fetched in pieces of this many bytes.
const PIECE_BYTES: u64 = 8 << 20;
/// The extension of incomplete files.
const PART: &str = "part";
/// An incomplete file not written to for this long was left by a crash.
const LEFT_SECONDS: u64 = 24 * 60 * 60;

#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    limit_bytes: u64,
    /// Names being fetched by a thread of this process.
    fetching: Mutex<HashSet<String>>,
    fetched: Condvar,
    /// Bytes added since the last trim; starts above any limit.
    added: AtomicU64,
}

impl Cache {
    pub(super) fn new(folder: PathBuf) -> Self {
        let (fetching, fetched) = (Mutex::default(), Condvar::new());
        Self { folder, limit_bytes: LIMIT_BYTES, fetching, fetched, added: AtomicU64::new(u64::MAX / 2) }
    }

    pub(super) fn limit(&mut self, bytes: u64) {
        self.limit_bytes = bytes;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// A range of a copy, shorter at its end; `None` if there is no copy.
    pub(super) fn read(&self, name: &str, range: Range<u64>) -> Result<Option<Bytes>, RepoError> {
        let path = self.path(name);
        match File::open(&path) {
            Ok(file) => read_range(&file, range).doing("read", &path).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).doing("open", &path),
        }
    }

    /// Lets one thread at a time `fetch` a name; threads that waited check first whether it is `there` now.
    pub(super) fn once<T>(
        &self,
        name: &str,
        there: impl FnOnce() -> Option<Result<T, RepoError>>,
        fetch: impl FnOnce() -> Result<T, RepoError>,
    ) -> Result<T, RepoError> {
        let mut fetching = self.fetching.lock().expect("no panic under this lock");
        while fetching.contains(name) {
            fetching = self.fetched.wait(fetching).expect("no panic under this lock");
        }
        fetching.insert(name.to_owned());
        drop(fetching);
        let _turn = Turn { cache: self, name };
        there().unwrap_or_else(fetch)
    }

    /// Stores a permanent copy of `size` bytes, which arrives in pieces.
    pub(super) fn keep(
        &self,
        name: &str,
        size: u64,
        mut fetch: impl FnMut(Range<u64>) -> Result<Bytes, RepoError>,
    ) -> Result<(), RepoError> {
        self.write(name, |file, path| {
            for start in (0..size).step_by(PIECE_BYTES as usize) {
                let piece = fetch(start..size.min(start + PIECE_BYTES))?;
                file.write_all(&piece).doing("write", path)?;
            }
            file.sync_all().doing("sync", path)
        })
    }

    /// Stores a copy while there is room; the oldest copies, including data packs in `own`, are evicted.
    pub(super) fn add(&self, name: &str, bytes: &Bytes, own: &LocalPacks) -> Result<(), RepoError> {
        self.write(name, |file, path| file.write_all(bytes).doing("write", path))?;
        let added = self.added.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        if added > self.limit_bytes / 16 {
            self.added.store(0, Ordering::Relaxed);
            self.trim(own)?;
        }
        Ok(())
    }

    fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut File, &Path) -> Result<(), RepoError>,
    ) -> Result<(), RepoError> {
        std::fs::create_dir_all(&self.folder).doing("create", &self.folder)?;
        let part = self.path(&format!("{}.{PART}", crate::base::random::hex()));
        let mut file = File::create_new(&part).doing("create", &part)?;
        let path = self.path(name);
        let done = write(&mut file, &part).and_then(|()| std::fs::rename(&part, &path).doing("rename", &part));
        if done.is_err() {
            std::fs::remove_file(&part).ok();
        }
        done
    }

    /// Moves a file from elsewhere in this file system into the cache.
    pub(super) fn take_over(&self, name: &str, file: &Path) -> Result<(), RepoError> {
        std::fs::create_dir_all(&self.folder).doing("create", &self.folder)?;
        match std::fs::rename(file, self.path(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).doing("rename", file),
            _ => Ok(()),
        }
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), RepoError> {
        remove(&self.path(name))
    }

    /// Removes a copy and all its blocks.
    pub(super) fn remove_all(&self, name: &str) -> Result<(), RepoError> {
        let begins = |copy: &Copy| copy.path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
        self.copies()?.iter().filter(|copy| begins(copy)).try_for_each(|copy| remove(&copy.path))
    }

    fn copies(&self) -> Result<Vec<Copy>, RepoError> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing("list", &self.folder)?,
        };
        // A file that disappears meanwhile is skipped.
        Ok(entries.filter_map(|entry| Copy::at(entry.ok()?.path())).collect())
    }

    /// Evicts the oldest copies of data until the rest is within the limit.
    fn trim(&self, own: &LocalPacks) -> Result<(), RepoError> {
        let is_meta = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<PackName>().ok());
            name.is_some_and(|name| name.class == PackClass::Meta)
        };
        let (parts, mut data): (Vec<Copy>, Vec<Copy>) = self
            .copies()?
            .into_iter()
            .filter(|copy| !is_meta(&copy.path))
            .partition(|copy| copy.path.extension().is_some_and(|extension| extension == PART));
        for part in parts {
            if part.written.elapsed().is_ok_and(|age| age.as_secs() > LEFT_SECONDS) {
                remove(&part.path)?;
            }
        }
        for (pack, _) in own.list()? {
            if pack.class == PackClass::Data && !own.is_held(&pack).unwrap_or(true) {
                data.extend(Copy::at(own.path(&pack)));
            }
        }
        data.sort_by_key(|copy| copy.written);
        let mut total: u64 = data.iter().map(|copy| copy.bytes).sum();
        let limit = self.limit_bytes.min((free_bytes(&self.folder) + total) / 4);
        for copy in data {
            if total <= limit {
                break;
            }
            total -= copy.bytes;
            match copy.path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok()) {
                Some(pack) if copy.path.parent() != Some(&self.folder) => own.remove(&pack)?,
                _ => remove(&copy.path)?,
            }
        }
        Ok(())
    }
}

/// The right to fetch a name; other threads wait.
struct Turn<'a> {
    cache: &'a Cache,
    name: &'a str,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Ok(mut fetching) = self.cache.fetching.lock() {
            fetching.remove(self.name);
        }
        self.cache.fetched.notify_all();
    }
}

#[derive(Debug)]
struct Copy {
    path: PathBuf,
    bytes: u64,
    written: SystemTime,
}

impl Copy {
    fn at(path: PathBuf) -> Option<Self> {
        let data = std::fs::metadata(&path).ok()?;
        Some(Self { bytes: data.len(), written: data.modified().ok()?, path })
    }
}

fn remove(path: &Path) -> Result<(), RepoError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).doing("remove", path),
        _ => Ok(()),
    }
}

/// Bytes that this user may still write; practically unlimited if the file system does not say.
fn free_bytes(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(u64::MAX / 2, |found| found.f_bavail.saturating_mul(found.f_frsize))
}
