//! The executors of this machine, configured by the command's environment, the workers that have joined this process, and the cluster.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::executors::Executors;
use sandbox::{
    DockerExecutor, DockerSettings, KubernetesExecutor, KubernetesSettings, Owner, ProcessExecutor, ProcessSettings,
    SavedImages,
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
    let variable = |name: &str| cx.env().get(name).map(ToOwned::to_owned);
    let owner = Owner { store: store.id()?, instance: repos::random_hex() };
    let engine_pod = variable("PV_ENGINE_POD").zip(variable("PV_ENGINE_POD_UID"));
    Ok(KubernetesSettings { engine_pod, ..engine::executors::of_pods(store, owner, cx.workers().clone())? })
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
