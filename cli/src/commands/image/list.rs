//! `pv image list`

use sandbox::SameImage;
use serde::Serialize;
use serde_json::Value;
use specs::Digest;

use super::recorded;
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

/// An image in the store's records.
#[derive(Serialize)]
struct ImageView {
    digest: Digest,
    reference: String,
    id: String,
    registry_digest: Option<String>,
    used_by: Vec<String>,
    /// Whether the container engine has it; `null` if none answers.
    in_engine: Option<bool>,
    /// The archive in the store's folder.
    saved: Option<Value>,
    #[serde(skip)]
    saved_bytes: Option<u64>,
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
            self.saved_bytes.map_or_else(|| "no".to_owned(), size),
            self.used_by.join(", "),
        ]
    }
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let docker = executors(cx, store)?.docker;
    let saved = recorded::saved(store);
    let mut views = Vec::new();
    for image in recorded::all(store)? {
        let stamp = image.stamp;
        let same = SameImage::from(&stamp);
        // Without an answer from the container engine, the recorded images are still listed.
        let in_engine = cx.block_on(async { docker.has_image(&same).await.ok() })?;
        let archive = saved.find(&stamp.digest)?;
        views.push(ImageView {
            digest: stamp.digest,
            reference: stamp.reference,
            id: stamp.id,
            registry_digest: stamp.registry_digest,
            used_by: image.used_by,
            in_engine,
            saved: archive.as_ref().map(recorded::archive),
            saved_bytes: archive.map(|archive| archive.size_bytes),
        });
    }
    cx.list(args.window.limit(cx), views.into_iter().map(Ok))
}
