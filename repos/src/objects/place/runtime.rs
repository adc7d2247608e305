//! Asynchronous requests for synchronous callers: one small runtime per process.

use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Why a request failed.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Pause before a request is retried here; the object store client has its own retries and pauses.
pub(crate) const PAUSE: Duration = Duration::from_millis(200);

static RUNTIME: LazyLock<std::io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).thread_name("objects").enable_all().build());

/// Blocks until the runtime has done the work. The caller's own thread only waits, so it may belong to another runtime.
pub(crate) fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Failure> {
    let runtime = RUNTIME.as_ref().map_err(ToString::to_string)?;
    let (tell, told) = mpsc::sync_channel(1);
    runtime.spawn(async move { tell.send(work.await).ok() });
    told.recv().map_err(|_| Failure::from("the request was cancelled"))
}
