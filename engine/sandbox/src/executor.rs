//! What each executor can do: resolve, save and load images, open sandboxes, and clean up behind engines that are gone.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::Write;

use async_trait::async_trait;
use repos::documents::ExecutorKind;

use crate::error::ExecError;
use crate::image::{Image, PullProgress, SameImage};
use crate::sandbox::Sandbox;
use crate::saved::{SavedImage, SavedImages};
use crate::task::{FileSource, SandboxSpec};

/// What an executor says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorInfo {
    /// Which executor.
    pub kind: ExecutorKind,
    /// Version of the container engine or kernel, and the means if there are several, such as `linux 6.1 (bwrap)`.
    pub version: String,
    /// Name of the machine that runs user code.
    pub host: String,
    /// Operating system and architecture of that machine, such as `linux` and `x86_64`.
    pub platform: (String, String),
}

/// Whose sandboxes these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Id of the store.
    pub store: String,
    /// Id of the running engine, unique among all engines that ever used the store; letters, digits, `-` and `_`.
    pub instance: String,
}

/// Told of each step of a pull.
pub type OnPull<'a> = &'a (dyn Fn(PullProgress) + Send + Sync);

/// Opens sandboxes in which commands of pipelines run.
#[async_trait]
pub trait Executor: Debug + Send + Sync + 'static {
    /// Which executor this is.
    fn kind(&self) -> ExecutorKind;

    /// Asks whether sandboxes can be opened here, now, by this user.
    async fn check(&self) -> Result<ExecutorInfo, ExecError>;

    /// Finds an image and pulls it if it is missing. An executor without images answers `Unsuited`.
    async fn resolve_image(&self, reference: &str, on_pull: OnPull<'_>) -> Result<Image, ExecError>;

    /// Whether the engine has an image, by its id or as another copy of the same; never, where there are no images. Nothing is pulled.
    async fn has_image(&self, _image: &SameImage) -> Result<bool, ExecError> {
        Ok(false)
    }

    /// Writes an image as an archive. An executor without images answers `Unsuited`.
    async fn save_image(&self, _image: &SameImage, _to: &mut (dyn Write + Send)) -> Result<(), ExecError> {
        Err(ExecError::Unsuited { executor: self.kind(), why: "has no images" })
    }

    /// Brings an image back that was saved. An executor without images answers `Unsuited`.
    async fn load_image(&self, _image: &SavedImage, _from: &SavedImages) -> Result<(), ExecError> {
        Err(ExecError::Unsuited { executor: self.kind(), why: "has no images" })
    }

    /// Whether an image has anything that a directory put at this absolute path would hide: a file, a link, or what is in a directory. `image`
    /// is its id. Never, where there are no images.
    async fn has_content_at(&self, image: &str, path: &str) -> Result<bool, ExecError>;

    /// Opens a sandbox with the agent in it and `code` (read from `files`) laid out; it serves one try after another.
    async fn open(&self, spec: &SandboxSpec, files: &dyn FileSource) -> Result<Sandbox, ExecError>;

    /// Removes what engines of this store left behind, but for the instances named `alive` and this one.
    async fn clean_up(&self, alive: &BTreeSet<String>) -> Result<(), ExecError>;
}
