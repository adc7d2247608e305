//! Images: found locally, pulled if missing, and described.

use std::path::Path;

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::{CreateImageInfo, ImageInspect};
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::stream::StreamExt;

use super::super::{ExecError, Image, ImageConfig, OnPull, PullProgress};
use super::credentials;

/// Finds the image, or pulls it.
pub(super) async fn resolve(
    docker: &Docker,
    reference: &str,
    config_dir: Option<&Path>,
    on_pull: OnPull<'_>,
    failed: &(dyn Fn(DockerError) -> ExecError + Sync),
) -> Result<Image, ExecError> {
    if let Some(found) = inspect(docker, reference).await.map_err(failed)? {
        return Ok(describe(reference, found));
    }
    if reference.starts_with("sha256:") {
        let why = "an id cannot be pulled".to_owned();
        return Err(ExecError::ImageNotFound { reference: reference.to_owned(), why });
    }
    pull(docker, reference, config_dir, on_pull).await?;
    let found = inspect(docker, reference).await.map_err(failed)?;
    let why = || "the engine does not have it after the pull".to_owned();
    let found = found.ok_or_else(|| ExecError::PullFailed { reference: reference.to_owned(), why: why() })?;
    Ok(describe(reference, found))
}

/// Docker's description of an image; `None` if it does not have the image.
pub(super) async fn inspect(docker: &Docker, reference: &str) -> Result<Option<ImageInspect>, DockerError> {
    match docker.inspect_image(reference).await {
        Ok(found) => Ok(Some(found)),
        Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn pull(
    docker: &Docker,
    reference: &str,
    config_dir: Option<&Path>,
    on_pull: OnPull<'_>,
) -> Result<(), ExecError> {
    let login = match config_dir {
        Some(directory) => credentials::find(directory, &registry_of(reference)).await,
        None => None,
    };
    // Without a tag or digest Docker would pull every tag.
    let tag = if is_tagged(reference) { "" } else { "latest" };
    let options = CreateImageOptionsBuilder::default().from_image(reference).tag(tag).build();
    let mut steps = docker.create_image(Some(options), None, login);
    while let Some(step) = steps.next().await {
        match step {
            Ok(CreateImageInfo { error_detail: Some(error), .. }) => {
                return Err(refused(reference, error.message.unwrap_or_default()));
            }
            Ok(info) => on_pull(progress(info)),
            Err(
                DockerError::DockerResponseServerError { message, .. }
                | DockerError::DockerStreamError { error: message },
            ) => {
                return Err(refused(reference, message));
            }
            Err(error) => {
                return Err(ExecError::PullFailed { reference: reference.to_owned(), why: error.to_string() });
            }
        }
    }
    Ok(())
}

/// Registries report a missing image only in the message text.
fn refused(reference: &str, why: String) -> ExecError {
    let reference = reference.to_owned();
    let missing =
        ["manifest unknown", "not found", "does not exist", "name unknown", "no such image", "invalid reference"];
    let lower = why.to_lowercase();
    // An unreachable registry may also report a host that is `not found`; the image may exist anyway.
    let unreachable = ["dial tcp", "lookup", "no such host", "timeout", "connection refused"];
    if missing.iter().any(|word| lower.contains(word)) && !unreachable.iter().any(|word| lower.contains(word)) {
        ExecError::ImageNotFound { reference, why }
    } else {
        ExecError::PullFailed { reference, why }
    }
}

fn progress(info: CreateImageInfo) -> PullProgress {
    let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
    let detail = info.progress_detail.unwrap_or_default();
    PullProgress {
        layer: info.id.unwrap_or_default(),
        status: info.status.unwrap_or_default(),
        current_bytes: bytes(detail.current),
        total_bytes: bytes(detail.total),
    }
}

/// Describes an image.
pub(super) fn describe(reference: &str, found: ImageInspect) -> Image {
    let config = found.config.unwrap_or_default();
    let registry_digest = found.repo_digests.unwrap_or_default().into_iter().find_map(|name| {
        let (name, digest) = name.split_once('@')?;
        (name == name_of(reference)).then(|| digest.to_owned())
    });
    Image {
        reference: reference.to_owned(),
        id: found.id.unwrap_or_default(),
        registry_digest,
        config: ImageConfig {
            os: found.os.unwrap_or_default(),
            architecture: found.architecture.unwrap_or_default(),
            diff_ids: found.root_fs.and_then(|layers| layers.layers).unwrap_or_default(),
            env: config.env.unwrap_or_default(),
            entrypoint: config.entrypoint.unwrap_or_default(),
            cmd: config.cmd.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            working_dir: config.working_dir.unwrap_or_default(),
        },
    }
}

/// The reference without tag and digest, as Docker lists it: without `docker.io/library/`.
pub(super) fn name_of(reference: &str) -> &str {
    let name = reference.split_once('@').map_or(reference, |(name, _)| name);
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let name = name[slash..].find(':').map_or(name, |colon| &name[..slash + colon]);
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

fn is_tagged(reference: &str) -> bool {
    reference.contains('@') || reference.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

/// The registry's host, by Docker's rule: a first part with a dot or colon, or `localhost`.
fn registry_of(reference: &str) -> String {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host.to_owned(),
        _ => "docker.io".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_come_apart_as_docker_reads_them() {
        for (reference, registry, name, tagged) in [
            ("ubuntu", "docker.io", "ubuntu", false),
            ("library/ubuntu:20.04", "docker.io", "ubuntu", true),
            ("docker.io/library/ubuntu", "docker.io", "ubuntu", false),
            ("localhost:5000/a/b", "localhost:5000", "localhost:5000/a/b", false),
            ("ghcr.io/a/b:1@sha256:00", "ghcr.io", "ghcr.io/a/b", true),
            ("ana/tool:1", "docker.io", "ana/tool", true),
        ] {
            assert_eq!(
                (registry_of(reference).as_str(), name_of(reference), is_tagged(reference)),
                (registry, name, tagged)
            );
        }
    }

    #[test]
    fn a_missing_image_is_told_from_a_registry_out_of_reach() {
        let kind = |why: &str| refused("x", why.to_owned()).kind();
        assert_eq!(kind("manifest for x:1 not found: manifest unknown"), specs::ErrorKind::NotFound);
        assert_eq!(
            kind("pull access denied for x, repository does not exist or may require 'docker login'"),
            specs::ErrorKind::NotFound
        );
        assert_eq!(kind("dial tcp: lookup registry-1.docker.io: no such host"), specs::ErrorKind::Unavailable);
        assert_eq!(kind("toomanyrequests: rate limit"), specs::ErrorKind::Unavailable);
    }

    #[test]
    fn the_identity_of_an_image_is_its_contents() {
        let image = describe(
            "busybox:1",
            ImageInspect { id: Some("sha256:1".into()), os: Some("linux".into()), ..ImageInspect::default() },
        );
        let identity = image.config.identity();
        assert_eq!(identity["os"], "linux");
        assert_eq!(identity.as_object().unwrap().len(), 8);
        assert!(!identity.to_string().contains("sha256:1"), "the engine's id is not part of it");
    }
}
