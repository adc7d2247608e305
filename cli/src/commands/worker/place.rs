//! The folder of a worker on its machine: files that it fetched, the files of running tries, and a lock.
//!
//! A worker has its folder for itself, so what it finds there, and the containers that are labelled with it, an earlier worker left behind.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use specs::ErrorKind;

use crate::error::{CliError, Result};

/// A worker's folder. It is another's to take once this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    _lock: File,
}

impl Place {
    /// The folder of the worker with this name, below `cache`. `Conflict` if another one works there.
    pub(super) fn take(cache: &Path, name: &str) -> Result<Self> {
        let wanted = cache.join(name);
        let failed = |error: std::io::Error| {
            CliError::io(format!("cannot use the folder `{}`", wanted.display()), &error)
                .hint("name another one: --cache DIR")
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&wanted).map_err(failed)?;
        let folder = wanted.canonicalize().map_err(failed)?;
        let lock = File::options().write(true).create(true).truncate(false).open(folder.join("lock"));
        let lock = lock.map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { folder, _lock: lock }),
            Err(Errno::WOULDBLOCK) => {
                let what = format!("a worker with the name `{name}` runs on this machine already");
                Err(CliError::new(ErrorKind::Conflict, what).hint("give this one another name: --name NAME"))
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    /// All of it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where fetched files are kept.
    pub(super) fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// What marks containers as those of a worker with this folder.
    pub(super) fn mark(&self) -> String {
        format!("worker-{}", self.folder.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_worker_at_a_time() {
        let cache = tempfile::tempdir().unwrap();
        let first = Place::take(cache.path(), "edge").unwrap();
        let Err(CliError::Failure(failure)) = Place::take(cache.path(), "edge") else { panic!("two have it") };
        assert_eq!(failure.kind, ErrorKind::Conflict);
        let other = Place::take(cache.path(), "hall").unwrap();
        assert_ne!(first.mark(), other.mark());
        drop(first);
        assert!(Place::take(cache.path(), "edge").unwrap().files().starts_with(cache.path().canonicalize().unwrap()));
    }
}
