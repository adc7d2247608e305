//! `pv image load`

use answers::image::{images_named, saved_images};
use sandbox::SameImage;
use serde_json::json;
use specs::ErrorKind;

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
    let saved = saved_images(store);
    let mut done = 0;
    for image in images_named(store, &args.what, true)? {
        let stamp = image.stamp;
        let Some(archive) = saved.find(&stamp.digest)? else {
            if args.what.is_empty() {
                continue;
            }
            let message = format!("image `{}` ({}) was not saved", stamp.reference, stamp.digest.short(8));
            return Err(
                CliError::new(ErrorKind::NotFound, message).hint("run pv image save on a machine that still has it")
            );
        };
        done += 1;
        let same = SameImage::from(&stamp);
        let is_there = cx.block_on(async { docker.has_image(&same).await })??;
        if !is_there {
            cx.block_on(async { docker.load_image(&archive, &saved).await })??;
        }
        if cx.out().is_json() {
            let object = json!({"digest": stamp.digest, "reference": stamp.reference, "loaded": !is_there});
            cx.out().json(&object)?;
        } else {
            let told = if is_there { "exists" } else { "loaded" };
            cx.out().line(format!("{told}   {}", words(&stamp)))?;
        }
    }
    if done == 0 {
        return Err(CliError::new(ErrorKind::NotFound, "no image was saved").hint("pv image save saves images"));
    }
    Ok(())
}
