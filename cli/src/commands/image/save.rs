//! `pv image save`

use answers::image::{ImageSavedView, save_images};

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
    let docker = executors(cx, store)?.docker;
    let mut printed = Ok(());
    let done = cx.block_on(save_images(store, docker.as_ref(), (&args.what, args.all), |image| {
        if printed.is_ok() {
            printed = print(cx, &image);
        }
        Ok(())
    }))?;
    printed.and(done.map_err(CliError::from))
}

fn print(cx: &Context, image: &ImageSavedView) -> Result<()> {
    if cx.out().is_json() {
        return cx.out().json(image);
    }
    let ImageSavedView { digest, new, reference, saved } = image;
    let told = if *new { "saved" } else { "exists" };
    let (words, size) = (words(reference, digest), size(saved.size_bytes));
    cx.out().line(format!("{told}   {words}   {size}   images/{}.tar.zst", saved.archive))
}
