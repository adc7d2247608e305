//! A little disk space reserved for collecting garbage on a full disk: for its record, and the index.

use std::io::Write;

use super::Store;

const RESERVE_BYTES: usize = 2 << 20;

impl Store {
    fn reserve_path(&self) -> std::path::PathBuf {
        self.folder().join("reserve")
    }

    /// Frees the reserve for the next writes.
    pub(super) fn free_reserve(&self) {
        std::fs::remove_file(self.reserve_path()).ok();
    }

    /// Fills the reserve again. On a full disk this is left to the next time.
    pub(super) fn fill_reserve(&self) {
        let path = self.reserve_path();
        let filled = std::fs::File::create(&path).and_then(|mut file| file.write_all(&vec![0; RESERVE_BYTES]));
        if filled.is_err() {
            std::fs::remove_file(&path).ok();
        }
    }

    /// Free bytes on the store's file system.
    pub(super) fn free_bytes(&self) -> u64 {
        rustix::fs::statvfs(self.folder()).map_or(u64::MAX, |free| free.f_bavail.saturating_mul(free.f_frsize))
    }
}
