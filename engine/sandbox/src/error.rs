//! Why a try could not be run or watched. A fault of user code is not an error here, but an [`super::Exit`].

use std::path::PathBuf;

use specs::ErrorKind;

use repos::documents::ExecutorKind;

use crate::image::SameImage;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error of an executor.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// Nothing responds at the address of the container engine.
    #[error("the {executor} executor does not answer at `{address}`")]
    NotAnswering {
        /// Which executor.
        executor: ExecutorKind,
        /// Socket or URL.
        address: String,
        /// The error of the connection.
        source: Cause,
    },
    /// The engine's socket exists, but this user has no permission to use it.
    #[error("permission denied on `{address}`")]
    PermissionDenied {
        /// Path of the socket.
        address: String,
    },
    /// This host does not allow creating the namespaces that a sandbox needs.
    #[error("this host does not allow sandboxes: {why}")]
    SandboxRefused {
        /// What was attempted, and the result.
        why: String,
    },
    /// Neither engine nor registry has the image.
    #[error("image `{reference}` not found: {why}")]
    ImageNotFound {
        /// The reference in the spec.
        reference: String,
        /// The registry's answer.
        why: String,
    },
    /// The engine no longer has a pinned image, and it cannot be restored.
    #[error("image `{}` is not available: {why}; recorded: sha256 {}, id {}{}", .image.reference, .image.identity, .image.id, in_registry(.image))]
    ImageGone {
        /// What is known about it.
        image: Box<SameImage>,
        /// What was attempted.
        why: String,
    },
    /// The registry may have the image, but the pull failed.
    #[error("cannot pull image `{reference}`: {why}")]
    PullFailed {
        /// The reference in the spec.
        reference: String,
        /// The answer of engine or registry.
        why: String,
    },
    /// The executor needs an image and got none, or does not support images and got one.
    #[error("the {executor} executor {why}")]
    Unsuited {
        /// Which executor.
        executor: ExecutorKind,
        /// Why the sandbox does not suit it.
        why: &'static str,
    },
    /// The container engine rejected a request.
    #[error("docker cannot {action}")]
    Docker {
        /// The request, such as `create a container`.
        action: &'static str,
        /// Its answer.
        source: bollard::errors::Error,
    },
    /// The container engine lacks the network for containers that need network access.
    #[error(
        "docker has no network `bridge`, so no stage can reach the network: give the engine one (it was started with `--bridge=none`), or \
         say `transform.network: none` where none is needed"
    )]
    NoBridge {
        /// Its answer.
        source: bollard::errors::Error,
    },
    /// The sandbox ended, or its connection broke, before the try was done.
    #[error("the sandbox was lost: {why}")]
    SandboxLost {
        /// The agent's complaint, or how the connection ended.
        why: String,
    },
    /// The worker that ran the sandbox went away, or nothing was heard of it for too long.
    #[error("worker `{worker}` was lost: {why}")]
    WorkerLost {
        /// Its name.
        worker: String,
        /// How that is known.
        why: String,
    },
    /// No worker can answer a question about images.
    #[error("no worker with {executor} has joined")]
    NoWorker {
        /// The executor that such a worker has.
        executor: ExecutorKind,
    },
    /// A worker cannot do what was asked of it.
    #[error("worker `{worker}`: {why}")]
    OnWorker {
        /// Its name.
        worker: String,
        /// The kind of the worker's own error.
        kind: ErrorKind,
        /// That error, with its causes.
        why: String,
        /// What the worker's executor suggests.
        hint: Option<String>,
    },
    /// The engine does not take this worker.
    #[error("the engine refuses this worker: {why}")]
    JoinRefused {
        /// Its words.
        why: String,
    },
    /// The cluster does not do what was asked of it, or is not known.
    #[error("{what}")]
    Cluster {
        /// What failed, and why.
        what: String,
        /// The kind of the failure.
        kind: ErrorKind,
        /// The next thing to try.
        hint: Option<String>,
    },
    /// A path of the host cannot be used.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        /// For example `read`.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The caller's file source or event sink failed.
    #[error("cannot {action}")]
    Caller {
        /// For example `read an input file`.
        action: &'static str,
        /// Kind of the cause, which becomes the kind of this error.
        kind: ErrorKind,
        /// The caller's own error.
        source: Cause,
    },
}

/// A reference without tag and digest: `localhost:5000/a/b`.
pub(crate) fn name_of(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or_default();
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    name[last..].find(':').map_or(name, |colon| &name[..last + colon])
}

/// Text such as `, in the registry as sha256:…`
fn in_registry(image: &SameImage) -> String {
    image.registry_digest.as_ref().map_or_else(String::new, |digest| format!(", in the registry as {digest}"))
}

impl ExecError {
    /// Exit code, HTTP status and retry all follow from this.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotAnswering { .. }
            | Self::PermissionDenied { .. }
            | Self::SandboxRefused { .. }
            | Self::PullFailed { .. }
            | Self::Docker { .. }
            | Self::NoBridge { .. }
            | Self::SandboxLost { .. }
            | Self::WorkerLost { .. }
            | Self::NoWorker { .. }
            | Self::Io { .. } => ErrorKind::Unavailable,
            Self::ImageNotFound { .. } | Self::ImageGone { .. } => ErrorKind::NotFound,
            Self::Unsuited { .. } => ErrorKind::Usage,
            Self::JoinRefused { .. } => ErrorKind::Refused,
            Self::Caller { kind, .. } | Self::OnWorker { kind, .. } | Self::Cluster { kind, .. } => *kind,
        }
    }

    /// The next thing to try.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotAnswering { executor: ExecutorKind::Kubernetes, .. } => {
                Some("check that the cluster answers: kubectl get pods".to_owned())
            }
            Self::NotAnswering { .. } => {
                Some("start Docker, set DOCKER_HOST, or run `pv config set executor process`".to_owned())
            }
            Self::PermissionDenied { .. } => Some(
                "give your user access to Docker: `sudo usermod -aG docker $USER`, then log in again; or run `pv config set executor process`"
                    .to_owned(),
            ),
            Self::SandboxRefused { .. } => Some(
                "allow unprivileged user namespaces (`sysctl kernel.unprivileged_userns_clone=1`), install `bubblewrap`, or \
                 `pv config set executor docker`"
                    .to_owned(),
            ),
            Self::ImageNotFound { reference, .. } => {
                Some(format!("check the name, run `docker login` for a private registry, or build it: `docker build -t {reference} .`"))
            }
            Self::ImageGone { image, .. } => {
                let name = name_of(&image.reference);
                let pull = image.registry_digest.as_ref().map(|digest| format!("; docker pull {name}@{digest}"));
                Some(format!(
                    "copy an archive from `pv image save` to the store's folder `images`, or load one from `docker save` with `docker load`{}",
                    pull.unwrap_or_default()
                ))
            }
            Self::PullFailed { reference, .. } => Some(format!("try `docker pull {reference}`")),
            Self::NoBridge { .. } => Some(
                "start the engine without `--bridge=none`; or, if no stage needs a network, run: pv config set network none\nthen  pv pipeline apply -f FILE"
                    .to_owned(),
            ),
            Self::NoWorker { executor } => {
                Some(format!("run on a machine with {executor}: pv worker join URL --executor {executor}"))
            }
            Self::OnWorker { hint, .. } | Self::Cluster { hint, .. } => hint.clone(),
            Self::Unsuited { .. }
            | Self::WorkerLost { .. }
            | Self::JoinRefused { .. }
            | Self::Docker { .. }
            | Self::SandboxLost { .. }
            | Self::Io { .. }
            | Self::Caller { .. } => None,
        }
    }
}
