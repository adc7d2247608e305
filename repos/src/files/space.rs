//! Checks whether new content can possibly fit on the disk.

use std::path::Path;

use super::gathered::{ContentSource, Gathered};
use crate::base::error::{IoContext, RepoError};
use crate::store::{Result, Store};

/// How much smaller content may become through compression and deduplication. A generous guess: a put refused here would certainly fail
/// later; content that does not fit after all fails while it is written.
const GENEROUS: u64 = 16;

/// `NoSpace` if the files `to_read` cannot fit, however well they compress.
pub(super) fn ensure_space(store: &Store, gathered: &Gathered, to_read: impl Fn(usize) -> bool) -> Result<()> {
    let sizes = || (0..gathered.len()).filter(|at| to_read(*at)).map(|at| gathered.stamp(at).size_bytes);
    let folder = store.folder();
    let room = rustix::fs::statvfs(&folder).map_err(Into::into).doing("look at", &folder)?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    if sizes().sum::<u64>() / GENEROUS <= free {
        return Ok(());
    }
    // Sparse files take less space than their size.
    let needed: u64 = (0..gathered.len()).filter(|at| to_read(*at)).map(|at| bytes_on_disk(gathered, at)).sum();
    if needed / GENEROUS <= free {
        return Ok(());
    }
    Err(RepoError::NoSpace { folder, needed, free })
}

fn bytes_on_disk(gathered: &Gathered, at: usize) -> u64 {
    let size_bytes = gathered.stamp(at).size_bytes;
    let ContentSource::File(path) = gathered.content(at) else { return 0 };
    blocks_bytes(&path).map_or(size_bytes, |bytes| bytes.min(size_bytes))
}

fn blocks_bytes(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|data| data.blocks() * 512)
}
