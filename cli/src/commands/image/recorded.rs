//! Which images the records of a store name.

use std::collections::BTreeMap;

use answers::trace::{FileNode, Origin, Reach, trace};
use repos::Store;
use repos::documents::{ImageStamp, VersionDocument};
use sandbox::{SavedImage, SavedImages};
use specs::{Digest, ErrorKind, Reference};

use crate::error::{CliError, Result};
use crate::output::short_digest;

/// Minimum number of hex digits of an image's digest.
const DIGITS: usize = 4;

/// An image that versions of pipelines were pinned to.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) stamp: ImageStamp,
    /// The pipeline versions, as `detect v3`.
    pub(super) used_by: Vec<String>,
    /// Whether the current version of a pipeline uses it.
    pub(super) is_present: bool,
}

/// All recorded images, in the order of first use.
pub(super) fn all(store: &Store) -> Result<Vec<Recorded>> {
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
pub(super) fn named(store: &Store, words: &[String], every: bool) -> Result<Vec<Recorded>> {
    let all = all(store)?;
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
        let error = CliError::new(ErrorKind::NotFound, format!("`{word}` is neither a pipeline nor a recorded image"));
        return Err(error.hint("pv image list lists all recorded images"));
    }
    Ok(found)
}

/// The images in the provenance of a file.
fn of_file(store: &Store, word: &str) -> Result<Vec<Digest>> {
    let at = store.resolve(&word.parse::<Reference>()?)?;
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

/// The saved images of a store.
pub(super) fn saved(store: &Store) -> SavedImages {
    SavedImages::of(&store.folder())
}

/// `threat:1   1c9e77ab`
pub(super) fn words(image: &ImageStamp) -> String {
    format!("{}   {}", image.reference, short_digest(&image.digest))
}

/// A saved image as JSON.
pub(super) fn archive(saved: &SavedImage) -> serde_json::Value {
    serde_json::json!({"archive": saved.archive, "size_bytes": saved.size_bytes, "saved_at": saved.saved_at})
}
