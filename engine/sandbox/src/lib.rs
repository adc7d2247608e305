//! Where user code runs: executors open a sandbox with the agent in it. This is the surface that a review of security reads.
//!
//! The only duty of an executor is to open a sandbox in which the agent (`pv worker`) is the first process. Everything that a datum does
//! then is said over the agent's stdin and stdout, so no shared file system is assumed, and a container on another machine is as good as
//! a local process. The modules,
//! from ground to roof; each knows those before it and none behind it, which a test holds (`tests/rooms.rs`):
//!
//! ```text
//! image       what an image is
//! error       why a sandbox did not do what it was asked
//! task        what goes into a sandbox and what comes out
//! protocol    the frames that engine and agent exchange
//! agent       the first process of a sandbox: inputs in, one command, outputs out, nothing left for the next
//! connection  frames over a pipe
//! held        files that stay in a sandbox from one try to the next
//! sandbox     one open sandbox: try after try, the same for each executor
//! saved       images kept beside a store
//! executor    what each executor can do
//! docker      warm containers
//! process     Linux namespaces, where there is no container engine
//! scripted    answers as a test says
//! contract    what each executor must do, as tests
//! ```
//! Not here: which datum runs where and when, what becomes of its output, retries.

pub mod agent;
mod connection;
#[cfg(feature = "testing")]
pub mod contract;
mod docker;
mod error;
mod executor;
mod held;
mod image;
mod process;
pub(crate) mod protocol;
mod sandbox;
mod saved;
#[cfg(any(test, feature = "testing"))]
pub mod scripted;
mod task;

pub use docker::{DockerExecutor, DockerSettings};
pub use error::ExecError;
pub use executor::{Executor, ExecutorInfo, OnPull, Owner};
pub use image::{Image, ImageConfig, PullProgress, SameImage};
pub use process::{ProcessExecutor, ProcessSettings};
pub use repos::documents::ExecutorKind;
pub use sandbox::Sandbox;
pub use saved::{Incoming, SavedImage, SavedImages};
pub use task::{
    Console, DatumTask, Event, EventSink, Exit, FileSource, HostFolder, InputFile, Network, Outcome, OutputLimits,
    Resources, SandboxSpec, SecretFile,
};
