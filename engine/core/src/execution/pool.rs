//! Warm sandboxes, kept between datums and between jobs.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use repos::Store;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::source::StoreSource;
use sandbox::{ExecError, Executor, Sandbox, SandboxSpec};

/// Maximum number of idle sandboxes; beyond it the one idle longest is closed.
const IDLE_MAX: usize = 16;

/// Sandboxes that wait for their next datum, by spec.
#[derive(Debug)]
pub(crate) struct Pool {
    executor: Arc<dyn Executor>,
    /// Those idle longest come first.
    idle: Mutex<VecDeque<Idle>>,
    /// Sandboxes being opened or closed. This is never interrupted, even if nobody needs them any more, or half-open ones would be left
    /// behind.
    changing: Mutex<JoinSet<()>>,
    /// Whether it was already logged that tries leave something behind.
    has_said: AtomicBool,
}

/// A sandbox that waits for its next datum.
#[derive(Debug)]
struct Idle {
    spec: Arc<SandboxSpec>,
    sandbox: Sandbox,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(executor: Arc<dyn Executor>) -> Self {
        Self { executor, idle: Mutex::default(), changing: Mutex::default(), has_said: AtomicBool::new(false) }
    }

    pub(crate) fn executor(&self) -> &Arc<dyn Executor> {
        &self.executor
    }

    /// Whether opening a sandbox may take until a machine joins.
    pub(crate) fn may_wait(&self) -> bool {
        self.executor.slots().is_some()
    }

    /// A new sandbox with this spec, with code from `store`.
    pub(crate) async fn open(&self, spec: &Arc<SandboxSpec>, store: &Store) -> Result<Sandbox, ExecError> {
        if self.executor.is_full() {
            self.dispose_longest_idle();
        }
        let (mut done, opened) = oneshot::channel();
        let (executor, spec, source) = (self.executor.clone(), spec.clone(), StoreSource::new(store.clone()));
        let may_wait = self.may_wait();
        self.change(async move {
            let opened = tokio::select! {
                opened = executor.open(&spec, &source) => opened,
                () = done.closed(), if may_wait => return,
            };
            if let Err(Ok(unwanted)) = done.send(opened) {
                close(unwanted).await;
            }
        });
        opened.await.unwrap_or_else(|_| Err(ExecError::SandboxLost { why: "it was not opened completely".to_owned() }))
    }

    /// Closes the sandbox that is idle longest, since another is about to be opened.
    fn dispose_longest_idle(&self) {
        let longest = self.idle.lock().expect("no panic under this lock").pop_front();
        if let Some(Idle { sandbox, .. }) = longest {
            self.dispose(sandbox);
        }
    }

    fn change(&self, change: impl Future<Output = ()> + Send + 'static) {
        let mut changing = self.changing.lock().expect("no panic under this lock");
        while changing.try_join_next().is_some() {}
        changing.spawn(change);
    }

    /// Closes a sandbox that no try may use any more, in the background.
    pub(crate) fn dispose(&self, sandbox: Sandbox) {
        self.change(close(sandbox));
    }

    /// Closes a sandbox in which a try left something. That costs time, so it is logged once.
    pub(crate) fn dispose_spent(&self, sandbox: Sandbox) {
        if let Some(why) = sandbox.spent_by()
            && !self.has_said.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("{why}: each such datum needs a new sandbox; files left in `/tmp` and `/pfs/out` do not");
        }
        self.dispose(sandbox);
    }

    /// A warm sandbox with this spec, if there is one.
    pub(crate) fn take_warm(&self, spec: &SandboxSpec) -> Option<Sandbox> {
        let mut idle = self.idle.lock().expect("no panic under this lock");
        // The one used last: its data is most likely still in memory. A machine that is about to leave takes no more tries.
        let at = idle.iter().rposition(|idle| *idle.spec == *spec && idle.sandbox.spent_by().is_none())?;
        idle.remove(at).map(|idle| idle.sandbox)
    }

    /// Whether no sandbox is idle.
    pub(crate) fn is_empty(&self) -> bool {
        self.idle.lock().expect("no panic under this lock").is_empty()
    }

    /// Keeps a sandbox whose last try ended properly.
    pub(crate) async fn give_back(self: &Arc<Self>, spec: &Arc<SandboxSpec>, sandbox: Sandbox) {
        let (since, idle_max) = (Instant::now(), self.executor.idle_max());
        let surplus = {
            let mut idle = self.idle.lock().expect("no panic under this lock");
            idle.push_back(Idle { spec: spec.clone(), sandbox, since });
            // Those that stay for a limited time are bounded by that.
            if idle_max.is_none() && idle.len() > IDLE_MAX { idle.pop_front() } else { None }
        };
        if let Some(idle_max) = idle_max {
            tokio::spawn(close_after(Arc::downgrade(self), since + idle_max, since));
        }
        if let Some(Idle { sandbox, .. }) = surplus {
            close(sandbox).await;
        }
    }

    /// Takes out the idle sandboxes for which `is_gone` is true.
    fn remove(&self, is_gone: impl Fn(&Idle) -> bool) -> Vec<Sandbox> {
        let mut idle = self.idle.lock().expect("no panic under this lock");
        let all = std::mem::take(&mut *idle).into_iter();
        let (gone, kept): (VecDeque<_>, VecDeque<_>) = all.partition(|idle| is_gone(idle));
        *idle = kept;
        gone.into_iter().map(|idle| idle.sandbox).collect()
    }

    /// Closes the idle sandboxes on a worker that was lost: each would be lost again by a datum.
    pub(crate) fn dispose_of(&self, worker: &str) {
        let gone = self.remove(|idle| idle.sandbox.worker() == Some(worker));
        for sandbox in gone {
            self.dispose(sandbox);
        }
    }

    /// Closes the idle sandboxes for which `is_unused` is true.
    pub(crate) async fn close(&self, is_unused: impl Fn(&SandboxSpec) -> bool) {
        let gone = self.remove(|idle| is_unused(&idle.spec));
        // In parallel: each may take a moment.
        let mut closing: JoinSet<()> = gone.into_iter().map(close).collect();
        while closing.join_next().await.is_some() {}
    }

    /// Closes all idle sandboxes, and waits for those being opened or closed, so that nothing is left behind.
    pub(crate) async fn close_all(&self) {
        let mut changing = std::mem::take(&mut *self.changing.lock().expect("no panic under this lock"));
        while changing.join_next().await.is_some() {}
        self.close(|_| true).await;
    }
}

/// Closes what is idle since then or longer, at this time.
async fn close_after(pool: Weak<Pool>, at: Instant, since: Instant) {
    sleep_until(at).await;
    let Some(pool) = pool.upgrade() else { return };
    for sandbox in pool.remove(|idle| idle.since <= since) {
        pool.dispose(sandbox);
    }
}

async fn close(sandbox: Sandbox) {
    if let Err(error) = sandbox.close().await {
        tracing::warn!("a sandbox did not end cleanly: {error}");
    }
}
