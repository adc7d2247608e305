//! The workers of a job: each takes datums off the queue and has them executed in a sandbox of its own.
//!
//! A worker has three datums in its hands: while one runs, the inputs of the next are laid out beside it, and what the one before gave is
//! taken into the store. A worker that finds the queue empty takes over what another would do next, so that nothing waits behind a datum
//! that takes long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::datum::{DatumContext, DatumEnd};
use super::job::until;
use crate::blocking::blocking;
use crate::datums::DatumKey;
use crate::error::Result;
use crate::feed::AtWork;
use crate::recipe::Prepared;
use crate::slots::DatumSlots;
use sandbox::{DatumTask, Sandbox};

/// Datums whose end is known already that are passed over while another runs: anyone who waits for the next one should not wait for long.
const LOOK_AHEAD: usize = 64;

/// What a datum of the queue became; with those that were executed what others see of them meanwhile.
pub(super) type Collected = (DatumKey, Result<(DatumEnd, Option<AtWork>)>);

/// What the workers of a job share.
#[derive(Debug)]
pub(super) struct Work {
    datums: DatumContext,
    queue: Mutex<crate::datums::IntoIter>,
    slots: Arc<DatumSlots>,
    collected: mpsc::Sender<Collected>,
    /// By worker, the datum that it does next.
    ahead: Mutex<BTreeMap<usize, Ready>>,
    /// Workers that look for one.
    looking: watch::Sender<usize>,
}

/// A datum that is to be executed.
#[derive(Debug)]
struct Ready {
    key: DatumKey,
    prepared: Prepared,
    task: Arc<DatumTask>,
}

/// A worker, by its number among those of the job.
struct Worker {
    work: Arc<Work>,
    number: usize,
    sandbox: Option<Sandbox>,
    /// The look for the next datum.
    look: JoinSet<()>,
    /// What the last datum gave, on its way into the store.
    taken_in: JoinSet<()>,
}

impl Work {
    /// The datums of `todo`; what becomes of them goes to `collected`.
    pub(super) fn new(
        datums: DatumContext,
        todo: crate::datums::DatumList,
        slots: Arc<DatumSlots>,
        collected: mpsc::Sender<Collected>,
    ) -> Self {
        let queue = Mutex::new(todo.into_iter());
        Self { datums, queue, slots, collected, ahead: Mutex::default(), looking: watch::Sender::new(0) }
    }

    /// Works until no datum is left or the job halts.
    pub(super) async fn as_worker(self: Arc<Self>, number: usize, mut halted: watch::Receiver<bool>) {
        let mut worker = Worker { work: self, number, sandbox: None, look: JoinSet::new(), taken_in: JoinSet::new() };
        let is_done = tokio::select! {
            () = worker.all() => true,
            () = until(&mut halted, |halted| *halted) => false,
        };
        // What has run is kept, however the job ends.
        join(&mut worker.taken_in).await;
        let Some(sandbox) = worker.sandbox else { return };
        let datums = &worker.work.datums;
        // In the middle of a datum it is of no more use; and an autoscaling pipeline keeps nothing warm.
        if is_done && sandbox.is_clean() && !datums.pipeline.spec.autoscaling {
            datums.give_back(sandbox).await;
        } else {
            sandbox.close().await.ok();
        }
    }

    /// Finds a datum that has to be executed, among the next `most`; those whose end is known are done with that.
    async fn look(&self, most: usize) -> Option<Ready> {
        for _ in 0..most {
            let (key, inputs) = self.queue.lock().expect("no panic under this lock").next()?;
            let ended = blocking(|| {
                let (prepared, known) = self.datums.prepare(&inputs)?;
                Ok(match known {
                    Some(known) => Err(known),
                    None => Ok((self.datums.task(&inputs, &prepared)?, prepared)),
                })
            });
            let ended = match ended {
                Ok(Ok((task, prepared))) => return Some(Ready { key, prepared, task: Arc::new(task) }),
                Ok(Err(known)) => Ok((known, None)),
                Err(error) => Err(error),
            };
            self.collected.send((key, ended)).await.ok()?;
        }
        None
    }

    /// Takes over what another worker would do next; waits for those who still look.
    async fn take_over(&self) -> Option<Ready> {
        let mut looking = self.looking.subscribe();
        loop {
            let nobody_looks = *looking.borrow_and_update() == 0;
            let found = self.ahead.lock().expect("no panic under this lock").pop_first();
            if found.is_some() || nobody_looks {
                return found.map(|(_, ready)| ready);
            }
            looking.changed().await.ok()?;
        }
    }
}

impl Worker {
    async fn all(&mut self) {
        while let Some(ready) = self.next().await {
            self.execute(ready).await;
        }
    }

    async fn next(&mut self) -> Option<Ready> {
        let own = self.work.ahead.lock().expect("no panic under this lock").remove(&self.number);
        match own {
            Some(ready) => Some(ready),
            None => match self.work.look(usize::MAX).await {
                Some(ready) => Some(ready),
                None => self.work.take_over().await,
            },
        }
    }

    async fn execute(&mut self, ready: Ready) {
        let Ready { key, prepared, task } = ready;
        let work = self.work.clone();
        let datums = &work.datums;
        let turn = work.slots.take().await;
        let now = datums.store.clock().now();
        datums.live.update(&datums.job, |live| {
            live.running.insert(prepared.id, now);
        });
        let next = self.look_ahead();
        let next = Box::pin(async { next.await.ok().flatten() });
        let tries = datums.try_task(&task, &prepared.id, &mut self.sandbox, next).await;
        let seconds = datums.store.clock().now().seconds_since(now);
        datums.live.update(&datums.job, |live| live.datum_ended(&prepared.id, seconds));
        drop(turn);
        join(&mut self.look).await;
        join(&mut self.taken_in).await;
        self.taken_in.spawn(async move {
            let ended = match tries {
                Ok(tries) => work.datums.keep(&prepared, tries).await.map(|(end, at_work)| (end, Some(at_work))),
                Err(error) => Err(error),
            };
            // Nobody collects any more when the job has halted.
            work.collected.send((key, ended)).await.ok();
        });
    }

    /// Begins to look for the next datum, which continues whatever becomes of the present one: a datum that left the queue must not be lost.
    fn look_ahead(&mut self) -> oneshot::Receiver<Option<Arc<DatumTask>>> {
        let (found, next) = oneshot::channel();
        let (work, number) = (self.work.clone(), self.number);
        work.looking.send_modify(|looking| *looking += 1);
        let looks = Looks(work.clone());
        self.look.spawn(async move {
            let ready = work.look(LOOK_AHEAD).await;
            let task = ready.as_ref().map(|ready| ready.task.clone());
            if let Some(ready) = ready {
                work.ahead.lock().expect("no panic under this lock").insert(number, ready);
            }
            drop(looks);
            found.send(task).ok();
        });
        next
    }
}

/// Counts as one who looks.
struct Looks(Arc<Work>);

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.looking.send_modify(|looking| *looking -= 1);
    }
}

/// Waits for the one task that there is, if any; its panic is the worker's.
async fn join(tasks: &mut JoinSet<()>) {
    if let Some(Err(error)) = tasks.join_next().await
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
