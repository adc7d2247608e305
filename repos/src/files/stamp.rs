//! Metadata that shows, without reading a file, that it has not changed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use rustix::fs::Stat;

/// On most file systems, times advance with the kernel's clock, in steps of at most ten milliseconds.
const TICK: i64 = 20_000_000;
/// Where times are whole seconds, they may advance in steps of two.
const COARSE_TICK: i64 = 2_000_000_000;
const SECOND: i64 = 1_000_000_000;

/// The part of a file's metadata that changes when its content does. Times are nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub(super) size_bytes: u64,
    pub(super) modified: i64,
    /// Unlike the modification time, no program can set it back.
    pub(super) changed: i64,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) mode: u32,
}

impl Stamp {
    #[allow(clippy::cast_possible_wrap, clippy::useless_conversion, reason = "the fields' types differ by platform")]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            size_bytes: stat.st_size as u64,
            modified: nanos(stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: nanos(stat.st_ctime, stat.st_ctime_nsec as i64),
            device: u64::from(stat.st_dev),
            inode: u64::from(stat.st_ino),
            mode: stat.st_mode,
        }
    }

    /// The stamp of a file with this metadata.
    pub fn of_metadata(data: &Metadata) -> Self {
        Self {
            size_bytes: data.len(),
            modified: nanos(data.mtime(), data.mtime_nsec()),
            changed: nanos(data.ctime(), data.ctime_nsec()),
            device: data.dev(),
            inode: data.ino(),
            mode: data.mode(),
        }
    }

    /// The stamp of a source without metadata, such as standard input. Never settled.
    pub(super) fn nothing() -> Self {
        Self { size_bytes: 0, modified: i64::MAX, changed: i64::MAX, device: 0, inode: 0, mode: 0 }
    }

    /// Size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Device and inode.
    pub fn file_id(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// When content or metadata last changed, in nanoseconds since 1970, by the clock of the file system.
    pub fn last_change(&self) -> i64 {
        self.modified.max(self.changed)
    }

    pub(super) fn is_executable(&self) -> bool {
        self.mode & 0o111 != 0
    }

    /// Whether any change after the time `now` will show in the file's times: its last change is clearly older. After a change in the same
    /// clock step, or if the clock was set back, the times might stay the same.
    pub(super) fn is_settled(&self, now: i64) -> bool {
        let newest = self.modified.max(self.changed);
        let tick = if self.modified % SECOND == 0 && self.changed % SECOND == 0 { COARSE_TICK } else { TICK };
        newest.saturating_add(tick) < now
    }
}

/// Times beyond the year 2262 saturate at the maximum, and are never settled.
fn nanos(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(SECOND).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(modified: i64, changed: i64) -> Stamp {
        Stamp { size_bytes: 1, modified, changed, device: 1, inode: 1, mode: 0o100_644 }
    }

    #[test]
    fn what_changed_just_now_or_in_the_future_is_not_settled() {
        let now = 1_000 * SECOND;
        let past = now - SECOND + 1;
        assert!(stamp(past, past).is_settled(now));
        assert!(!stamp(past, now - 1_000_000).is_settled(now), "within the clock's step");
        assert!(!stamp(now - 1_000_000, past).is_settled(now));
        assert!(!stamp(past, now + 5 * SECOND).is_settled(now), "the clock was set back");
        assert!(!stamp(now - SECOND, now - SECOND).is_settled(now), "whole seconds say little");
        assert!(stamp(now - 3 * SECOND, now - 3 * SECOND).is_settled(now));
        assert!(!stamp(i64::MAX, past).is_settled(now));
    }
}
