//! An executor for tests: its sandboxes run a function instead of a command, behind the same protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use futures_util::StreamExt;
use repos::documents::ExecutorKind;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::connection::{Chunk, Connection};
use super::sandbox::Guard;
use super::{ExecError, Executor, ExecutorInfo, Exit, FileSource, Image, OnPull, Sandbox, SandboxSpec};
use crate::protocol::{
    FileHeader, Frame, FrameReader, FrameWriter, FromAgent, Report, Settings, ToAgent, Try, VERSION,
};

/// The input of a test's command.
#[derive(Debug, Default)]
pub struct Call {
    /// Program and arguments.
    pub cmd: Vec<String>,
    /// The try's environment.
    pub env: BTreeMap<String, String>,
    /// Its inputs by path below `/pfs`.
    pub inputs: BTreeMap<String, Vec<u8>>,
    /// The sandbox's memory limit.
    pub memory_bytes: Option<u64>,
}

/// The result of a test's command.
#[derive(Debug, Default)]
pub struct Reply {
    /// What it prints.
    pub log: Vec<u8>,
    /// Its output files by path below `/pfs/out`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Its exit code.
    pub code: i32,
    /// Whether the sandbox is lost instead, in the middle of the try.
    pub is_lost: bool,
    /// Whether it was killed at the sandbox's memory limit.
    pub is_out_of_memory: bool,
}

type Script = Arc<dyn Fn(Call) -> Reply + Send + Sync>;

/// Runs `script` for every try.
#[derive(Clone)]
pub struct ScriptedExecutor {
    script: Script,
    worker: Option<String>,
}

impl ScriptedExecutor {
    /// An executor that runs this function for every command.
    pub fn new(script: impl Fn(Call) -> Reply + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), worker: None }
    }

    /// The same, with sandboxes that say that they are on this worker.
    #[must_use]
    pub fn on_worker(self, name: &str) -> Self {
        Self { worker: Some(name.to_owned()), ..self }
    }
}

impl fmt::Debug for ScriptedExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedExecutor").finish_non_exhaustive()
    }
}

#[async_trait]
impl Executor for ScriptedExecutor {
    fn kind(&self) -> ExecutorKind {
        ExecutorKind::Process
    }

    async fn check(&self) -> Result<ExecutorInfo, ExecError> {
        Ok(ExecutorInfo {
            kind: ExecutorKind::Process,
            version: "scripted".to_owned(),
            host: "test".to_owned(),
            platform: ("linux".to_owned(), "x86_64".to_owned()),
        })
    }

    async fn resolve_image(&self, _: &str, _: OnPull<'_>) -> Result<Image, ExecError> {
        Err(ExecError::Unsuited { executor: ExecutorKind::Process, why: "has no images" })
    }

    async fn has_content_at(&self, _: &str, _: &str) -> Result<bool, ExecError> {
        Ok(false)
    }

    async fn open(&self, spec: &SandboxSpec, files: &dyn FileSource) -> Result<Sandbox, ExecError> {
        let lost = |error: std::io::Error| ExecError::SandboxLost { why: error.to_string() };
        let (ours, theirs) = UnixStream::pair().map_err(lost)?;
        let script = self.script.clone();
        let memory_bytes = spec.resources.memory_bytes;
        let thread = std::thread::spawn(move || {
            serve(&theirs, &script, memory_bytes);
        });
        ours.set_nonblocking(true).map_err(lost)?;
        let (read, write) = tokio::net::UnixStream::from_std(ours).map_err(lost)?.into_split();
        let connection = Connection::new(write, frames(read).boxed());
        let settings = Settings { has_memory_limit: memory_bytes.is_some(), ..Settings::default() };
        Sandbox::start(connection, Box::new(Agent(thread)), settings, &spec.code, files)
            .await
            .map(|sandbox| sandbox.on_worker(self.worker.clone()))
            .map_err(|(error, _)| error)
    }

    async fn clean_up(&self, _: &BTreeSet<String>) -> Result<(), ExecError> {
        Ok(())
    }
}

fn frames(read: impl AsyncRead + Unpin + Send) -> impl futures_util::Stream<Item = std::io::Result<Chunk>> + Send {
    futures_util::stream::unfold(read, |mut read| async move {
        let mut bytes = bytes::BytesMut::with_capacity(1 << 16);
        match read.read_buf(&mut bytes).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(Chunk::Frames(bytes.freeze())), read)),
            Err(error) => Some((Err(error), read)),
        }
    })
}

/// The thread that replaces an agent, and ends with its stream. What its script holds, such as a store, is released before a test ends.
struct Agent(JoinHandle<()>);

#[async_trait]
impl Guard for Agent {
    async fn exit_code(&mut self) -> Option<i32> {
        None
    }

    async fn end(self: Box<Self>) -> Result<(), ExecError> {
        // A panicking script was already reported as a lost sandbox.
        tokio::task::spawn_blocking(|| self.0.join()).await.ok();
        Ok(())
    }
}

/// The agent's side; any error means the end of the stream.
fn serve(stream: &UnixStream, script: &Script, memory_bytes: Option<u64>) -> Option<()> {
    let mut reader = FrameReader::new(stream);
    let mut writer = FrameWriter::new(stream);
    let mut call = Call::default();
    let mut file = String::new();
    loop {
        match reader.next::<ToAgent>().ok()?? {
            Frame::Data(bytes) => call.inputs.get_mut(&file)?.extend_from_slice(bytes),
            Frame::Message(ToAgent::Hello { .. } | ToAgent::Input(_) | ToAgent::EndInput) => {}
            Frame::Message(ToAgent::Open) => {
                writer.message(&FromAgent::Ready { version: VERSION }).ok()?;
                writer.flush().ok()?;
            }
            // It reports that nothing is kept, so nobody asks for it.
            Frame::Message(ToAgent::Same { .. }) => return None,
            Frame::Message(ToAgent::File { header, .. }) => {
                file.clone_from(&header.path);
                call.inputs.insert(header.path, Vec::new());
            }
            Frame::Message(ToAgent::Begin(begun)) => {
                let Try { cmd, env, .. } = *begun;
                call = Call { cmd, env: env.into_iter().collect(), inputs: BTreeMap::new(), memory_bytes };
            }
            Frame::Message(ToAgent::Go) => reply(&mut writer, script(std::mem::take(&mut call)))?,
        }
    }
}

fn reply(writer: &mut FrameWriter<&UnixStream>, reply: Reply) -> Option<()> {
    if reply.is_lost {
        return None;
    }
    writer.data(&reply.log).ok()?;
    for (path, bytes) in reply.files {
        let header = FileHeader { path, size_bytes: bytes.len() as u64, executable: false };
        writer.message(&FromAgent::File(header)).ok()?;
        writer.data(&bytes).ok()?;
    }
    let report = Report {
        exit: Exit::Code(reply.code),
        prepare_micros: 2000,
        process_micros: 1000,
        take_in_micros: 3000,
        out_of_memory: reply.is_out_of_memory,
        kept: false,
        left: None,
    };
    writer.message(&FromAgent::Done(report)).ok()?;
    writer.flush().ok()
}
