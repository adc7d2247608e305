//! How the agent gets into containers: on a volume, named after the binary's digest and filled once through the API.
//!
//! A volume may exist but be incomplete (its writer died, or is still at work). So a marker is uploaded after the binary, and only a volume
//! with the marker counts. Only one engine may fill it at a time, since a program cannot be started while it is being written: the
//! container through which it is filled has a fixed name, which is unique.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::{Mount, MountType};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::super::ExecError;
use super::helper::{self, Helper, failed};

/// The mount point of the volume in every container.
pub(super) const MOUNT_POINT: &str = "/.pv";
/// The agent's program.
pub(super) const AGENT: &str = "/.pv/pv";
const MARKER: &str = "complete";
const PREFIX: &str = "pv-agent-";
/// How long another engine may take to fill the volume.
const FILL_TIME: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The volume with this engine's binary.
#[derive(Debug)]
pub(super) struct AgentVolume {
    pv: PathBuf,
    name: OnceCell<String>,
}

impl AgentVolume {
    pub(super) fn new(pv: PathBuf) -> Self {
        Self { pv, name: OnceCell::new() }
    }

    /// `pv-agent-` and the beginning of the binary's digest: another binary gets another volume.
    pub(super) async fn name(&self) -> Result<&str, ExecError> {
        let name = self.name.get_or_try_init(|| async {
            let digest = specs::Digest::from_bytes(Sha256::digest(self.read().await?).into());
            Ok::<_, ExecError>(format!("{PREFIX}{}", digest.short(16)))
        });
        Ok(name.await?)
    }

    async fn read(&self) -> Result<Vec<u8>, ExecError> {
        let failed = |source| ExecError::Io { action: "read", path: self.pv.clone(), source };
        tokio::fs::read(&self.pv).await.map_err(failed)
    }

    /// Ensures that the volume, mounted in this container, contains the binary.
    pub(super) async fn fill(
        &self,
        docker: &Docker,
        container: &str,
        image: &str,
        labels: HashMap<String, String>,
    ) -> Result<(), ExecError> {
        let volume = self.name().await?;
        let (name, begun) = (format!("{volume}-filler"), Instant::now());
        loop {
            if is_complete(docker, container).await? {
                return Ok(());
            }
            // The container mounts the volume read-only, so another one receives the upload.
            let mounts = vec![mount(volume, false)];
            if let Some(helper) = Helper::create_as(docker, Some(&name), image, labels.clone(), mounts).await? {
                let filled = match is_complete(docker, container).await {
                    Ok(false) => self.upload(docker, &helper.id).await,
                    known => known.map(drop),
                };
                return filled.and(helper.remove().await);
            }
            if begun.elapsed() > 2 * FILL_TIME {
                let why = format!("the container `{name}`, which fills the agent's volume, is in the way");
                return Err(ExecError::SandboxLost { why });
            }
            if begun.elapsed() > FILL_TIME {
                // The engine that created it is dead or stuck; another try creates its own.
                Helper::named(docker, &name).remove().await.ok();
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Removes the volumes of other binaries that no container uses. An engine that still needs one fills it again.
    pub(super) async fn remove_others(&self, docker: &Docker) -> Result<(), ExecError> {
        let own = self.name().await?;
        let filters = HashMap::from([("name".to_owned(), vec![PREFIX.to_owned()])]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let found = docker.list_volumes(Some(options)).await.map_err(failed("list volumes"))?;
        for volume in found.volumes.unwrap_or_default() {
            if volume.name == own || !volume.name.starts_with(PREFIX) {
                continue;
            }
            match docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await {
                Ok(()) | Err(DockerError::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
                Err(error) => return Err(failed("remove a volume")(error)),
            }
        }
        Ok(())
    }

    async fn upload(&self, docker: &Docker, helper: &str) -> Result<(), ExecError> {
        for (name, content) in [("pv", self.read().await?), (MARKER, Vec::new())] {
            let archive = archive(name, &content).map_err(|source| ExecError::Io {
                action: "pack",
                path: self.pv.clone(),
                source,
            })?;
            let options = UploadToContainerOptionsBuilder::default().path(MOUNT_POINT).build();
            let body = bollard::body_full(Bytes::from(archive));
            docker.upload_to_container(helper, Some(options), body).await.map_err(failed("upload the agent"))?;
        }
        Ok(())
    }
}

/// The volume as a mount in a container.
pub(super) fn mount(volume: &str, read_only: bool) -> Mount {
    Mount {
        target: Some(MOUNT_POINT.to_owned()),
        source: Some(volume.to_owned()),
        typ: Some(MountType::VOLUME),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

async fn is_complete(docker: &Docker, container: &str) -> Result<bool, ExecError> {
    Ok(helper::stat(docker, container, &format!("{MOUNT_POINT}/{MARKER}")).await?.is_some())
}

fn archive(name: &str, content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o555);
    header.set_uid(0);
    header.set_gid(0);
    let mut archive = tar::Builder::new(Vec::with_capacity(content.len() + 4096));
    archive.append_data(&mut header, name, content)?;
    archive.into_inner()
}
