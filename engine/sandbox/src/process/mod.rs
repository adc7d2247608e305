//! The process executor: sandboxes of Linux namespaces on this host.
//!
//! `pv worker enter` creates them without help (`agent::namespace`). If the host allows that only to `bwrap`, that creates them (`bwrap`).
//! Images are not used: commands see the host's `/usr`, `/etc` and so on, read-only. Inputs and outputs are in a scratch directory of this
//! engine, with a directory for each sandbox, which sees nothing else of it.
//!
//! There is one unprivileged user; a spec with another `user` ends as `NotStarted`. Of all resource limits, only the number of processes is
//! enforced (before Linux 5.14, the kernel counts all processes of that user together). Commands see no host path below `/tmp`, `/run` or
//! `/dev`. The root is read-only; `HOME` and `TMPDIR` are `/tmp`. Inputs and directories have one fixed old modification time, so an output
//! that copies it is the same every time.

mod bwrap;
mod scratch;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use futures_util::stream::{self, BoxStream, StreamExt};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use self::scratch::Scratch;
use super::connection::{Chunk, Connection};
use super::sandbox::Guard;
use repos::documents::ExecutorKind;

use super::{ExecError, Executor, ExecutorInfo, FileSource, Image, OnPull, Owner, Sandbox, SandboxSpec};
use crate::agent::NAMESPACES_REFUSED;
use crate::agent::namespace::Plan;
use crate::protocol::{Settings, Tmp};

/// Number of bytes read from an agent at once.
const READ_BYTES: usize = 256 * 1024;
/// How long a sandbox may take to end by itself.
const END_TIME: Duration = Duration::from_secs(5);

/// The settings of a process executor.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// The `pv` binary, whose `worker` command is the agent.
    pub pv: PathBuf,
    /// Directory for the files of running tries, created if missing; its disk must have room for the inputs and outputs of all of them.
    pub scratch: PathBuf,
    /// Paths that no sandbox shows, even below something readable: the store.
    pub hidden: Vec<PathBuf>,
    /// The owner of the sandboxes.
    pub owner: Owner,
}

/// What creates the namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Means {
    Unaided,
    Bwrap(PathBuf),
}

/// Runs commands in namespaces of this host.
#[derive(Debug)]
pub struct ProcessExecutor {
    settings: ProcessSettings,
    /// The method that worked for the first sandbox.
    means: OnceLock<Means>,
}

impl ProcessExecutor {
    /// Creates the executor; nothing is attempted before `check` or `open`.
    pub fn new(settings: ProcessSettings) -> Self {
        Self { settings, means: OnceLock::new() }
    }

    /// Like [`Self::new`], but sandboxes are created by the `bwrap` at this path even if namespaces need no help.
    pub fn with_bwrap(settings: ProcessSettings, bwrap: PathBuf) -> Self {
        Self { settings, means: OnceLock::from(Means::Bwrap(bwrap)) }
    }

    async fn open_with(&self, means: &Means, spec: &SandboxSpec, files: &dyn FileSource) -> Result<Sandbox, Failed> {
        let scratch = Scratch::make(&self.settings.scratch, &self.settings.owner.instance).map_err(Failed::plain)?;
        let command = match means {
            Means::Unaided => self.unaided(&scratch, spec),
            Means::Bwrap(bwrap) => {
                self::bwrap::plan(bwrap, &self.settings, &scratch, spec).and_then(|plan| self.worker("bwrap", &plan))
            }
        };
        let command = command.map_err(Failed::plain)?;
        let (connection, child) = connect(command).map_err(|source| {
            Failed::plain(ExecError::Io { action: "start", path: self.settings.pv.clone(), source })
        })?;
        let guard = Box::new(ProcessGuard { child, scratch });
        match Sandbox::start(connection, guard, settings_of(spec), &spec.code, files).await {
            Ok(sandbox) => Ok(sandbox),
            Err((error, mut guard)) => {
                let refused = guard.exit_code().await == Some(i32::from(NAMESPACES_REFUSED));
                // The first error says more than one from the clean-up.
                let _ = guard.end().await;
                Err(Failed { error, refused })
            }
        }
    }

    fn unaided(&self, scratch: &Scratch, spec: &SandboxSpec) -> Result<Command, ExecError> {
        let plan = Plan {
            scratch: scratch.path().to_owned(),
            readable: spec.readable.clone(),
            hidden: self.settings.hidden.clone(),
            network: spec.network,
            mounts: spec.mounts.clone(),
            secret_directories: spec.secret_directories.iter().map(PathBuf::from).collect(),
            code_path: spec.code_path().into(),
        };
        self.worker("enter", &plan)
    }

    /// Calls `pv worker WAY PLAN`.
    fn worker(&self, way: &str, plan: &impl Serialize) -> Result<Command, ExecError> {
        let plan = serde_json::to_string(plan)
            .map_err(|error| ExecError::SandboxLost { why: format!("a path is not UTF-8: {error}") })?;
        let mut command = Command::new(&self.settings.pv);
        command.args(["worker", way, &plan]);
        Ok(command)
    }
}

/// A sandbox that did not open.
struct Failed {
    error: ExecError,
    /// Whether the host refused this method, so that another may work.
    refused: bool,
}

impl Failed {
    fn plain(error: ExecError) -> Self {
        Self { error, refused: false }
    }
}

#[async_trait]
impl Executor for ProcessExecutor {
    fn kind(&self) -> ExecutorKind {
        ExecutorKind::Process
    }

    async fn check(&self) -> Result<ExecutorInfo, ExecError> {
        self.open(&SandboxSpec::default(), &NoFiles).await?.close().await?;
        let system = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        let means = if matches!(self.means.get(), Some(Means::Bwrap(_))) { " (bwrap)" } else { "" };
        Ok(ExecutorInfo {
            kind: self.kind(),
            version: format!("linux {}{means}", text(system.release())),
            host: text(system.nodename()),
            platform: (std::env::consts::OS.to_owned(), std::env::consts::ARCH.to_owned()),
        })
    }

    async fn resolve_image(&self, _reference: &str, _on_pull: OnPull<'_>) -> Result<Image, ExecError> {
        Err(ExecError::Unsuited { executor: self.kind(), why: "does not use images" })
    }

    async fn has_content_at(&self, _: &str, _: &str) -> Result<bool, ExecError> {
        Ok(false)
    }

    async fn open(&self, spec: &SandboxSpec, files: &dyn FileSource) -> Result<Sandbox, ExecError> {
        if let Some(means) = self.means.get() {
            return self.open_with(means, spec, files).await.map_err(|failed| failed.error);
        }
        let refusal = match self.open_with(&Means::Unaided, spec, files).await {
            Ok(sandbox) => {
                let _ = self.means.set(Means::Unaided);
                return Ok(sandbox);
            }
            Err(Failed { error, refused: true }) => error,
            Err(Failed { error, .. }) => return Err(error),
        };
        let Some(bwrap) = self::bwrap::find() else {
            return Err(ExecError::SandboxRefused { why: refusal.to_string() });
        };
        let means = Means::Bwrap(bwrap);
        let sandbox = self
            .open_with(&means, spec, files)
            .await
            .map_err(|failed| ExecError::SandboxRefused { why: format!("{refusal}; with bwrap: {}", failed.error) })?;
        let _ = self.means.set(means);
        Ok(sandbox)
    }

    async fn clean_up(&self, alive: &BTreeSet<String>) -> Result<(), ExecError> {
        // Processes need no search: each ends with the pipe to its engine.
        scratch::remove_dead(&self.settings.scratch, &self.settings.owner.instance, alive)
    }
}

/// The environment of commands here: nothing from the engine's.
fn settings_of(spec: &SandboxSpec) -> Settings {
    let env = [("PATH", crate::agent::DEFAULT_PATH), ("HOME", "/tmp"), ("TMPDIR", "/tmp"), ("LANG", "C.UTF-8")];
    Settings {
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
        secret_directories: spec.secret_directories.iter().cloned().collect(),
        has_memory_limit: false, // it knows no limits
        code_path: spec.code_path().to_owned(),
        tmp: Tmp::Ready,
        forbids_sockets: false, // it has a network of its own
        is_watched: false,      // what is not emptied is read-only
    }
}

/// For a sandbox without code.
struct NoFiles;

#[async_trait]
impl FileSource for NoFiles {
    async fn read(&self, file: &super::InputFile, _: u64, _: usize) -> Result<bytes::Bytes, ExecError> {
        Err(ExecError::SandboxLost { why: format!("nobody sent `{}`", file.path) })
    }
}

fn connect(mut command: Command) -> io::Result<(Connection, Child)> {
    command.env_clear().current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::Error::other("a pipe to the agent is missing"));
    };
    let incoming = stream::select(chunks(stdout, Chunk::Frames), chunks(stderr, Chunk::Complaint));
    Ok((Connection::new(stdin, incoming.boxed()), child))
}

fn chunks(
    reader: impl AsyncRead + Send + Unpin + 'static,
    wrap: fn(bytes::Bytes) -> Chunk,
) -> BoxStream<'static, io::Result<Chunk>> {
    let buffer = BytesMut::new();
    let next = move |(mut reader, mut buffer): (_, BytesMut)| async move {
        buffer.reserve(READ_BYTES);
        match AsyncReadExt::read_buf(&mut reader, &mut buffer).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(wrap(buffer.split().freeze())), (reader, buffer))),
            Err(error) => Some((Err(error), (reader, buffer))),
        }
    };
    stream::unfold((reader, buffer), next).boxed()
}

/// The outer process of a sandbox, and its files.
struct ProcessGuard {
    child: Child,
    scratch: Scratch,
}

#[async_trait]
impl Guard for ProcessGuard {
    async fn exit_code(&mut self) -> Option<i32> {
        tokio::time::timeout(END_TIME, self.child.wait()).await.ok()?.ok()?.code()
    }

    async fn end(mut self: Box<Self>) -> Result<(), ExecError> {
        if self.exit_code().await.is_none() {
            // It may end in between; then there is nothing to kill.
            let _ = self.child.kill().await;
        }
        self.scratch.remove()
    }
}

/// Creates a directory that only this user may enter.
fn private_directory(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
