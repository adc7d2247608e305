//! Files with secrets: written for one try, into directories that contain nothing else, and removed after it.
//!
//! The executor created the directories in memory, so that no secret ever reaches a disk.
//!
//! A secret below `/tmp` is in a mount of the topmost directory of its path there; this mount stays when `/tmp` is emptied.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, fchmod, fchown, mkdirat, openat};

use super::renew::Writable;
use super::{OrStop, Stop, clear};
use crate::SecretFile;

/// The directories with their paths.
pub(super) struct SecretDirectories(Vec<(String, Writable)>);

impl SecretDirectories {
    pub(super) fn open(paths: &[String]) -> Result<Self, Stop> {
        let open = |path: &String| {
            let opened = clear::open_directory(CWD, path.as_str()).and_then(Writable::new);
            Ok((path.clone(), opened.or_stop(|| format!("open `{path}` for secrets"))?))
        };
        paths.iter().map(open).collect::<Result<_, Stop>>().map(Self)
    }

    /// The directories.
    pub(super) fn opened(&self) -> impl Iterator<Item = &Writable> {
        self.0.iter().map(|(_, directory)| directory)
    }

    /// Writes the files of a try; `owner` is the command's user if it differs from the agent's.
    pub(super) fn lay_out(&self, files: &[SecretFile], owner: Option<(Uid, Gid)>) -> io::Result<()> {
        files.iter().try_for_each(|file| self.write(file, owner))
    }

    fn write(&self, file: &SecretFile, owner: Option<(Uid, Gid)>) -> io::Result<()> {
        let path = Path::new(&file.path);
        let below = self.0.iter().find_map(|(top, opened)| Some((opened.directory(), path.strip_prefix(top).ok()?)));
        let (top, below) = below.ok_or_else(|| io::Error::other(format!("`{}` has no place", file.path)))?;
        for directory in below.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty()) {
            make_directories(top, directory)?;
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(top, below, flags, Mode::from_raw_mode(0o400))?;
        fchmod(&opened, Mode::from_raw_mode(0o400))?;
        if let Some((uid, gid)) = owner {
            fchown(&opened, Some(uid), Some(gid))?;
        }
        File::from(opened).write_all(&file.content)
    }

    /// Removes the files and everything user code added.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|(_, directory)| directory.renew())
    }
}

fn make_directories(top: &OwnedFd, directory: &Path) -> io::Result<()> {
    let mut made = std::path::PathBuf::new();
    for part in directory.components() {
        made.push(part);
        match mkdirat(top, &made, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_for_their_user_alone_and_go() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().to_str().unwrap().to_owned();
        let mut directories = SecretDirectories::open(std::slice::from_ref(&top)).unwrap();
        let file = |path: &str| SecretFile { path: format!("{top}/{path}"), content: b"value".to_vec() };
        directories.lay_out(&[file("token"), file("deep/er/key")], None).unwrap();
        for path in ["token", "deep/er/key"] {
            assert_eq!(fs::read(root.path().join(path)).unwrap(), b"value");
            assert_eq!(fs::metadata(root.path().join(path)).unwrap().permissions().mode() & 0o777, 0o400);
        }
        assert!(directories.lay_out(&[file("token")], None).is_err(), "nothing is written over");
        let elsewhere = SecretFile { path: "/etc/token".to_owned(), content: Vec::new() };
        assert!(directories.lay_out(&[elsewhere], None).is_err());
        directories.clear().unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
