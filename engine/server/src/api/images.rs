//! The container images of pipelines: listed, saved in the store's folder, loaded from there.

use ::repos::access::Right;
use answers::image::{ImageView, image_views, load_images, save_images};
use schemars::JsonSchema;
use serde::Deserialize;

use super::upkeep::{Started, start};
use crate::caller::Call;
use crate::operation::{Operation, get, post};
use crate::parts::{Answer, Json};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/images", ("listImages", "List the images that pipelines used, and where each is available"), all),
        post("/images/save", ("saveImages", "Save images in the store's folder"), save).needs_right(Right::Images),
        post("/images/load", ("loadImages", "Load saved images into the container engine"), load)
            .needs_right(Right::Images),
    ]
}

async fn all(call: Call) -> Result<Answer<Vec<ImageView>>> {
    let (docker, engine) = (call.machine()?.executors.docker, call.engine());
    let views = call.ask(move |store, _| engine.runtime().block_on(image_views(store, docker.as_ref())));
    views.await.map(Answer)
}

/// Which images.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ToSave {
    /// Pipelines, images (reference or digest), or output files: all images in their provenance; empty: those of current pipelines.
    images: Vec<String>,
    /// Also those of earlier versions of pipelines.
    all: bool,
}

async fn save(call: Call, Json(ToSave { images, all }): Json<ToSave>) -> Result<Started> {
    let (docker, engine) = (call.machine()?.executors.docker, call.engine());
    start(&call, "image save", move |store, progress| {
        let mut done = Vec::new();
        engine.runtime().block_on(save_images(store, docker.as_ref(), (&images, all), |image| {
            done.push(image);
            progress.tell("images", done.len() as u64, 0);
            Ok(())
        }))?;
        Ok::<_, Problem>(done)
    })
}

/// Which images.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ToLoad {
    /// Pipelines, images (reference or digest), or output files: all images in their provenance; empty: all that are saved.
    images: Vec<String>,
}

async fn load(call: Call, Json(ToLoad { images }): Json<ToLoad>) -> Result<Started> {
    let (docker, engine) = (call.machine()?.executors.docker, call.engine());
    start(&call, "image load", move |store, progress| {
        let mut done = Vec::new();
        engine.runtime().block_on(load_images(store, docker.as_ref(), &images, |image| {
            done.push(image);
            progress.tell("images", done.len() as u64, 0);
            Ok(())
        }))?;
        Ok::<_, Problem>(done)
    })
}
