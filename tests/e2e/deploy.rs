//! What is in `deploy/`, and how `pv serve` fits into a machine: service managers, containers, logs.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{TestEnv, test_env};

use crate::support::*;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// What a service manager hears.
fn heard(socket: &UnixDatagram) -> String {
    socket.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
    let mut bytes = [0; 64];
    let length = socket.recv(&mut bytes).unwrap();
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

#[test]
fn a_service_manager_hears_when_it_is_ready_lives_and_stops() {
    let abstract_name = format!("pv-e2e-{}", std::process::id());
    for is_abstract in [false, true] {
        let env = env_with_notes();
        let path = env.dir().join("notify");
        let (address, name) = if is_abstract {
            (SocketAddr::from_abstract_name(&abstract_name).unwrap(), format!("@{abstract_name}"))
        } else {
            (SocketAddr::from_pathname(&path).unwrap(), path.to_str().unwrap().to_owned())
        };
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let mut command = env.command(["serve", "--listen", "127.0.0.1:0"]);
        command.env("NOTIFY_SOCKET", name).env("WATCHDOG_USEC", "200000");
        let serve = Background::of(&env, command);
        assert_eq!(heard(&socket), "READY=1");
        assert!(env.dir().join(".pv/socket").exists(), "it owns the store");
        assert!(serve.stderr().contains("listening at http://127.0.0.1:"), "it listens");
        assert_eq!((heard(&socket), heard(&socket)), ("WATCHDOG=1".to_owned(), "WATCHDOG=1".to_owned()));
        serve.send(Signal::SIGTERM);
        until_true("it says that it stops", || heard(&socket) == "STOPPING=1");
        serve.end().assert_code(0);
    }
}

#[test]
fn log_lines_are_json_and_name_the_request_that_caused_them() {
    let env = env_with_notes();
    let mut command = env.command(["serve", "--listen", "127.0.0.1:0", "--log", "json"]);
    command.env("PV_LOG", "warn,pv=info,engine=info,server=debug");
    let serve = serve_with(&env, command);
    let lines = || -> Vec<Value> {
        serve.stderr().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    };
    let message = |line: &Value| line["message"].as_str().unwrap().to_owned();
    let url = lines().iter().find_map(|line| Some(message(line).strip_prefix("listening at ")?.to_owned())).unwrap();
    let answer = Command::new("curl").args(["-sS", "-D", "-", &format!("{url}/healthz")]).output();
    let Ok(answer) = answer else { return skip("there is no curl") };
    let answer = String::from_utf8(answer.stdout).unwrap();
    let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap().trim().to_owned();
    until_true("a line for the request", || lines().iter().any(|line| line["request"] == id.as_str()));
    let line = lines().into_iter().find(|line| line["request"] == id.as_str()).unwrap();
    assert_eq!(
        (message(&line).as_str(), &line["level"], &line["target"]),
        ("answered", &"debug".into(), &"server::caller".into())
    );
    assert_eq!((&line["fields"]["path"], &line["fields"]["status"]), (&"/healthz".into(), &200.into()));
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
    apply(&env, &spec("copy", "notes", &copy_of("notes")));
    env.ok(["wait", "copy", "--timeout", "90s"]);
    until_true("lines about the job", || {
        lines().iter().filter(|line| message(line).starts_with("job copy@")).count() >= 2
    });
    serve.send(Signal::SIGTERM);
    let ended = serve.end().assert_code(0);
    for line in ended.stderr.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line}"));
    }
    assert!(ended.stderr.contains("stopping after running datums finish"));
}

#[test]
fn a_filter_that_is_none_is_refused() {
    let env = env_with_notes();
    let output = {
        let mut command = env.command(["serve"]);
        command.env("PV_LOG", "engine=loud").output().unwrap()
    };
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("PV_LOG=`engine=loud` is not a filter") && said.contains("hint: "), "{said}");
}

/// `promtool`, which `scripts/setup.sh` puts beside the tools for metrics, or that of the machine.
fn promtool() -> Option<PathBuf> {
    let own = tests::tools::python_of("metrics-tools").map(|python| python.with_file_name("promtool"));
    let own = own.filter(|tool| tool.exists());
    own.or_else(|| Command::new("promtool").arg("--version").output().is_ok().then(|| "promtool".into()))
}

#[test]
fn prometheus_takes_the_rules_and_the_scrape() {
    let Some(promtool) = promtool() else { return skip("no promtool: scripts/setup.sh metrics fetches it") };
    let check = |args: &[&str]| {
        let output = Command::new(&promtool).current_dir(deploy()).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(check(&["check", "rules", "prometheus-rules.yaml"]).contains("SUCCESS"));
    check(&["check", "config", "--syntax-only", "prometheus.yml"]);
    // The questions of the dashboard, as rules.
    let env = test_env!();
    let rules: Vec<Value> = questions()
        .iter()
        .enumerate()
        .map(|(number, question)| {
            let question = question.replace("$instance", ".*").replace("$pipeline", ".*");
            serde_json::json!({ "record": format!("q{number}"), "expr": question })
        })
        .collect();
    let rules = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let file = env.write("dashboard.json", rules.to_string());
    assert!(check(&["check", "rules", file.to_str().unwrap()]).contains("SUCCESS"));
}

/// What the dashboard asks Prometheus.
fn questions() -> Vec<String> {
    let text = std::fs::read_to_string(deploy().join("grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_panel_of_the_dashboard_asks_for_metrics_of_pv() {
    let questions = questions();
    assert!(questions.len() >= 16);
    for question in questions {
        assert!(question.contains("pv_"), "{question}");
    }
}

#[test]
fn systemd_takes_the_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return skip("no systemd-analyze: scripts/setup.sh metrics installs it");
    }
    let env = test_env!();
    let unit = std::fs::read_to_string(deploy().join("pv.service")).unwrap();
    let unit = unit.replace("/usr/local/bin/pv", env.binary().to_str().unwrap());
    assert!(unit.contains("Type=notify"));
    let file = env.write("pv.service", unit);
    let output = Command::new("systemd-analyze").arg("verify").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Other units of the machine are none of ours.
    let ours: Vec<_> = said.lines().filter(|line| line.contains("pv.service")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

/// A command that prints what failed.
fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The last stage of the Dockerfile, with this binary instead of one that its first stage compiles.
fn image(env: &TestEnv) -> String {
    let text = std::fs::read_to_string(deploy().join("Dockerfile")).unwrap();
    let last = text.split_once("FROM scratch AS final").unwrap().1;
    let own = "FROM scratch AS build\nCOPY files/ /\nFROM scratch AS final";
    let file = env.write("context/Dockerfile", format!("{own}{last}"));
    env.write("context/files/etc/ssl/certs/ca-certificates.crt", "");
    env.write("context/files/store/.keep", "");
    std::fs::copy(env.binary(), file.with_file_name("files").join("pv")).unwrap();
    let name = format!("pv-test-deploy:{}", std::process::id());
    docker(&["build", "-q", "-t", &name, file.parent().unwrap().to_str().unwrap()]);
    name
}

/// What a test leaves with Docker, which ends with the test.
struct Left(Vec<Vec<String>>);

impl Left {
    fn add(&mut self, remove: &[&str]) {
        self.0.push(remove.iter().map(|word| (*word).to_owned()).collect());
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        for remove in self.0.iter().rev() {
            Command::new("docker").args(remove).output().ok();
        }
    }
}

#[test]
fn the_image_serves_runs_a_pipeline_and_its_health_is_checked() {
    let socket = "/var/run/docker.sock";
    if !has_docker() || !Path::new(socket).exists() {
        return skip("Docker does not answer at its usual place");
    }
    let (env, mut left) = (test_env!(), Left(Vec::new()));
    let (image, volume) = (image(&env), format!("pv-test-deploy-{}", std::process::id()));
    left.add(&["rmi", &image]);
    left.add(&["volume", "rm", &volume]);
    let (store, shared) = (format!("{volume}:/store"), format!("{socket}:{socket}"));
    docker(&["run", "--rm", "-v", &store, &image, "init"]);
    let group = std::fs::metadata(socket).unwrap().gid().to_string();
    let container = docker(&[
        "run",
        "-d",
        "-v",
        &store,
        "-v",
        &shared,
        "--group-add",
        &group,
        &image,
        "serve",
        "--listen",
        "127.0.0.1:7070",
    ]);
    left.add(&["rm", "-f", &container]);
    let logs = || {
        let output = Command::new("docker").args(["logs", &container]).output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    until_true("the server listens", || {
        assert_eq!(docker(&["inspect", "-f", "{{.State.Running}}", &container]), "true", "{}", logs());
        logs().contains("at a time")
    });
    let test: Value = serde_json::from_str(&docker(&["inspect", "-f", "{{json .Config}}", &image])).unwrap();
    let check: Vec<&str> =
        test["Healthcheck"]["Test"].as_array().unwrap().iter().skip(1).map(|word| word.as_str().unwrap()).collect();
    assert_eq!(test["User"], "65532:65532");
    docker(&[&["exec", &container][..], &check].concat());
    let spec = env.write("spec.json", spec("deployed", "notes", &copy_of("notes")));
    docker(&["cp", spec.to_str().unwrap(), &format!("{container}:/store/a.json")]);
    for command in [
        "repo create notes",
        "put notes /store/a.json --as /a",
        "pipeline apply -f /store/a.json",
        "wait deployed --timeout 90s",
        "cat deployed:/a",
    ] {
        let words: Vec<&str> = ["exec", &container, "/pv"].into_iter().chain(command.split(' ')).collect();
        let printed = docker(&words);
        assert!(!command.starts_with("cat") || printed.contains("deployed"), "{printed}");
    }
    docker(&["stop", "-t", "60", &container]);
    assert_eq!(docker(&["inspect", "-f", "{{.State.ExitCode}}", &container]), "0", "{}", logs());
}
