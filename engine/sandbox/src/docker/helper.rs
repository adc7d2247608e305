//! Containers that never start: through them the API fills volumes and inspects images.

use std::collections::HashMap;

use bollard::Docker;
use bollard::container::PathStatResponse;
use bollard::errors::Error as DockerError;
use bollard::models::{ContainerCreateBody, HostConfig, Mount};
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use futures_util::stream::StreamExt;

use super::super::ExecError;
use super::agent::AGENT;

/// Go's directory bit in a file mode.
const IS_DIRECTORY: u32 = 1 << 31;
/// Number of archive bytes that are enough to see whether a directory has an entry.
const GLANCE: usize = 16 * 1024;

/// A container that never starts. It must be removed; a leftover has the labels of its engine and is removed at the next clean-up.
pub(super) struct Helper<'a> {
    docker: &'a Docker,
    pub(super) id: String,
}

impl<'a> Helper<'a> {
    pub(super) async fn create(
        docker: &'a Docker,
        image: &str,
        labels: HashMap<String, String>,
        mounts: Vec<Mount>,
    ) -> Result<Self, ExecError> {
        let made = Self::create_as(docker, None, image, labels, mounts).await?;
        made.ok_or_else(|| ExecError::SandboxLost {
            why: "a container without a name has the name of another".to_owned(),
        })
    }

    /// The same with a unique name: `None` if a container with this name exists.
    pub(super) async fn create_as(
        docker: &'a Docker,
        name: Option<&str>,
        image: &str,
        labels: HashMap<String, String>,
        mounts: Vec<Mount>,
    ) -> Result<Option<Self>, ExecError> {
        let options = name.map(|name| CreateContainerOptionsBuilder::default().name(name).build());
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(vec![AGENT.to_owned()]),
            labels: Some(labels),
            host_config: Some(HostConfig { mounts: Some(mounts), ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        match docker.create_container(options, body).await {
            Ok(created) => Ok(Some(Self { docker, id: created.id })),
            Err(DockerError::DockerResponseServerError { status_code: 409, .. }) if name.is_some() => Ok(None),
            Err(error) => Err(failed("create a container to prepare others")(error)),
        }
    }

    /// A container that another process created under this name, in order to remove it.
    pub(super) fn named(docker: &'a Docker, name: &str) -> Self {
        Self { docker, id: name.to_owned() }
    }

    /// Removes it, with the volumes that the image declares.
    pub(super) async fn remove(self) -> Result<(), ExecError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let removed = self.docker.remove_container(&self.id, Some(options)).await;
        removed.map_err(failed("remove a container that prepared others"))
    }

    /// Whether the image has anything at this path; a link counts, whatever its target.
    pub(super) async fn has(&self, path: &str) -> Result<bool, ExecError> {
        Ok(stat(self.docker, &self.id, path).await?.is_some())
    }

    /// Whether a directory mounted at this path would hide anything: a file, a link, or a non-empty directory.
    pub(super) async fn has_content_at(&self, path: &str) -> Result<bool, ExecError> {
        let Some(found) = stat(self.docker, &self.id, path).await? else { return Ok(false) };
        if found.file_mode & IS_DIRECTORY == 0 {
            return Ok(true);
        }
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut archive = Box::pin(self.docker.download_from_container(&self.id, Some(options)));
        let mut seen = Vec::new();
        while seen.len() < GLANCE
            && let Some(chunk) = archive.next().await
        {
            seen.extend_from_slice(&chunk.map_err(failed("look into an image"))?);
        }
        // The first entry is the directory itself. The archive may be cut off after the second.
        let mut archive = tar::Archive::new(seen.as_slice());
        let entries = archive.entries().map_err(cannot_read)?.take(2);
        Ok(entries.flatten().count() > 1)
    }
}

/// What a container has at a path; `None` for nothing.
pub(super) async fn stat(docker: &Docker, container: &str, path: &str) -> Result<Option<PathStatResponse>, ExecError> {
    let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
    match docker.get_container_archive_info(container, Some(options)).await {
        Ok(found) => Ok(Some(found)),
        Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(failed("look into a container")(error)),
    }
}

fn cannot_read(error: std::io::Error) -> ExecError {
    failed("send an archive that can be read")(error.into())
}

pub(super) fn failed(action: &'static str) -> impl FnOnce(DockerError) -> ExecError {
    move |source| ExecError::Docker { action, source }
}
