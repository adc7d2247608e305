//! What a worker does in one stream: a sandbox with its tries, or the answer to a question.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};

use super::cache::Cache;
use super::files::Fetch;
use super::messages::{EventHead, Failure, FromWorker, ToWorker};
use super::streams::End;
use crate::error::ExecError;
use crate::executor::Executor;
use crate::sandbox::Sandbox;
use crate::task::{Console, DatumTask, Event, EventSink, SandboxSpec};

/// What the streams of a worker share.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) executor: Arc<dyn Executor>,
    pub(super) cache: Arc<Cache>,
    /// Whether the worker ends, and starts nothing more.
    pub(super) ending: watch::Receiver<bool>,
}

/// Does what a stream asks for, until it ends.
pub(super) async fn serve(end: End, desk: Desk) {
    let Ok((first, _)) = end.next::<ToWorker>().await else { return };
    let executor = &desk.executor;
    let answer = match first {
        ToWorker::Open(spec) => return open(end, *spec, desk).await,
        ToWorker::Resolve { reference } => {
            let on_pull = |progress| {
                if end.has_room() {
                    end.push(&FromWorker::Pull(progress));
                }
            };
            FromWorker::Resolved(executor.resolve_image(&reference, &on_pull).await.map_err(Failure::from))
        }
        ToWorker::HasImage(image) => FromWorker::Has(executor.has_image(&image).await.map_err(Failure::from)),
        ToWorker::HasContentAt { image, path } => {
            FromWorker::Has(executor.has_content_at(&image, &path).await.map_err(Failure::from))
        }
        // Nothing else begins a stream; the answer tells the engine.
        _ => FromWorker::Closed(Ok(())),
    };
    end.push(&answer);
}

/// Why the engine's messages are no longer attended to.
enum Stop {
    Close,
    /// The worker was given up, or the engine says what has no place here.
    Over,
    /// A file could not be had.
    Failed(ExecError),
}

/// A sandbox at this worker.
struct Served {
    end: Arc<End>,
    fetch: Fetch,
    /// The try announced while the last one ran.
    staged: Option<Arc<DatumTask>>,
}

/// What a running try may get from the engine besides files.
#[derive(Default)]
struct Expected {
    next: Option<oneshot::Sender<Option<Arc<DatumTask>>>>,
    typed: Option<mpsc::Sender<Vec<u8>>>,
    has_asked: bool,
}

async fn open(end: End, spec: SandboxSpec, desk: Desk) {
    if *desk.ending.borrow() {
        return end.push(&FromWorker::Going);
    }
    let mut served = Served { end: Arc::new(end), fetch: Fetch::new(desk.cache.clone()), staged: None };
    let sandbox = match served.open(&spec, &*desk.executor).await {
        Ok(sandbox) => sandbox,
        Err(error) => return served.end.push(&FromWorker::Opened(Err(error.into()))),
    };
    let sandbox = match sandbox {
        (sandbox, false) => {
            served.end.push(&FromWorker::Opened(Ok(())));
            served.run_all(sandbox, desk.ending).await
        }
        (sandbox, true) => sandbox,
    };
    let closed = sandbox.close().await;
    if let Err(error) = &closed {
        tracing::warn!("a sandbox did not end cleanly: {error}");
    }
    served.end.push(&FromWorker::Closed(closed.map_err(Failure::from)));
}

impl Served {
    /// Opens the sandbox, and says whether nobody wants it any more. Never interrupted, or something half-open would be left behind.
    async fn open(&mut self, spec: &SandboxSpec, executor: &dyn Executor) -> Result<(Sandbox, bool), ExecError> {
        allow(spec, executor)?;
        self.fetch.want(&spec.code);
        let (present, mut nothing) = (self.fetch.present(), Expected::default());
        let opening = executor.open(spec, &*present);
        tokio::pin!(opening);
        let stop = tokio::select! {
            opened = &mut opening => {
                self.fetch.forget();
                return opened.map(|sandbox| (sandbox, false));
            }
            stop = self.attend(&mut nothing) => stop,
        };
        present.end();
        let opened = opening.await;
        match stop {
            Stop::Failed(error) => {
                if let Ok(sandbox) = opened {
                    sandbox.close().await.ok();
                }
                Err(error)
            }
            Stop::Close | Stop::Over => opened.map(|sandbox| (sandbox, true)),
        }
    }

    /// Runs one try after another until the sandbox is to be closed.
    async fn run_all(&mut self, mut sandbox: Sandbox, mut ending: watch::Receiver<bool>) -> Sandbox {
        loop {
            let said = tokio::select! {
                said = self.end.next::<ToWorker>() => said,
                () = ended(&mut ending) => {
                    self.end.push(&FromWorker::Going);
                    return sandbox;
                }
            };
            let task = match said {
                Ok((ToWorker::Run { task, has_console }, _)) => {
                    let task = task.map_or_else(|| self.staged.take(), |task| Some(Arc::new(*task)));
                    task.map(|task| (task, has_console))
                }
                // What an earlier try asked for and did not need.
                Ok((ToWorker::Content, bytes)) if self.fetch.take(bytes.clone()).await.is_ok() => continue,
                _ => None,
            };
            let Some((task, has_console)) = task else { return sandbox };
            if !self.run(&mut sandbox, task, has_console).await {
                return sandbox;
            }
        }
    }

    /// Runs one try; false if the sandbox is to be closed.
    async fn run(&mut self, sandbox: &mut Sandbox, mut task: Arc<DatumTask>, has_console: bool) -> bool {
        let mut expected = Expected::default();
        if has_console {
            let (typed, console) = mpsc::channel(1);
            expected.typed = Some(typed);
            task = Arc::new(DatumTask { console: Some(Console::new(console)), ..(*task).clone() });
        }
        let (announce, next) = oneshot::channel();
        expected.next = Some(announce);
        self.fetch.want(&task.inputs);
        let (present, mut staged) = (self.fetch.present(), None);
        let next = async {
            staged = next.await.ok().flatten();
            staged.clone()
        };
        let stopped = {
            // A handle of its own, since both halves write to the stream.
            let end = self.end.clone();
            let mut relay = Relay(&end);
            let running = sandbox.run_before(&task, &*present, &mut relay, next);
            tokio::select! {
                outcome = running => Ok(outcome),
                stop = self.attend(&mut expected) => Err(stop),
            }
        };
        self.fetch.forget();
        self.staged = staged;
        let outcome = match stopped {
            Ok(outcome) => outcome,
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Close | Stop::Over) => return false,
        };
        let spent = sandbox.spent_by().map(str::to_owned);
        self.end.push(&FromWorker::Ended { outcome: outcome.map_err(Failure::from), spent });
        true
    }

    /// Attends to the engine's messages while a sandbox is opened or a try runs: files, the next try, what is typed.
    async fn attend(&mut self, expected: &mut Expected) -> Stop {
        loop {
            if let Err(error) = self.fetch.ask(&self.end).await {
                return Stop::Failed(error);
            }
            let said = tokio::select! {
                said = self.end.next::<ToWorker>() => said,
                () = self.fetch.others() => continue,
                () = room(expected.typed.as_ref()), if !expected.has_asked => {
                    expected.has_asked = true;
                    self.end.push(&FromWorker::WantTyped);
                    continue;
                }
            };
            match said {
                Ok((ToWorker::Content, bytes)) => {
                    if let Err(error) = self.fetch.take(bytes).await {
                        return Stop::Failed(error);
                    }
                }
                Ok((ToWorker::Next(task), _)) => {
                    let task = task.map(|task| Arc::new(*task));
                    self.fetch.want(task.as_ref().map_or(&[], |task| &task.inputs));
                    if let Some(next) = expected.next.take() {
                        next.send(task).ok();
                    }
                }
                Ok((ToWorker::Typed { is_end: true }, _)) => expected.typed = None,
                Ok((ToWorker::Typed { is_end: false }, bytes)) => {
                    expected.has_asked = false;
                    if let Some(typed) = &expected.typed {
                        typed.try_send(bytes.into()).ok();
                    }
                }
                Ok((ToWorker::Close, _)) => return Stop::Close,
                _ => return Stop::Over,
            }
        }
    }
}

/// A worker shows nothing of its machine, whatever an engine asks for.
fn allow(spec: &SandboxSpec, executor: &dyn Executor) -> Result<(), ExecError> {
    if spec.mounts.is_empty() && spec.readable.is_empty() {
        return Ok(());
    }
    Err(ExecError::Unsuited { executor: executor.kind(), why: "shows nothing of a worker's machine" })
}

/// Waits until a command has taken what was typed last.
async fn room(typed: Option<&mpsc::Sender<Vec<u8>>>) {
    match typed {
        Some(typed) if typed.reserve().await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

pub(super) async fn ended(ending: &mut watch::Receiver<bool>) {
    // If nobody can end the worker any more, it goes on.
    if ending.wait_for(|is_ending| *is_ending).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Sends the events of a try to the engine.
struct Relay<'a>(&'a End);

#[async_trait]
impl EventSink for Relay<'_> {
    async fn event(&mut self, event: Event) -> Result<(), ExecError> {
        let (head, bytes) = EventHead::split(event);
        self.0.send(&FromWorker::Event(head), &bytes).await.map_err(|why| ExecError::SandboxLost { why })
    }
}
