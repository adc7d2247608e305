//! Work that blocks (the store reads, writes and syncs files) inside async tasks.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does work that blocks without holding up other tasks. On a runtime of one thread, where tests have virtual time, there is nothing to move
/// the other tasks to, so it just does it.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => work(),
        _ => tokio::task::block_in_place(work),
    }
}
