//! Images: found, pulled if missing, and pinned by what they are.

use std::collections::BTreeMap;

use repos::documents::ImageStamp;
use specs::Diagnostic;
use specs::spec::{Parsed, PipelineSpec};

use super::versions::Settings;
use crate::error::Result;
use crate::executor::{Executor, ExecutorKind, Image, OnPull};

/// A pinned image.
#[derive(Debug, Clone)]
pub(super) struct Pinned {
    /// For the version's document.
    pub(super) stamp: ImageStamp,
    /// What it executes when nothing else is said.
    pub(super) entrypoint: Vec<String>,
}

/// The images of all specs by reference; empty under an executor without images.
#[derive(Debug, Default)]
pub(super) struct Images(BTreeMap<String, Pinned>);

impl Images {
    /// The image of a spec.
    pub(super) fn of(&self, spec: &PipelineSpec, settings: &Settings) -> Option<Pinned> {
        self.0.get(reference_of(spec, settings)?).cloned()
    }
}

fn reference_of<'a>(spec: &'a PipelineSpec, settings: &'a Settings) -> Option<&'a str> {
    spec.transform.image.as_deref().or(settings.default_image.as_deref())
}

/// Finds each distinct image once. An image without anything to execute is an error of the specs that rely on it.
pub(super) async fn resolve(
    executor: &dyn Executor,
    settings: &Settings,
    specs: &[Parsed],
    on_pull: OnPull<'_>,
    found: &mut Vec<Diagnostic>,
) -> Result<Images> {
    let mut images = Images::default();
    for parsed in specs {
        if let Some(reference) = reference_of(&parsed.spec, settings)
            && !images.0.contains_key(reference)
            && let Some(pinned) = for_spec(executor, settings, &parsed.spec, on_pull).await?
        {
            images.0.insert(reference.to_owned(), pinned);
        }
        let silent = images.of(&parsed.spec, settings).filter(|pinned| pinned.entrypoint.is_empty());
        if let Some(pinned) = silent.filter(|_| parsed.spec.transform.cmd.is_empty()) {
            let image = pinned.stamp.reference;
            let message =
                format!("pipeline `{}` has no `cmd`, and image `{image}` has no entrypoint", parsed.spec.name);
            found.push(parsed.error(parsed.places.cmd.unwrap_or(parsed.places.transform), message, None));
        }
    }
    Ok(images)
}

/// Finds and pins the image of one spec.
pub(super) async fn for_spec(
    executor: &dyn Executor,
    settings: &Settings,
    spec: &PipelineSpec,
    on_pull: OnPull<'_>,
) -> Result<Option<Pinned>> {
    match (executor.kind(), reference_of(spec, settings)) {
        (ExecutorKind::Docker, Some(reference)) => Ok(Some(pin(executor.resolve_image(reference, on_pull).await?))),
        _ => Ok(None),
    }
}

fn pin(image: Image) -> Pinned {
    let digest = image.identity();
    let entrypoint = [image.config.entrypoint, image.config.cmd].concat();
    let Image { reference, id, registry_digest, .. } = image;
    Pinned { stamp: ImageStamp { reference, digest, id, registry_digest }, entrypoint }
}
