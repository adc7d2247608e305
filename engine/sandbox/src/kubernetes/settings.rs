//! How the executor is set up.

use std::time::Duration;

use crate::executor::Owner;
use crate::remote::Workers;

/// The settings of a kubernetes executor.
#[derive(Debug, Clone)]
pub struct KubernetesSettings {
    /// Namespace of the pods; `None` for that of the engine's own account or of the kubeconfig.
    pub namespace: Option<String>,
    /// Image with `pv`, whose entry point it is; `None` if it is not set.
    pub image: Option<String>,
    /// URL at which pods reach the server of this process; `None` if it is not set.
    pub advertise: Option<String>,
    /// Maximum number of pods at a time.
    pub max_pods: usize,
    /// How long a pod stays when nothing is left for it.
    pub idle: Duration,
    /// What pods may do on their node.
    pub security: PodSecurity,
    /// Whose pods they are.
    pub owner: Owner,
    /// The pod that this process is, as name and uid: its pods end with it.
    pub engine_pod: Option<(String, String)>,
    /// Those who have joined this process: pods do.
    pub workers: Workers,
}

/// Which of the cluster's Pod Security Standards the pods keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodSecurity {
    /// The agent is root with few capabilities, and commands run as the user of the image: as with docker.
    Baseline,
    /// Nothing is root: agent and command are one unprivileged user.
    Restricted,
}
