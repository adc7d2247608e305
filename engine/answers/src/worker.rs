//! Workers: machines that have joined the engine of this process, and execute its datums.

use repos::documents::ExecutorKind;
use sandbox::{WorkerState, Workers};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A worker that has joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// The name of its token.
    pub token: String,
    /// How it executes datums.
    pub executor: ExecutorKind,
    /// Version of its container engine or kernel.
    pub version: String,
    /// Operating system and architecture, such as `linux/x86_64`.
    pub platform: String,
    /// How many datums may run there at a time.
    pub slots: u64,
    /// How many sandboxes are open there.
    pub sandboxes: u64,
    /// Whether it is about to leave, and takes no more datums.
    pub going_away: bool,
}

impl From<WorkerState> for WorkerView {
    fn from(WorkerState { name, token, info, slots, sandboxes, is_going }: WorkerState) -> Self {
        let (system, architecture) = info.platform;
        Self {
            name,
            token,
            executor: info.kind,
            version: info.version,
            platform: format!("{system}/{architecture}"),
            slots: slots as u64,
            sandboxes: sandboxes as u64,
            going_away: is_going,
        }
    }
}

/// The workers that have joined, by name.
pub fn workers(workers: &Workers) -> Vec<WorkerView> {
    workers.list().into_iter().map(WorkerView::from).collect()
}
