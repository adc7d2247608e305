//! The pod of a sandbox.

use json_patch::Patch;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Map, Value, json};
use specs::ErrorKind;

use super::inside::{CACHE, CODE, SOCKET, Station};
use super::names;
use super::settings::{KubernetesSettings, PodSecurity};
use super::status::STAGE;
use crate::error::ExecError;
use crate::task::{Resources, SandboxSpec};

/// Where the binary is, and the socket between the two containers.
pub(super) const AGENT_FOLDER: &str = "/.pv";
const AGENT: &str = "/.pv/pv";
/// A folder in a volume that belongs to the user of the agent, and where volumes are while it is made.
const OWN: &str = "own";
const MADE: &str = "/.made";
/// The user that is nobody else, in containers that need no other.
const NOBODY: i64 = 65532;
/// How long a pod may take to end: as long as a worker may take, and a little more.
const GRACE_SECONDS: u32 = 20;
/// The capabilities of root in a stage's container: those of the docker executor, which `baseline` allows.
const CAPABILITIES: [&str; 8] =
    ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"];
/// Maximum size of the fetched files that a pod keeps, in bytes.
pub(super) const CACHE_BYTES: u64 = 10 << 30;

/// What a pod is made from.
pub(super) struct Plan<'a> {
    pub(super) settings: &'a KubernetesSettings,
    pub(super) name: &'a str,
    /// The image with `pv`.
    pub(super) tools: &'a str,
    /// The reference of the stage's image.
    pub(super) image: &'a str,
    pub(super) spec: &'a SandboxSpec,
}

impl Plan<'_> {
    /// The pod in which a sandbox is opened.
    pub(super) fn of_sandbox(&self, station: &Station) -> Result<Pod, ExecError> {
        let station = serde_json::to_string(station).expect("plain values have an encoding");
        let spec = self.spec;
        let mut volumes = vec![
            folder("pv"),
            folder("pfs"),
            folder("out"),
            folder("tmp"),
            folder("code"),
            json!({ "name": "cache", "emptyDir": { "sizeLimit": CACHE_BYTES.to_string() } }),
        ];
        let mut written = vec![("pfs".to_owned(), "/pfs"), ("out".to_owned(), "/pfs/out"), ("tmp".to_owned(), "/tmp")];
        for (number, path) in spec.secret_directories.iter().enumerate() {
            let name = format!("secret-{number}");
            volumes.push(json!({ "name": name, "emptyDir": { "medium": "Memory", "sizeLimit": "16Mi" } }));
            written.push((name, path));
        }
        let mut mounts = vec![json!({ "name": "pv", "mountPath": AGENT_FOLDER, "readOnly": true })];
        mounts.extend(written.iter().map(|(name, path)| match self.settings.security {
            PodSecurity::Baseline => json!({ "name": name, "mountPath": path }),
            PodSecurity::Restricted => json!({ "name": name, "mountPath": path, "subPath": OWN }),
        }));
        if !spec.code.is_empty() {
            mounts.push(json!({ "name": "code", "mountPath": spec.code_path(), "readOnly": true }));
        }
        // A volume itself belongs to root, whose rights the agent has only with `baseline`.
        let own = match self.settings.security {
            PodSecurity::Baseline => Vec::new(),
            PodSecurity::Restricted => written.into_iter().map(|(name, _)| name).collect(),
        };
        let worker = json!({
            "name": "worker",
            "image": self.tools,
            "args": ["worker", "pod"],
            // Its last words say why it ended.
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "env": [{ "name": Station::VARIABLE, "value": station }],
            "resources": small("256Mi"),
            "securityContext": confined(true),
            "volumeMounts": [
                { "name": "pv", "mountPath": AGENT_FOLDER },
                { "name": "cache", "mountPath": CACHE },
                { "name": "code", "mountPath": CODE },
            ],
        });
        let stage = json!({
            "name": STAGE,
            "image": self.image,
            "command": [AGENT, "worker", "dial", SOCKET],
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "resources": resources(&spec.resources, &spec.placement.requests),
            "securityContext": self.stage_security(),
            "volumeMounts": mounts,
        });
        self.pod(&json!([stage, worker]), &json!(volumes), &own)
    }

    /// A pod that looks at its image: whether there is anything at these paths, and what the image says of itself.
    pub(super) fn of_look(&self, paths: &[&str]) -> Result<Pod, ExecError> {
        let command: Vec<&str> = [AGENT, "worker", "look"].into_iter().chain(paths.iter().copied()).collect();
        let mut security = match self.settings.security {
            // Its own user, which is to be found out.
            PodSecurity::Baseline => confined(false),
            PodSecurity::Restricted => confined(true),
        };
        security["readOnlyRootFilesystem"] = json!(true);
        let stage = json!({
            "name": STAGE,
            "image": self.image,
            "command": command,
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "resources": small("64Mi"),
            "securityContext": security,
            "volumeMounts": [{ "name": "pv", "mountPath": AGENT_FOLDER, "readOnly": true }],
        });
        self.pod(&json!([stage]), &json!([folder("pv")]), &[])
    }

    /// A pod; in the volumes of `own`, the folder [`OWN`] belongs to the user that is nobody else.
    fn pod(&self, containers: &Value, volumes: &Value, own: &[String]) -> Result<Pod, ExecError> {
        let placement = &self.spec.placement;
        let folders = own.iter().map(|name| format!("{MADE}/{name}/{OWN}"));
        let args: Vec<String> = ["worker", "install", AGENT].map(str::to_owned).into_iter().chain(folders).collect();
        let mounts = own.iter().map(|name| json!({ "name": name, "mountPath": format!("{MADE}/{name}") }));
        let mounts: Vec<Value> =
            std::iter::once(json!({ "name": "pv", "mountPath": AGENT_FOLDER })).chain(mounts).collect();
        let install = json!({
            "name": "pv",
            "image": self.tools,
            "args": args,
            "resources": small("64Mi"),
            "securityContext": confined(true),
            "volumeMounts": mounts,
        });
        let mut metadata = json!({
            "name": self.name,
            "labels": names::labels(&self.settings.owner, self.spec),
            "annotations": placement.annotations,
        });
        if let Some((name, uid)) = &self.settings.engine_pod {
            metadata["ownerReferences"] = json!([{ "apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid }]);
        }
        let mut spec = json!({
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
            "initContainers": [install],
            "containers": containers,
            "volumes": volumes,
        });
        let given = spec.as_object_mut().expect("it was just made as one");
        add(given, "nodeSelector", json!(placement.node_selector));
        add(given, "priorityClassName", json!(placement.priority_class));
        add(given, "tolerations", json!(placement.tolerations));
        let secrets: Vec<Value> = placement.image_pull_secrets.iter().map(|name| json!({ "name": name })).collect();
        add(given, "imagePullSecrets", json!(secrets));
        if let Some(patch) = &placement.pod_patch {
            // As in Pachyderm, of the spec alone: whatever it says, it stays a pod of this engine.
            apply(&mut spec, patch)?;
        }
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
        serde_json::from_value(pod).map_err(|error| wrong_patch(&error.to_string()))
    }

    fn stage_security(&self) -> Value {
        match self.settings.security {
            PodSecurity::Restricted => {
                let mut context = confined(true);
                context["readOnlyRootFilesystem"] = json!(false);
                context
            }
            PodSecurity::Baseline => json!({
                // The agent lays out inputs that the command cannot change, and starts the command as its proper user.
                "runAsUser": 0,
                "runAsGroup": 0,
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"], "add": CAPABILITIES },
            }),
        }
    }
}

/// Adds a field, unless there is nothing in it.
fn add(object: &mut Map<String, Value>, name: &str, value: Value) {
    let is_nothing =
        value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
    if !is_nothing {
        object.insert(name.to_owned(), value);
    }
}

fn folder(name: &str) -> Value {
    json!({ "name": name, "emptyDir": {} })
}

/// The security of a container that needs no rights.
fn confined(as_nobody: bool) -> Value {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
    });
    if as_nobody {
        context["runAsNonRoot"] = json!(true);
        context["runAsUser"] = json!(NOBODY);
        context["runAsGroup"] = json!(NOBODY);
        context["readOnlyRootFilesystem"] = json!(true);
    }
    context
}

/// Requests and limits of a container of `pv` itself: namespaces with a quota demand both.
fn small(memory: &str) -> Value {
    json!({ "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "cpu": "1", "memory": memory } })
}

/// Requests and limits of the stage.
fn resources(limits: &Resources, requests: &Resources) -> Value {
    let amounts = |resources: &Resources| {
        let mut amounts = Map::new();
        add(&mut amounts, "cpu", json!(resources.cpu_thousandths.map(|cores| format!("{cores}m"))));
        add(&mut amounts, "memory", json!(resources.memory_bytes.map(|bytes| bytes.to_string())));
        add(&mut amounts, "nvidia.com/gpu", json!(resources.gpus.map(|count| count.to_string())));
        amounts
    };
    json!({ "limits": amounts(limits), "requests": amounts(requests) })
}

fn apply(spec: &mut Value, patch: &str) -> Result<(), ExecError> {
    let patch: Patch = serde_json::from_str(patch).map_err(|error| wrong_patch(&error.to_string()))?;
    json_patch::patch(spec, &patch).map_err(|error| wrong_patch(&error.to_string()))
}

fn wrong_patch(why: &str) -> ExecError {
    ExecError::Cluster {
        what: format!("`pod_patch` does not fit the pod: {why}"),
        kind: ErrorKind::Usage,
        hint: Some("the pod as it is: kubectl get pod -l app.kubernetes.io/managed-by=pv -o json".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::core::v1::Container;

    use super::*;
    use crate::executor::Owner;
    use crate::remote::Workers;
    use crate::task::InputFile;

    fn settings(security: PodSecurity) -> KubernetesSettings {
        KubernetesSettings {
            namespace: None,
            image: Some("pv:1".to_owned()),
            advertise: Some("https://pv:7070".to_owned()),
            max_pods: 3,
            idle: Duration::from_mins(1),
            security,
            owner: Owner { store: "S".to_owned(), instance: "I".to_owned() },
            engine_pod: Some(("pv-0".to_owned(), "uid-1".to_owned())),
            workers: Workers::new(),
        }
    }

    fn made(settings: &KubernetesSettings, spec: &SandboxSpec) -> Result<Pod, ExecError> {
        let station = Station { token: "geheim".to_owned(), ..Station::default() };
        Plan { settings, name: "pv-x", tools: "pv:1", image: "python:3.12", spec }.of_sandbox(&station)
    }

    fn containers(pod: &Pod) -> Vec<&Container> {
        let spec = pod.spec.as_ref().unwrap();
        spec.init_containers.iter().flatten().chain(&spec.containers).collect()
    }

    #[test]
    fn every_container_is_as_restricted_demands() {
        let pod = made(&settings(PodSecurity::Restricted), &SandboxSpec::default()).unwrap();
        for container in containers(&pod) {
            let context = container.security_context.as_ref().unwrap();
            assert_eq!(context.run_as_non_root, Some(true), "{}", container.name);
            assert_eq!(context.allow_privilege_escalation, Some(false), "{}", container.name);
            let capabilities = context.capabilities.as_ref().unwrap();
            assert_eq!(capabilities.drop.as_deref(), Some(&["ALL".to_owned()][..]), "{}", container.name);
            assert!(capabilities.add.is_none(), "{}", container.name);
        }
    }

    #[test]
    fn the_stage_sees_no_token_and_cannot_change_the_agent() {
        for security in [PodSecurity::Baseline, PodSecurity::Restricted] {
            let pod = made(&settings(security), &SandboxSpec::default()).unwrap();
            assert_eq!(pod.spec.as_ref().unwrap().automount_service_account_token, Some(false));
            let all = containers(&pod);
            let stage = all.iter().find(|container| container.name == STAGE).unwrap();
            assert!(!serde_json::to_string(stage).unwrap().contains("geheim"));
            let mounts = stage.volume_mounts.as_ref().unwrap();
            let of_pv = mounts.iter().find(|mount| mount.name == "pv").unwrap();
            assert_eq!(of_pv.read_only, Some(true));
            assert!(mounts.iter().all(|mount| mount.name != "cache"));
        }
    }

    #[test]
    fn code_is_read_only_and_secrets_are_in_memory() {
        let spec = SandboxSpec {
            code: vec![InputFile {
                path: "a.py".to_owned(),
                digest: repos::hash::digest_of(b"a"),
                size_bytes: 1,
                executable: false,
                is_placeholder: false,
            }],
            secret_directories: ["/secrets/a".to_owned()].into(),
            ..SandboxSpec::default()
        };
        let pod = made(&settings(PodSecurity::Baseline), &spec).unwrap();
        let all = containers(&pod);
        let stage = all.iter().find(|container| container.name == STAGE).unwrap();
        let mounts = stage.volume_mounts.as_ref().unwrap();
        let code = mounts.iter().find(|mount| mount.mount_path == "/code").unwrap();
        assert_eq!(code.read_only, Some(true));
        let volumes = pod.spec.as_ref().unwrap().volumes.as_ref().unwrap();
        let secret = volumes.iter().find(|volume| volume.name == "secret-0").unwrap();
        assert_eq!(secret.empty_dir.as_ref().unwrap().medium.as_deref(), Some("Memory"));
    }

    #[test]
    fn resources_and_placement_are_what_the_spec_says() {
        let mut spec = SandboxSpec {
            resources: Resources { cpu_thousandths: Some(1500), memory_bytes: Some(1 << 30), gpus: Some(2) },
            ..SandboxSpec::default()
        };
        spec.placement.requests = Resources { cpu_thousandths: Some(500), ..Resources::default() };
        spec.placement.priority_class = Some("high".to_owned());
        spec.placement.node_selector.insert("disk".to_owned(), "ssd".to_owned());
        spec.placement.image_pull_secrets = vec!["registry".to_owned()];
        spec.placement.labels.insert("kueue.x-k8s.io/queue-name".to_owned(), "team-a".to_owned());
        let pod = made(&settings(PodSecurity::Baseline), &spec).unwrap();
        let json = serde_json::to_value(&pod).unwrap();
        let stage = &json["spec"]["containers"][0];
        assert_eq!(
            stage["resources"]["limits"],
            json!({ "cpu": "1500m", "memory": "1073741824", "nvidia.com/gpu": "2" })
        );
        assert_eq!(stage["resources"]["requests"], json!({ "cpu": "500m" }));
        assert_eq!(json["spec"]["priorityClassName"], "high");
        assert_eq!(json["spec"]["nodeSelector"], json!({ "disk": "ssd" }));
        assert_eq!(json["spec"]["imagePullSecrets"], json!([{ "name": "registry" }]));
        assert_eq!(json["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "team-a");
        assert_eq!(json["metadata"]["ownerReferences"][0]["uid"], "uid-1");
    }

    #[test]
    fn a_patch_changes_the_pod_but_not_whose_it_is() {
        let mut spec = SandboxSpec::default();
        spec.placement.pod_patch = Some(
            r#"[{"op":"add","path":"/hostNetwork","value":true},
                {"op":"add","path":"/containers/0/workingDir","value":"/w"}]"#
                .to_owned(),
        );
        let pod = made(&settings(PodSecurity::Baseline), &spec).unwrap();
        assert_eq!(containers(&pod)[1].working_dir.as_deref(), Some("/w"), "the first one is the stage's");
        assert_eq!(pod.spec.unwrap().host_network, Some(true));
        assert_eq!(pod.metadata.labels.unwrap()[names::STORE], "S");
        spec.placement.pod_patch = Some(r#"[{"op":"remove","path":"/nothing"}]"#.to_owned());
        let error = made(&settings(PodSecurity::Baseline), &spec).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("pod_patch"), "{error}");
    }
}
