//! Warm sandboxes, kept between datums and between jobs.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use repos::Store;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::source::StoreSource;
use sandbox::{ExecError, Executor, Sandbox, SandboxSpec};

/// Maximum number of idle sandboxes; beyond it the one idle longest is closed.
const IDLE_MAX: usize = 16;

/// Sandboxes that wait for their next datum, by spec.
#[derive(Debug)]
pub(crate) struct Pool {
    executor: Arc<dyn Executor>,
    /// Those idle longest come first.
    idle: Mutex<VecDeque<(Arc<SandboxSpec>, Sandbox)>>,
    /// Sandboxes being opened or closed. This is never interrupted, even if nobody needs them any more, or half-open ones would be left
    /// behind.
    changing: Mutex<JoinSet<()>>,
    /// Whether it was already logged that tries leave something behind.
    has_said: AtomicBool,
}

impl Pool {
    pub(crate) fn new(executor: Arc<dyn Executor>) -> Self {
        Self { executor, idle: Mutex::default(), changing: Mutex::default(), has_said: AtomicBool::new(false) }
    }

    pub(crate) fn executor(&self) -> &Arc<dyn Executor> {
        &self.executor
    }

    /// A warm sandbox with this spec, or else a new one, with code from `store`.
    pub(crate) async fn take(&self, spec: &Arc<SandboxSpec>, store: &Store) -> Result<Sandbox, ExecError> {
        if let Some(warm) = self.take_warm(spec) {
            return Ok(warm);
        }
        let (done, opened) = oneshot::channel();
        let (executor, spec, source) = (self.executor.clone(), spec.clone(), StoreSource::new(store.clone()));
        self.change(async move {
            if let Err(Ok(unwanted)) = done.send(executor.open(&spec, &source).await) {
                close(unwanted).await;
            }
        });
        opened.await.unwrap_or_else(|_| Err(ExecError::SandboxLost { why: "it was not opened completely".to_owned() }))
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

    fn take_warm(&self, spec: &SandboxSpec) -> Option<Sandbox> {
        let mut idle = self.idle.lock().expect("no panic under this lock");
        // The one used last: its data is most likely still in memory.
        let at = idle.iter().rposition(|(known, _)| **known == *spec)?;
        idle.remove(at).map(|(_, sandbox)| sandbox)
    }

    /// Whether no sandbox is idle.
    pub(crate) fn is_empty(&self) -> bool {
        self.idle.lock().expect("no panic under this lock").is_empty()
    }

    /// Keeps a sandbox whose last try ended properly.
    pub(crate) async fn give_back(&self, spec: &Arc<SandboxSpec>, sandbox: Sandbox) {
        let surplus = {
            let mut idle = self.idle.lock().expect("no panic under this lock");
            idle.push_back((spec.clone(), sandbox));
            if idle.len() > IDLE_MAX { idle.pop_front() } else { None }
        };
        if let Some((_, sandbox)) = surplus {
            close(sandbox).await;
        }
    }

    /// Closes the idle sandboxes for which `is_unused` is true.
    pub(crate) async fn close(&self, is_unused: impl Fn(&SandboxSpec) -> bool) {
        let gone: Vec<Sandbox> = {
            let mut idle = self.idle.lock().expect("no panic under this lock");
            let (gone, kept) = std::mem::take(&mut *idle).into_iter().partition(|(spec, _)| is_unused(spec));
            *idle = kept;
            let gone: VecDeque<(Arc<SandboxSpec>, Sandbox)> = gone;
            gone.into_iter().map(|(_, sandbox)| sandbox).collect()
        };
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

async fn close(sandbox: Sandbox) {
    if let Err(error) = sandbox.close().await {
        tracing::warn!("a sandbox did not end cleanly: {error}");
    }
}
