//! A little space that is kept for collecting garbage when there is no other left: its record, and the index.

use std::io::Write;

use super::Store;

const RESERVE_BYTES: usize = 2 << 20;

impl Store {
    fn reserve_path(&self) -> std::path::PathBuf {
        self.folder().join("reserve")
    }

    /// Gives the reserve up for what comes next.
    pub(super) fn free_reserve(&self) {
        std::fs::remove_file(self.reserve_path()).ok();
    }

    /// Takes the reserve back. On a full disk it waits for the next time.
    pub(super) fn fill_reserve(&self) {
        let path = self.reserve_path();
        let filled = std::fs::File::create(&path).and_then(|mut file| file.write_all(&vec![0; RESERVE_BYTES]));
        if filled.is_err() {
            std::fs::remove_file(&path).ok();
        }
    }

    /// Bytes that are free where the store is kept.
    pub(super) fn free_bytes(&self) -> u64 {
        rustix::fs::statvfs(self.folder()).map_or(u64::MAX, |free| free.f_bavail.saturating_mul(free.f_frsize))
    }
}
