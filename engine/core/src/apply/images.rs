//! Images: found, pulled if missing, and pinned by their identity.

use std::collections::BTreeMap;
use std::path::Path;

use repos::documents::{ImageStamp, VersionDocument};
use specs::Diagnostic;
use specs::spec::{DEFAULT_CODE_PATH, Parsed, PipelineSpec};

use super::versions::Settings;
use crate::error::{EngineError, Result, in_full};
use crate::executors::runs_on_host;
use sandbox::agent::SYSTEM;
use sandbox::{ExecError, Executor, ExecutorKind, Image, OnPull};

/// A pinned image.
#[derive(Debug, Clone)]
pub(super) struct Pinned {
    /// The stamp for the version document.
    pub(super) stamp: ImageStamp,
    /// What it executes by default.
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

/// The image of a version as it was pinned; `None` if it has none.
pub(super) fn of_version(version: &VersionDocument) -> Option<Pinned> {
    let stamp = version.image.clone()?;
    Some(Pinned { stamp, entrypoint: version.entrypoint.clone() })
}

/// Whether a spec needs an image under an executor that has some.
pub(super) fn is_needed(spec: &PipelineSpec, settings: &Settings) -> bool {
    reference_of(spec, settings).is_some()
}

fn reference_of<'a>(spec: &'a PipelineSpec, settings: &'a Settings) -> Option<&'a str> {
    spec.transform.image.as_deref().or(settings.default_image.as_deref())
}

/// Finds each distinct image once. An image without anything to execute is an error in the specs that rely on it.
pub(super) async fn resolve(
    executor: &dyn Executor,
    settings: &Settings,
    specs: &[Parsed],
    on_pull: OnPull<'_>,
    found: &mut Vec<Diagnostic>,
) -> Result<Images> {
    let mut images = Images::default();
    let mut missing = NotFound::default();
    for parsed in specs {
        if let Some(reference) = reference_of(&parsed.spec, settings)
            && !images.0.contains_key(reference)
            && !missing.has(reference, parsed)
        {
            match for_spec(executor, settings, &parsed.spec, on_pull).await {
                Ok(pinned) => images.0.extend(pinned.map(|pinned| (reference.to_owned(), pinned))),
                Err(EngineError::Executor(error @ ExecError::ImageNotFound { .. })) => {
                    missing.add(reference, error, parsed);
                }
                Err(error) => return Err(error),
            }
        }
        let silent = images.of(&parsed.spec, settings).filter(|pinned| pinned.entrypoint.is_empty());
        if let Some(pinned) = silent.filter(|_| parsed.spec.transform.cmd.is_empty()) {
            let image = pinned.stamp.reference;
            let message =
                format!("pipeline `{}` has no `cmd`, and image `{image}` has no entrypoint", parsed.spec.name);
            found.push(parsed.error(parsed.places.cmd.unwrap_or(parsed.places.transform), message, None));
        }
        let pinned = images.of(&parsed.spec, settings);
        if let Some(message) = code_in_the_way(executor, &parsed.spec, pinned.as_ref()).await? {
            let hint =
                "mount the code at an unused path, as in `code_path: /app`, and use that path in `cmd`".to_owned();
            found.push(parsed.error(parsed.places.code.unwrap_or(parsed.places.transform), message, Some(hint)));
        }
    }
    missing.refuse()?;
    Ok(images)
}

/// Images that neither engine nor registry has, each with the places that name it.
#[derive(Default)]
struct NotFound(BTreeMap<String, (ExecError, Vec<String>)>);

impl NotFound {
    /// Whether an image is already known to be missing; then this place is added.
    fn has(&mut self, reference: &str, parsed: &Parsed) -> bool {
        let known = self.0.get_mut(reference);
        known.map(|(_, places)| places.push(place_of(parsed))).is_some()
    }

    fn add(&mut self, reference: &str, error: ExecError, parsed: &Parsed) {
        self.0.insert(reference.to_owned(), (error, vec![place_of(parsed)]));
    }

    /// `NotFound` with a line for each.
    fn refuse(self) -> Result<()> {
        let Some((_, (first, _))) = self.0.first_key_value() else { return Ok(()) };
        let hint = first.hint();
        let line = |(error, places): &(ExecError, Vec<String>)| format!("{}: {}", places.join(", "), in_full(error));
        let what: Vec<String> = self.0.values().map(line).collect();
        Err(EngineError::NotFound { what: what.join("\n"), hint })
    }
}

/// Where a spec names its image, or could.
fn place_of(parsed: &Parsed) -> String {
    format!("{}:{}", parsed.file, parsed.places.image.unwrap_or(parsed.places.transform))
}

/// What the code of a spec would hide in its sandbox: files of the image, or of the host if there are no images.
pub(super) async fn code_in_the_way(
    executor: &dyn Executor,
    spec: &PipelineSpec,
    image: Option<&Pinned>,
) -> Result<Option<String>> {
    if spec.transform.code.is_none() {
        return Ok(None);
    }
    let path = spec.transform.code_path.as_deref().unwrap_or(DEFAULT_CODE_PATH);
    if runs_on_host(executor.kind(), image.is_some()) {
        let system = SYSTEM.iter().find(|system| Path::new(path).starts_with(system));
        return Ok(
            system.map(|system| format!("`code` at `{path}` would hide files of `{system}` in the process executor"))
        );
    }
    let Some(Pinned { stamp: ImageStamp { reference, id, .. }, .. }) = image else { return Ok(None) };
    let is_in_the_way = executor.has_content_at(id, path).await?;
    Ok(is_in_the_way.then(|| format!("`code` would hide files of image `{reference}` at `{path}`")))
}

/// Finds and pins the image of one spec.
pub(super) async fn for_spec(
    executor: &dyn Executor,
    settings: &Settings,
    spec: &PipelineSpec,
    on_pull: OnPull<'_>,
) -> Result<Option<Pinned>> {
    match (executor.kind(), reference_of(spec, settings)) {
        (ExecutorKind::Docker | ExecutorKind::Workers | ExecutorKind::Kubernetes, Some(reference)) => {
            Ok(Some(pin(executor.resolve_image(reference, on_pull).await?)))
        }
        _ => Ok(None),
    }
}

fn pin(image: Image) -> Pinned {
    let digest = image.identity();
    let entrypoint = [image.config.entrypoint, image.config.cmd].concat();
    let Image { reference, id, registry_digest, .. } = image;
    Pinned { stamp: ImageStamp { reference, digest, id, registry_digest }, entrypoint }
}
