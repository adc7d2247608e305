//! Resets the directories that commands write to, such as `/pfs/out` and `/tmp`, for each try.
//!
//! The directory itself outlives a try, and much can be attached to it: permissions, attributes, access control lists, flags, times. All of
//! that is reset, and the files are removed.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    Gid, IFlags, Mode, Stat, Timespec, Timestamps, UTIME_NOW, Uid, fchmod, fchown, flistxattr, fremovexattr, fstat,
    futimens, ioctl_getflags, ioctl_setflags,
};
use rustix::io::Errno;

use super::clear;

/// Buffer size for the names of all extended attributes of a file.
const NAMES_MAX: usize = 64 * 1024;
/// Attributes that any owner can set: user attributes and access control lists. All others belong to the system.
const SETTABLE: [&[u8]; 2] = [b"user.", b"system.posix_acl_"];
/// Flags that a file system sets by itself.
const OF_THE_SYSTEM: u32 = 0x1000 | 0x80000;

const NOW: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
    last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
};

/// A directory that commands write to.
#[derive(Debug)]
pub(super) struct Writable {
    directory: OwnedFd,
    /// Device and inode number.
    place: (u64, u64),
    owner: (u32, u32),
    mode: Mode,
    modified: [i128; 2],
    /// `None` if the file system does not support flags.
    flags: Option<IFlags>,
    /// Entries that stay: mount points, which nobody can move or remove.
    keep: Vec<String>,
}

impl Writable {
    /// Records a directory in its current state.
    pub(super) fn new(directory: OwnedFd) -> io::Result<Self> {
        let stat = fstat(&directory)?;
        let flags = ioctl_getflags(&directory).ok();
        let (place, owner) = (place_of(&stat), (stat.st_uid, stat.st_gid));
        Ok(Self { directory, place, owner, mode: mode_of(&stat), modified: modified(&stat), flags, keep: Vec::new() })
    }

    /// The same directory with mount points at these entries.
    pub(super) fn with_mounts(self, keep: Vec<String>) -> Self {
        Self { keep, ..self }
    }

    /// Accepts its current state as the new one.
    #[expect(clippy::wrong_self_convention, reason = "it says what it is taken for")]
    pub(super) fn as_it_is(self) -> io::Result<Self> {
        Ok(Self::new(self.directory)?.with_mounts(self.keep))
    }

    /// Whether both are the same directory.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.place == other.place
    }

    /// The directory.
    pub(super) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// Whether `stat` belongs to this directory.
    pub(super) fn is(&self, stat: &Stat) -> bool {
        self.place == place_of(stat)
    }

    /// Removes everything in it, and restores its state. An untouched directory is not written to, because that costs more than a check.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        if !mode_of(&fstat(&self.directory)?).contains(Mode::RWXU) {
            // The permission to list it was removed.
            fchmod(&self.directory, self.mode | Mode::RWXU)?;
        }
        let entries = clear::entries(self.directory.as_fd())?;
        let was_empty = entries.iter().all(|(name, _)| clear::is_one_of(name, &self.keep));
        if !was_empty {
            clear::empty(&self.directory, &self.keep)?;
        }
        self.restore()?;
        let stat = fstat(&self.directory)?;
        // Emptying it set the current time. If it was empty, the command may have set another time.
        if was_empty && modified(&stat) != self.modified {
            futimens(&self.directory, &NOW)?;
        }
        self.modified = modified(&fstat(&self.directory)?);
        Ok(())
    }

    /// Restores its owner, permissions, flags and attributes, whatever is in it.
    pub(super) fn restore(&mut self) -> io::Result<()> {
        self.reset_flags()?;
        self.remove_attributes()?;
        let stat = fstat(&self.directory)?;
        if (stat.st_uid, stat.st_gid) != self.owner {
            let (user, group) = (Uid::from_raw(self.owner.0), Gid::from_raw(self.owner.1));
            fchown(&self.directory, Some(user), Some(group))?;
        }
        if mode_of(&stat) != self.mode {
            fchmod(&self.directory, self.mode)?;
        }
        Ok(())
    }

    fn reset_flags(&self) -> io::Result<()> {
        let Some(before) = self.flags else { return Ok(()) };
        let own = |flags: IFlags| flags.bits() & !OF_THE_SYSTEM;
        let now = ioctl_getflags(&self.directory)?;
        if own(now) == own(before) { Ok(()) } else { Ok(ioctl_setflags(&self.directory, before)?) }
    }

    fn remove_attributes(&self) -> io::Result<()> {
        let mut names = [0_u8; 256];
        match flistxattr(&self.directory, &mut names) {
            Ok(length) => self.remove_named(&names[..length]),
            Err(Errno::NOTSUP) => Ok(()),
            Err(Errno::RANGE) => {
                let mut names = vec![0_u8; NAMES_MAX];
                let length = flistxattr(&self.directory, &mut names)?;
                self.remove_named(&names[..length])
            }
            Err(error) => Err(error.into()),
        }
    }

    fn remove_named(&self, names: &[u8]) -> io::Result<()> {
        let names = names.split(|byte| *byte == 0);
        for name in names.filter(|name| SETTABLE.iter().any(|prefix| name.starts_with(prefix))) {
            fremovexattr(&self.directory, name)?;
        }
        Ok(())
    }
}

fn place_of(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn mode_of(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}

fn modified(stat: &Stat) -> [i128; 2] {
    [i128::from(stat.st_mtime), i128::from(stat.st_mtime_nsec)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{XattrFlags, fsetxattr};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn nothing_hangs_on_to_the_directory() {
        let root = tempfile::tempdir().unwrap();
        let open = || clear::open_or_make(root.path().to_str().unwrap(), 0o755).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let mut writable = Writable::new(open()).unwrap();
        fs::write(root.path().join("file"), "x").unwrap();
        let flags = ioctl_getflags(open()).ok();
        if let Some(flags) = flags {
            ioctl_setflags(open(), flags | IFlags::NODUMP).unwrap();
        }
        let has_attributes = fsetxattr(open(), "user.left", b"for the next", XattrFlags::empty()).is_ok();
        if has_attributes {
            for number in 0..40 {
                // Some file systems have less room; two are enough.
                let set = fsetxattr(open(), format!("user.{number:010}"), b"x", XattrFlags::empty());
                assert!(set.is_ok() || number > 1);
            }
        }
        let long_ago = Timespec { tv_sec: 1, tv_nsec: 0 };
        futimens(open(), &Timestamps { last_access: long_ago, last_modification: long_ago }).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o000)).unwrap();
        writable.renew().unwrap();
        let after = fs::metadata(root.path()).unwrap();
        assert_eq!(after.permissions().mode() & 0o7777, 0o1777);
        assert!(after.modified().unwrap().elapsed().unwrap().as_secs() < 3600);
        assert_eq!(ioctl_getflags(open()).ok(), flags);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        let mut names = vec![0; NAMES_MAX];
        let left = flistxattr(open(), &mut names).map_or(0, |length| length);
        assert!(!names[..left].starts_with(b"user."), "{:?}", String::from_utf8_lossy(&names[..left]));
    }
}
