//! The executors of this machine, configured by the command's environment.

use std::path::Path;
use std::sync::Arc;

use engine::executors::Executors;
use sandbox::{DockerExecutor, DockerSettings, Owner, ProcessExecutor, ProcessSettings, SavedImages};

use crate::context::{Context, Store};
use crate::error::{CliError, Result};

/// Creates the executors for a store without contacting them.
pub(crate) fn executors(cx: &Context, store: &Store) -> Result<Executors> {
    let pv = std::env::current_exe().map_err(|error| CliError::io("cannot find this program", &error))?;
    let env = cx.env();
    let owner = Owner { store: store.id()?, instance: repos::random_hex() };
    let config_dir = env.get("DOCKER_CONFIG").map(Into::into);
    let docker = DockerExecutor::new(DockerSettings {
        host: env.get("DOCKER_HOST").map(ToOwned::to_owned),
        config_dir: config_dir.or_else(|| env.get("HOME").map(|home| Path::new(home).join(".docker"))),
        pv: pv.clone(),
        owner: owner.clone(),
        images: Some(SavedImages::of(&store.folder())),
    });
    let process = ProcessExecutor::new(ProcessSettings {
        pv,
        scratch: store.folder().join("scratch"),
        hidden: vec![store.folder()],
        owner,
    });
    Ok(Executors { docker: Arc::new(docker), process: Arc::new(process) })
}
