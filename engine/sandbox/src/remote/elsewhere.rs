//! The engine's half of a sandbox at a worker.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use specs::Digest;
use tokio::time::timeout;

use super::messages::{EventHead, FromWorker, ToWorker};
use super::streams::{End, PATIENCE};
use super::workers::{Berth, Worker, Workers};
use crate::error::ExecError;
use crate::protocol::MAX_DATA;
use crate::sandbox::{Elsewhere, Next};
use crate::task::{Console, DatumTask, EventSink, Exit, FileSource, InputFile, Outcome, OutputLimits};

/// A sandbox at a worker.
pub(super) struct AtWorker {
    workers: Workers,
    end: End,
    berth: Berth,
    /// Why no further try may run here.
    lost: Option<String>,
    /// The try announced while the last one ran.
    staged: Option<Arc<DatumTask>>,
    has_memory_limit: bool,
}

/// The files that a worker may ask for: those of a sandbox that is opened, or of a try.
#[derive(Default)]
pub(super) struct Given(HashMap<Digest, InputFile>);

impl Given {
    pub(super) fn add(&mut self, files: &[InputFile]) {
        self.0.extend(files.iter().map(|file| (file.digest, file.clone())));
    }
}

/// A stream with a worker.
pub(super) struct Talk<'a> {
    pub(super) workers: &'a Workers,
    pub(super) worker: &'a Arc<Worker>,
    pub(super) end: &'a End,
}

impl Talk<'_> {
    pub(super) async fn next(&self) -> Result<(FromWorker, Bytes), ExecError> {
        self.end.next().await.map_err(|why| self.over(&why))
    }

    pub(super) async fn say(&self, message: &ToWorker, tail: &[u8]) -> Result<(), ExecError> {
        self.end.send(message, tail).await.map_err(|why| self.over(&why))
    }

    fn over(&self, why: &str) -> ExecError {
        // Unless it was given up already, it sent what cannot be understood.
        self.workers.give_up(self.worker, why);
        self.worker.lost(why)
    }

    pub(super) fn breach(&self, why: &str) -> ExecError {
        self.workers.breach(self.worker, why)
    }

    pub(super) fn out_of_turn(&self) -> ExecError {
        self.breach("it spoke out of turn")
    }

    /// Sends what the worker asked for, if it may have it.
    pub(super) async fn give(
        &self,
        given: &Given,
        files: &dyn FileSource,
        digest: &Digest,
        mut offset: u64,
        length: u64,
    ) -> Result<(), ExecError> {
        let end = offset.checked_add(length);
        let file = given.0.get(digest).zip(end).filter(|(file, end)| *end <= file.size_bytes);
        let (file, end) = file.ok_or_else(|| self.breach("it asked for a file that it was not given"))?;
        while offset < end {
            let max = (end - offset).min(MAX_DATA as u64) as usize;
            let bytes = files.read(file, offset, max).await?;
            if bytes.is_empty() || bytes.len() > max {
                let why = format!("`{}` had a different length than announced", file.path);
                return Err(ExecError::SandboxLost { why });
            }
            offset += bytes.len() as u64;
            self.say(&ToWorker::Content, &bytes).await?;
        }
        Ok(())
    }
}

/// Whether the events of a try come in an order that makes sense.
struct Order {
    /// The file that has begun: how many bytes are missing.
    left: Option<u64>,
    /// How many files and bytes the output may still have: an honest worker counts itself.
    room: OutputLimits,
}

impl Order {
    fn allows(&mut self, event: &EventHead, bytes: &Bytes) -> bool {
        match (event, &mut self.left) {
            (EventHead::File { size_bytes, .. }, left @ None) => {
                *left = Some(*size_bytes);
                take(&mut self.room.files_max, 1) && take(&mut self.room.bytes_max, *size_bytes)
            }
            (EventHead::Data, Some(left)) if bytes.len() <= MAX_DATA && bytes.len() as u64 <= *left => {
                *left -= bytes.len() as u64;
                true
            }
            (EventHead::EndFile, left @ Some(0)) => {
                *left = None;
                true
            }
            (EventHead::Link { .. }, None) => take(&mut self.room.files_max, 1),
            (EventHead::Log, None) => true,
            _ => false,
        }
    }
}

/// Takes some of what is left; false if there is not enough.
fn take(left: &mut u64, some: u64) -> bool {
    let rest = left.checked_sub(some);
    *left = rest.unwrap_or_default();
    rest.is_some()
}

impl AtWorker {
    pub(super) fn new(workers: Workers, end: End, berth: Berth, has_memory_limit: bool) -> Self {
        Self { workers, end, berth, lost: None, staged: None, has_memory_limit }
    }

    /// Runs a try that was just sent, until it has ended.
    async fn until_end(
        &mut self,
        task: &Arc<DatumTask>,
        files: &dyn FileSource,
        events: &mut dyn EventSink,
        next: Next<'_>,
    ) -> Result<Outcome, ExecError> {
        let Self { workers, end, berth, staged, .. } = self;
        let peer = Talk { workers, worker: &berth.0, end };
        let mut given = Given::default();
        given.add(&task.inputs);
        let mut order = Order { left: None, room: task.limits };
        let mut next = pin!(next.fuse());
        let (mut is_announced, mut wants_typed) = (false, false);
        loop {
            let (said, bytes) = tokio::select! {
                said = peer.next() => said?,
                following = &mut next, if !is_announced => {
                    is_announced = true;
                    let inputs = following.as_ref().map_or(&[][..], |task| &task.inputs);
                    given.add(inputs);
                    peer.say(&ToWorker::Next(following.as_deref().cloned().map(Box::new)), &[]).await?;
                    *staged = following;
                    continue;
                }
                typed = typed_at(task.console.as_ref()), if wants_typed => {
                    wants_typed = false;
                    peer.say(&ToWorker::Typed { is_end: typed.is_none() }, &typed.unwrap_or_default()).await?;
                    continue;
                }
            };
            match said {
                FromWorker::Event(event) if order.allows(&event, &bytes) => events.event(event.with(bytes)).await?,
                FromWorker::Want { digest, offset, length } => {
                    peer.give(&given, files, &digest, offset, length).await?;
                }
                FromWorker::WantTyped if task.console.is_some() => wants_typed = true,
                FromWorker::Going => return Err(peer.worker.going()),
                FromWorker::Ended { outcome, spent } => {
                    let outcome = outcome.map_err(|failure| failure.at(&peer.worker.name))?;
                    if order.left.is_some() && matches!(outcome.exit, Exit::Code(_)) {
                        return Err(peer.out_of_turn());
                    }
                    self.lost = spent;
                    return Ok(outcome);
                }
                _ => return Err(peer.out_of_turn()),
            }
        }
    }

    /// The stream of this sandbox.
    pub(super) fn talk(&self) -> Talk<'_> {
        Talk { workers: &self.workers, worker: &self.berth.0, end: &self.end }
    }
}

async fn typed_at(console: Option<&Console>) -> Option<Vec<u8>> {
    match console {
        Some(console) => console.next().await,
        None => None,
    }
}

#[async_trait]
impl Elsewhere for AtWorker {
    fn worker(&self) -> &str {
        &self.berth.0.name
    }

    async fn run_before(
        &mut self,
        task: &Arc<DatumTask>,
        files: &dyn FileSource,
        events: &mut dyn EventSink,
        next: Next<'_>,
    ) -> Result<Outcome, ExecError> {
        if let Some(why) = self.lost.replace("an earlier try in it did not end".to_owned()) {
            return Err(ExecError::SandboxLost { why });
        }
        if let Some(why) = self.berth.0.unfit() {
            return Err(self.berth.0.lost(why));
        }
        let _seat = self.workers.seat(&self.berth.0).await?;
        let is_staged = self.staged.take().is_some_and(|staged| Arc::ptr_eq(&staged, task));
        let task_to_send = (!is_staged).then(|| Box::new((**task).clone()));
        let run = ToWorker::Run { task: task_to_send, has_console: task.console.is_some() };
        self.talk().say(&run, &[]).await?;
        self.until_end(task, files, events, next).await
    }

    fn has_memory_limit(&self) -> bool {
        self.has_memory_limit
    }

    fn is_clean(&self) -> bool {
        self.staged.is_none() && self.spent_by().is_none()
    }

    fn spent_by(&self) -> Option<&str> {
        self.lost.as_deref().or_else(|| self.berth.0.unfit())
    }

    async fn close(self: Box<Self>) -> Result<(), ExecError> {
        self.end.push(&ToWorker::Close);
        let closed = async {
            loop {
                match self.talk().next().await {
                    Ok((FromWorker::Closed(closed), _)) => return closed.map_err(|f| f.at(&self.berth.0.name)),
                    // A try that was given up may still say something.
                    Ok(_) => {}
                    // A worker that was lost has closed it, or will.
                    Err(_) => return Ok(()),
                }
            }
        };
        timeout(CLOSE_TIME, closed).await.unwrap_or_else(|_| {
            let why = format!("worker `{}` did not close it", self.berth.0.name);
            Err(ExecError::SandboxLost { why })
        })
    }
}

/// How long a worker may take to close a sandbox.
const CLOSE_TIME: Duration = PATIENCE.saturating_mul(4);

impl Drop for AtWorker {
    fn drop(&mut self) {
        // Harmless if the sandbox was closed: then nobody reads it.
        self.end.push(&ToWorker::Close);
    }
}
