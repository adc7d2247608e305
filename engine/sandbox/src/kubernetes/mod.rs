//! The kubernetes executor: a bare pod for each sandbox, created and removed by the engine.
//!
//! ```text
//! pod   init container   puts `pv` into a volume
//!       stage            the image as it is; its first process is the agent, `/.pv/pv worker dial`
//!       worker           `pv worker pod`: dials the engine, keeps files, hands them to the agent through a socket
//! ```
//! The worker speaks what workers on other machines speak (`remote`), so a pod is a worker with one slot. It joins with a token that only
//! this pod has, and stays beyond the reach of the stage: in a container of its own. A stage sees its volumes and its own image, as with
//! docker: `/pfs`, `/pfs/out`, `/tmp`, its code (read-only) and its secrets.
//!
//! The engine decides which pod ends: one whose sandbox it closes. Nothing else is created in the cluster: no jobs, no custom resources.
//! `clean_up` removes pods of engines that have ended. Only pods with the labels of this store are ever looked at.
//!
//! The modules, from ground to roof:
//!
//! ```text
//! settings  how the executor is set up
//! names     labels and names of pods
//! status    what a pod's status says: why it waits, how it ended
//! inside    what the worker of a pod does there
//! manifest  the pod of a sandbox
//! api       requests to the cluster: paced, and repeated
//! pods      the pods of this engine, and what is known about them
//! open      from a spec to an open sandbox, and its end
//! ```
//! Not here: which datum runs where, how long a sandbox stays warm, network policies (those of the cluster's own).

mod api;
mod inside;
mod manifest;
mod names;
mod open;
mod pods;
mod settings;
mod status;

pub use inside::{InPod, Station};
pub use open::KubernetesExecutor;
pub use settings::{KubernetesSettings, PodSecurity};
