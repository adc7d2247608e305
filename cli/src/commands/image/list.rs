//! `pv image list`

use answers::image::{ImageView, image_views};

use crate::context::Context;
use crate::error::Result;
use crate::executors::executors;
use crate::output::{Human, Row, Window, short_digest, size};

/// List the images that pipelines used, and where each is available
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    window: Window,
}

impl Row for ImageView {
    const HEADER: &'static [&'static str] = &["IMAGE", "REFERENCE", "ENGINE", "SAVED", "USED BY"];
    fn cells(&self, _: &Human) -> Vec<String> {
        let engine = match self.in_engine {
            Some(true) => "yes",
            Some(false) => "gone",
            None => "no answer",
        };
        vec![
            short_digest(&self.digest),
            self.reference.clone(),
            engine.to_owned(),
            self.saved.as_ref().map_or_else(|| "no".to_owned(), |saved| size(saved.size_bytes)),
            self.used_by.join(", "),
        ]
    }
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let docker = executors(cx, store)?.docker;
    let views = cx.block_on(image_views(store, docker.as_ref()))??;
    cx.list(args.window.limit(cx), views.into_iter().map(Ok))
}
