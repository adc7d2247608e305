//! What every executor must guarantee, as tests that run against a real one.
//!
//! The sandbox needs a POSIX shell with the usual small programs (`busybox` has all of them). Each function panics if the executor breaks a
//! guarantee.

mod attacks;
mod isolation;
mod leftovers;
mod output;
mod running;
mod staging;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use specs::Digest;

use super::{
    DatumTask, Event, EventSink, ExecError, Executor, Exit, FileSource, InputFile, Outcome, Sandbox, SandboxSpec,
};

/// The executor under test.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Runs the tries.
    pub executor: &'a dyn Executor,
    /// Id of an image with a POSIX shell; `None` for an executor without images.
    pub image: Option<String>,
    /// Name of a variable in the engine's own environment that no command may see.
    pub canary: &'a str,
}

/// Runs the whole suite. Returns the mean duration of a try of `true`, without opening the sandbox.
///
/// # Panics
/// At the first guarantee that the executor breaks.
pub async fn executor_contract(subject: &Subject<'_>) -> Duration {
    subject.executor.check().await.expect("the executor answers");
    running::suite(subject).await;
    output::suite(subject).await;
    staging::suite(subject).await;
    isolation::suite(subject).await;
    attacks::suite(subject).await;
    leftovers::suite(subject).await;
    subject
        .executor
        .clean_up(&std::collections::BTreeSet::new())
        .await
        .expect("clean-up leaves living sandboxes alone");
    running::mean_of_true(subject).await
}

/// Files in memory, read by digest.
#[derive(Debug, Default)]
struct MemoryFiles {
    files: BTreeMap<Digest, Bytes>,
    /// Number of bytes requested from each.
    read: Mutex<BTreeMap<Digest, u64>>,
}

impl MemoryFiles {
    fn add(&mut self, path: &str, content: impl Into<Bytes>) -> InputFile {
        let content = content.into();
        let digest = Digest::from_bytes(Sha256::digest(&content).into());
        let size_bytes = content.len() as u64;
        self.files.insert(digest, content);
        InputFile { path: path.to_owned(), digest, size_bytes, executable: false, is_placeholder: false }
    }

    fn read_bytes(&self, file: &InputFile) -> u64 {
        self.read.lock().expect("no panic under this lock").get(&file.digest).copied().unwrap_or_default()
    }
}

#[async_trait]
impl FileSource for MemoryFiles {
    async fn read(&self, file: &InputFile, offset: u64, max: usize) -> Result<Bytes, ExecError> {
        let content = &self.files[&file.digest];
        let from = usize::try_from(offset).expect("it is in memory").min(content.len());
        let piece = content.slice(from..content.len().min(from + max));
        *self.read.lock().expect("no panic under this lock").entry(file.digest).or_default() += piece.len() as u64;
        Ok(piece)
    }
}

/// Everything that a try produced.
#[derive(Debug, Default)]
struct Record {
    log: Vec<u8>,
    files: BTreeMap<String, (Vec<u8>, bool)>,
    links: BTreeMap<String, String>,
    open: Option<String>,
}

#[async_trait]
impl EventSink for Record {
    async fn event(&mut self, event: Event) -> Result<(), ExecError> {
        match event {
            Event::Log(bytes) => self.log.extend_from_slice(&bytes),
            Event::File { path, executable, .. } => {
                self.files.insert(path.clone(), (Vec::new(), executable));
                self.open = Some(path);
            }
            Event::Data(bytes) => {
                let path = self.open.as_ref().expect("data belongs to a file");
                self.files.get_mut(path).expect("the file began").0.extend_from_slice(&bytes);
            }
            Event::EndFile => self.open = None,
            Event::Link { path, input } => {
                self.links.insert(path, input);
            }
        }
        Ok(())
    }
}

impl Record {
    fn log(&self) -> String {
        String::from_utf8_lossy(&self.log).into_owned()
    }

    /// Content of an output file as text.
    fn text(&self, path: &str) -> String {
        let (content, _) = self.files.get(path).unwrap_or_else(|| panic!("no output `{path}`; log: {}", self.log()));
        String::from_utf8_lossy(content).into_owned()
    }
}

/// A sandbox and the files that it may request. A sandbox in which a try left something is replaced, as the engine does.
struct Bench<'a> {
    sandbox: Sandbox,
    files: MemoryFiles,
    spec: SandboxSpec,
    executor: &'a dyn Executor,
    /// Number of sandboxes opened.
    opened: usize,
}

impl Subject<'_> {
    fn spec(&self) -> SandboxSpec {
        SandboxSpec { image: self.image.clone(), ..SandboxSpec::default() }
    }

    async fn bench(&self) -> Bench<'_> {
        self.bench_with(self.spec(), MemoryFiles::default()).await
    }

    async fn bench_with(&self, spec: SandboxSpec, files: MemoryFiles) -> Bench<'_> {
        let sandbox = self.executor.open(&spec, &files).await.expect("the sandbox opens");
        Bench { sandbox, files, spec, executor: self.executor, opened: 1 }
    }
}

impl Bench<'_> {
    async fn run(&mut self, task: &DatumTask) -> (Outcome, Record) {
        let mut record = Record::default();
        let outcome = self.sandbox.run(task, &self.files, &mut record).await.expect("the try can be watched");
        assert!(record.open.is_none() || !matches!(outcome.exit, Exit::Code(_)), "every file of a good try ends");
        self.replace_if_spent().await;
        (outcome, record)
    }

    async fn replace_if_spent(&mut self) {
        if self.sandbox.spent_by().is_some() {
            let fresh = self.executor.open(&self.spec, &self.files).await.expect("another sandbox opens");
            std::mem::replace(&mut self.sandbox, fresh).close().await.expect("the spent sandbox closes");
            self.opened += 1;
        }
    }

    /// Runs a shell script and returns how it ended.
    async fn sh(&mut self, script: &str, inputs: Vec<InputFile>) -> (Exit, Record) {
        let (outcome, record) = self.run(&DatumTask { inputs, ..shell(script) }).await;
        (outcome.exit, record)
    }

    /// Runs a shell script that must succeed.
    async fn good(&mut self, script: &str, inputs: Vec<InputFile>) -> Record {
        let (exit, record) = self.sh(script, inputs).await;
        assert_eq!(exit, Exit::Code(0), "{script}: {}", record.log());
        record
    }

    async fn close(self) {
        self.sandbox.close().await.expect("the sandbox closes");
    }
}

fn shell(script: &str) -> DatumTask {
    DatumTask { cmd: ["sh", "-c", script].map(str::to_owned).to_vec(), ..DatumTask::default() }
}
