//! Where user code runs: executors open a sandbox with the agent in it. This is the surface that a review of security reads.
//!
//! The only duty of an executor is to open a sandbox in which the agent (`pv worker`) is the first process. Everything that a datum does
//! then is said over the agent's stdin and stdout, so no shared file system is assumed, and a container on another machine is as good as
//! a local process. From the ground to the roof:
//!
//! ```text
//! task        what goes into a sandbox and what comes out    image   what an image is
//! error       why a sandbox did not do what it was asked
//! protocol    the frames that engine and agent exchange
//! agent       the first process of a sandbox: inputs in, one command, outputs out, nothing left for the next
//! connection  frames over a pipe        held     files that stay in a sandbox from one try to the next
//! sandbox     one open sandbox: try after try, the same for each executor
//! saved       images kept beside a store
//! docker      warm containers           process  Linux namespaces, where there is no container engine
//! scripted    answers as a test says    contract what each executor must do, as tests
//! ```
//! Not here: which datum runs where and when, what becomes of its output, retries.

pub mod agent;
mod connection;
#[cfg(feature = "testing")]
pub mod contract;
mod docker;
mod error;
mod held;
mod image;
mod process;
pub(crate) mod protocol;
mod sandbox;
mod saved;
#[cfg(any(test, feature = "testing"))]
pub mod scripted;
mod task;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::Write;

use async_trait::async_trait;

pub use docker::{DockerExecutor, DockerSettings};
pub use error::ExecError;
pub use image::{Image, ImageConfig, PullProgress};
pub use process::{ProcessExecutor, ProcessSettings};
pub use repos::documents::ExecutorKind;
pub use sandbox::Sandbox;
pub use saved::{Incoming, SavedImage, SavedImages};
pub use task::{
    Console, DatumTask, Event, EventSink, Exit, FileSource, HostFolder, InputFile, Network, Outcome, OutputLimits,
    Resources, SameImage, SandboxSpec, SecretFile,
};

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
