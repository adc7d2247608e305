//! Which executor a store uses: a setting, chosen once and then kept.
//!
//! `auto` becomes docker if that responds, otherwise process, at the first apply or run. From then on an executor that does not respond is
//! an error and never a reason to use the other one: the two give different recipes. Workers and kubernetes are never chosen by `auto`.

use std::path::PathBuf;
use std::sync::Arc;

use repos::Store;
use repos::documents::ExecutorKind;
use repos::settings::{self, EXECUTOR};
use specs::Network;

use crate::error::Result;
use sandbox::{ExecError, Executor, ExecutorInfo, KubernetesSettings, Owner, PodSecurity, Workers};

/// The executors; the store says which one is used.
#[derive(Debug, Clone)]
pub struct Executors {
    /// Containers.
    pub docker: Arc<dyn Executor>,
    /// Processes on this host.
    pub process: Arc<dyn Executor>,
    /// Machines that have joined.
    pub workers: Arc<dyn Executor>,
    /// Pods of a cluster.
    pub kubernetes: Arc<dyn Executor>,
}

impl Executors {
    /// The one of a kind.
    pub fn of(&self, kind: ExecutorKind) -> &Arc<dyn Executor> {
        match kind {
            ExecutorKind::Docker => &self.docker,
            ExecutorKind::Process => &self.process,
            ExecutorKind::Workers => &self.workers,
            ExecutorKind::Kubernetes => &self.kubernetes,
        }
    }

    /// The one of a kind, which can run something now: others wait for machines to join, which a command that ends cannot.
    pub async fn ready(&self, kind: ExecutorKind) -> Result<Arc<dyn Executor>, ExecError> {
        let executor = self.of(kind);
        executor.check().await?;
        if executor.slots().is_some_and(|slots| *slots.borrow() == 0) {
            return Err(ExecError::Unsuited { executor: kind, why: "has no machine: none has joined this process" });
        }
        Ok(executor.clone())
    }
}

/// Whether a stage runs among the files of a host, and not of an image. Workers run a stage with an image in a container.
pub(crate) fn runs_on_host(kind: ExecutorKind, has_image: bool) -> bool {
    match kind {
        ExecutorKind::Docker | ExecutorKind::Kubernetes => false,
        ExecutorKind::Process => true,
        ExecutorKind::Workers => !has_image,
    }
}

/// Whether datums run on machines that join a server, so that only `pv serve` can run them.
pub fn needs_server(kind: ExecutorKind) -> bool {
    match kind {
        ExecutorKind::Docker | ExecutorKind::Process => false,
        ExecutorKind::Workers | ExecutorKind::Kubernetes => true,
    }
}

/// The command that runs the jobs of a store: workers and pods join a server, so `pv run` has none.
pub fn command_that_runs(store: &Store) -> Result<&'static str> {
    Ok(match store.setting(&EXECUTOR)? {
        Some(kind) if needs_server(kind) => "pv serve --listen 127.0.0.1:7070",
        _ => "pv run",
    })
}

/// How many pods there may be at a time: the setting `kubernetes.max_pods`.
pub fn max_pods(store: &Store) -> Result<usize> {
    Ok(usize::try_from(store.setting(&settings::KUBERNETES_MAX_PODS)?.get()).unwrap_or(usize::MAX))
}

/// The settings of pods of this owner, which join `workers`.
pub fn of_pods(store: &Store, owner: Owner, workers: Workers) -> Result<KubernetesSettings> {
    Ok(KubernetesSettings {
        namespace: store.setting(&settings::KUBERNETES_NAMESPACE)?.map(|name| name.0),
        image: store.setting(&settings::KUBERNETES_IMAGE)?.map(|image| image.0),
        advertise: store.setting(&settings::KUBERNETES_ADVERTISE)?.map(|url| url.0),
        max_pods: max_pods(store)?,
        idle: store.setting(&settings::KUBERNETES_IDLE)?.get(),
        security: match store.setting(&settings::KUBERNETES_POD_SECURITY)? {
            settings::PodSecurity::Baseline => PodSecurity::Baseline,
            settings::PodSecurity::Restricted => PodSecurity::Restricted,
        },
        owner,
        engine_pod: None,
        workers,
    })
}

/// The executor that a store uses.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The executor, which has just responded.
    pub executor: Arc<dyn Executor>,
    /// What it reported about itself.
    pub info: ExecutorInfo,
    /// Whether it was chosen just now, which is worth reporting.
    pub is_new: bool,
}

/// Finds the executor that the store uses; chooses one if none is set, which [`keep`] makes permanent.
///
/// If it does not respond, that is the executor's own error. So is a Docker engine that this user may not use: silently choosing the other
/// executor would be permanent.
pub async fn choose_executor(store: &Store, executors: &Executors) -> Result<Settled> {
    let executor = match store.setting(&EXECUTOR)? {
        Some(kind) => executors.of(kind),
        None => return choose(executors).await,
    };
    let info = executor.check().await?;
    Ok(Settled { executor: executor.clone(), info, is_new: false })
}

/// Makes a choice permanent, at the first successful apply or run.
pub fn keep(store: &Store, settled: &Settled) -> Result<()> {
    if settled.is_new {
        store.set_setting(&EXECUTOR, Some(&settled.executor.kind().to_string()))?;
    }
    Ok(())
}

async fn choose(executors: &Executors) -> Result<Settled> {
    let (executor, info) = match executors.docker.check().await {
        Ok(info) => (&executors.docker, info),
        Err(ExecError::NotAnswering { .. }) => (&executors.process, executors.process.check().await?),
        Err(error) => return Err(error.into()),
    };
    Ok(Settled { executor: executor.clone(), info, is_new: true })
}

/// The network access of stages whose spec does not define it: the setting `network`.
pub fn default_network(store: &Store) -> Result<Network> {
    Ok(store.setting(&settings::NETWORK)?)
}

/// Host paths that the process executor shows to stages besides its own.
pub fn readable_paths(store: &Store) -> Result<Vec<PathBuf>> {
    // They are paths of this machine.
    if store.setting(&EXECUTOR)?.is_some_and(needs_server) {
        return Ok(Vec::new());
    }
    Ok(store.setting(&settings::PROCESS_PATHS)?.0)
}
