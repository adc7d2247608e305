//! Warm sandboxes, kept between datums and between jobs of one pipeline version.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use specs::Digest;

use crate::executor::{ExecError, Executor, FileSource, Sandbox, SandboxSpec};

/// Sandboxes that wait for their next datum, by what they are for.
#[derive(Debug)]
pub(crate) struct Pool {
    executor: Arc<dyn Executor>,
    idle: Mutex<HashMap<Digest, Vec<Sandbox>>>,
}

impl Pool {
    pub(crate) fn new(executor: Arc<dyn Executor>) -> Self {
        Self { executor, idle: Mutex::default() }
    }

    pub(crate) fn executor(&self) -> &Arc<dyn Executor> {
        &self.executor
    }

    /// A warm sandbox of this version, else a new one.
    pub(crate) async fn take(
        &self,
        version: Digest,
        spec: &SandboxSpec,
        files: &dyn FileSource,
    ) -> Result<Sandbox, ExecError> {
        let warm = self.idle.lock().expect("no panic under this lock").get_mut(&version).and_then(Vec::pop);
        match warm {
            Some(sandbox) => Ok(sandbox),
            None => self.executor.open(spec, files).await,
        }
    }

    /// Keeps a sandbox in which the last try ended in order.
    pub(crate) fn give_back(&self, version: Digest, sandbox: Sandbox) {
        self.idle.lock().expect("no panic under this lock").entry(version).or_default().push(sandbox);
    }

    /// Whether no sandbox waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.idle.lock().expect("no panic under this lock").is_empty()
    }

    /// Closes all that wait, or those of the versions that `unused` names.
    pub(crate) async fn close(&self, unused: impl Fn(&Digest) -> bool) {
        let gone: Vec<Sandbox> = {
            let mut idle = self.idle.lock().expect("no panic under this lock");
            let versions: Vec<Digest> = idle.keys().filter(|version| unused(version)).copied().collect();
            versions.iter().filter_map(|version| idle.remove(version)).flatten().collect()
        };
        for sandbox in gone {
            if let Err(error) = sandbox.close().await {
                tracing::warn!("a sandbox did not end in order: {error}");
            }
        }
    }
}
