//! The workers of a job: each takes datums from the queue and has them executed in its own sandbox; it has another for a datum that needs
//! more memory.
//!
//! A worker handles three datums at a time: while one runs, the inputs of the next are laid out, and the outputs of the previous one are
//! stored. A worker that finds the queue empty takes over what another would do next, so that nothing waits behind a slow datum.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::datum::{DatumContext, DatumEnd};
use super::job::until;
use super::seats::{Seat, Seats};
use crate::blocking::blocking;
use crate::datums::DatumKey;
use crate::error::Result;
use crate::feed::AtWork;
use crate::recipe::Prepared;
use crate::slots::DatumSlots;
use sandbox::DatumTask;

/// Maximum number of datums with a known end that are skipped while another runs, so that whoever waits for the next one does not wait
/// long.
const LOOK_AHEAD: usize = 64;

/// The result of a datum from the queue; for executed ones, with what others see of them meanwhile.
pub(super) type Collected = (DatumKey, Result<(DatumEnd, Option<AtWork>)>);

/// Shared by the workers of a job.
#[derive(Debug)]
pub(super) struct Work {
    datums: DatumContext,
    queue: Mutex<crate::datums::IntoIter>,
    slots: Arc<DatumSlots>,
    collected: mpsc::Sender<Collected>,
    /// The datum that each worker does next.
    ahead: Mutex<BTreeMap<usize, Ready>>,
    /// Number of workers searching for a datum.
    looking: watch::Sender<usize>,
}

/// A datum to execute.
#[derive(Debug)]
struct Ready {
    key: DatumKey,
    prepared: Prepared,
    task: Arc<DatumTask>,
}

/// A worker, by its number within the job.
struct Worker {
    work: Arc<Work>,
    number: usize,
    seats: Seats,
    /// The search for the next datum.
    look: JoinSet<()>,
    /// The last datum's outputs, being stored.
    taken_in: JoinSet<()>,
}

impl Work {
    /// The datums of `todo`; their results are sent to `collected`.
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
        let seats = self.datums.seats();
        let mut worker = Worker { work: self, number, seats, look: JoinSet::new(), taken_in: JoinSet::new() };
        let is_done = tokio::select! {
            () = worker.all() => true,
            () = until(&mut halted, |halted| *halted) => false,
        };
        // Whatever has run is kept, however the job ends.
        join(&mut worker.taken_in).await;
        let datums = &worker.work.datums;
        // In the middle of a datum a sandbox is useless; and an autoscaling pipeline keeps nothing warm.
        let is_kept = is_done && !datums.pipeline.spec.autoscaling;
        for Seat { spec, sandbox } in worker.seats.into_seats() {
            match sandbox {
                Some(sandbox) if is_kept && sandbox.is_clean() => datums.pool.give_back(&spec, sandbox).await,
                Some(sandbox) => {
                    sandbox.close().await.ok();
                }
                None => {}
            }
        }
    }

    /// Finds a datum to execute among the next `most`; those with a known end are done immediately.
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

    /// Takes over what another worker would do next; waits for those still searching.
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
        let (work, slots) = (self.work.clone(), self.work.slots.clone());
        let datums = &work.datums;
        let turn = slots.take().await;
        let now = datums.store.clock().now();
        datums.live.update(&datums.job, |live| {
            live.running.insert(prepared.id, now);
        });
        let next = self.look_ahead();
        let next = Box::pin(async { next.await.ok().flatten() });
        let tries = datums.try_task(&task, &prepared.id, &mut self.seats, next).await;
        let seconds = datums.store.clock().now().seconds_since(now);
        datums.live.update(&datums.job, |live| live.datum_ended(&prepared.id, seconds));
        // Before the slot is free: once all are, an engine that winds down stops its workers, and what has run must be kept.
        let mut before = std::mem::take(&mut self.taken_in);
        let (told, stored_before) = oneshot::channel();
        self.taken_in.spawn(async move {
            join(&mut before).await;
            told.send(()).ok();
            let ended = match tries {
                Ok(tries) => work.datums.keep(&prepared, tries).await.map(|(end, at_work)| (end, Some(at_work))),
                Err(error) => Err(error),
            };
            // Nobody collects results any more once the job has halted.
            work.collected.send((key, ended)).await.ok();
        });
        drop(turn);
        join(&mut self.look).await;
        // An error means that the task panicked; `join` propagates that.
        stored_before.await.ok();
    }

    /// Starts the search for the next datum, which continues whatever happens to the current one: a datum taken from the queue must not be
    /// lost.
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

/// Counts as a searching worker.
struct Looks(Arc<Work>);

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.looking.send_modify(|looking| *looking -= 1);
    }
}

/// Waits for the only task, if there is one, and propagates its panic.
async fn join(tasks: &mut JoinSet<()>) {
    if let Some(Err(error)) = tasks.join_next().await
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
