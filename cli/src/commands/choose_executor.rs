//! What all commands share that need the store's executor: which one it is, and the progress of pulls.

use std::collections::BTreeMap;
use std::sync::Mutex;

use engine::executors::{self, Settled};
use sandbox::PullProgress;

use crate::context::{Context, Store};
use crate::error::Result;
use crate::executors::executors;
use crate::output::Progress;

/// The executor that the store uses, once it answered.
pub(super) async fn choose_executor(cx: &Context, store: &Store) -> Result<Settled> {
    Ok(executors::choose_executor(store, &executors(cx, store)?).await?)
}

/// Stores a newly chosen executor as the store's, and says so.
pub(super) fn keep(cx: &Context, store: &Store, settled: &Settled) -> Result<()> {
    executors::keep(store, settled)?;
    say_chosen(cx, settled);
    Ok(())
}

/// Says which executor was chosen permanently, if one was.
pub(super) fn say_chosen(cx: &Context, settled: &Settled) {
    if settled.is_new {
        let (kind, version) = (settled.info.kind, &settled.info.version);
        cx.notes().line(format!("using executor {kind} ({version}); to change it: pv config set executor"));
    }
}

/// Shows the progress of the layers of images.
#[derive(Debug)]
pub(super) struct Pulling {
    progress: Progress,
    /// Bytes done and bytes in total of each layer.
    layers: Mutex<BTreeMap<String, (u64, u64)>>,
}

impl Pulling {
    /// Shows nothing before the first step.
    pub(super) fn new(cx: &Context) -> Self {
        Self { progress: cx.progress("pull"), layers: Mutex::default() }
    }

    /// A step of a pull.
    pub(super) fn step(&self, step: PullProgress) {
        if step.total_bytes == 0 {
            return;
        }
        let mut layers = self.layers.lock().expect("no panic under this lock");
        layers.insert(step.layer, (step.current_bytes, step.total_bytes));
        let (done, total) = layers.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        self.progress.bytes(&format!("{} layers", layers.len()), done, total);
    }
}
