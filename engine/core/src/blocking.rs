//! Blocking work (the store reads, writes and syncs files) in async tasks.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does blocking work without blocking other tasks. A runtime of one thread, as in tests with virtual time, cannot move other tasks to
/// another thread, so there it simply runs the work.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => work(),
        _ => tokio::task::block_in_place(work),
    }
}
