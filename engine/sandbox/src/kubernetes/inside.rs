//! What the worker of a pod does there: it hands the sandbox's one agent, in the container beside it, to the engine.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use futures_util::stream::{self, StreamExt};
use repos::documents::ExecutorKind;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::agent::DEFAULT_PATH;
use crate::connection::{Chunk, Connection};
use crate::error::ExecError;
use crate::executor::{Executor, ExecutorInfo, OnPull};
use crate::image::Image;
use crate::protocol::{MAX_DATA, Settings, Tmp};
use crate::sandbox::{Guard, Sandbox};
use crate::task::{FileSource, InputFile, Network, SandboxSpec};

/// The socket between the worker and the agent.
pub(super) const SOCKET: &str = "/.pv/agent.sock";
/// Where the worker keeps fetched files.
pub(super) const CACHE: &str = "/cache";
/// Where the worker lays out code that the stage sees.
pub(super) const CODE: &str = "/code";
/// How long the agent may take to start after the worker.
const START_TIME: Duration = Duration::from_mins(5);

/// What the worker of a pod needs to know.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Station {
    /// URL of the engine's server.
    pub url: String,
    /// Lets this pod join, and nothing else.
    pub token: String,
    /// The pod's name.
    pub name: String,
    /// Certificates to trust, in PEM form; `None` for those that everyone trusts.
    pub authority: Option<String>,
    /// The image's variables.
    pub env: Vec<(String, String)>,
    /// Most bytes of fetched files to keep.
    pub cache_bytes: u64,
}

impl Station {
    /// The variable that contains it, as JSON.
    pub const VARIABLE: &str = "PV_POD";

    /// The folder for fetched files.
    pub const CACHE: &str = CACHE;
}

/// The executor of a pod's worker: one sandbox, whose agent runs in the container beside it.
#[derive(Debug)]
pub struct InPod {
    agent: Mutex<Option<UnixStream>>,
    code: PathBuf,
    env: Vec<(String, String)>,
    host: String,
}

impl InPod {
    /// Waits for the agent. Nobody else can connect afterwards, so no command can take the agent's place.
    pub async fn meet(station: &Station) -> Result<Self, ExecError> {
        let agent = meet_at(Path::new(SOCKET)).await?;
        Ok(Self {
            agent: Mutex::new(Some(agent)),
            code: CODE.into(),
            env: station.env.clone(),
            host: station.name.clone(),
        })
    }

    fn settings(&self, spec: &SandboxSpec) -> Settings {
        let mut env = vec![("PATH".to_owned(), DEFAULT_PATH.to_owned())];
        env.extend(self.env.iter().cloned());
        Settings {
            env,
            user: spec.user.clone(),
            working_dir: spec.working_dir.clone(),
            secret_directories: spec.secret_directories.iter().cloned().collect(),
            has_memory_limit: spec.resources.memory_bytes.is_some(),
            code_path: spec.code_path().to_owned(),
            forbids_sockets: spec.network == Network::None,
            tmp: Tmp::Missing,
            is_watched: true,
        }
    }
}

async fn meet_at(socket: &Path) -> Result<UnixStream, ExecError> {
    let failed = |action| move |source| ExecError::Io { action, path: SOCKET.into(), source };
    // That of an earlier process in this container.
    std::fs::remove_file(socket).ok();
    let listener = UnixListener::bind(socket).map_err(failed("listen on"))?;
    // The agent may be another user.
    std::fs::set_permissions(socket, PermissionsExt::from_mode(0o777)).map_err(failed("open to all users"))?;
    let met = timeout(START_TIME, listener.accept()).await;
    std::fs::remove_file(socket).map_err(failed("remove"))?;
    let why = || format!("no agent has started within {} s", START_TIME.as_secs());
    let met = met.map_err(|_| ExecError::SandboxLost { why: why() })?;
    met.map(|(agent, _)| agent).map_err(failed("accept the agent on"))
}

fn connection(agent: UnixStream) -> Connection {
    let (from, to) = agent.into_split();
    let chunks = stream::unfold(from, |mut from| async {
        let mut bytes = BytesMut::with_capacity(MAX_DATA);
        match from.read_buf(&mut bytes).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(Chunk::Frames(bytes.freeze())), from)),
            Err(error) => Some((Err(error), from)),
        }
    });
    Connection::new(to, chunks.boxed())
}

/// Lays out code, readable for all.
async fn lay_out(code: &[InputFile], root: &Path, files: &dyn FileSource) -> Result<(), ExecError> {
    for file in code {
        let path = root.join(&file.path);
        let failed = |source| ExecError::Io { action: "write", path: path.clone(), source };
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(failed)?;
        }
        let mut to = tokio::fs::File::create(&path).await.map_err(failed)?;
        let mut offset = 0;
        while offset < file.size_bytes {
            let bytes = files.read(file, offset, MAX_DATA).await?;
            if bytes.is_empty() {
                return Err(ExecError::SandboxLost { why: format!("`{}` is shorter than announced", file.path) });
            }
            offset += bytes.len() as u64;
            to.write_all(&bytes).await.map_err(failed)?;
        }
        to.flush().await.map_err(failed)?;
        let mode = if file.executable { 0o555 } else { 0o444 };
        to.set_permissions(PermissionsExt::from_mode(mode)).await.map_err(failed)?;
        let modified = std::time::UNIX_EPOCH + Duration::from_secs(crate::agent::INPUT_SECONDS);
        to.into_std().await.set_modified(modified).map_err(failed)?;
    }
    Ok(())
}

#[async_trait]
impl Executor for InPod {
    fn kind(&self) -> ExecutorKind {
        ExecutorKind::Kubernetes
    }

    async fn check(&self) -> Result<ExecutorInfo, ExecError> {
        Ok(ExecutorInfo {
            kind: ExecutorKind::Kubernetes,
            version: String::new(),
            host: self.host.clone(),
            platform: (std::env::consts::OS.to_owned(), std::env::consts::ARCH.to_owned()),
        })
    }

    async fn resolve_image(&self, _: &str, _: OnPull<'_>) -> Result<Image, ExecError> {
        Err(ExecError::Unsuited { executor: self.kind(), why: "has one image in a pod" })
    }

    async fn has_content_at(&self, _: &str, _: &str) -> Result<bool, ExecError> {
        Err(ExecError::Unsuited { executor: self.kind(), why: "has one image in a pod" })
    }

    async fn open(&self, spec: &SandboxSpec, files: &dyn FileSource) -> Result<Sandbox, ExecError> {
        let agent = self.agent.lock().await.take();
        let agent = agent.ok_or_else(|| ExecError::SandboxLost { why: "a pod has only one sandbox".to_owned() })?;
        lay_out(&spec.code, &self.code, files).await?;
        Sandbox::start(connection(agent), Box::new(EndsWithPod), self.settings(spec), &[], files)
            .await
            .map_err(|(error, _)| error)
    }

    /// The pod ends as a whole.
    async fn clean_up(&self, _: &BTreeSet<String>) -> Result<(), ExecError> {
        Ok(())
    }
}

/// The agent is another container's: it ends when its connection does.
struct EndsWithPod;

#[async_trait]
impl Guard for EndsWithPod {
    async fn exit_code(&mut self) -> Option<i32> {
        None
    }

    async fn end(self: Box<Self>) -> Result<(), ExecError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_first_who_connects_is_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let meeting = tokio::spawn({
            let socket = socket.clone();
            async move { meet_at(&socket).await }
        });
        let agent = loop {
            match UnixStream::connect(&socket).await {
                Ok(agent) => break agent,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        meeting.await.unwrap().unwrap();
        UnixStream::connect(&socket).await.unwrap_err();
        drop(agent);
    }
}
