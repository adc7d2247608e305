//! Requests to the cluster: paced, and repeated while it is out of order.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::{Client, Config, Error};
use repos::documents::ExecutorKind;
use specs::ErrorKind;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use crate::error::ExecError;

/// Time between two new pods: at most 20 a second.
const PACE: Duration = Duration::from_millis(50);
/// How long a request may take.
const ANSWER: Duration = Duration::from_secs(30);
/// Pause after an error, doubled each time up to the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the cluster may be out of order.
const OUTAGE_MAX: Duration = Duration::from_mins(10);
/// Seconds that a pod without work left may take to end.
const GRACE_SECONDS: u32 = 1;

/// Called with why a request has to wait; `None` once it need not.
pub(super) type OnWait<'a> = &'a (dyn Fn(Option<String>) + Send + Sync);

/// The cluster, as far as its account lets the engine in.
pub(super) struct Cluster {
    client: Client,
    pods: Api<Pod>,
    address: String,
    /// When the next pod may be created.
    next: Mutex<Instant>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What follows from an error.
enum Fault {
    /// The cluster is out of order, or asks to wait that long.
    Passes(Option<Duration>),
    /// A quota is used up.
    Quota,
    /// It says no.
    Final,
}

impl Cluster {
    /// From the account of the engine's pod, else from the kubeconfig.
    pub(super) async fn connect(namespace: Option<&str>) -> Result<Self, ExecError> {
        // A second call changes nothing.
        rustls::crypto::ring::default_provider().install_default().ok();
        let unusable = |what: String| ExecError::Cluster {
            what,
            kind: ErrorKind::Usage,
            hint: Some("set KUBECONFIG, or run pv in the cluster; try: kubectl get pods".to_owned()),
        };
        let mut config = Config::infer().await.map_err(|error| unusable(format!("no cluster is known: {error}")))?;
        // Its repeats would not say why they wait.
        config.default_retry = false;
        let namespace = namespace.map_or_else(|| config.default_namespace.clone(), str::to_owned);
        let address = config.cluster_url.to_string();
        let client = Client::try_from(config)
            .map_err(|error| unusable(format!("the account for `{address}` cannot be used: {error}")))?;
        let pods = Api::namespaced(client.clone(), &namespace);
        Ok(Self { client, pods, address, next: Mutex::new(Instant::now()) })
    }

    /// The cluster's version, such as `v1.34.2`.
    pub(super) async fn version(&self) -> Result<String, ExecError> {
        let asked = self.timed(self.client.apiserver_version()).await;
        asked.map(|version| version.git_version).map_err(|error| self.failed("tell its version", error))
    }

    /// Creates a pod, at the pace and after the pauses that the cluster wants.
    pub(super) async fn create(&self, pod: &Pod, on_wait: OnWait<'_>) -> Result<(), ExecError> {
        let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            self.wait_for_turn().await;
            let created = self.timed(self.pods.create(&PostParams::default(), pod)).await;
            let Err(error) = created else { return Ok(()) };
            let wait = match fault(&error) {
                // An earlier request arrived after all.
                _ if code(&error) == Some(409) => return Ok(()),
                Fault::Passes(wait) if begun.elapsed() < OUTAGE_MAX => {
                    on_wait(Some(format!("the cluster does not take pods: {}", words(&error))));
                    wait.unwrap_or(pause)
                }
                Fault::Quota => {
                    on_wait(Some(format!("quota: {}", words(&error))));
                    LONGEST_PAUSE
                }
                Fault::Passes(_) | Fault::Final => return Err(self.failed("create a pod", error)),
            };
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn wait_for_turn(&self) {
        let turn = {
            let mut next = self.next.lock().await;
            let turn = (*next).max(Instant::now());
            *next = turn + PACE;
            turn
        };
        sleep_until(turn).await;
    }

    /// A pod, once the cluster answers; `None` if there is none of this name.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Pod>, ExecError> {
        let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let error = match self.timed(self.pods.get_opt(name)).await {
                Ok(pod) => return Ok(pod),
                Err(error) => error,
            };
            match fault(&error) {
                Fault::Passes(wait) if begun.elapsed() < OUTAGE_MAX => sleep(wait.unwrap_or(pause)).await,
                _ => return Err(self.failed("show a pod", error)),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The pods with these labels.
    pub(super) async fn list(&self, labels: &str) -> Result<Vec<Pod>, ExecError> {
        let listed = self.timed(self.pods.list(&ListParams::default().labels(labels))).await;
        listed.map(|list| list.items).map_err(|error| self.failed("list pods", error))
    }

    /// Removes a pod, unless it is gone.
    pub(super) async fn delete(&self, name: &str) -> Result<(), ExecError> {
        let params = DeleteParams { grace_period_seconds: Some(GRACE_SECONDS), ..DeleteParams::default() };
        match self.timed(self.pods.delete(name, &params)).await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some(404) => Ok(()),
            Err(error) => Err(self.failed("delete a pod", error)),
        }
    }

    async fn timed<T>(&self, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match tokio::time::timeout(ANSWER, asked).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(Error::Service(elapsed.into())),
        }
    }

    fn failed(&self, action: &str, error: Error) -> ExecError {
        match fault(&error) {
            Fault::Passes(_) => ExecError::NotAnswering {
                executor: ExecutorKind::Kubernetes,
                address: self.address.clone(),
                source: Box::new(error),
            },
            Fault::Quota | Fault::Final => ExecError::Cluster {
                what: format!("the cluster cannot {action}: {}", words(&error)),
                kind: if matches!(code(&error), Some(401 | 403)) { ErrorKind::Refused } else { ErrorKind::Unavailable },
                hint: matches!(code(&error), Some(401 | 403))
                    .then(|| "give the engine's account the role in deploy/kubernetes".to_owned()),
            },
        }
    }
}

/// The HTTP status of the cluster's answer.
fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// Its words.
fn words(error: &Error) -> String {
    match error {
        Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        error => error.to_string(),
    }
}

fn fault(error: &Error) -> Fault {
    match error {
        Error::Api(status) => match status.code {
            403 if status.message.contains("exceeded quota") => Fault::Quota,
            429 | 500.. => {
                let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                Fault::Passes((seconds > 0).then(|| Duration::from_secs(seconds.into())))
            }
            _ => Fault::Final,
        },
        Error::HyperError(_) | Error::Service(_) | Error::ReadEvents(_) => Fault::Passes(None),
        // An answer from something else than the cluster, such as a proxy in front of it.
        Error::SerdeError(_) => Fault::Passes(None),
        _ => Fault::Final,
    }
}
