//! The log of what is read: lines are collected and written together, so that a read waits for no disk.
//!
//! Nothing is left out: should the disk be slower than the readers, these wait. After a crash the lines of the last moment may be missing.

use std::sync::Mutex;

use repos::Store;
use repos::tokens::{Audit, AuditLine};
use tokio::sync::{mpsc, oneshot};

/// Lines that wait to be written; also how many are written together, at most.
const WAITING: usize = 1024;

/// What the writer gets.
#[derive(Debug)]
enum ToWrite {
    Line(Box<AuditLine>),
    /// Told when all lines before it are written.
    Flush(oneshot::Sender<()>),
}

/// The log of what is read.
#[derive(Debug)]
pub(crate) struct Reads {
    log: Audit,
    to: mpsc::Sender<ToWrite>,
    /// Until the writer has it.
    from: Mutex<Option<mpsc::Receiver<ToWrite>>>,
}

impl Reads {
    pub(crate) fn new(store: &Store) -> Self {
        let (to, from) = mpsc::channel(WAITING);
        Self { log: Audit::of_reads(store), to, from: Mutex::new(Some(from)) }
    }

    /// Begins to write lines as they come, until this value is gone.
    pub(crate) fn start(&self) {
        let from = self.from.lock().expect("no panic under this lock").take();
        if let Some(from) = from {
            tokio::spawn(write(self.log.clone(), from));
        }
    }

    /// Adds a line, which is written soon.
    pub(crate) async fn add(&self, line: AuditLine) {
        self.to.send(ToWrite::Line(Box::new(line))).await.ok();
    }

    /// Waits until all lines are written that were added before.
    pub(crate) async fn flush(&self) {
        let (tell, told) = oneshot::channel();
        if self.to.send(ToWrite::Flush(tell)).await.is_ok() {
            told.await.ok();
        }
    }
}

async fn write(log: Audit, mut from: mpsc::Receiver<ToWrite>) {
    let mut some = Vec::new();
    while from.recv_many(&mut some, WAITING).await > 0 {
        let (mut lines, mut flushed) = (Vec::new(), Vec::new());
        for one in some.drain(..) {
            match one {
                ToWrite::Line(line) => lines.push(*line),
                ToWrite::Flush(tell) => flushed.push(tell),
            }
        }
        let log = log.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || log.append_all(&lines)).await {
            tracing::error!("the log of what is read cannot be written: {error}");
        }
        for tell in flushed {
            tell.send(()).ok();
        }
    }
}
