//! The pods of this engine, and what is known about them.
//!
//! While a pod has not joined, all pods of the engine are listed every half second, with one request however many there are. The same list
//! shows pods that are not needed any more and could not be deleted in time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::api::Cluster;
use super::names;
use super::status::{self, Ended, Ran, Standing};
use crate::error::ExecError;
use crate::executor::Owner;
use crate::remote::Workers;

/// Time between two lists.
const BETWEEN_LISTS: Duration = Duration::from_millis(500);
/// Time between two looks at one pod.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// How long a node may take to tell which image it runs.
const IMAGE_TIME: Duration = Duration::from_secs(30);
/// How long the cluster may take to say how a pod ended: the node looks about once a second.
const END_TIME: Duration = Duration::from_secs(4);

/// The pods of an engine.
#[derive(Debug)]
pub(super) struct Pods {
    pub(super) cluster: Cluster,
    workers: Workers,
    owner: Owner,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    pods: BTreeMap<String, About>,
    /// Whether someone lists them.
    is_watched: bool,
    /// Whether a pod may still be there that is not needed.
    has_leftovers: bool,
}

/// What is known about a pod.
#[derive(Debug, Clone)]
pub(super) struct About {
    pipeline: String,
    has_joined: bool,
    pub(super) standing: Standing,
    pub(super) node: Option<String>,
    /// The image that its stage really runs.
    pub(super) image: Option<Ran>,
}

/// A pod that is needed; when this is dropped it is deleted.
#[derive(Debug)]
pub(super) struct Needed {
    pods: Arc<Pods>,
    name: String,
    /// Whether the cluster has taken its deletion.
    is_deleted: bool,
}

impl Pods {
    pub(super) fn new(cluster: Cluster, workers: Workers, owner: Owner) -> Arc<Self> {
        Arc::new(Self { cluster, workers, owner, state: Mutex::default(), changed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    /// Notes that a pod of this name is needed, before it is created.
    pub(super) fn need(self: &Arc<Self>, name: &str, pipeline: &str) -> Needed {
        let about = About {
            pipeline: pipeline.to_owned(),
            has_joined: false,
            standing: Standing::Waits(None),
            node: None,
            image: None,
        };
        let mut state = self.state();
        state.pods.insert(name.to_owned(), about);
        if !std::mem::replace(&mut state.is_watched, true) {
            tokio::spawn(watch(Arc::downgrade(self)));
        }
        Needed { pods: self.clone(), name: name.to_owned(), is_deleted: false }
    }

    /// Why sandboxes of a pipeline are not open yet, in the cluster's words.
    pub(super) fn awaits(&self, pipeline: &str) -> Option<String> {
        let state = self.state();
        let mut waiting = state.pods.values().filter(|about| about.pipeline == pipeline && !about.has_joined);
        waiting.find_map(|about| match &about.standing {
            Standing::Waits(why) => why.clone(),
            Standing::NoImage(why) => Some(format!("image pull: {why}")),
            Standing::Broken(why) => Some(why.clone()),
            Standing::Runs | Standing::Ended(_) => None,
        })
    }

    /// Whether every pod is to be listed again soon.
    fn is_worth_a_look(&self) -> bool {
        let mut state = self.state();
        let is_worth = state.has_leftovers || state.pods.values().any(|about| !about.has_joined);
        state.is_watched = is_worth;
        is_worth
    }

    async fn look(&self) -> Result<(), ExecError> {
        let listed = self.cluster.list(&names::of_instance(&self.owner)).await?;
        let unneeded: Vec<String> = {
            let mut state = self.state();
            let mut unneeded = Vec::new();
            for pod in &listed {
                let name = pod.metadata.name.clone().unwrap_or_default();
                match state.pods.get_mut(&name) {
                    Some(about) => about.note(pod),
                    None if pod.metadata.deletion_timestamp.is_none() => unneeded.push(name),
                    None => {}
                }
            }
            state.has_leftovers = !unneeded.is_empty();
            unneeded
        };
        self.changed.notify_waiters();
        for name in unneeded {
            self.cluster.delete(&name).await?;
        }
        Ok(())
    }
}

/// Lists the pods while there is a reason to.
async fn watch(pods: Weak<Pods>) {
    loop {
        sleep(BETWEEN_LISTS).await;
        let Some(pods) = pods.upgrade() else { return };
        if !pods.is_worth_a_look() {
            return;
        }
        if let Err(error) = pods.look().await {
            tracing::debug!("pods cannot be looked at: {error}");
        }
    }
}

impl About {
    fn note(&mut self, pod: &Pod) {
        self.standing = status::standing(pod);
        self.node = status::node(pod).map(str::to_owned);
        self.image = status::image(pod);
    }
}

impl Needed {
    /// What is known of it now.
    pub(super) fn about(&self) -> Option<About> {
        self.pods.state().pods.get(&self.name).cloned()
    }

    /// Notes why it is not created yet, or that it is.
    pub(super) fn waits(&self, why: Option<String>) {
        if let Some(about) = self.pods.state().pods.get_mut(&self.name) {
            about.standing = Standing::Waits(why);
        }
    }

    /// Waits until more may be known.
    pub(super) async fn changed(&self) {
        self.pods.changed.notified().await;
    }

    /// Notes that its worker has joined, and what is known of it now.
    pub(super) async fn joined(&self) -> Result<About, ExecError> {
        if let Some(pod) = self.pods.cluster.get(&self.name).await?
            && let Some(about) = self.pods.state().pods.get_mut(&self.name)
        {
            about.note(&pod);
        }
        let mut state = self.pods.state();
        let about = state.pods.get_mut(&self.name);
        let about = about.ok_or_else(|| ExecError::SandboxLost { why: "its pod was given up".to_owned() })?;
        about.has_joined = true;
        Ok(about.clone())
    }

    /// The image that its stage really runs. The node tells that about a second after the start.
    pub(super) async fn image(&self) -> Result<Ran, ExecError> {
        let known = async {
            loop {
                let pod = self.pods.cluster.get(&self.name).await?;
                let pod = pod.ok_or_else(|| ExecError::SandboxLost { why: "its pod was deleted".to_owned() })?;
                match status::image(&pod) {
                    Some(ran) => return Ok(ran),
                    None => sleep(BETWEEN_LOOKS).await,
                }
            }
        };
        let why = || format!("its node did not tell the image of the pod within {} s", IMAGE_TIME.as_secs());
        timeout(IMAGE_TIME, known).await.unwrap_or_else(|_| Err(ExecError::SandboxLost { why: why() }))
    }

    /// How it ended, once the cluster knows; `None` if it does not say so in time.
    pub(super) async fn ended(&self) -> Option<Ended> {
        let ended = async {
            loop {
                match self.pods.cluster.get(&self.name).await {
                    Ok(None) => return Some(Ended::Otherwise("the pod is gone".to_owned())),
                    Ok(Some(pod)) => {
                        if let Standing::Ended(ended) = status::standing(&pod) {
                            return Some(ended);
                        }
                    }
                    Err(_) => {}
                }
                sleep(BETWEEN_LISTS).await;
            }
        };
        timeout(END_TIME, ended).await.ok().flatten()
    }

    /// Deletes it, and waits for the cluster's word. If that fails, it is tried again.
    pub(super) async fn delete(mut self) -> Result<(), ExecError> {
        let deleted = self.pods.cluster.delete(&self.name).await;
        self.is_deleted = deleted.is_ok();
        deleted
    }
}

impl Drop for Needed {
    fn drop(&mut self) {
        self.pods.workers.expect_no_more(&self.name);
        let mut state = self.pods.state();
        state.pods.remove(&self.name);
        if self.is_deleted {
            return;
        }
        state.has_leftovers = true;
        let is_watched = std::mem::replace(&mut state.is_watched, true);
        drop(state);
        // Without a runtime the process ends, and the next engine of this store deletes it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (pods, name) = (self.pods.clone(), self.name.clone());
        runtime.spawn(async move {
            // If this fails, those who list see it.
            pods.cluster.delete(&name).await.ok();
        });
        if !is_watched {
            runtime.spawn(watch(Arc::downgrade(&self.pods)));
        }
    }
}
