//! A worker of a job: takes datums off the queue and has them executed in a sandbox of its own.
//!
//! Three datums are in its hands at a time: while one runs, the inputs of the next are laid out beside it, and what the one before gave is
//! taken into the store.

use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::datum::{DatumContext, DatumEnd};
use super::job::until;
use crate::datums::DatumKey;
use crate::error::Result;
use crate::executor::{DatumTask, Sandbox};
use crate::recipe::Prepared;
use crate::turns::Turns;

/// Datums whose end is known already that are passed over while another runs: its own end should not wait for long.
const LOOK_AHEAD: usize = 64;

/// What a datum of the queue became.
pub(super) type Collected = (DatumKey, Result<DatumEnd>);

/// Datums that wait for a worker.
pub(super) type Queue = Mutex<crate::datums::IntoIter>;

/// What a worker works with.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) datums: Arc<DatumContext>,
    pub(super) queue: Arc<Queue>,
    pub(super) turns: Arc<Turns>,
    pub(super) collected: mpsc::Sender<Collected>,
}

/// A datum that is to be executed.
struct Ready {
    key: DatumKey,
    prepared: Prepared,
    task: Arc<DatumTask>,
}

impl Worker {
    /// Works until the queue is empty or the job halts.
    pub(super) async fn work(self, mut halted: watch::Receiver<bool>) {
        let mut sandbox = None;
        let mut taken_in = JoinSet::new();
        let is_done = tokio::select! {
            () = self.all(&mut sandbox, &mut taken_in) => true,
            () = until(&mut halted, |halted| *halted) => false,
        };
        // What has run is kept, however the job ends.
        wait_for_one(&mut taken_in).await;
        let Some(sandbox) = sandbox else { return };
        // In the middle of a datum it is of no more use; and an autoscaling pipeline keeps nothing warm.
        if is_done && !self.datums.pipeline.spec.autoscaling {
            self.datums.give_back(sandbox).await;
        } else {
            sandbox.close().await.ok();
        }
    }

    async fn all(&self, sandbox: &mut Option<Sandbox>, taken_in: &mut JoinSet<()>) {
        let mut next = None;
        loop {
            let ready = match next.take() {
                None => self.look(usize::MAX).await,
                found => found,
            };
            let Some(ready) = ready else { return };
            self.execute(ready, sandbox, &mut next, taken_in).await;
        }
    }

    /// Finds a datum that has to be executed, among the next `most`; those whose end is known are done with that.
    async fn look(&self, most: usize) -> Option<Ready> {
        for _ in 0..most {
            let (key, arms) = self.queue.lock().expect("no panic under this lock").next()?;
            let ended = tokio::task::block_in_place(|| {
                let (prepared, known) = self.datums.prepare(&arms)?;
                Ok(match known {
                    Some(known) => Err(known),
                    None => Ok((self.datums.task(&arms, &prepared)?, prepared)),
                })
            });
            let ended = match ended {
                Ok(Ok((task, prepared))) => return Some(Ready { key, prepared, task: Arc::new(task) }),
                Ok(Err(known)) => Ok(known),
                Err(error) => Err(error),
            };
            self.collected.send((key, ended)).await.ok()?;
        }
        None
    }

    async fn execute(
        &self,
        ready: Ready,
        sandbox: &mut Option<Sandbox>,
        next: &mut Option<Ready>,
        taken_in: &mut JoinSet<()>,
    ) {
        let Ready { key, prepared, task } = ready;
        let datums = &self.datums;
        let turn = self.turns.take().await;
        let now = datums.store.clock().now();
        datums.live.update(&datums.job, |live| {
            live.running.insert(prepared.id, now);
        });
        let look_ahead = Box::pin(async {
            *next = self.look(LOOK_AHEAD).await;
            next.as_ref().map(|ready| ready.task.clone())
        });
        let tries = datums.try_task(&task, &prepared.id, sandbox, look_ahead).await;
        let seconds = datums.store.clock().now().seconds_since(now);
        datums.live.update(&datums.job, |live| live.datum_ended(&prepared.id, seconds));
        drop(turn);
        wait_for_one(taken_in).await;
        let (datums, collected) = (datums.clone(), self.collected.clone());
        taken_in.spawn(async move {
            let ended = match tries {
                Ok(tries) => datums.keep(&prepared, tries).await,
                Err(error) => Err(error),
            };
            // Nobody collects any more when the job has halted.
            collected.send((key, ended)).await.ok();
        });
    }
}

/// Waits until what was given before is in the store.
async fn wait_for_one(taken_in: &mut JoinSet<()>) {
    if let Some(Err(error)) = taken_in.join_next().await
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
