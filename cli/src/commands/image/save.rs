//! `pv image save`

use answers::image::{SavedView, images_named, saved_images};
use sandbox::SameImage;
use serde_json::json;
use specs::ErrorKind;

use super::words;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::executors::executors;
use crate::output::size;

/// Save images in the store's folder, for when engine and registry lose them
///
/// Each image becomes a compressed archive in the store's folder `images`, named by its SHA-256, with a record of which image it holds.
/// `pv run` and `pv verify --rerun` load it from there when needed. `pv mirror` does not copy that folder.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipeline, image (reference or digest), or output file: all images in its provenance
    #[arg(value_name = "PIPELINE|IMAGE|REF:/PATH")]
    what: Vec<String>,
    /// Also save the images of earlier pipeline versions
    #[arg(long, conflicts_with = "what")]
    all: bool,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let images = images_named(store, &args.what, args.all)?;
    if images.is_empty() {
        let error = CliError::new(ErrorKind::NotFound, "no image is recorded for these");
        return Err(error.hint("pv image list; the process executor uses no images"));
    }
    let docker = executors(cx, store)?.docker;
    let saved = saved_images(store);
    for image in images {
        let stamp = image.stamp;
        let known = saved.find(&stamp.digest)?;
        let is_new = known.is_none();
        let kept = if let Some(known) = known {
            known
        } else {
            let mut incoming = saved.begin()?;
            cx.block_on(async { docker.save_image(&SameImage::from(&stamp), &mut incoming).await })??;
            incoming.finish(&stamp, store.clock().now())?
        };
        let told = if is_new { "saved" } else { "exists" };
        let line = format!("{told}   {}   {}   images/{}.tar.zst", words(&stamp), size(kept.size_bytes), kept.archive);
        if cx.out().is_json() {
            cx.out().json(&json!({
                "digest": stamp.digest, "reference": stamp.reference, "new": is_new, "saved": SavedView::from(&kept),
            }))?;
        } else {
            cx.out().line(line)?;
        }
    }
    Ok(())
}
