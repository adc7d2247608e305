//! Scratch directories: the files of a sandbox on the engine's disk.
//!
//! `SCRATCH/<instance>.<number>/{pfs,out,tmp,code}`; the outer directory is inaccessible to all other users, so they cannot reach what user
//! code leaves there (even with a setuid bit).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::CWD;

use super::super::ExecError;
use super::private_directory;
use crate::agent::namespace::NOBODY;
use crate::agent::{NOTHING, empty_directory, open_directory};

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The directory of one sandbox.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> ExecError + 'a {
    move |source| ExecError::Io { action, path: path.to_owned(), source }
}

impl Scratch {
    pub(super) fn make(root: &Path, instance: &str) -> Result<Self, ExecError> {
        private_directory(root).map_err(failed("make", root))?;
        let root = root.canonicalize().map_err(failed("find", root))?;
        let path = root.join(format!("{instance}.{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        private_directory(&path).map_err(failed("make", &path))?;
        let scratch = Self { path };
        // `pfs/out` is the mount point of the output: it cannot be created once `pfs` is shown read-only.
        for name in ["pfs", "pfs/out", "out", "tmp", "code"] {
            let inner = scratch.path.join(name);
            fs::DirBuilder::new().mode(0o755).create(&inner).map_err(failed("make", &inner))?;
            give_away(&inner)?;
        }
        give_away(&scratch.path)?;
        Ok(scratch)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it with everything that user code left, whatever its depth and permissions.
    pub(super) fn remove(&self) -> Result<(), ExecError> {
        remove(&self.path)
    }
}

/// Root's sandboxes run as nobody.
fn give_away(path: &Path) -> Result<(), ExecError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    chown(path, Some(NOBODY), Some(NOBODY)).map_err(failed("give a user", path))
}

fn remove(path: &Path) -> Result<(), ExecError> {
    let emptied = open_directory(CWD, path).and_then(|directory| empty_directory(&directory, NOTHING));
    emptied.and_then(|()| fs::remove_dir(path)).map_err(failed("remove", path))
}

/// Removes what dead engines left behind.
pub(super) fn remove_dead(root: &Path, own: &str, alive: &BTreeSet<String>) -> Result<(), ExecError> {
    let Ok(found) = fs::read_dir(root) else { return Ok(()) }; // never used
    for entry in found {
        let path = entry.map_err(failed("list", root))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((instance, _)) = name.rsplit_once('.') else { continue };
        if instance != own && !alive.contains(instance) {
            // An older engine may have run as another user and removed the permission to list it.
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o700));
            remove(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directories_of_dead_instances_go() {
        let root = tempfile::tempdir().unwrap();
        let kept = [Scratch::make(root.path(), "own").unwrap(), Scratch::make(root.path(), "alive").unwrap()];
        let dead = Scratch::make(root.path(), "dead").unwrap();
        fs::write(dead.path().join("out/x"), "x").unwrap();
        remove_dead(root.path(), "own", &BTreeSet::from(["alive".to_owned()])).unwrap();
        assert!(!dead.path().exists());
        assert!(kept.iter().all(|scratch| scratch.path().exists()));
        kept[0].remove().unwrap();
        assert!(!kept[0].path().exists());
    }
}
