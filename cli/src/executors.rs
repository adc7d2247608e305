//! The executors of this machine, configured by the command's environment, the workers that have joined this process, and the cluster.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::executors::Executors;
use repos::settings::{
    self, KUBERNETES_ADVERTISE, KUBERNETES_IDLE, KUBERNETES_IMAGE, KUBERNETES_MAX_PODS, KUBERNETES_NAMESPACE,
    KUBERNETES_POD_SECURITY,
};
use sandbox::{
    DockerExecutor, DockerSettings, KubernetesExecutor, KubernetesSettings, Owner, PodSecurity, ProcessExecutor,
    ProcessSettings, SavedImages,
};

use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::remote::servers::Kept;

/// Creates the executors for a store without contacting them.
pub(crate) fn executors(cx: &Context, store: &Store) -> Result<Executors> {
    let folder = store.folder();
    let (docker, process) = of_machine(cx, store.id()?, folder.join("scratch"), vec![folder.clone()])?;
    let docker = DockerExecutor::new(DockerSettings { images: Some(SavedImages::of(&folder)), ..docker });
    let process = ProcessExecutor::new(process);
    Ok(Executors {
        docker: Arc::new(docker),
        process: Arc::new(process),
        workers: Arc::new(cx.workers().clone()),
        kubernetes: Arc::new(KubernetesExecutor::new(of_cluster(cx, store)?)),
    })
}

/// The settings of pods.
fn of_cluster(cx: &Context, store: &Store) -> Result<KubernetesSettings> {
    let env = cx.env();
    let variable = |name: &str| env.get(name).map(ToOwned::to_owned);
    Ok(KubernetesSettings {
        namespace: store.setting(&KUBERNETES_NAMESPACE)?.map(|name| name.0),
        image: store.setting(&KUBERNETES_IMAGE)?.map(|image| image.0),
        advertise: store.setting(&KUBERNETES_ADVERTISE)?.map(|url| url.0),
        max_pods: max_pods(store)?,
        idle: store.setting(&KUBERNETES_IDLE)?.get(),
        security: match store.setting(&KUBERNETES_POD_SECURITY)? {
            settings::PodSecurity::Baseline => PodSecurity::Baseline,
            settings::PodSecurity::Restricted => PodSecurity::Restricted,
        },
        owner: Owner { store: store.id()?, instance: repos::random_hex() },
        engine_pod: variable("PV_ENGINE_POD").zip(variable("PV_ENGINE_POD_UID")),
        workers: cx.workers().clone(),
    })
}

/// How many pods there may be at a time.
pub(crate) fn max_pods(store: &Store) -> Result<usize> {
    Ok(usize::try_from(store.setting(&KUBERNETES_MAX_PODS)?.get()).unwrap_or(usize::MAX))
}

/// Creates the executors for a worker of another machine's store. `mark`: whose sandboxes they are; `folder`: the worker's own.
pub(crate) fn of_worker(cx: &Context, mark: &str, folder: &Path) -> Result<(DockerExecutor, ProcessExecutor)> {
    // Tokens of servers are no business of stages, whatever the store shows to them.
    let tokens = Kept::of(cx.env()).map(|kept| kept.file().to_owned());
    let hidden = std::iter::once(folder.to_owned()).chain(tokens).collect();
    let (docker, process) = of_machine(cx, mark.to_owned(), folder.join("scratch"), hidden)?;
    Ok((DockerExecutor::new(docker), ProcessExecutor::new(process)))
}

/// The settings of both. `store`: what marks sandboxes; `hidden`: what no sandbox shows.
fn of_machine(
    cx: &Context,
    store: String,
    scratch: PathBuf,
    hidden: Vec<PathBuf>,
) -> Result<(DockerSettings, ProcessSettings)> {
    let pv = std::env::current_exe().map_err(|error| CliError::io("cannot find this program", &error))?;
    let env = cx.env();
    let owner = Owner { store, instance: repos::random_hex() };
    let config_dir = env.get("DOCKER_CONFIG").map(Into::into);
    let docker = DockerSettings {
        host: env.get("DOCKER_HOST").map(ToOwned::to_owned),
        config_dir: config_dir.or_else(|| env.get("HOME").map(|home| Path::new(home).join(".docker"))),
        pv: pv.clone(),
        owner: owner.clone(),
        images: None,
    };
    Ok((docker, ProcessSettings { pv, scratch, hidden, owner }))
}
