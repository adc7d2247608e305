//! Exports images from the engine as archives, and imports them.

use std::io::{self, Read, Write};

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::ImageInspect;
use bollard::query_parameters::ImportImageOptionsBuilder;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc;

use super::super::{ExecError, SavedImage};
use super::pull;

/// Number of bytes sent at a time.
const CHUNK: usize = 256 << 10;

/// Writes an image as `docker save` does.
pub(super) async fn save(docker: &Docker, image: &str, to: &mut (dyn Write + Send)) -> Result<(), ExecError> {
    let mut archive = std::pin::pin!(docker.export_image(image));
    while let Some(chunk) = archive.next().await {
        let chunk = chunk.map_err(|source| ExecError::Docker { action: "save an image", source })?;
        to.write_all(&chunk).map_err(|source| ExecError::Caller {
            action: "write an image's archive",
            kind: specs::ErrorKind::Unavailable,
            source: source.into(),
        })?;
    }
    Ok(())
}

/// Loads a saved image into the engine; returns its id there. Fails if the loaded image is not the one that was saved.
pub(super) async fn load(
    docker: &Docker,
    saved: &SavedImage,
    archive: Box<dyn Read + Send>,
) -> Result<(String, ImageInspect), ExecError> {
    let refused = |source: DockerError| ExecError::Docker { action: "load an image", source };
    let options = ImportImageOptionsBuilder::default().quiet(true).build();
    let mut steps = std::pin::pin!(docker.import_image_stream(options, chunks(archive), None));
    let mut named = Vec::new();
    while let Some(step) = steps.next().await {
        named.extend(step.map_err(refused)?.stream.and_then(|line| loaded(&line)));
    }
    let mut found = None;
    for id in std::iter::once(saved.id.clone()).chain(named) {
        if let Some(inspected) = pull::inspect(docker, &id).await.map_err(refused)? {
            found = Some((id, inspected));
            break;
        }
    }
    let unusable = |why: &str| ExecError::ImageNotFound { reference: saved.reference.clone(), why: why.to_owned() };
    let (id, inspected) =
        found.ok_or_else(|| unusable("the engine loaded the saved archive but does not have the image"))?;
    if pull::describe(&saved.reference, inspected.clone()).identity() != saved.digest {
        return Err(unusable("the saved archive contains a different image than recorded"));
    }
    Ok((id, inspected))
}

/// The image named in a line of the engine's output: `Loaded image ID: sha256:…`, `Loaded image: threat:1`.
fn loaded(line: &str) -> Option<String> {
    let line = line.trim();
    line.strip_prefix("Loaded image ID: ").or_else(|| line.strip_prefix("Loaded image: ")).map(ToOwned::to_owned)
}

/// The output of a blocking reader as a stream.
fn chunks(mut archive: Box<dyn Read + Send>) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match archive.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => Ok(chunk[..length].to_vec().into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_last = read.is_err();
            if sender.blocking_send(read).is_err() || is_last {
                break;
            }
        }
    });
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}
