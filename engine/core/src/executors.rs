//! Which executor a store uses: a setting, settled once and then kept.
//!
//! `auto` becomes docker if that answers, else process, at the first apply or run. From then on an executor that does not answer is an
//! error and never a reason to take the other one: the two make different recipes.

use std::sync::Arc;

use repos::Store;
use specs::Network;

use crate::changes::set_setting;
use crate::error::{EngineError, Result};
use sandbox::{ExecError, Executor, ExecutorInfo};

/// The setting that names the executor.
pub const EXECUTOR: &str = "executor";
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
pub async fn settle(store: &Store, executors: &Executors) -> Result<Settled> {
    let executor = match store.setting(EXECUTOR)?.as_deref() {
        Some("docker") => &executors.docker,
        Some("process") => &executors.process,
        None | Some("auto") => return choose(executors).await,
        Some(other) => {
            return Err(EngineError::Usage {
                what: format!("`{other}` is no executor"),
                hint: Some("pv config set executor auto   or docker, or process".to_owned()),
            });
        }
    };
    let info = executor.check().await?;
    Ok(Settled { executor: executor.clone(), info, is_new: false })
}

/// Keeps a choice for good: at the first apply or run that comes about.
pub fn keep(store: &Store, settled: &Settled) -> Result<()> {
    if settled.is_new { set_setting(store, EXECUTOR, Some(&settled.executor.kind().to_string())) } else { Ok(()) }
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
    match store.setting("network")?.as_deref() {
        Some("none") => Ok(Network::None),
        None | Some("default") => Ok(Network::Default),
        Some(other) => Err(EngineError::Usage {
            what: format!("`{other}` is no value of the setting `network`"),
            hint: Some("pv config set network default   or none".to_owned()),
        }),
    }
}
