//! The store's locks: one process at a time changes journal and index, one removes packs; and how to wait for them.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::Store;
use crate::base::error::{IoContext, RepoError};

/// A lock, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock if it is free, and records this process as its holder.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>, RepoError> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).doing("open", path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(std::io::Error::from(error)).doing("lock", path),
        }
        // Only informs people who wait, so a failed write does not matter.
        let who = format!("process {} ({})\n", std::process::id(), command());
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(who.as_bytes())).ok();
        Ok(Some(Self { _file: file }))
    }

    /// The holder of the lock, as recorded by itself.
    pub(crate) fn holder(path: &Path) -> String {
        let mut text = String::new();
        File::open(path).and_then(|mut file| file.read_to_string(&mut text)).ok();
        let text = text.trim();
        if text.is_empty() { "another process".to_owned() } else { text.to_owned() }
    }
}

/// The beginning of this process's command line, enough to show what it does: `pv put images`.
fn command() -> String {
    let mut words: Vec<String> = std::env::args_os().take(3).map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(name) = words.first_mut() {
        *name = Path::new(name.as_str()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    }
    words.join(" ")
}

impl Store {
    /// Waits for the lock and reports its holder. An owner may keep it for days, so if one appears: `InUse`.
    pub(super) fn take_lock_without_owner(&self) -> Result<Lock, RepoError> {
        self.wait_for(&self.lock_path(), || !self.has_owner())
    }

    /// Whether another process owns the store and responds.
    pub(super) fn has_owner(&self) -> bool {
        self.inner.publisher.get().is_some_and(|publisher| publisher.is_there())
    }

    /// The error that the store is in use, and by whom.
    pub fn in_use(&self) -> RepoError {
        RepoError::InUse { holder: Lock::holder(&self.lock_path()) }
    }

    /// Waits for the lock for removing packs. Must be taken before the store's lock.
    pub(super) fn take_removal_lock(&self) -> Result<Lock, RepoError> {
        self.wait_for(&self.removal_lock_path(), || true)
    }

    pub(super) fn removal_lock_path(&self) -> PathBuf {
        self.folder().join("removal.lock")
    }

    fn wait_for(&self, path: &Path, is_worth_it: impl Fn() -> bool) -> Result<Lock, RepoError> {
        for waited in 0_u32.. {
            if let Some(lock) = Lock::try_take(path)? {
                return Ok(lock);
            }
            if !is_worth_it() {
                return Err(RepoError::InUse { holder: Lock::holder(path) });
            }
            if waited == 100 {
                (self.inner.notify)(&format!("waiting for {}", Lock::holder(path)));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        unreachable!("the loop has no end")
    }
}
