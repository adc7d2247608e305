//! The workers as one executor.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use repos::documents::ExecutorKind;
use tokio::sync::watch;
use tokio::time::Instant;

use super::elsewhere::{AtWorker, Given, Talk};
use super::messages::{Failure, FromWorker, ToWorker};
use super::workers::{Berth, Seat, Worker, Workers};
use crate::error::ExecError;
use crate::executor::{Executor, ExecutorInfo, OnPull};
use crate::image::{Image, SameImage};
use crate::sandbox::Sandbox;
use crate::saved::{SavedImage, SavedImages};
use crate::task::{FileSource, SandboxSpec};

/// How long a sandbox is tried to be opened while machines are out of order.
const OUTAGE_MAX: Duration = Duration::from_mins(10);
const SAVED: &str = "cannot move images between the store and its workers: load them where the workers run";

/// What was answered to a question.
enum Answered<T> {
    Yes(Result<T, Failure>),
    /// The worker is going away: ask another.
    Going,
}

/// Asks a worker with docker; another one if that goes away.
async fn ask<T>(
    workers: &Workers,
    question: &ToWorker,
    mut answer: impl FnMut(FromWorker) -> Option<Result<T, Failure>> + Send,
) -> Result<T, ExecError> {
    loop {
        let Some(worker) = workers.fit(ExecutorKind::Docker).into_iter().next() else {
            return Err(ExecError::NoWorker { executor: ExecutorKind::Docker });
        };
        match ask_one(workers, &worker, question, &mut answer).await {
            Ok(Answered::Yes(answer)) => return answer.map_err(|failure| failure.at(&worker.name)),
            Ok(Answered::Going) | Err(ExecError::WorkerLost { .. }) if worker.unfit().is_some() => {}
            Ok(Answered::Going) => return Err(worker.going()),
            Err(error) => return Err(error),
        }
    }
}

async fn ask_one<T>(
    workers: &Workers,
    worker: &Arc<Worker>,
    question: &ToWorker,
    answer: &mut (impl FnMut(FromWorker) -> Option<Result<T, Failure>> + Send),
) -> Result<Answered<T>, ExecError> {
    let end = worker.streams.begin(question).map_err(|why| worker.lost(why))?;
    let talk = Talk { workers, worker, end: &end };
    loop {
        match talk.next().await?.0 {
            FromWorker::Going => return Ok(Answered::Going),
            FromWorker::Closed(_) => return Err(talk.out_of_turn()),
            said => {
                if let Some(answered) = answer(said) {
                    return Ok(Answered::Yes(answered));
                }
            }
        }
    }
}

/// Has a worker open a sandbox. The slot is free again when it is open, so that a sandbox which waits for its first try keeps nobody else
/// waiting.
async fn open_at(
    workers: &Workers,
    (_seat, berth): (Seat, Berth),
    spec: &SandboxSpec,
    files: &dyn FileSource,
) -> Result<Answered<Sandbox>, ExecError> {
    let worker = berth.0.clone();
    let end = worker.streams.begin(&ToWorker::Open(Box::new(spec.clone()))).map_err(|why| worker.lost(why))?;
    // The process executor knows no limits.
    let has_memory_limit = spec.image.is_some() && spec.resources.memory_bytes.is_some();
    let sandbox = AtWorker::new(workers.clone(), end, berth, has_memory_limit);
    let mut given = Given::default();
    given.add(&spec.code);
    loop {
        let talk = sandbox.talk();
        match talk.next().await?.0 {
            FromWorker::Want { digest, offset, length } => talk.give(&given, files, &digest, offset, length).await?,
            FromWorker::Opened(opened) => {
                return Ok(Answered::Yes(opened.map(|()| Sandbox::elsewhere(Box::new(sandbox)))));
            }
            FromWorker::Going => return Ok(Answered::Going),
            _ => return Err(talk.out_of_turn()),
        }
    }
}

/// Has this worker open a sandbox.
pub(crate) async fn open_with(
    workers: &Workers,
    worker: &Arc<Worker>,
    spec: &SandboxSpec,
    files: &dyn FileSource,
) -> Result<Sandbox, ExecError> {
    let place = workers.berth_at(worker).await?;
    match open_at(workers, place, spec, files).await? {
        Answered::Yes(opened) => opened.map_err(|failure| failure.at(&worker.name)),
        Answered::Going => Err(worker.going()),
    }
}

/// Which executor of a worker runs this, unless none may.
fn kind_for(spec: &SandboxSpec) -> Result<ExecutorKind, ExecError> {
    let unsuited = |why| Err(ExecError::Unsuited { executor: ExecutorKind::Workers, why });
    if !spec.mounts.is_empty() {
        return unsuited("cannot show a folder of this machine: its sandboxes are on others");
    }
    if !spec.readable.is_empty() {
        return unsuited("shows no paths of its machines: run `pv config unset process.paths`");
    }
    Ok(if spec.image.is_some() { ExecutorKind::Docker } else { ExecutorKind::Process })
}

#[async_trait]
impl Executor for Workers {
    fn kind(&self) -> ExecutorKind {
        ExecutorKind::Workers
    }

    async fn check(&self) -> Result<ExecutorInfo, ExecError> {
        let joined = self.list().len();
        Ok(ExecutorInfo {
            kind: ExecutorKind::Workers,
            version: format!("{joined} joined"),
            host: String::new(),
            platform: (String::new(), String::new()),
        })
    }

    async fn resolve_image(&self, reference: &str, on_pull: OnPull<'_>) -> Result<Image, ExecError> {
        let question = ToWorker::Resolve { reference: reference.to_owned() };
        ask(self, &question, |said| match said {
            FromWorker::Resolved(resolved) => Some(resolved),
            FromWorker::Pull(progress) => {
                on_pull(progress);
                None
            }
            _ => None,
        })
        .await
    }

    async fn has_image(&self, image: &SameImage) -> Result<bool, ExecError> {
        ask(self, &ToWorker::HasImage(image.clone()), has).await
    }

    async fn save_image(&self, _: &SameImage, _: &mut (dyn Write + Send)) -> Result<(), ExecError> {
        Err(ExecError::Unsuited { executor: ExecutorKind::Workers, why: SAVED })
    }

    async fn load_image(&self, _: &SavedImage, _: &SavedImages) -> Result<(), ExecError> {
        Err(ExecError::Unsuited { executor: ExecutorKind::Workers, why: SAVED })
    }

    async fn has_content_at(&self, image: &str, path: &str) -> Result<bool, ExecError> {
        ask(self, &ToWorker::HasContentAt { image: image.to_owned(), path: path.to_owned() }, has).await
    }

    /// Waits until a worker that fits has a free slot.
    async fn open(&self, spec: &SandboxSpec, files: &dyn FileSource) -> Result<Sandbox, ExecError> {
        let kind = kind_for(spec)?;
        let begun = Instant::now();
        loop {
            let place = self.berth(kind).await;
            let worker = place.1.0.clone();
            match open_at(self, place, spec, files).await? {
                Answered::Yes(Ok(opened)) => {
                    worker.works();
                    return Ok(opened);
                }
                Answered::Yes(Err(failure)) => {
                    let passes = failure.is_of_machine() && begun.elapsed() < OUTAGE_MAX;
                    let error = failure.at(&worker.name);
                    self.rest(&worker);
                    if !passes {
                        return Err(error);
                    }
                    tracing::warn!("{error}; another worker is tried, or this one again");
                }
                Answered::Going if worker.unfit().is_some() => {}
                Answered::Going => return Err(worker.going()),
            }
        }
    }

    fn slots(&self) -> Option<watch::Receiver<usize>> {
        Some(Workers::slots(self))
    }

    fn is_full(&self) -> bool {
        Workers::is_full(self)
    }

    /// Nothing is left here; each worker cleans up its own machine.
    async fn clean_up(&self, _: &BTreeSet<String>) -> Result<(), ExecError> {
        Ok(())
    }
}

fn has(said: FromWorker) -> Option<Result<bool, Failure>> {
    match said {
        FromWorker::Has(has) => Some(has),
        _ => None,
    }
}
