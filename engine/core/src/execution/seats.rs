//! The sandboxes of a worker: one in which each datum begins, and one with more memory for a datum that was killed for want of it.

use std::sync::Arc;

use super::pool::Pool;
use sandbox::{ExecError, Resources, Sandbox, SandboxSpec};

/// A place for a sandbox with this spec, which is opened when it is needed.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) spec: Arc<SandboxSpec>,
    pub(super) sandbox: Option<Sandbox>,
}

impl Seat {
    fn new(spec: Arc<SandboxSpec>) -> Self {
        Self { spec, sandbox: None }
    }

    fn memory_bytes(&self) -> Option<u64> {
        self.spec.resources.memory_bytes
    }
}

/// The sandboxes of a worker, which stay from one datum to the next. Close them when done.
#[derive(Debug)]
pub(crate) struct Seats {
    first: Seat,
    /// With the memory that the last datum got for which the first was too small.
    larger: Option<Seat>,
}

impl Seats {
    /// Seats of which the first has this spec.
    pub(super) fn new(spec: Arc<SandboxSpec>) -> Self {
        Self { first: Seat::new(spec), larger: None }
    }

    /// The seat with this memory limit. One with another limit than that and the first is given up, and its sandbox closed by `pool`.
    pub(super) fn with_memory(&mut self, memory_bytes: Option<u64>, pool: &Pool) -> &mut Seat {
        if self.first.memory_bytes() == memory_bytes {
            return &mut self.first;
        }
        let other = self.larger.take_if(|seat| seat.memory_bytes() != memory_bytes);
        if let Some(sandbox) = other.and_then(|seat| seat.sandbox) {
            pool.dispose(sandbox);
        }
        let first = &*self.first.spec;
        self.larger.get_or_insert_with(|| {
            let resources = Resources { memory_bytes, ..first.resources.clone() };
            Seat::new(Arc::new(SandboxSpec { resources, ..first.clone() }))
        })
    }

    /// The seats, the first one last: it is the one that is needed next.
    pub(super) fn into_seats(self) -> impl Iterator<Item = Seat> {
        self.larger.into_iter().chain([self.first])
    }

    /// Closes their sandboxes.
    pub(crate) async fn close(self) -> Result<(), ExecError> {
        let mut closed = Ok(());
        for sandbox in self.into_seats().filter_map(|seat| seat.sandbox) {
            let ended = sandbox.close().await;
            closed = closed.and(ended);
        }
        closed
    }
}
