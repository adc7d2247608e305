//! Engine and worker in one process, with links that can be cut, and scripted sandboxes.

mod files;
mod leaving;
mod links;
mod sick;
mod tries;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use repos::hash::digest_of;
use specs::Digest;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::{Dial, DialError, Link, WorkerNews, WorkerOptions, Workers, work};
use crate::error::ExecError;
use crate::executor::Executor;
use crate::sandbox::Sandbox;
use crate::scripted::{Call, Reply, ScriptedExecutor};
use crate::task::{DatumTask, Event, EventSink, FileSource, InputFile, SandboxSpec};

/// Two links with each other.
pub(super) fn pair() -> (Link, Link) {
    let ((to_one, from_other), (to_other, from_one)) = (mpsc::channel(8), mpsc::channel(8));
    (Link { to: to_other, from: from_other }, Link { to: to_one, from: from_one })
}

/// Carries messages between two links until `cut` says more than at the start, or either ends.
async fn bridge(mut one: Link, mut other: Link, mut cut: watch::Receiver<u64>) {
    cut.mark_unchanged();
    let there = async {
        while let Some(message) = one.from.recv().await
            && other.to.send(message).await.is_ok()
        {}
    };
    let back = async {
        while let Some(message) = other.from.recv().await
            && one.to.send(message).await.is_ok()
        {}
    };
    tokio::select! {
        () = there => {}
        () = back => {}
        _ = cut.changed() => {}
    }
}

/// The network between workers and an engine.
#[derive(Clone)]
struct Network {
    workers: Workers,
    /// Increased to cut all links.
    cut: watch::Sender<u64>,
    is_down: Arc<AtomicBool>,
    links: Arc<AtomicU64>,
}

impl Network {
    fn new() -> Self {
        let (is_down, links) = (Arc::default(), Arc::default());
        Self { workers: Workers::new(), cut: watch::Sender::new(0), is_down, links }
    }

    /// Cuts all links; new ones can be made at once.
    fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts all links, and lets nobody make new ones.
    fn fail(&self) {
        self.is_down.store(true, Ordering::Relaxed);
        self.cut();
    }
}

#[async_trait]
impl Dial for Network {
    async fn dial(&self) -> Result<Link, DialError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(DialError::Later("the network is down".to_owned()));
        }
        self.links.fetch_add(1, Ordering::Relaxed);
        let ((ours, one), (other, theirs)) = (pair(), pair());
        tokio::spawn(bridge(one, other, self.cut.subscribe()));
        let workers = self.workers.clone();
        tokio::spawn(async move { workers.attend(theirs, "token").await });
        Ok(ours)
    }
}

/// A worker with a scripted executor.
struct Remote {
    stop: oneshot::Sender<()>,
    work: JoinHandle<Result<(), ExecError>>,
    news: Arc<Mutex<Vec<WorkerNews>>>,
    _cache: tempfile::TempDir,
}

fn options(name: &str, slots: usize, cache: &Path) -> WorkerOptions {
    WorkerOptions {
        name: name.to_owned(),
        slots,
        cache: cache.to_owned(),
        cache_bytes: 64 << 20,
        say: Arc::new(|_| {}),
    }
}

impl Remote {
    /// Waits until it has joined.
    async fn join(network: &Network, name: &str, slots: usize, executor: impl Executor) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let news = Arc::new(Mutex::new(Vec::new()));
        let say = {
            let news = news.clone();
            Arc::new(move |said| news.lock().unwrap().push(said))
        };
        let options = WorkerOptions { say, ..options(name, slots, cache.path()) };
        let (stop, stopped) = oneshot::channel::<()>();
        let (dial, executor) = (network.clone(), Arc::new(executor));
        let before = network.workers.list().len();
        let work = tokio::spawn(async move {
            let stop = async move { stopped.await.unwrap_or_default() };
            work(&dial, executor, &options, stop).await
        });
        let mut slots = network.workers.slots();
        while network.workers.list().len() == before {
            slots.changed().await.unwrap();
        }
        Self { stop, work, news, _cache: cache }
    }

    fn news(&self) -> Vec<WorkerNews> {
        self.news.lock().unwrap().clone()
    }
}

/// Files in memory, and how many bytes of each were read.
#[derive(Default)]
struct Files {
    files: BTreeMap<Digest, Bytes>,
    read: Mutex<BTreeMap<Digest, u64>>,
}

impl Files {
    fn add(&mut self, path: &str, content: impl Into<Bytes>) -> InputFile {
        let content = content.into();
        let (digest, size_bytes) = (digest_of(&content), content.len() as u64);
        self.files.insert(digest, content);
        InputFile { path: path.to_owned(), digest, size_bytes, executable: false, is_placeholder: false }
    }

    fn read_bytes(&self, file: &InputFile) -> u64 {
        self.read.lock().unwrap().get(&file.digest).copied().unwrap_or_default()
    }
}

#[async_trait]
impl FileSource for Files {
    async fn read(&self, file: &InputFile, offset: u64, max: usize) -> Result<Bytes, ExecError> {
        let content = &self.files[&file.digest];
        let from = (offset as usize).min(content.len());
        let piece = content.slice(from..content.len().min(from + max));
        *self.read.lock().unwrap().entry(file.digest).or_default() += piece.len() as u64;
        Ok(piece)
    }
}

/// What a try gave.
#[derive(Debug, Default)]
struct Record {
    log: Vec<u8>,
    files: Vec<(String, Vec<u8>)>,
    links: Vec<(String, String)>,
    /// Told at the first bytes of the log.
    printed: Option<Arc<Notify>>,
}

#[async_trait]
impl EventSink for Record {
    async fn event(&mut self, event: Event) -> Result<(), ExecError> {
        match event {
            Event::Log(bytes) => {
                self.log.extend_from_slice(&bytes);
                if let Some(printed) = &self.printed {
                    printed.notify_one();
                }
            }
            Event::File { path, .. } => self.files.push((path, Vec::new())),
            Event::Data(bytes) => self.files.last_mut().unwrap().1.extend_from_slice(&bytes),
            Event::EndFile => {}
            Event::Link { path, input } => self.links.push((path, input)),
        }
        Ok(())
    }
}

fn task(cmd: &[&str], inputs: &[InputFile]) -> Arc<DatumTask> {
    let cmd = cmd.iter().map(|word| (*word).to_owned()).collect();
    Arc::new(DatumTask { cmd, inputs: inputs.to_vec(), ..DatumTask::default() })
}

async fn open(workers: &Workers) -> Sandbox {
    workers.open(&SandboxSpec::default(), &Files::default()).await.unwrap()
}

/// Prints its command; copies its inputs to outputs.
fn copies(call: Call) -> Reply {
    Reply { log: call.cmd.join(" ").into_bytes(), files: call.inputs, ..Reply::default() }
}

/// Like [`copies`], but not before the test says so.
fn copies_when_told() -> (ScriptedExecutor, std::sync::mpsc::Sender<()>, Arc<Notify>) {
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let (told, begun) = (Mutex::new(told), Arc::new(Notify::new()));
    let begins = begun.clone();
    let executor = ScriptedExecutor::new(move |call| {
        begins.notify_one();
        told.lock().unwrap().recv().unwrap();
        copies(call)
    });
    (executor, tell, begun)
}

/// Waits in real time for what no message tells.
async fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come");
}
