//! What a pod's status says, in the cluster's words: why it waits, how it ended.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodCondition};

/// The container with the user's image.
pub(super) const STAGE: &str = "stage";

/// The exit code of a container whose first process was killed.
const KILLED: i32 = 128 + 9;

/// How a pod stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not started, for this reason if one is known.
    Waits(Option<String>),
    /// An image cannot be pulled; the cluster tries again.
    NoImage(String),
    /// A container cannot be started; the cluster tries again.
    Broken(String),
    /// All containers have started.
    Runs,
    /// It has ended, or is about to.
    Ended(Ended),
}

/// How a pod ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// A command used more memory than its limit.
    OutOfMemory,
    /// It used more of the node's disk than its own limit.
    OutOfStorage(String),
    /// Something else ended it.
    Otherwise(String),
}

impl Ended {
    /// Why, in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::OutOfMemory => "out of memory".to_owned(),
            Self::OutOfStorage(why) | Self::Otherwise(why) => why.clone(),
        }
    }
}

/// How a pod stands.
pub(super) fn standing(pod: &Pod) -> Standing {
    if let Some(ended) = ended(pod) {
        return Standing::Ended(ended);
    }
    let statuses = containers(pod);
    for status in &statuses {
        let Some(waiting) = state(status).and_then(|state| state.waiting.as_ref()) else { continue };
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let why = said(reason, waiting.message.as_deref());
        match reason {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed" => return Standing::NoImage(why),
            "" | "ContainerCreating" | "PodInitializing" => {}
            _ => return Standing::Broken(why),
        }
    }
    let all_run = !statuses.is_empty() && statuses.iter().all(|status| is_started(status));
    if all_run { Standing::Runs } else { Standing::Waits(unscheduled(pod)) }
}

/// The words of a reason and its message.
fn said(reason: &str, message: Option<&str>) -> String {
    match message {
        Some(message) if !message.is_empty() => format!("{reason}: {message}"),
        _ => reason.to_owned(),
    }
}

/// Those of all containers, in order of their start.
fn containers(pod: &Pod) -> Vec<&ContainerStatus> {
    let Some(status) = &pod.status else { return Vec::new() };
    let first = status.init_container_statuses.iter().flatten();
    first.chain(status.container_statuses.iter().flatten()).collect()
}

fn state(status: &ContainerStatus) -> Option<&ContainerState> {
    status.state.as_ref()
}

fn is_started(status: &ContainerStatus) -> bool {
    state(status).is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// Why it has no node.
fn unscheduled(pod: &Pod) -> Option<String> {
    let scheduled = condition(pod, "PodScheduled").filter(|condition| condition.status == "False")?;
    Some(said(scheduled.reason.as_deref().unwrap_or("Pending"), scheduled.message.as_deref()))
}

/// How it ended, if it has, or is about to.
fn ended(pod: &Pod) -> Option<Ended> {
    let status = pod.status.as_ref()?;
    let (reason, message) = (status.reason.as_deref().unwrap_or_default(), status.message.as_deref());
    if reason == "Evicted" && message.is_some_and(is_own_storage) {
        return Some(Ended::OutOfStorage(message.unwrap_or_default().to_owned()));
    }
    let stage = terminated(pod);
    // Where one of several processes was killed, the node says so of a container that went on, too.
    if stage.is_some_and(|(reason, code)| reason == "OOMKilled" && code == KILLED) {
        return Some(Ended::OutOfMemory);
    }
    if let Some(disruption) = condition(pod, "DisruptionTarget").filter(|condition| condition.status == "True") {
        let why = said(disruption.reason.as_deref().unwrap_or("Disrupted"), disruption.message.as_deref());
        return Some(Ended::Otherwise(why));
    }
    let phase = status.phase.as_deref().unwrap_or_default();
    if pod.metadata.deletion_timestamp.is_some() {
        return Some(Ended::Otherwise("the pod was deleted".to_owned()));
    }
    if matches!(phase, "Failed" | "Succeeded") {
        let why = if reason.is_empty() { "its containers have ended".to_owned() } else { said(reason, message) };
        return Some(Ended::Otherwise(why + &all_last_words(pod)));
    }
    stage.map(|(reason, code)| {
        let why = format!("the stage's container ended with code {code} ({reason})");
        Ended::Otherwise(why + &all_last_words(pod))
    })
}

/// What those containers said that ended with an error.
fn all_last_words(pod: &Pod) -> String {
    let ended = containers(pod).into_iter().filter_map(|status| {
        let ended = state(status)?.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
        let words = ended.message.as_deref().unwrap_or("nothing").trim();
        Some(format!("; container {} ended with code {} and said: {words}", status.name, ended.exit_code))
    });
    ended.collect()
}

/// Whether the kubelet evicted it for what it wrote itself, and not because the node was full.
fn is_own_storage(message: &str) -> bool {
    message.contains("exceeded its local ephemeral storage limit")
        || message.contains("ephemeral local storage usage exceeds the total limit")
        || message.contains("exceeds the limit \"")
}

/// Reason and exit code of the stage's container, if it has ended.
fn terminated(pod: &Pod) -> Option<(&str, i32)> {
    let ended = stage(pod)?.state.as_ref()?.terminated.as_ref()?;
    Some((ended.reason.as_deref().unwrap_or("Ended"), ended.exit_code))
}

fn stage(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.iter().find(|status| status.name == STAGE)
}

/// What the stage's container wrote as its last words, once it has ended.
pub(super) fn last_words(pod: &Pod) -> Option<(i32, String)> {
    let ended = stage(pod)?.state.as_ref()?.terminated.as_ref()?;
    Some((ended.exit_code, ended.message.clone().unwrap_or_default()))
}

/// The node it is on, once it has one.
pub(super) fn node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// The image that a container really runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ran {
    /// `sha256:…`, as the node names it.
    pub(super) id: String,
    /// The registry's digest, if the image came from one.
    pub(super) registry_digest: Option<String>,
}

/// The image of the stage's container; `None` before it is known.
pub(super) fn image(pod: &Pod) -> Option<Ran> {
    ran(&stage(pod)?.image_id)
}

/// `sha256:…`, `docker://sha256:…`, `name@sha256:…` and `docker-pullable://name@sha256:…`.
fn ran(image_id: &str) -> Option<Ran> {
    let digest = &image_id[image_id.find("sha256:")?..];
    let is_of_registry = image_id.contains('@');
    Some(Ran { id: digest.to_owned(), registry_digest: is_of_registry.then(|| digest.to_owned()) })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "p" }, "status": status })).unwrap()
    }

    fn waiting(reason: &str, message: &str) -> Pod {
        let state = json!({ "waiting": { "reason": reason, "message": message } });
        pod(&json!({ "phase": "Pending", "containerStatuses": [
            { "name": STAGE, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state }
        ] }))
    }

    fn stage_ended(reason: &str, code: i32) -> Pod {
        let state = json!({ "terminated": { "reason": reason, "exitCode": code } });
        pod(&json!({ "phase": "Running", "containerStatuses": [
            { "name": STAGE, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state }
        ] }))
    }

    #[test]
    fn why_it_waits_is_said_in_the_clusters_words() {
        let conditions = json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/12 nodes are available: 12 Insufficient nvidia.com/gpu." }]);
        let waits = standing(&pod(&json!({ "phase": "Pending", "conditions": conditions })));
        let words = "Unschedulable: 0/12 nodes are available: 12 Insufficient nvidia.com/gpu.";
        assert_eq!(waits, Standing::Waits(Some(words.to_owned())));
        assert_eq!(standing(&pod(&json!({ "phase": "Pending" }))), Standing::Waits(None));
        assert_eq!(standing(&waiting("ContainerCreating", "")), Standing::Waits(None));
    }

    #[test]
    fn a_failed_pull_is_told_from_other_faults() {
        let words = "ImagePullBackOff: Back-off pulling image \"x\"".to_owned();
        assert_eq!(standing(&waiting("ImagePullBackOff", "Back-off pulling image \"x\"")), Standing::NoImage(words));
        let broken = standing(&waiting("CreateContainerConfigError", "secret \"s\" not found"));
        assert_eq!(broken, Standing::Broken("CreateContainerConfigError: secret \"s\" not found".to_owned()));
    }

    #[test]
    fn memory_and_storage_of_its_own_are_told_from_a_loss() {
        assert_eq!(standing(&stage_ended("OOMKilled", 137)), Standing::Ended(Ended::OutOfMemory));
        let own = "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ";
        let went_on = standing(&stage_ended("OOMKilled", 0));
        assert!(matches!(went_on, Standing::Ended(Ended::Otherwise(_))), "{went_on:?}");
        let evicted = |message| pod(&json!({ "phase": "Failed", "reason": "Evicted", "message": message }));
        assert_eq!(standing(&evicted(own)), Standing::Ended(Ended::OutOfStorage(own.to_owned())));
        let nodes = "The node was low on resource: memory. ";
        let lost = Ended::Otherwise(format!("Evicted: {nodes}"));
        assert_eq!(standing(&evicted(nodes)), Standing::Ended(lost));
    }

    #[test]
    fn a_disruption_is_a_loss_and_says_whose() {
        let conditions = json!([{ "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
            "message": "preempted by x" }]);
        let lost = standing(&pod(&json!({ "phase": "Running", "conditions": conditions })));
        assert_eq!(lost, Standing::Ended(Ended::Otherwise("PreemptionByScheduler: preempted by x".to_owned())));
    }

    #[test]
    fn the_image_is_known_by_what_the_node_says() {
        let id = "sha256:12".to_owned();
        for local in ["sha256:12", "docker://sha256:12"] {
            assert_eq!(ran(local), Some(Ran { id: id.clone(), registry_digest: None }));
        }
        for pulled in ["a/b@sha256:12", "docker-pullable://a/b@sha256:12"] {
            assert_eq!(ran(pulled), Some(Ran { id: id.clone(), registry_digest: Some(id.clone()) }));
        }
        assert_eq!(ran(""), None);
    }
}
