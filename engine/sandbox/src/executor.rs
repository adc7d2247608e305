//! The interface of executors: resolve, save and load images, open sandboxes, and clean up after dead engines.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::Write;
use std::time::Duration;

use async_trait::async_trait;
use repos::documents::ExecutorKind;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::error::ExecError;
use crate::image::{Image, PullProgress, SameImage};
use crate::sandbox::Sandbox;
use crate::saved::{SavedImage, SavedImages};
use crate::task::{FileSource, SandboxSpec};

/// What an executor reports about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorInfo {
    /// Which executor.
    pub kind: ExecutorKind,
    /// Version of the container engine or kernel, and the method if there are several, such as `linux 6.1 (bwrap)`.
    pub version: String,
    /// Name of the machine that runs user code.
    pub host: String,
    /// Operating system and architecture of that machine, such as `linux` and `x86_64`.
    pub platform: (String, String),
}

/// The owner of sandboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Id of the store.
    pub store: String,
    /// Id of the running engine, unique among all engines that ever used the store; letters, digits, `-` and `_`.
    pub instance: String,
}

/// Called for each step of a pull.
pub type OnPull<'a> = &'a (dyn Fn(PullProgress) + Send + Sync);

/// Opens sandboxes in which commands of pipelines run.
#[async_trait]
pub trait Executor: Debug + Send + Sync + 'static {
    /// Which executor this is.
    fn kind(&self) -> ExecutorKind;

    /// Checks whether this user can open sandboxes here now.
    async fn check(&self) -> Result<ExecutorInfo, ExecError>;

    /// Finds an image and pulls it if missing. An executor without images returns `Unsuited`.
    async fn resolve_image(&self, reference: &str, on_pull: OnPull<'_>) -> Result<Image, ExecError>;

    /// Whether the engine has an image, by its id or as another copy of the same; false if the executor has no images. Nothing is pulled.
    async fn has_image(&self, _image: &SameImage) -> Result<bool, ExecError> {
        Ok(false)
    }

    /// Writes an image as an archive. An executor without images returns `Unsuited`.
    async fn save_image(&self, _image: &SameImage, _to: &mut (dyn Write + Send)) -> Result<(), ExecError> {
        Err(ExecError::Unsuited { executor: self.kind(), why: "has no images" })
    }

    /// Restores a saved image. An executor without images returns `Unsuited`.
    async fn load_image(&self, _image: &SavedImage, _from: &SavedImages) -> Result<(), ExecError> {
        Err(ExecError::Unsuited { executor: self.kind(), why: "has no images" })
    }

    /// Whether an image has anything that a directory mounted at this absolute path would hide: a file, a link, or the content of a
    /// directory. `image` is its id. False if the executor has no images.
    async fn has_content_at(&self, image: &str, path: &str) -> Result<bool, ExecError>;

    /// Opens a sandbox with the agent in it and `code` (read from `files`) laid out; it serves one try after another.
    async fn open(&self, spec: &SandboxSpec, files: &dyn FileSource) -> Result<Sandbox, ExecError>;

    /// How many tries may run at the same time, if the executor itself says so; changes as machines come and go. Then `open` may wait until a
    /// machine joins that suits, and may be dropped while it does.
    fn slots(&self) -> Option<watch::Receiver<usize>> {
        None
    }

    /// Whether there are as many sandboxes as tries may run at the same time, so that idle ones should make room for others.
    fn is_full(&self) -> bool {
        false
    }

    /// How long a sandbox is kept when nothing is left for it; `None` for as long as its pipeline may need it.
    fn idle_max(&self) -> Option<Duration> {
        None
    }

    /// Why sandboxes with this spec are not open yet; `None` if the executor knows no reason.
    fn awaits(&self, _spec: &SandboxSpec) -> Option<String> {
        None
    }

    /// Removes what engines of this store left behind, except for the instances in `alive` and this one.
    async fn clean_up(&self, alive: &BTreeSet<String>) -> Result<(), ExecError>;
}
