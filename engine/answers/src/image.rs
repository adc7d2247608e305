//! The images in the records of a store, and where each is.

use std::collections::BTreeMap;

use engine::{EngineError, Result};
use repos::access::Right;
use repos::documents::VersionDocument;
use repos::{Store, Timestamp};
use sandbox::{Executor, SameImage, SavedImage, SavedImages};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{Digest, Reference};

use crate::trace::{FileNode, Origin, Reach, trace};

pub use repos::documents::ImageStamp;

/// Minimum number of hex digits of an image's digest.
const DIGITS: usize = 4;

/// An image in the store's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageView {
    /// Its digest, as in recipes.
    pub digest: Digest,
    /// Its reference in the spec.
    pub reference: String,
    /// The container engine's id.
    pub id: String,
    /// The digest it had in the registry.
    pub registry_digest: Option<String>,
    /// The versions of pipelines that use it: `detect v3`.
    pub used_by: Vec<String>,
    /// Whether the container engine has it; `null` if none answers.
    pub in_engine: Option<bool>,
    /// The archive in the store's folder.
    pub saved: Option<SavedView>,
}

/// An archive with an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SavedView {
    /// SHA-256 of the file.
    pub archive: Digest,
    /// When it was saved.
    pub saved_at: Timestamp,
    /// The file's length.
    pub size_bytes: u64,
}

impl From<&SavedImage> for SavedView {
    fn from(saved: &SavedImage) -> Self {
        Self { archive: saved.archive, saved_at: saved.saved_at, size_bytes: saved.size_bytes }
    }
}

/// An image that versions of pipelines were pinned to.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The image.
    pub stamp: ImageStamp,
    /// The pipeline versions, as `detect v3`.
    pub used_by: Vec<String>,
    /// Whether the current version of a pipeline uses it.
    pub is_present: bool,
}

/// Describes an image; `in_engine` is the container engine's answer.
pub fn image_view(store: &Store, image: Recorded, in_engine: Option<bool>) -> Result<ImageView> {
    let Recorded { stamp, used_by, .. } = image;
    let saved = saved_images(store).find(&stamp.digest)?.as_ref().map(SavedView::from);
    let ImageStamp { reference, digest, id, registry_digest, .. } = stamp;
    Ok(ImageView { digest, reference, id, registry_digest, used_by, in_engine, saved })
}

/// The saved images of a store, to say where an image is.
fn saved_images(store: &Store) -> SavedImages {
    SavedImages::of(&store.folder())
}

/// The saved images of a store, to load or save some. `Refused` without the right to.
pub fn saved_images_to_use(store: &Store) -> Result<SavedImages> {
    store.ensure_may(Right::Images)?;
    Ok(saved_images(store))
}

/// All recorded images, in the order of first use.
pub fn images(store: &Store) -> Result<Vec<Recorded>> {
    let present: BTreeMap<_, _> = store.pipelines()?.into_iter().map(|(name, row)| (name, row.version)).collect();
    let mut found: Vec<Recorded> = Vec::new();
    for name in store.pipelines_ever()? {
        for row in store.pipeline_versions(&name)? {
            let document: VersionDocument = store.document(&row.document)?;
            let Some(stamp) = document.image else { continue };
            let used_by = format!("{name} v{}", document.version);
            let is_present = present.get(&name) == Some(&document.version);
            match found.iter_mut().find(|known| known.stamp.digest == stamp.digest) {
                Some(known) => {
                    known.used_by.push(used_by);
                    known.is_present |= is_present;
                }
                None => found.push(Recorded { stamp, used_by: vec![used_by], is_present }),
            }
        }
    }
    Ok(found)
}

/// The selected images. A word is a pipeline (its current version), a reference such as `threat:1`, an image's digest, or an output file
/// with its provenance. Without words: those of the current pipelines, or all if `every`.
pub fn images_named(store: &Store, words: &[String], every: bool) -> Result<Vec<Recorded>> {
    let all = images(store)?;
    if words.is_empty() {
        return Ok(all.into_iter().filter(|image| every || image.is_present).collect());
    }
    let mut wanted: Vec<Digest> = Vec::new();
    for word in words {
        let of_word = if word.contains(":/") { of_file(store, word)? } else { of_word(store, &all, word)? };
        wanted.extend(of_word);
    }
    Ok(all.into_iter().filter(|image| wanted.contains(&image.stamp.digest)).collect())
}

fn of_word(store: &Store, all: &[Recorded], word: &str) -> Result<Vec<Digest>> {
    if let Ok(name) = word.parse()
        && let Some(row) = store.find_pipeline(&name)?
    {
        let document: VersionDocument = store.document(&row.document)?;
        return Ok(document.image.into_iter().map(|image| image.digest).collect());
    }
    let is_digest = word.len() >= DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_meant = |image: &&Recorded| {
        image.stamp.reference == word || (is_digest && image.stamp.digest.to_string().starts_with(word))
    };
    let found: Vec<Digest> = all.iter().filter(is_meant).map(|image| image.stamp.digest).collect();
    if found.is_empty() {
        let hint = Some("pv image list lists all recorded images".to_owned());
        return Err(EngineError::NotFound {
            what: format!("`{word}` is neither a pipeline nor a recorded image"),
            hint,
        });
    }
    Ok(found)
}

/// The images in the provenance of a file.
fn of_file(store: &Store, word: &str) -> Result<Vec<Digest>> {
    let reference: Reference = word.parse().map_err(|error| crate::named::not_a_reference(&error))?;
    let at = store.resolve(&reference)?;
    let found = trace(store, &at, Reach::everything())?;
    let mut images = Vec::new();
    collect(&found.file, &mut images);
    Ok(images)
}

fn collect(file: &FileNode, images: &mut Vec<Digest>) {
    if let Origin::Datum(datum) = &file.origin {
        images.extend(datum.image.iter().map(|image| image.digest));
        datum.inputs.iter().flat_map(|input| &input.files).for_each(|file| collect(file, images));
    }
}

/// An image that was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageSavedView {
    /// Its digest, as in recipes.
    pub digest: Digest,
    /// Whether it was not saved before.
    pub new: bool,
    /// Its reference in the spec.
    pub reference: String,
    /// The archive in the store's folder.
    pub saved: SavedView,
}

/// A saved image that the container engine has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageLoadedView {
    /// Its digest, as in recipes.
    pub digest: Digest,
    /// Whether the container engine did not have it before.
    pub loaded: bool,
    /// Its reference in the spec.
    pub reference: String,
}

/// Saves the selected images that are not saved yet, out of a container engine; calls `done` with each. See [`images_named`].
pub async fn save_images(
    store: &Store,
    engine: &dyn Executor,
    (words, every): (&[String], bool),
    mut done: impl FnMut(ImageSavedView) -> Result<()>,
) -> Result<()> {
    let images = images_named(store, words, every)?;
    if images.is_empty() {
        let hint = Some("pv image list; the process executor uses no images".to_owned());
        return Err(EngineError::NotFound { what: "no image is recorded for these".to_owned(), hint });
    }
    let saved = saved_images_to_use(store)?;
    for Recorded { stamp, .. } in images {
        let known = saved.find(&stamp.digest)?;
        let new = known.is_none();
        let kept = if let Some(known) = known {
            known
        } else {
            let mut incoming = saved.begin()?;
            engine.save_image(&SameImage::from(&stamp), &mut incoming).await?;
            incoming.finish(&stamp, store.clock().now())?
        };
        done(ImageSavedView { digest: stamp.digest, new, reference: stamp.reference, saved: SavedView::from(&kept) })?;
    }
    Ok(())
}

/// Loads the selected images, of those that are saved, into a container engine that lacks them; calls `done` with each.
pub async fn load_images(
    store: &Store,
    engine: &dyn Executor,
    words: &[String],
    mut done: impl FnMut(ImageLoadedView) -> Result<()>,
) -> Result<()> {
    let saved = saved_images_to_use(store)?;
    let mut is_any = false;
    for Recorded { stamp, .. } in images_named(store, words, true)? {
        let Some(archive) = saved.find(&stamp.digest)? else {
            if words.is_empty() {
                continue;
            }
            let what = format!("image `{}` ({}) was not saved", stamp.reference, stamp.digest.short(8));
            let hint = Some("run pv image save on a machine that still has it".to_owned());
            return Err(EngineError::NotFound { what, hint });
        };
        is_any = true;
        let has_it = engine.has_image(&SameImage::from(&stamp)).await?;
        if !has_it {
            engine.load_image(&archive, &saved).await?;
        }
        done(ImageLoadedView { digest: stamp.digest, loaded: !has_it, reference: stamp.reference })?;
    }
    if is_any {
        return Ok(());
    }
    let hint = Some("pv image save saves images".to_owned());
    Err(EngineError::NotFound { what: "no image was saved".to_owned(), hint })
}

/// All recorded images, each with whether a container engine has it.
pub async fn image_views(store: &Store, engine: &dyn Executor) -> Result<Vec<ImageView>> {
    let mut views = Vec::new();
    for image in images(store)? {
        // Without an answer from the container engine, the recorded images are still listed.
        let in_engine = engine.has_image(&SameImage::from(&image.stamp)).await.ok();
        views.push(image_view(store, image, in_engine)?);
    }
    Ok(views)
}
