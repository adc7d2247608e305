//! Pods that execute datums: the setting `executor kubernetes`, on a real cluster.
//!
//! `make test-kubernetes` starts one, and sets `PV_KUBERNETES` to its folder. Without it these tests say that they were skipped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::TestEnv;

use crate::support::*;

/// The image with `pv`, and one with a shell, as the cluster names them.
const PV: &str = "pv.test/pv:1";
const SHELL: &str = "docker.io/library/pv-test-busybox:1";

/// A store whose datums run in pods of a namespace of their own, and its server.
struct Site {
    env: TestEnv,
    serve: Background,
    kubeconfig: PathBuf,
    address: String,
    namespace: String,
}

impl Site {
    /// `None` if there is no cluster.
    fn start() -> Option<Self> {
        Self::start_with("baseline")
    }

    /// Like [`Self::start`]; the cluster refuses pods that do not keep this Pod Security Standard.
    #[expect(clippy::print_stderr, reason = "for whoever runs the tests")]
    fn start_with(security: &str) -> Option<Self> {
        let Some(cluster) = std::env::var_os("PV_KUBERNETES").map(PathBuf::from) else {
            eprintln!("SKIPPED: no cluster: make test-kubernetes");
            return None;
        };
        let gateway = std::fs::read_to_string(cluster.join("gateway")).unwrap();
        let free = TcpListener::bind((gateway.trim(), 0)).unwrap().local_addr().unwrap();
        let (address, env) = (free.to_string(), env_with_notes_on("kubernetes"));
        let (advertise, namespace) = (format!("https://{address}"), format!("pv-test-{}", Gate::new().mark()));
        let settings = [
            ("image", PV),
            ("advertise", &advertise),
            ("idle", "2s"),
            ("namespace", &namespace),
            ("pod_security", security),
        ];
        for (name, value) in settings {
            env.ok(["config", "set", &format!("kubernetes.{name}"), value]);
        }
        certify(&env, gateway.trim());
        let kubeconfig = cluster.join("kubeconfig");
        create(&kubeconfig, &namespace, security);
        let serve = served(&env, &address, &kubeconfig);
        Some(Self { env, serve, kubeconfig, address, namespace })
    }

    fn until_current(&self, pipeline: &str) {
        self.env.ok(["wait", pipeline, "--timeout", "90s"]);
    }

    fn kubectl(&self, args: &[&str]) -> String {
        kubectl(&self.kubeconfig, &[&["--namespace", &self.namespace], args].concat())
    }

    /// The pods of its namespace that are not about to end.
    fn pods(&self) -> Vec<Value> {
        let mut listed: Value = serde_json::from_str(&self.kubectl(&["get", "pods", "-o", "json"])).unwrap();
        let pods: Vec<Value> = serde_json::from_value(listed["items"].take()).unwrap();
        pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect()
    }

    fn names(&self) -> Vec<String> {
        self.pods().iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// How many tries each datum of the newest job of a pipeline had.
    fn tries(&self, pipeline: &str) -> Vec<Value> {
        self.env.json(["datum", "list", pipeline]).iter().map(|datum| datum["tries"].clone()).collect()
    }

    /// Ends the server, which leaves nothing behind.
    fn end(self) {
        self.serve.send(Signal::SIGTERM);
        self.serve.end().assert_code(0);
        assert_sound(&self.env);
        until_true("no pod is left", || {
            kubectl(&self.kubeconfig, &["-n", &self.namespace, "get", "pods", "-o", "name"]).is_empty()
        });
        kubectl(&self.kubeconfig, &["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}

fn kubectl(kubeconfig: &Path, args: &[&str]) -> String {
    let output = Command::new("kubectl").arg("--kubeconfig").arg(kubeconfig).args(args).output().unwrap();
    assert!(output.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Creates a namespace in which pods must keep a Pod Security Standard.
fn create(kubeconfig: &Path, namespace: &str, security: &str) {
    kubectl(kubeconfig, &["create", "namespace", namespace]);
    let label = format!("pod-security.kubernetes.io/enforce={security}");
    kubectl(kubeconfig, &["label", "namespace", namespace, &label]);
    let account = ["-n", namespace, "get", "serviceaccount", "default", "--ignore-not-found", "-o", "name"];
    until_true("its account", || !kubectl(kubeconfig, &account).is_empty());
}

/// A certificate for this address alone.
fn certify(env: &TestEnv, address: &str) {
    let name = format!("subjectAltName=IP:{address}");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pv"])
        .args([
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
            "-addext",
            &name,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .current_dir(env.work())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn served(env: &TestEnv, address: &str, kubeconfig: &Path) -> Background {
    let mut command = env.command(["serve", "--listen", address, "--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    command.env("KUBECONFIG", kubeconfig);
    let mut serve = Background::of(env, command);
    until_true("a server that listens", || {
        assert!(!serve.is_over(), "{}", serve.stderr());
        serve.stderr().contains("listening at ")
    });
    serve
}

fn stage(name: &str, script: &str, more: &Value) -> String {
    let mut spec = json!({
        "pipeline": { "name": name },
        "input": { "pfs": { "repo": "notes", "glob": "/*" } },
        "transform": { "image": SHELL, "cmd": ["sh", "-c", script] },
        "parallelism_spec": { "constant": 2 },
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    format!("{spec}\n")
}

#[test]
fn pods_make_what_this_machine_makes_are_named_and_go_when_nothing_is_left() {
    let Some(site) = Site::start() else { return };
    apply(&site.env, &stage("copy", &copy_of("notes"), &json!({})));
    site.until_current("copy");
    assert_eq!(outcome(&site.env, "copy"), success(3, 0));
    let alone = env_with_notes();
    apply(&alone, &stage("copy", &copy_of("notes"), &json!({})).replace(&format!("\"image\":\"{SHELL}\","), ""));
    alone.ok(["run"]);
    let files = |env: &TestEnv| {
        let files = env.json(["ls", "-r", "copy"]);
        files.iter().map(|file| (file["path"].clone(), file["digest"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(files(&site.env), files(&alone));
    let traced = site.env.ok(["trace", "copy:/a"]);
    assert!(traced.contains("kubernetes") && traced.contains("node") && traced.contains("/pv-copy-"), "{traced}");
    put_note(&site.env, "d", "d\n");
    site.until_current("copy");
    assert_eq!(outcome(&site.env, "copy"), success(1, 3));
    until_true("pods that are idle go", || site.pods().is_empty());
    let verified = site.env.ok(["verify", "copy:/a", "--rerun", "--network"]);
    assert!(verified.contains("identical"), "{verified}");
    site.end();
}

#[test]
fn what_a_deleted_pod_was_doing_another_does_and_no_try_is_used() {
    let Some(site) = Site::start() else { return };
    let gate = Gate::new();
    apply(&site.env, &stage("hold", &format!("{}; {}", gate.wait(), copy_of("notes")), &json!({})));
    gate.until_waiting(2);
    let name = site.names().remove(0);
    site.kubectl(&["delete", "pod", &name, "--grace-period=0", "--force"]);
    gate.open_until(|| newest_job(&site.env, "hold")["state"] == "success");
    assert_eq!((outcome(&site.env, "hold"), site.tries("hold")), (success(3, 0), vec![json!(1); 3]));
    site.end();
}

#[test]
fn a_datum_that_is_done_when_its_pod_is_told_to_end_arrives() {
    let Some(site) = Site::start() else { return };
    let gate = Gate::new();
    let one = json!({ "parallelism_spec": { "constant": 1 } });
    apply(&site.env, &stage("hold", &format!("{}; {}", gate.wait(), copy_of("notes")), &one));
    gate.until_waiting(1);
    let name = site.names().remove(0);
    site.kubectl(&["delete", "pod", &name, "--wait=false"]);
    until_true("its worker is told to end", || {
        site.env.json(["worker", "list"]).iter().any(|worker| worker["going_away"] == true)
    });
    gate.let_go();
    until_true("its datum counts", || newest_job(&site.env, "hold")["datums_processed"] == 1);
    gate.open_until(|| newest_job(&site.env, "hold")["state"] == "success");
    assert_eq!((outcome(&site.env, "hold"), site.tries("hold")), (success(3, 0), vec![json!(1); 3]));
    site.end();
}

#[test]
fn what_an_engine_that_was_killed_leaves_the_next_removes_and_nothing_else() {
    let Some(site) = Site::start() else { return };
    let (gate, other) = (Gate::new(), format!("other-{}", std::process::id()));
    let labels = "--labels=app.kubernetes.io/managed-by=pv,pv.dev/store=another,pv.dev/instance=dead";
    site.kubectl(&["run", &other, "--image", SHELL, "--image-pull-policy=Never", labels, "--", "sleep", "1000"]);
    apply(&site.env, &stage("hold", &format!("{}; {}", gate.wait(), copy_of("notes")), &json!({})));
    gate.until_waiting(2);
    let before: Vec<String> = site.names().into_iter().filter(|name| *name != other).collect();
    let Site { env, serve, kubeconfig, address, namespace } = site;
    serve.kill_9();
    let serve = served(&env, &address, &kubeconfig);
    let site = Site { env, serve, kubeconfig, address, namespace };
    until_true("pods of the dead engine go", || site.names().iter().all(|name| !before.contains(name)));
    gate.open_until(|| newest_job(&site.env, "hold")["state"] == "success");
    assert_eq!(outcome(&site.env, "hold"), success(3, 0));
    assert!(site.kubectl(&["get", "pod", &other, "-o", "jsonpath={.metadata.deletionTimestamp}"]).is_empty());
    site.kubectl(&["delete", "pod", &other, "--grace-period=0", "--force"]);
    site.end();
}

#[test]
fn why_a_pod_waits_is_said_in_the_clusters_words() {
    let Some(site) = Site::start() else { return };
    let much = json!({ "resource_limits": { "memory": "900Gi" } });
    apply(&site.env, &stage("large", &copy_of("notes"), &much));
    until_true("the reason", || site.env.ok(["job", "show", "large"]).contains("Insufficient memory"));
    assert!(site.env.ok(["status"]).contains("Unschedulable"), "{}", site.env.ok(["status"]));
    site.env.ok(["job", "stop", "large"]);
    until_true("its pods go", || site.pods().is_empty());
    site.end();
}

#[test]
fn a_command_that_needs_more_memory_than_its_limit_fails_and_says_so() {
    let Some(site) = Site::start() else { return };
    let little = json!({ "resource_limits": { "memory": "48Mi" }, "datum_tries": 1 });
    let script = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo ${#x}";
    apply(&site.env, &stage("greedy", script, &little));
    until_true("its end", || newest_job(&site.env, "greedy")["state"] == "failure");
    let shown = site.env.ok(["datum", "show", "greedy", "--input", "/a"]);
    assert!(shown.contains("out of memory"), "{shown}");
    site.end();
}

#[test]
fn an_image_that_nobody_has_is_refused_and_leaves_no_pod() {
    let Some(site) = Site::start() else { return };
    let text = stage("none", "true", &json!({})).replace(SHELL, "127.0.0.1:9/no/such:image");
    site.env.write("spec.json", text);
    let refused = site.env.output(["pipeline", "apply", "-f", "spec.json"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(6) && said.contains("127.0.0.1:9/no/such:image"), "{said}");
    until_true("its pod goes", || site.pods().is_empty());
    site.end();
}

#[test]
fn where_nothing_may_be_root_nothing_is() {
    let Some(site) = Site::start_with("restricted") else { return };
    let script = format!("id -u > /pfs/out/who; {}", copy_of("notes"));
    let one = json!({ "input": { "pfs": { "repo": "notes", "glob": "/" } } });
    apply(&site.env, &stage("copy", &script, &one));
    site.until_current("copy");
    assert_eq!(outcome(&site.env, "copy"), success(1, 0));
    assert_eq!(site.env.ok(["cat", "copy:/who"]), "65532\n");
    site.end();
}

#[test]
fn a_quota_that_is_used_up_is_waited_for() {
    let Some(site) = Site::start() else { return };
    apply(&site.env, &stage("copy", &copy_of("notes"), &json!({})));
    site.until_current("copy");
    until_true("idle pods go", || site.pods().is_empty());
    site.kubectl(&["create", "quota", "none", "--hard=pods=0"]);
    put_note(&site.env, "d", "d\n");
    until_true("the reason", || site.env.ok(["job", "show", "copy"]).contains("quota: "));
    site.kubectl(&["delete", "quota", "none"]);
    site.until_current("copy");
    assert_eq!(outcome(&site.env, "copy"), success(1, 3));
    site.end();
}

#[test]
fn a_tag_that_means_another_image_meanwhile_runs_nothing() {
    let Some(site) = Site::start() else { return };
    let image = format!("pv.test/moved-{}:1", std::process::id());
    let folder = tempfile::tempdir().unwrap();
    let tag = |variable: &str| {
        let archive = folder.path().join("image.tar");
        let script = format!(
            "docker create --name {name} pv-test-busybox:1 x && docker export {name} |
             docker import --change 'ENV PATH=/bin {variable}=1' - {image} && docker rm {name} &&
             docker save {image} > {archive} && scripts/kubernetes.sh load {archive} && docker image rm {image}",
            name = format!("moved-{}", std::process::id()),
            archive = archive.display()
        );
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let made = Command::new("sh").args(["-ec", &script]).current_dir(top).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    tag("A");
    apply(&site.env, &stage("copy", &copy_of("notes"), &json!({})).replace(SHELL, &image));
    site.until_current("copy");
    until_true("idle pods go", || site.pods().is_empty());
    tag("B");
    put_note(&site.env, "d", "d\n");
    until_true("its end", || newest_job(&site.env, "copy")["state"] == "failure");
    let shown = site.env.ok(["job", "show", "copy"]);
    assert!(shown.contains("is not available: the node has sha256:"), "{shown}");
    until_true("its pods go", || site.pods().is_empty());
    site.end();
}
