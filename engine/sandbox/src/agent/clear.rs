//! Empties a directory that user code filled.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fchmod, mkdirat, openat, renameat, statat, unlinkat};

/// For emptying a directory completely.
pub(crate) const NOTHING: &[&str] = &[];

/// Opens a directory without following a link.
pub(crate) fn open_directory(at: impl AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    Ok(openat(at, name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a directory by its full path, creating it if missing.
pub(crate) fn open_or_make(path: &str, mode: u32) -> io::Result<OwnedFd> {
    match mkdirat(CWD, path, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(openat(CWD, path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Removes all entries of `directory` except those named in `keep`.
///
/// Works at any depth with two open files and no recursion: each nested directory is moved to the top, under a fresh name, until none is
/// left. User code can build a tree deeper than any stack or path allows.
pub(crate) fn empty(directory: impl AsFd, keep: &[impl AsRef<str>]) -> io::Result<()> {
    let directory = directory.as_fd();
    let mut moved = 0_u64;
    loop {
        let mut found = false;
        for (name, is_directory) in entries(directory)? {
            if is_one_of(&name, keep) {
                continue;
            }
            found = true;
            if is_directory {
                remove_directory(directory, &name, &mut moved)?;
            } else {
                unlinkat(directory, &name, AtFlags::empty())?;
            }
        }
        if !found {
            return Ok(());
        }
    }
}

/// Whether a name is one of these.
pub(super) fn is_one_of(name: &CString, names: &[impl AsRef<str>]) -> bool {
    names.iter().any(|one| one.as_ref().as_bytes() == name.as_bytes())
}

fn remove_directory(top: BorrowedFd<'_>, name: &CString, moved: &mut u64) -> io::Result<()> {
    if unlinkat(top, name, AtFlags::REMOVEDIR).is_ok() {
        return Ok(());
    }
    // User code may have removed the permission to list or change it.
    if let Err(error) = rustix::fs::chmodat(top, name, Mode::RWXU, AtFlags::empty()) {
        return Err(error.into());
    }
    let inner = openat(top, name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    for (entry, is_directory) in entries(inner.as_fd())? {
        if is_directory {
            lift(&inner, &entry, top, moved)?;
        } else {
            unlinkat(&inner, &entry, AtFlags::empty())?;
        }
    }
    Ok(unlinkat(top, name, AtFlags::REMOVEDIR)?)
}

/// Moves a directory to the top, under an unused name.
fn lift(from: &OwnedFd, name: &CString, top: BorrowedFd<'_>, moved: &mut u64) -> io::Result<()> {
    // Moving a directory writes to it (its `..`), so it must be writable.
    let inner =
        openat(from, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    drop(inner);
    rustix::fs::chmodat(from, name, Mode::RWXU, AtFlags::empty())?;
    loop {
        let free = format!(".pv-clear-{moved}");
        *moved += 1;
        if statat(top, &free, AtFlags::SYMLINK_NOFOLLOW).is_err() {
            return Ok(renameat(from, name, top, &free)?);
        }
    }
}

/// The names in a directory, and whether each is itself a directory; without `.` and `..`.
pub(crate) fn entries(directory: BorrowedFd<'_>) -> io::Result<Vec<(CString, bool)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Unknown => {
                let stat = statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            }
            known => known == FileType::Directory,
        };
        found.push((entry.file_name().to_owned(), is_directory));
    }
    Ok(found)
}

/// Sets mode and, if the agent is allowed to, owner of a directory that the command writes to.
pub(crate) fn hand_over(
    directory: impl AsFd,
    mode: u32,
    owner: Option<(rustix::fs::Uid, rustix::fs::Gid)>,
) -> io::Result<()> {
    if let Some((uid, gid)) = owner {
        rustix::fs::fchown(&directory, Some(uid), Some(gid))?;
    }
    Ok(fchmod(&directory, Mode::from_raw_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn everything_goes_but_what_is_kept() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b/c/d")).unwrap();
        fs::create_dir_all(root.path().join("out/x")).unwrap();
        fs::write(root.path().join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("a/link")).unwrap();
        let directory = open_or_make(root.path().to_str().unwrap(), 0o755).unwrap();
        empty(&directory, &["out"]).unwrap();
        let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["out"]);
        assert!(fs::metadata("/etc/passwd").is_ok());
    }

    #[test]
    fn depth_beyond_any_path_does_not_matter() {
        let root = tempfile::tempdir().unwrap();
        let top = open_or_make(root.path().to_str().unwrap(), 0o755).unwrap();
        let mut at = open_or_make(root.path().to_str().unwrap(), 0o755).unwrap();
        let name = "d".repeat(200);
        for _ in 0..300 {
            mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
            at = open_directory(&at, name.as_str()).unwrap();
        }
        drop(at);
        empty(&top, NOTHING).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
