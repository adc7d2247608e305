//! How long a file must be unchanged before its times reveal every later change.
//!
//! Most changes show in a file's times at once. A write through a shared mapping (`mmap`) does so only when it hits a clean page; while the
//! page is dirty, further writes go unnoticed. The kernel cleans pages in the background about half a minute after they became dirty, and
//! the next write shows again. So what was read of a file counts for later puts only if the file had not changed for longer than that: then
//! its pages were clean when it was read.
//!
//! | file system | trusted |
//! |---|---|
//! | local disks (ext4, XFS, btrfs …) | after twice the time in which the kernel cleans pages: 70 s with default settings |
//! | local disks, while more than 256 MB are waiting to be written | after 10 minutes |
//! | networks, FUSE, all others | after 10 minutes: their clocks and caches are not ours |
//! | memory (tmpfs, ramfs), and overlayfs, which may be on it | never: pages are not cleaned there, and a write may not show at all |
//!
//! Not covered: a disk that lags behind even longer, and a kernel configured never to write files that stay mapped. If the kernel is
//! configured not to write at all (`vm.dirty_writeback_centisecs = 0`), nothing is trusted. `put --checksum` reads everything.
//! Measured (ext4, kernel 6.18): cleaning the pages of each fresh file instead would cost 40 µs per file, four times the cost of reading
//! it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::stamp::Stamp;

/// The kernel's defaults, used if its settings cannot be read: pages are written after 30 s, checked every 5 s.
const EXPIRE: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_secs(5);
/// Used if clocks and caches are not this machine's, or its disks lag behind.
const LONG: Duration = Duration::from_mins(10);
/// A disk may lag behind if more bytes than this are waiting to be written.
const BEHIND_BYTES: u64 = 256 << 20;

/// File systems by their `statfs` numbers.
const OF_DISKS: [u64; 19] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // btrfs
    0xf2f5_2010, // F2FS
    0x2fc1_2fc1, // ZFS
    0xca45_1a4e, // bcachefs
    0x3153_464a, // JFS
    0x5265_4973, // ReiserFS
    0x3434,      // NILFS2
    0x4d44,      // FAT
    0x2011_bab0, // exFAT
    0x7366_746e, // NTFS (ntfs3)
    0x5346_544e, // NTFS
    0x482b,      // HFS+
    0x1501_3346, // UDF
    0x7371_7368, // SquashFS, and others that nobody writes to
    0xe0f5_e1e2, // EROFS
    0x9660,      // ISO 9660
    0x28cd_3d45, // cramfs
];
const IN_MEMORY: [u64; 6] = [
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x9584_58f6, // hugetlbfs
    0x794c_7630, // overlayfs: its pages are those of a file system below, which cannot be told from here
    0x6175_6673, // aufs: the same
    0x6a65_6a62, // shiftfs: the same
];

/// Whether the file system at `path` may change without this kernel's doing: a network's, or one that a program serves (FUSE).
pub fn is_shared(path: &Path) -> bool {
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, reason = "the field's type differs by platform")]
    let kind = rustix::fs::statfs(path).map(|found| found.f_type as u64 & 0xffff_ffff);
    kind.is_ok_and(|kind| !OF_DISKS.contains(&kind) && !IN_MEMORY.contains(&kind))
}

/// Decides which files are trusted, given that the first was examined at `looked_at`.
#[derive(Debug)]
pub(super) struct Trust {
    /// In nanoseconds since 1970.
    looked_at: i64,
    /// `None` if the kernel never cleans pages by itself.
    on_disks: Option<Duration>,
    /// For each device, how long a file must be unchanged; `None` for never trusted.
    known: Vec<(u64, Option<Duration>)>,
    /// Whether all file systems count as local disks.
    everywhere: bool,
}

impl Trust {
    pub(super) fn new(looked_at: i64, everywhere: bool) -> Self {
        Self {
            looked_at,
            on_disks: lag(setting("dirty_expire_centisecs"), setting("dirty_writeback_centisecs"), unwritten()),
            known: Vec::new(),
            everywhere,
        }
    }

    /// Whether every change after the file was examined will show in the stamp of the file at `path`.
    pub(super) fn covers(&mut self, stamp: &Stamp, path: impl FnOnce() -> Option<PathBuf>) -> bool {
        // The cheap test first: most files of a first put are either old or just written.
        if !stamp.is_settled(self.looked_at) {
            return false;
        }
        let quiet = if let Some((_, quiet)) = self.known.iter().find(|(device, _)| *device == stamp.device) {
            *quiet
        } else {
            let kind = path().and_then(|path| file_system(&path, stamp.device));
            let quiet = kind.and_then(|kind| self.quiet_on(kind));
            // A path that now leads to another device proves nothing.
            if kind.is_some() {
                self.known.push((stamp.device, quiet));
            }
            quiet
        };
        quiet.is_some_and(|quiet| stamp.is_settled(self.looked_at.saturating_sub(nanos(quiet))))
    }

    /// How long a file on such a file system must be unchanged.
    fn quiet_on(&self, kind: u64) -> Option<Duration> {
        match kind {
            _ if self.everywhere => self.on_disks,
            kind if IN_MEMORY.contains(&kind) => None,
            kind if OF_DISKS.contains(&kind) => self.on_disks,
            _ => self.on_disks.map(|quiet| quiet.max(LONG)),
        }
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The number of the file system of a file, if the file is on this device.
fn file_system(path: &Path, device: u64) -> Option<u64> {
    let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let is_there = Stamp::of(&rustix::fs::fstat(&file).ok()?).device == device;
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, reason = "the field's type differs by platform")]
    let kind = rustix::fs::fstatfs(&file).ok()?.f_type as u64 & 0xffff_ffff;
    is_there.then_some(kind)
}

/// How long a file on a disk must be unchanged; `None` if the kernel does not clean pages by itself.
fn lag(expire: Option<Duration>, interval: Option<Duration>, unwritten_bytes: u64) -> Option<Duration> {
    let (expire, interval) = (expire.unwrap_or(EXPIRE), interval.unwrap_or(INTERVAL));
    if interval.is_zero() {
        return None;
    }
    let quiet = (2 * (expire + interval)).max(2 * EXPIRE);
    Some(if unwritten_bytes > BEHIND_BYTES { quiet.max(LONG) } else { quiet })
}

/// A kernel setting in hundredths of seconds.
fn setting(name: &str) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/sys/vm/{name}")).ok()?;
    text.trim().parse().ok().map(|hundredths: u64| Duration::from_millis(hundredths.saturating_mul(10)))
}

/// Bytes waiting to be written to disk, or being written.
fn unwritten() -> u64 {
    std::fs::read_to_string("/proc/meminfo").map_or(0, |text| unwritten_in(&text))
}

fn unwritten_in(text: &str) -> u64 {
    let of = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
        matches!(name, "Dirty" | "Writeback").then_some(kilobytes * 1024)
    };
    text.lines().filter_map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn trust(quiet: u64) -> Trust {
        Trust {
            looked_at: 10_000 * SECOND,
            on_disks: Some(Duration::from_secs(quiet)),
            known: Vec::new(),
            everywhere: false,
        }
    }

    fn changed_before(seconds: i64) -> Stamp {
        let at = (10_000 - seconds) * SECOND + 1;
        Stamp { size_bytes: 1, modified: at, changed: at, device: 7, inode: 1, mode: 0o100_644 }
    }

    #[test]
    fn a_file_is_trusted_when_it_has_not_changed_for_long_enough() {
        for (quiet, seconds, is_trusted) in
            [(Some(70), 71, true), (Some(70), 69, false), (Some(70), 1, false), (None, 9_000, false)]
        {
            let mut trust = trust(70);
            trust.known.push((7, quiet.map(Duration::from_secs)));
            assert_eq!(trust.covers(&changed_before(seconds), || None), is_trusted, "{quiet:?} {seconds}");
        }
        let moved = Stamp { modified: 0, ..changed_before(5) };
        let mut trust = trust(70);
        trust.known.push((7, Some(Duration::from_secs(70))));
        assert!(!trust.covers(&moved, || None), "a time of modification can be set back");
    }

    #[test]
    fn file_systems_are_told_apart_by_where_their_pages_go() {
        let trust = trust(70);
        let (ext4, tmpfs, overlay, nfs, fuse) = (0xef53, 0x0102_1994, 0x794c_7630, 0x6969, 0x6573_5546);
        assert_eq!(trust.quiet_on(ext4), Some(Duration::from_secs(70)));
        assert_eq!([trust.quiet_on(nfs), trust.quiet_on(fuse)], [Some(LONG), Some(LONG)]);
        assert_eq!([trust.quiet_on(tmpfs), trust.quiet_on(overlay)], [None, None]);
        let never = Trust { on_disks: None, ..trust };
        assert_eq!([never.quiet_on(ext4), never.quiet_on(nfs)], [None, None], "nothing is ever cleaned");
        let memory = Path::new("/dev/shm");
        if let Ok(stat) = rustix::fs::stat(memory) {
            let device = Stamp::of(&stat).device;
            assert_eq!(file_system(memory, device), Some(tmpfs));
            assert_eq!(file_system(memory, device + 1), None, "something else was mounted there");
        }
    }

    #[test]
    fn how_long_follows_the_kernel() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(lag(None, None, 0), seconds(70));
        assert_eq!(lag(seconds(30), seconds(5), 0), seconds(70));
        assert_eq!(lag(seconds(120), seconds(10), 0), seconds(260));
        assert_eq!(lag(seconds(1), seconds(1), 0), seconds(60), "the kernel may be late");
        assert_eq!(lag(seconds(30), seconds(0), 0), None);
        assert_eq!(lag(seconds(30), seconds(5), 1 << 30), Some(LONG));
        let text = "MemFree:  1 kB\nDirty:             12 kB\nWriteback:         3 kB\nWritebackTmp:  9 kB\nHugePages_Total: 0\n";
        assert_eq!(unwritten_in(text), 15 << 10);
    }
}
