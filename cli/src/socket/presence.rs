//! Detects whether the store, its lock and its socket are still in place: users remove and move folders.

use std::fs::File;
use std::path::PathBuf;

use repos::Store;
use rustix::fs::{AtFlags, Stat, fstat, stat, statat};
use rustix::io::Errno;

/// Identifies a file while it exists: its device and inode number.
type Identity = (u64, u64);

/// The identities that an owner found at its start.
#[derive(Debug)]
pub(super) struct Presence {
    path: PathBuf,
    folder: Identity,
    lock: Identity,
    socket: Option<Identity>,
}

/// What still exists.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Everything.
    All,
    /// The store without its socket.
    NoSocket,
    /// The folder is gone or another one, or another process may own the store by now; the reason.
    Lost(String),
}

#[expect(clippy::unnecessary_cast, reason = "the types differ between machines")]
fn identity(stat: &Stat) -> Identity {
    (stat.st_dev as u64, stat.st_ino as u64)
}

impl Presence {
    /// The folder of a store that this process owns, its lock and its socket.
    pub(super) fn of(store: &Store, folder: &File) -> std::io::Result<Self> {
        let at = |name: &str| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| identity(&stat));
        Ok(Self {
            path: store.folder(),
            folder: identity(&fstat(folder)?),
            lock: at("lock")?,
            socket: Some(at("socket")?),
        })
    }

    /// Records the current socket as the right one.
    pub(super) fn note_socket(&mut self, folder: &File) {
        let found = statat(folder, "socket", AtFlags::SYMLINK_NOFOLLOW);
        self.socket = found.ok().map(|stat| identity(&stat));
    }

    /// Checks. Failed checks count as present: an unresponsive disk may come back.
    pub(super) fn look(&self, folder: &File) -> Found {
        let at = |name: &str| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| identity(&stat));
        let is_gone = |found: Result<Identity, Errno>, known: Identity| match found {
            Ok(found) => found != known,
            Err(error) => matches!(error, Errno::NOENT | Errno::NOTDIR),
        };
        if is_gone(stat(&self.path).map(|stat| identity(&stat)), self.folder) {
            return Found::Lost(format!("the store at `{}` was removed or moved away", self.path.display()));
        }
        if is_gone(at("lock"), self.lock) {
            let lock = self.path.join("lock");
            return Found::Lost(format!("`{}` was removed, so that another process may own the store", lock.display()));
        }
        let is_there = self.socket.is_some_and(|socket| !is_gone(at("socket"), socket));
        if is_there { Found::All } else { Found::NoSocket }
    }
}
