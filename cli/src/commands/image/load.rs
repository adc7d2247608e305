//! `pv image load`

use answers::image::{ImageLoadedView, load_images};

use super::words;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::executors::executors;

/// Load saved images into the container engine
///
/// Each image is checked against its recorded digest: an archive that holds a different image is refused.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipeline, image (reference or digest), or output file: all images in its provenance
    #[arg(value_name = "PIPELINE|IMAGE|REF:/PATH")]
    what: Vec<String>,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let docker = executors(cx, store)?.docker;
    let mut printed = Ok(());
    let done = cx.block_on(load_images(store, docker.as_ref(), &args.what, |image| {
        if printed.is_ok() {
            printed = print(cx, &image);
        }
        Ok(())
    }))?;
    printed.and(done.map_err(CliError::from))
}

fn print(cx: &Context, image: &ImageLoadedView) -> Result<()> {
    if cx.out().is_json() {
        return cx.out().json(image);
    }
    let told = if image.loaded { "loaded" } else { "exists" };
    cx.out().line(format!("{told}   {}", words(&image.reference, &image.digest)))
}
