//! The docker executor: a warm container for each sandbox, using only Docker's API.
//!
//! The container's first process is the agent, `/.pv/pv worker`, connected through the container's stdin and stdout. The binary comes from
//! a volume that is filled through the API (`agent`), and so does the code of a stage (`code`), read-only; so Docker may run on another
//! machine, or this process may itself run in a container. `/pfs`, `/pfs/out` and `/tmp` are anonymous volumes and are removed with the
//! container; `/tmp` starts with the image's content, and no hard link leads out of it. Everything else is as with `docker run`, except for
//! fewer privileges. A container has no path of the host, no socket and no variable of the engine.
//!
//! `pull`: images; `archive`: images in files; `credentials`: logins from Docker's own configuration; `helper`: containers that never
//! start, to fill volumes and inspect images.
//!
//! Root in a container can write to its copy of an input during its own try: preventing that would take another privilege (`SYS_ADMIN`).
//! The agent detects it afterwards and fails the try. All capabilities are dropped except those that ordinary images need as root, no
//! program gains any (`setuid` has no effect), and health checks are off. `clean_up` also removes agent volumes of other binaries if no
//! container uses them.

mod agent;
mod archive;
mod code;
mod credentials;
mod helper;
mod pull;

use std::collections::{BTreeSet, HashMap};
use std::error::Error as _;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error as DockerError;
use bollard::models::{
    ContainerCreateBody, DeviceRequest, HealthConfig, HostConfig, HostConfigLogConfig, ImageInspect, Mount,
    MountTmpfsOptions, MountType, MountVolumeOptions,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions,
};
use futures_util::stream::StreamExt;
use repos::documents::ExecutorKind;
use tokio::sync::OnceCell;

use self::agent::{AGENT, AgentVolume};
use self::code::CodeVolumes;
use self::helper::Helper;
use super::connection::{Chunk, Connection};
use super::sandbox::Guard;
use super::{
    ExecError, Executor, ExecutorInfo, FileSource, HostFolder, Image, Network, OnPull, Owner, Resources, SameImage,
    Sandbox, SandboxSpec, SavedImage, SavedImages,
};
use crate::agent::{DEFAULT_PATH, most_processes};
use crate::protocol::{Settings, Tmp};

/// Labels for finding containers again.
const STORE_LABEL: &str = "pv.store";
const INSTANCE_LABEL: &str = "pv.instance";
/// The capabilities of root in a container: what package managers, `chown`, `su` and low ports need. Dropped from Docker's default list,
/// among others: raw sockets, devices, file capabilities, chroot.
const CAPABILITIES: [&str; 8] =
    ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"];
/// How long Docker may take to remove a container by itself after its agent ended.
const END_TIME: Duration = Duration::from_secs(5);

/// Runs commands in containers.
#[derive(Debug)]
pub struct DockerExecutor {
    /// An error if `DOCKER_HOST` is invalid; reported by `check` and `open`.
    docker: Result<Docker, String>,
    address: String,
    owner: Owner,
    agent: AgentVolume,
    negotiated: OnceCell<Docker>,
    /// Docker's configuration directory, for logins.
    config_dir: Option<PathBuf>,
    code: CodeVolumes,
    /// The handling of `/tmp`, by image.
    tmps: Mutex<HashMap<String, Tmp>>,
    leftovers: Leftovers,
    images: Option<SavedImages>,
}

/// The archive of a saved image; verifying it reads all of it.
async fn open(images: &SavedImages, saved: &SavedImage) -> Result<Box<dyn Read + Send>, ExecError> {
    let (images, saved) = (images.clone(), saved.clone());
    let opened = tokio::task::spawn_blocking(move || images.open(&saved)).await;
    opened.map_err(|error| ExecError::SandboxLost { why: error.to_string() })?
}

/// Containers of this engine that could not be removed in time because Docker did not respond.
type Leftovers = Arc<Mutex<Vec<String>>>;

/// The settings of a docker executor. The caller reads the environment.
#[derive(Debug, Clone)]
pub struct DockerSettings {
    /// `DOCKER_HOST`, such as `unix:///run/user/1000/docker.sock` or `tcp://10.0.0.5:2375`; `None` for Docker's default.
    pub host: Option<String>,
    /// `DOCKER_CONFIG` or `~/.docker`; `None` for pulls without login.
    pub config_dir: Option<PathBuf>,
    /// The `pv` binary, whose `worker` command is the agent.
    pub pv: PathBuf,
    /// The owner of the containers.
    pub owner: Owner,
    /// The saved images; `None` if they are not to be used.
    pub images: Option<SavedImages>,
}

impl DockerExecutor {
    /// Creates the executor; no request is made before `check` or `open`.
    pub fn new(settings: DockerSettings) -> Self {
        let address = settings.host.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
        Self {
            docker: Docker::connect_with_host(&address).map_err(|error| error.to_string()),
            address,
            code: CodeVolumes::new(settings.owner.clone()),
            owner: settings.owner,
            tmps: Mutex::default(),
            leftovers: Leftovers::default(),
            agent: AgentVolume::new(settings.pv),
            negotiated: OnceCell::new(),
            config_dir: settings.config_dir,
            images: settings.images,
        }
    }

    /// The client, with the newest API version that both sides support.
    async fn docker(&self) -> Result<&Docker, ExecError> {
        self.negotiated.get_or_try_init(|| async { self.connect().await }).await
    }

    async fn connect(&self) -> Result<Docker, ExecError> {
        if let Some(path) = self.address.strip_prefix("unix://") {
            // Checked first: the client does not report the cause of a refused connection.
            let path = path.to_owned();
            tokio::net::UnixStream::connect(&path).await.map_err(|error| self.unreachable(error))?;
        }
        let docker = self.docker.clone().map_err(|why| self.unreachable(io::Error::other(why)))?;
        docker.negotiate_version().await.map_err(|error| self.unreachable(io::Error::other(error)))
    }

    fn unreachable(&self, error: io::Error) -> ExecError {
        if error.kind() == io::ErrorKind::PermissionDenied {
            let address = self.address.trim_start_matches("unix://").to_owned();
            return ExecError::PermissionDenied { address };
        }
        ExecError::NotAnswering { executor: ExecutorKind::Docker, address: self.address.clone(), source: error.into() }
    }

    /// Turns an error of Docker into one that says what was attempted; a broken connection is reported as such.
    fn failed(&self, action: &'static str) -> impl Fn(DockerError) -> ExecError + '_ {
        move |error| {
            let mut cause = error.source();
            while let Some(inner) = cause {
                if let Some(io) = inner.downcast_ref::<io::Error>() {
                    return self.unreachable(io.kind().into());
                }
                cause = inner.source();
            }
            ExecError::Docker { action, source: error }
        }
    }

    /// The image of a sandbox: its id, and its description. An image that Docker no longer has is searched for in the registry and among
    /// the saved images, and used only if it is the same.
    async fn image_of(&self, docker: &Docker, spec: &SandboxSpec) -> Result<(String, ImageInspect), ExecError> {
        let Some(id) = &spec.image else {
            return Err(ExecError::Unsuited { executor: self.kind(), why: "needs an image" });
        };
        let Some(image) = &spec.same_image else {
            let found = self.inspect(docker, id).await?.map(|found| (id.clone(), found));
            let why = "the engine no longer has it".to_owned();
            return found.ok_or_else(|| ExecError::ImageNotFound { reference: id.clone(), why });
        };
        if let Some(found) = self.here(docker, image).await? {
            return Ok(found);
        }
        let mut why = match self.from_registry(docker, image).await? {
            Ok(found) => return Ok(found),
            Err(why) => why,
        };
        if let Some(images) = &self.images {
            match images.find(&image.identity)? {
                Some(saved) => return archive::load(docker, &saved, open(images, &saved).await?).await,
                None => why += "; it was not saved with pv image save",
            }
        }
        Err(ExecError::ImageGone { image: Box::new(image.clone()), why })
    }

    async fn inspect(&self, docker: &Docker, image: &str) -> Result<Option<ImageInspect>, ExecError> {
        pull::inspect(docker, image).await.map_err(self.failed("look at an image"))
    }

    /// An image that Docker has, by its id, or by its reference if that names the same image.
    async fn here(&self, docker: &Docker, image: &SameImage) -> Result<Option<(String, ImageInspect)>, ExecError> {
        if let Some(found) = self.inspect(docker, &image.id).await? {
            return Ok(Some((image.id.clone(), found)));
        }
        let found = self.inspect(docker, &image.reference).await?;
        Ok(found.and_then(|found| {
            let is_same = pull::describe(&image.reference, found.clone()).identity() == image.identity;
            Some((found.id.clone()?, found)).filter(|_| is_same)
        }))
    }

    /// An image from the registry, by its reference, otherwise by its digest there; or why neither works.
    #[expect(clippy::wrong_self_convention, reason = "it says where the image comes from")]
    async fn from_registry(
        &self,
        docker: &Docker,
        image: &SameImage,
    ) -> Result<Result<(String, ImageInspect), String>, ExecError> {
        let mut why = "the engine no longer has it".to_owned();
        let name = pull::name_of(&image.reference);
        let by_digest = image.registry_digest.as_ref().map(|digest| format!("{name}@{digest}"));
        for reference in [Some(image.reference.clone()), by_digest].into_iter().flatten() {
            match self.resolve_image(&reference, &|_| {}).await {
                Ok(found) if found.identity() == image.identity => {
                    if let Some(inspected) = self.inspect(docker, &found.id).await? {
                        return Ok(Ok((found.id, inspected)));
                    }
                }
                Ok(_) => why += &format!(", and `{reference}` is now a different image; pv pipeline apply uses that"),
                Err(error) => {
                    why += &format!(", and no registry has `{reference}`");
                    tracing::debug!("`{reference}` was not found: {error}");
                }
            }
        }
        Ok(Err(why))
    }

    fn body(
        &self,
        (image, inspected): (&str, &ImageInspect),
        spec: &SandboxSpec,
        agent_volume: &str,
        code: Option<Mount>,
    ) -> ContainerCreateBody {
        let mut labels: HashMap<String, String> = spec.labels.clone().into_iter().collect();
        labels.extend(labels_of(&self.owner));
        // Docker creates the image's own working directory if the image lacks it. One named in a spec must exist.
        let of_image = || inspected.config.as_ref()?.working_dir.clone();
        let working_dir = if spec.working_dir.is_none() { of_image() } else { None };
        ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec![AGENT.to_owned(), "worker".to_owned()]),
            cmd: Some(vec![]),
            // The agent starts as root, lays out inputs that the command cannot change, and then starts the command as its proper user.
            user: Some("0:0".to_owned()),
            working_dir: Some(working_dir.filter(|directory| !directory.is_empty()).unwrap_or_else(|| "/".to_owned())),
            healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(false),
            labels: Some(labels),
            host_config: Some(host_config(spec, agent_volume, code)),
            ..ContainerCreateBody::default()
        }
    }

    /// The handling of `/tmp` in containers of an image; determined once.
    async fn tmp_of(&self, docker: &Docker, image: &str) -> Result<Tmp, ExecError> {
        let known = self.tmps.lock().expect("no panic under this lock").get(image).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let helper = Helper::create(docker, image, labels_of(&self.owner), Vec::new()).await?;
        let has_tmp = helper.has("/tmp").await;
        let removed = helper.remove().await;
        let tmp = if has_tmp? { Tmp::OfImage } else { Tmp::Missing };
        self.tmps.lock().expect("no panic under this lock").insert(image.to_owned(), tmp);
        removed.map(|()| tmp)
    }

    /// Removes the containers that could not be removed before; those that still cannot be removed stay in the list.
    async fn remove_leftovers(&self, docker: &Docker) {
        let leftovers = std::mem::take(&mut *self.leftovers.lock().expect("no panic under this lock"));
        for id in leftovers {
            self.guard(docker, id).remove_or_note().await.ok();
        }
    }

    fn guard(&self, docker: &Docker, id: String) -> ContainerGuard {
        ContainerGuard { docker: docker.clone(), id, leftovers: self.leftovers.clone() }
    }

    async fn start(&self, docker: &Docker, id: &str, image: &str) -> Result<Connection, ExecError> {
        self.agent.fill(docker, id, image, labels_of(&self.owner)).await?;
        let options =
            AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true).build();
        let attached =
            docker.attach_container(id, Some(options)).await.map_err(self.failed("attach to a container"))?;
        let started = docker.start_container(id, None::<StartContainerOptions>).await;
        started.map_err(|error| no_bridge(error, self.failed("start a container")))?;
        Ok(connection(attached))
    }
}

/// The error that Docker has no network for containers, if it says so; otherwise `other`'s.
fn no_bridge(error: DockerError, other: impl Fn(DockerError) -> ExecError) -> ExecError {
    match &error {
        DockerError::DockerResponseServerError { message, .. } if lacks_bridge(message) => {
            ExecError::NoBridge { source: error }
        }
        _ => other(error),
    }
}

/// `network bridge not found`, in the wording of several versions.
fn lacks_bridge(message: &str) -> bool {
    message.contains("network bridge not found")
        || message.contains("could not find a network matching network mode default")
}

/// The labels for finding what an engine created.
fn labels_of(owner: &Owner) -> HashMap<String, String> {
    let labels = [(STORE_LABEL, &owner.store), (INSTANCE_LABEL, &owner.instance)];
    labels.map(|(label, value)| (label.to_owned(), value.clone())).into()
}

fn connection(attached: AttachContainerResults) -> Connection {
    let incoming = attached.output.map(|output| match output {
        Ok(LogOutput::StdErr { message }) => Ok(Chunk::Complaint(message)),
        Ok(output) => Ok(Chunk::Frames(output.into_bytes())),
        Err(error) => Err(io::Error::other(error)),
    });
    Connection::new(attached.input, incoming.boxed())
}

fn host_config(spec: &SandboxSpec, agent_volume: &str, code: Option<Mount>) -> HostConfig {
    let anonymous = |target: &str, no_copy: bool| Mount {
        target: Some(target.to_owned()),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions { no_copy: Some(no_copy), ..MountVolumeOptions::default() }),
        ..Mount::default()
    };
    let in_memory = |target: &String| Mount {
        target: Some(target.clone()),
        typ: Some(MountType::TMPFS),
        tmpfs_options: Some(MountTmpfsOptions { size_bytes: Some(16 << 20), mode: Some(0o755), ..Default::default() }),
        ..Mount::default()
    };
    let folder = |folder: &HostFolder| Mount {
        target: Some(folder.at.display().to_string()),
        source: Some(folder.from.display().to_string()),
        typ: Some(MountType::BIND),
        read_only: Some(true),
        ..Mount::default()
    };
    // Separate volumes, so that no hard link leads from the output to an input, or from `/tmp` to a file of the image.
    let own = [anonymous("/pfs", true), anonymous("/pfs/out", true), anonymous("/tmp", false)];
    let Resources { cpu_thousandths, memory_bytes, gpus } = spec.resources;
    let memory = memory_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    HostConfig {
        auto_remove: Some(true),
        mounts: Some(
            own.into_iter()
                .chain([agent::mount(agent_volume, true)])
                .chain(code)
                .chain(spec.secret_directories.iter().map(in_memory))
                .chain(spec.mounts.iter().map(folder))
                .collect(),
        ),
        network_mode: match spec.network {
            Network::None => Some("none".to_owned()),
            Network::Default => None,
        },
        ipc_mode: Some("private".to_owned()),
        pids_limit: Some(most_processes().into()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        // Otherwise Docker would store everything the agent sends on its disk: every output a second time.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        nano_cpus: cpu_thousandths.map(|cores| i64::try_from(cores).unwrap_or(i64::MAX).saturating_mul(1_000_000)),
        memory,
        // Without swap: exceeding the limit kills the command, on every machine alike.
        memory_swap: memory,
        device_requests: gpus.map(|count| {
            vec![DeviceRequest {
                count: Some(i64::from(count)),
                capabilities: Some(vec![vec!["gpu".to_owned()]]),
                ..DeviceRequest::default()
            }]
        }),
        ..HostConfig::default()
    }
}

/// The settings for commands in a container of this image, unless the spec says otherwise.
fn settings_of(spec: &SandboxSpec, image: &ImageInspect, tmp: Tmp) -> Settings {
    let config = image.config.clone().unwrap_or_default();
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let variables = config.env.unwrap_or_default();
    let mut env: Vec<(String, String)> = vec![("PATH".to_owned(), DEFAULT_PATH.to_owned())];
    env.extend(
        variables
            .iter()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    Settings {
        env,
        user: spec.user.clone().or(filled(config.user)),
        working_dir: spec.working_dir.clone().or(filled(config.working_dir)),
        secret_directories: spec.secret_directories.iter().cloned().collect(),
        has_memory_limit: spec.resources.memory_bytes.is_some(),
        code_path: spec.code_path().to_owned(),
        forbids_sockets: false,
        tmp,
        is_watched: true,
    }
}

#[async_trait]
impl Executor for DockerExecutor {
    fn kind(&self) -> ExecutorKind {
        ExecutorKind::Docker
    }

    async fn check(&self) -> Result<ExecutorInfo, ExecError> {
        let docker = self.docker().await?;
        let version = docker.version().await.map_err(self.failed("tell its version"))?;
        let info = docker.info().await.map_err(self.failed("tell about itself"))?;
        Ok(ExecutorInfo {
            kind: self.kind(),
            version: version.version.unwrap_or_default(),
            host: info.name.unwrap_or_default(),
            platform: (version.os.unwrap_or_default(), version.arch.unwrap_or_default()),
        })
    }

    async fn resolve_image(&self, reference: &str, on_pull: OnPull<'_>) -> Result<Image, ExecError> {
        let docker = self.docker().await?;
        pull::resolve(docker, reference, self.config_dir.as_deref(), on_pull, &self.failed("look at an image")).await
    }

    async fn has_image(&self, image: &SameImage) -> Result<bool, ExecError> {
        Ok(self.here(self.docker().await?, image).await?.is_some())
    }

    async fn save_image(&self, image: &SameImage, to: &mut (dyn Write + Send)) -> Result<(), ExecError> {
        let docker = self.docker().await?;
        let found = match self.here(docker, image).await? {
            Some(found) => Ok(found),
            None => self.from_registry(docker, image).await?,
        };
        match found {
            Ok((id, _)) => archive::save(docker, &id, to).await,
            Err(why) => Err(ExecError::ImageGone { image: Box::new(image.clone()), why }),
        }
    }

    async fn load_image(&self, image: &SavedImage, from: &SavedImages) -> Result<(), ExecError> {
        archive::load(self.docker().await?, image, open(from, image).await?).await.map(drop)
    }

    async fn has_content_at(&self, image: &str, path: &str) -> Result<bool, ExecError> {
        let docker = self.docker().await?;
        let helper = Helper::create(docker, image, labels_of(&self.owner), Vec::new()).await?;
        let found = helper.has_content_at(path).await;
        let removed = helper.remove().await;
        found.and_then(|found| removed.map(|()| found))
    }

    async fn open(&self, spec: &SandboxSpec, files: &dyn FileSource) -> Result<Sandbox, ExecError> {
        let docker = self.docker().await?;
        self.remove_leftovers(docker).await;
        let (image, inspected) = self.image_of(docker, spec).await?;
        let tmp = self.tmp_of(docker, &image).await?;
        let code = self.code.ready(docker, &image, spec, files).await?;
        let mount = code.as_ref().map(|code| code.mount(spec));
        let body = self.body((&image, &inspected), spec, self.agent.name().await?, mount);
        let created = docker
            .create_container(None, body)
            .await
            .map_err(|error| no_bridge(error, self.failed("create a container")))?;
        drop(code);
        let mut guard = Box::new(self.guard(docker, created.id));
        let connection = match self.start(docker, &guard.id, &image).await {
            Ok(connection) => connection,
            Err(error) => {
                // The first error says more than one from the clean-up.
                guard.remove_or_note().await.ok();
                return Err(error);
            }
        };
        // The code is already there.
        match Sandbox::start(connection, guard, settings_of(spec, &inspected, tmp), &[], files).await {
            Ok(sandbox) => Ok(sandbox),
            Err((error, guard)) => {
                let _ = guard.end().await;
                Err(error)
            }
        }
    }

    async fn clean_up(&self, alive: &BTreeSet<String>) -> Result<(), ExecError> {
        let docker = self.docker().await?;
        let filters = HashMap::from([("label".to_owned(), vec![format!("{STORE_LABEL}={}", self.owner.store)])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let containers = docker.list_containers(Some(options)).await.map_err(self.failed("list containers"))?;
        for container in containers {
            let instance = container.labels.as_ref().and_then(|labels| labels.get(INSTANCE_LABEL));
            let Some((id, instance)) = container.id.zip(instance) else { continue };
            if *instance != self.owner.instance && !alive.contains(instance) {
                self.guard(docker, id).remove().await?;
            }
        }
        self.remove_leftovers(docker).await;
        self.code.clean_up(docker, alive).await?;
        self.agent.remove_others(docker).await
    }
}

/// A container, until it is removed.
struct ContainerGuard {
    docker: Docker,
    id: String,
    leftovers: Leftovers,
}

impl ContainerGuard {
    /// Removes it with its anonymous volumes, unless it is gone or being removed.
    async fn remove(&mut self) -> Result<(), ExecError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.docker.remove_container(&self.id, Some(options)).await {
            Ok(()) | Err(DockerError::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(source) => Err(ExecError::Docker { action: "remove a container", source }),
        }
    }

    /// Like [`Self::remove`]; if that fails, it is removed with a later sandbox, or when the engine ends.
    async fn remove_or_note(&mut self) -> Result<(), ExecError> {
        let removed = self.remove().await;
        if removed.is_err() {
            self.leftovers.lock().expect("no panic under this lock").push(self.id.clone());
        }
        removed
    }

    async fn is_gone(&self) -> bool {
        let inspected = self.docker.inspect_container(&self.id, None::<InspectContainerOptions>).await;
        matches!(inspected, Err(DockerError::DockerResponseServerError { status_code: 404, .. }))
    }
}

#[async_trait]
impl Guard for ContainerGuard {
    async fn exit_code(&mut self) -> Option<i32> {
        None // it is removed too soon to be asked
    }

    async fn end(mut self: Box<Self>) -> Result<(), ExecError> {
        let patience = tokio::time::timeout(END_TIME, async {
            while !self.is_gone().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        if patience.await.is_err() { self.remove_or_note().await } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(message: &str) -> ExecError {
        let error = DockerError::DockerResponseServerError { status_code: 404, message: message.to_owned() };
        no_bridge(error, |source| ExecError::Docker { action: "start a container", source })
    }

    #[test]
    fn an_engine_without_a_bridge_is_told_with_the_way_out() {
        for message in [
            "network bridge not found",
            "could not find a network matching network mode default: network default not found",
        ] {
            let error = answer(message);
            let said = format!("{error} {}", error.hint().unwrap_or_default());
            assert!(matches!(error, ExecError::NoBridge { .. }) && said.contains("--bridge=none"), "{said}");
            assert!(said.contains("transform.network: none") && said.contains("pv config set network none"), "{said}");
        }
        assert!(matches!(answer("network other not found"), ExecError::Docker { .. }));
    }
}
