//! Moves or deletes files that are committed. A file that changed since it was read stays, and will be committed again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use repos::files::Stamp;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::plan::After;

/// Moves or deletes a file, if it still is what was committed. `relative`: its path below `folder`. Returns whether it is gone.
pub(crate) fn put_away(after: &After, folder: &Path, relative: &Path, committed: &Stamp) -> io::Result<bool> {
    let file = folder.join(relative);
    match after {
        After::Keep => Ok(false),
        _ if !is_same(&file, committed)? => Ok(false),
        After::Delete => fs::remove_file(&file).map(|()| true),
        After::Move(to) => move_into(&file, &to.join(relative), committed),
    }
}

fn is_same(file: &Path, committed: &Stamp) -> io::Result<bool> {
    match fs::metadata(file) {
        Ok(data) => Ok(Stamp::of_metadata(&data) == *committed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Moves a file; never over another one. Returns whether it is gone from where it was.
fn move_into(file: &Path, to: &Path, committed: &Stamp) -> io::Result<bool> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    for number in 0_u32.. {
        let free = numbered(to, number);
        if free.symlink_metadata().is_ok() {
            continue;
        }
        return match rustix::fs::renameat_with(CWD, file, CWD, &free, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => continue,
            // Another file system, or one that cannot do this: a copy, synced before the original is deleted.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS) => copy_over(file, &free, committed),
            Err(error) => Err(error.into()),
        };
    }
    Ok(false)
}

/// `a.jpg`, `a.1.jpg`, `a.2.jpg`…
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Copies a file with its mode and time, then deletes it, unless it changed meanwhile.
fn copy_over(file: &Path, to: &Path, committed: &Stamp) -> io::Result<bool> {
    let mut from = fs::File::open(file)?;
    let mut copy = fs::File::create_new(to)?;
    let copied = || -> io::Result<bool> {
        io::copy(&mut from, &mut copy)?;
        let data = from.metadata()?;
        copy.set_permissions(data.permissions())?;
        copy.set_modified(data.modified()?)?;
        copy.sync_all()?;
        fs::File::open(to.parent().unwrap_or(to))?.sync_all()?;
        is_same(file, committed)
    };
    match { copied }() {
        Ok(true) => fs::remove_file(file).map(|()| true),
        other => {
            fs::remove_file(to).ok();
            other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(file: &Path) -> Stamp {
        Stamp::of_metadata(&fs::metadata(file).unwrap())
    }

    #[test]
    fn files_are_never_moved_over_others() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a.jpg"), folder.path().join("done/x/a.jpg"));
        for content in ["one", "two", "three"] {
            fs::write(&from, content).unwrap();
            assert!(move_into(&from, &to, &stamp(&from)).unwrap());
            assert!(!from.exists());
        }
        let read = |name: &str| fs::read_to_string(to.with_file_name(name)).unwrap();
        assert_eq!(["a.jpg", "a.1.jpg", "a.2.jpg"].map(read), ["one", "two", "three"]);
        fs::write(&from, "four").unwrap();
        copy_over(&from, &to, &stamp(&from)).unwrap_err();
        assert_eq!((read("a.jpg"), fs::read_to_string(&from).unwrap()), ("one".to_owned(), "four".to_owned()));
    }

    #[test]
    fn only_what_was_committed_is_moved_copied_or_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&from, "one").unwrap();
        let committed = stamp(&from);
        fs::write(&from, "longer").unwrap();
        for after in [After::Delete, After::Move(folder.path().join("done")), After::Keep] {
            assert!(!put_away(&after, folder.path(), Path::new("a"), &committed).unwrap(), "{after:?}");
        }
        assert!(!copy_over(&from, &to, &committed).unwrap());
        assert_eq!((fs::read_to_string(&from).unwrap(), to.exists()), ("longer".to_owned(), false));
        assert!(copy_over(&from, &to, &stamp(&from)).unwrap());
        assert_eq!((fs::read_to_string(&to).unwrap(), from.exists()), ("longer".to_owned(), false));
        assert!(!put_away(&After::Delete, folder.path(), Path::new("a"), &committed).unwrap());
    }
}
