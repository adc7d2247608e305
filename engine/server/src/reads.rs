//! The log of what is read: lines are collected and written together, so that a read waits for no disk.
//!
//! Nothing is left out: should the disk be slower than the readers, these wait. After a crash the lines of the last moment may be missing.

use std::sync::Mutex;

use quick_cache::sync::Cache;
use repos::tokens::{Audit, AuditLine};
use repos::{Store, Timestamp};
use tokio::sync::{mpsc, oneshot};

/// An open page that updates itself is one read for so long, in seconds.
const ONE_READ: f64 = 600.0;
/// Readers and what they read, of which it is known when.
const KNOWN: usize = 10_000;
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
    /// When somebody, from an address, read something last.
    last: Cache<[String; 3], Timestamp>,
    to: mpsc::Sender<ToWrite>,
    /// Until the writer has it.
    from: Mutex<Option<mpsc::Receiver<ToWrite>>>,
}

impl Reads {
    pub(crate) fn new(store: &Store) -> Self {
        let (to, from) = mpsc::channel(WAITING);
        Self { log: Audit::of_reads(store), last: Cache::new(KNOWN), to, from: Mutex::new(Some(from)) }
    }

    /// Begins to write lines as they come, until this value is gone.
    pub(crate) fn start(&self) {
        let from = self.from.lock().expect("no panic under this lock").take();
        if let Some(from) = from {
            tokio::spawn(write(self.log.clone(), from));
        }
    }

    /// Adds a line, which is written soon. `is_update`: of a page that was read before, and is brought up to date.
    pub(crate) async fn add(&self, line: AuditLine, is_update: bool) {
        let key = [line.who.clone(), line.from.clone().unwrap_or_default(), line.on.clone().unwrap_or_default()];
        let is_known = self.last.get(&key).is_some_and(|last| line.at.seconds_since(last) < ONE_READ);
        if is_update && is_known {
            return;
        }
        self.last.insert(key, line.at);
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
