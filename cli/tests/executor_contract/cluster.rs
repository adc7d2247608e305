//! The kubernetes executor on a real cluster, which `make test-kubernetes` starts: `PV_KUBERNETES` is its folder.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sandbox::{KubernetesExecutor, KubernetesSettings, PodSecurity};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::*;

/// The image with `pv`, which `make test-kubernetes` builds and loads.
const PV: &str = "pv.test/pv:1";
/// The image with a shell.
const SHELL: &str = "docker.io/library/pv-test-tools:1";

/// The folder of the cluster; `None` if there is none.
fn cluster() -> Option<PathBuf> {
    let folder = std::env::var_os("PV_KUBERNETES").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: no cluster: make test-kubernetes");
    }
    folder
}

/// Where pods reach this machine.
fn gateway(cluster: &Path) -> IpAddr {
    std::fs::read_to_string(cluster.join("gateway")).unwrap().trim().parse().unwrap()
}

/// Listens where pods reach this machine, and lets those of `workers` join. Returns the URL.
async fn listen(cluster: &Path, workers: Workers) -> String {
    let listener = TcpListener::bind((gateway(cluster), 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(attend(stream, workers.clone()));
        }
    });
    url
}

async fn attend(stream: TcpStream, workers: Workers) {
    stream.set_nodelay(true).unwrap();
    let mut token = String::new();
    let look = |request: &Request, response: Response| {
        let header = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        header.trim_start_matches("Bearer ").clone_into(&mut token);
        Ok(response)
    };
    let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, look).await else { return };
    let Some(pod) = workers.pod_with(&token) else { return };
    let (mut sink, mut source) = socket.split();
    let ((to, mut theirs), (received, from)) = (mpsc::channel(8), mpsc::channel(8));
    let sending = async move {
        while let Some(bytes) = theirs.recv().await {
            if sink.send(Message::Binary(bytes)).await.is_err() {
                return;
            }
        }
    };
    let receiving = async move {
        while let Some(Ok(Message::Binary(bytes))) = source.next().await {
            if received.send(bytes).await.is_err() {
                return;
            }
        }
    };
    let talking = workers.attend_pod(Link { to, from }, &pod);
    let (attended, (), ()) = tokio::join!(talking, sending, receiving);
    if let Err(error) = attended {
        eprintln!("{pod}: {error}");
    }
}

fn settings(workers: &Workers, url: &str, security: PodSecurity, instance: &str) -> KubernetesSettings {
    KubernetesSettings {
        namespace: None,
        image: Some(PV.to_owned()),
        advertise: Some(url.to_owned()),
        max_pods: 8,
        idle: Duration::from_mins(1),
        security,
        owner: owner(instance),
        engine_pod: None,
        workers: workers.clone(),
    }
}

/// The executor, listening, and an image's id.
async fn executor(cluster: &Path, security: PodSecurity) -> (KubernetesExecutor, String) {
    let workers = Workers::new();
    let url = listen(cluster, workers.clone()).await;
    workers.admit_pods(8, None);
    let executor = KubernetesExecutor::new(settings(&workers, &url, security, "this"));
    let image = executor.resolve_image(SHELL, &|progress| eprintln!("look: {}", progress.status)).await.unwrap();
    (executor, image.id)
}

/// Names of this store's pods that are not about to end.
fn pods() -> Vec<String> {
    let labels = format!("pv.dev/store={}", owner("").store);
    let output = Command::new("kubectl").args(["get", "pods", "-l", &labels, "-o", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of_all = listed["items"].as_array().unwrap().iter().map(|pod| &pod["metadata"]);
    let staying = of_all.filter(|about| about["deletionTimestamp"].is_null());
    staying.map(|about| about["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubernetes_executor_keeps_the_contract() {
    let Some(cluster) = cluster() else { return };
    let (executor, image) = executor(&cluster, PodSecurity::Baseline).await;
    let mean = executor_contract(&Subject { executor: &executor, image: Some(image), canary: CANARY }).await;
    eprintln!("kubernetes: {mean:?} a datum");
    executor.clean_up(&BTreeSet::new()).await.unwrap();
    assert_eq!(pods(), Vec::<String>::new(), "no pod is left");
}
