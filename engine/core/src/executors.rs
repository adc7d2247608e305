//! Which executor a store uses: a setting, settled once and then kept.
//!
//! `auto` becomes docker if that answers, else process, at the first apply or run. From then on an executor that does not answer is an
//! error and never a reason to take the other one: the two make different recipes.

use std::path::PathBuf;
use std::sync::Arc;

use repos::Store;
use repos::documents::ExecutorKind;
use repos::settings::{self, EXECUTOR};
use specs::Network;

use crate::error::Result;
use sandbox::{ExecError, Executor, ExecutorInfo};

/// The executors of this machine; which one is used, the store says.
#[derive(Debug, Clone)]
pub struct Executors {
    /// Containers.
    pub docker: Arc<dyn Executor>,
    /// Processes of this host.
    pub process: Arc<dyn Executor>,
}

/// The executor that a store uses.
#[derive(Debug, Clone)]
pub struct Settled {
    /// It answered just now.
    pub executor: Arc<dyn Executor>,
    /// What it said of itself.
    pub info: ExecutorInfo,
    /// Whether it was chosen just now, which is worth saying.
    pub is_new: bool,
}

/// Finds the executor that the store uses; chooses one if nobody did, which [`keep`] makes last.
///
/// When it does not answer, that is the executor's own error. A Docker engine that this user may not use is one too: choosing the other
/// executor in silence would be for good.
pub async fn choose_executor(store: &Store, executors: &Executors) -> Result<Settled> {
    let executor = match store.setting(&EXECUTOR)? {
        Some(ExecutorKind::Docker) => &executors.docker,
        Some(ExecutorKind::Process) => &executors.process,
        None => return choose(executors).await,
    };
    let info = executor.check().await?;
    Ok(Settled { executor: executor.clone(), info, is_new: false })
}

/// Keeps a choice for good: at the first apply or run that comes about.
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

/// The network that stages see whose spec does not say: the setting `network`.
pub fn default_network(store: &Store) -> Result<Network> {
    Ok(store.setting(&settings::NETWORK)?)
}

/// Host paths that the process executor shows to stages beside its own.
pub fn readable_paths(store: &Store) -> Result<Vec<PathBuf>> {
    Ok(store.setting(&settings::PROCESS_PATHS)?.0)
}
