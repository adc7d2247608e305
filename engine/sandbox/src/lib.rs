//! Where user code runs: executors open a sandbox with the agent in it. This crate is the surface for a security review.
//!
//! The only duty of an executor is to open a sandbox in which the agent (`pv worker`) is the first process. Everything that a datum does is
//! then communicated over the agent's stdin and stdout, so no shared file system is needed, and a container on another machine works like a
//! local process.
//! The modules, from ground to roof. Each uses only modules listed before it; a test checks this (`tests/rooms.rs`):
//!
//! ```text
//! image       the identity of images
//! error       why a sandbox could not do its work
//! task        what goes into a sandbox and what comes out
//! protocol    the frames that engine and agent exchange
//! agent       the first process of a sandbox: inputs in, one command, outputs out, nothing left for the next
//! connection  frames over a pipe
//! held        files that stay in a sandbox from one try to the next
//! sandbox     one open sandbox: try after try, the same for each executor
//! saved       images saved beside a store
//! executor    the interface of executors
//! docker      warm containers
//! process     Linux namespaces, without a container engine
//! scripted    runs a function of a test instead of a command
//! remote      sandboxes on other machines, whose workers dial the engine
//! kubernetes  a pod for each sandbox, whose worker dials the engine
//! contract    what each executor must guarantee, as tests
//! ```
//! Not here: which datum runs where and when, how its output is stored, retries.

pub mod agent;
mod connection;
#[cfg(feature = "testing")]
pub mod contract;
mod docker;
mod error;
mod executor;
mod held;
mod image;
mod kubernetes;
mod process;
pub(crate) mod protocol;
mod remote;
mod sandbox;
mod saved;
#[cfg(any(test, feature = "testing"))]
pub mod scripted;
mod task;

pub use docker::{DockerExecutor, DockerSettings};
pub use error::ExecError;
pub use executor::{Executor, ExecutorInfo, OnPull, Owner};
pub use image::{Image, ImageConfig, PullProgress, SameImage};
pub use kubernetes::{InPod, KubernetesExecutor, KubernetesSettings, PodSecurity, Station};
pub use process::{ProcessExecutor, ProcessSettings};
pub use remote::{Dial, DialError, Link, WorkerNews, WorkerOptions, WorkerState, Workers, work};
pub use repos::documents::ExecutorKind;
pub use sandbox::Sandbox;
pub use saved::{Incoming, SavedImage, SavedImages};
pub use task::{
    Console, DatumTask, Event, EventSink, Exit, FileSource, HostFolder, InputFile, Network, Outcome, OutputLimits,
    Placement, Resources, SandboxSpec, SecretFile, Toleration,
};
