//! Machines that execute datums for a server: `pv worker`, the setting `executor workers`, and tokens of role `worker`.

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::TestEnv;

use crate::support::*;

/// A spec without an image: a shell script for each file of `notes`.
fn stage(name: &str, script: &str) -> String {
    let spec = json!({
        "pipeline": { "name": name },
        "input": { "pfs": { "repo": "notes", "glob": "/*" } },
        "transform": { "cmd": ["sh", "-c", script] },
    });
    format!("{spec}\n")
}

/// A script that writes each file in capital letters.
fn upper() -> String {
    "tr a-z A-Z < \"$notes\" > \"/pfs/out/$(basename \"$notes\")\"; echo done".to_owned()
}

/// A script that waits, and then does the same.
fn held(gate: &Gate) -> String {
    format!("{}; {}", gate.wait(), upper())
}

/// A server at this address, and its URL.
fn serve_at(env: &TestEnv, address: &str) -> (Background, String) {
    let mut serve = Background::of(env, env.command(["serve", "--listen", address]));
    let url = until("a server that listens", || {
        assert!(!serve.is_over(), "{}", serve.stderr());
        serve.stderr().lines().find_map(|line| Some(line.split_once("listening at ")?.1.trim().to_owned()))
    });
    (serve, url)
}

/// A store whose datums are executed by workers, its server, and a token of role `worker`.
struct Site {
    env: TestEnv,
    serve: Background,
    url: String,
    token: String,
}

impl Site {
    fn start() -> Self {
        let env = env_with_notes_on("workers");
        let (serve, url) = serve_at(&env, "127.0.0.1:0");
        let token = token(&env, "edge", "worker");
        Self { env, serve, url, token }
    }

    /// A worker that has joined. It ends with this value.
    fn worker(&self, machine: &TestEnv, name: &str, more: &[&str]) -> Background {
        let mut worker = self.starting(machine, name, more);
        until_true("a worker that has joined", || {
            assert!(!worker.is_over(), "{}", worker.stderr());
            worker.stderr().contains("joined ")
        });
        worker
    }

    fn starting(&self, machine: &TestEnv, name: &str, more: &[&str]) -> Background {
        let args = [&["worker", "join", &self.url, "--name", name], more].concat();
        let mut command = machine.command(args);
        command.env("PV_TOKEN", &self.token);
        Background::of(machine, command)
    }

    fn until_current(&self, pipeline: &str) {
        self.env.ok(["wait", pipeline, "--timeout", "90s"]);
    }

    /// How many tries each datum of the newest job of a pipeline had.
    fn tries(&self, pipeline: &str) -> Vec<Value> {
        self.env.json(["datum", "list", pipeline]).iter().map(|datum| datum["tries"].clone()).collect()
    }
}

const PROCESS: &[&str] = &["--executor", "process", "--slots", "1"];

/// A machine without a store.
fn machine() -> TestEnv {
    TestEnv::without_store(env!("CARGO_BIN_EXE_pv"))
}

fn token(env: &TestEnv, name: &str, role: &str) -> String {
    env.json(["token", "create", name, "--role", role])[0]["token"].as_str().unwrap().to_owned()
}

fn stop(process: Background) -> Ended {
    process.send(Signal::SIGTERM);
    process.end().assert_code(0)
}

#[test]
fn without_a_server_what_comes_next_is_to_start_one() {
    let env = env_with_notes_on("workers");
    env.write("spec.json", stage("upper", &upper()));
    let applied = env.output(["pipeline", "apply", "-f", "spec.json"]);
    let said = String::from_utf8(applied.stderr).unwrap();
    assert!(said.contains("next: pv serve --listen") && said.contains("preview: pv plan"), "{said}");
    assert_eq!(env.json(["status"])[0]["needs_you"][0]["commands"], json!(["pv serve --listen 127.0.0.1:7070"]));
    assert_eq!(env.exit_code(["run"]), 2);
}

#[test]
fn pipelines_that_share_one_slot_come_to_their_ends() {
    let (site, machine) = (Site::start(), machine());
    let _worker = site.worker(&machine, "edge-machine", PROCESS);
    apply(&site.env, &(stage("one", &upper()) + &stage("two", &upper()) + &stage("three", &upper())));
    for pipeline in ["one", "two", "three"] {
        site.until_current(pipeline);
    }
    assert_eq!(site.tries("three").len(), 3);
}

#[test]
fn a_worker_makes_what_this_machine_makes_and_is_named_where_it_did() {
    let (site, machine) = (Site::start(), machine());
    assert_eq!(site.env.json(["worker", "list"]), Vec::<Value>::new());
    let worker = site.worker(&machine, "edge-machine", &["--executor", "process", "--slots", "2"]);
    let listed = site.env.json(["worker", "list"]).remove(0);
    let fields = ["name", "token", "executor", "slots", "going_away"].map(|field| listed[field].clone());
    assert_eq!(fields, [json!("edge-machine"), json!("edge"), json!("process"), json!(2), json!(false)]);
    apply(&site.env, &stage("upper", &upper()));
    site.until_current("upper");
    let alone = env_with_notes();
    apply(&alone, &stage("upper", &upper()));
    alone.ok(["run"]);
    for env in [&site.env, &alone] {
        assert_eq!(outcome(env, "upper"), success(3, 0));
    }
    let files = |env: &TestEnv| {
        let files = env.json(["ls", "-r", "upper"]);
        files.iter().map(|file| (file["path"].clone(), file["digest"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(files(&site.env), files(&alone));
    assert_eq!(site.env.ok(["logs", "upper"]).matches("done").count(), 3, "what commands print arrives");
    for shown in [&["trace", "upper:/a"][..], &["datum", "show", "upper", "--input", "/a"]] {
        let text = site.env.ok(shown);
        assert!(text.contains("edge-machine"), "{text}");
    }
    assert!(stop(worker).stderr.contains("going away"));
    stop(site.serve);
    assert_nothing_is_left(&site.env);
    assert_sound(&site.env);
}

#[test]
fn what_a_worker_that_vanished_was_doing_another_does_and_no_try_is_used() {
    let site = Site::start();
    let gate = Gate::new();
    apply(&site.env, &stage("hold", &held(&gate)));
    let machines = [machine(), machine()];
    let [first, second] =
        [("one", &machines[0]), ("two", &machines[1])].map(|(name, on)| site.worker(on, name, PROCESS));
    gate.until_waiting(2);
    first.kill_9();
    until_true("its command ends with it", || gate.waiting().len() == 1);
    gate.open_until(|| newest_job(&site.env, "hold")["state"] == "success");
    assert_eq!(outcome(&site.env, "hold"), success(3, 0));
    assert_eq!(site.tries("hold"), [json!(1), json!(1), json!(1)]);
    stop(second);
    stop(site.serve);
    assert_sound(&site.env);
    // What it left on its machine goes when it is there again.
    let left = |machine: &TestEnv| {
        let scratch = machine.dir().join(".cache/pv/workers/one/scratch");
        std::fs::read_dir(scratch).map_or(0, Iterator::count)
    };
    let (serve, url) = serve_at(&site.env, "127.0.0.1:0");
    let site = Site { serve, url, ..site };
    let first = site.worker(&machines[0], "one", PROCESS);
    assert_eq!(left(&machines[0]), 0);
    stop(first);
    stop(site.serve);
}

#[test]
fn a_worker_outlives_a_server_that_is_killed_and_goes_on_with_the_next() {
    let (site, machine) = (Site::start(), machine());
    apply(&site.env, &stage("upper", &upper()));
    let worker = site.worker(&machine, "edge", PROCESS);
    site.until_current("upper");
    let Site { env, serve, url, token } = site;
    serve.kill_9();
    until_true("it notices", || worker.stderr().contains("no connection: "));
    let address = url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    let (serve, url) = serve_at(&env, &address);
    let site = Site { env, serve, url, token };
    until_true("it joins the next", || worker.stderr().matches("joined ").count() == 2);
    put_note(&site.env, "d", "d");
    site.until_current("upper");
    assert_eq!(site.env.ok(["cat", "upper:/d"]), "D");
    stop(worker);
    stop(site.serve);
    assert_sound(&site.env);
}

#[test]
fn the_datum_of_a_worker_that_is_told_to_stop_arrives() {
    let (site, machine) = (Site::start(), machine());
    let gate = Gate::new();
    apply(&site.env, &stage("hold", &held(&gate)));
    let worker = site.worker(&machine, "edge", PROCESS);
    gate.until_waiting(1);
    worker.send(Signal::SIGTERM);
    until_true("it says that it goes", || worker.stderr().contains("going away"));
    gate.let_go();
    worker.end().assert_code(0);
    assert!(gate.waiting().is_empty(), "it took no other datum");
    until_true("its datum counts", || newest_job(&site.env, "hold")["datums_processed"] == 1);
    let next = site.worker(&machine, "edge", PROCESS);
    gate.open_until(|| newest_job(&site.env, "hold")["state"] == "success");
    assert_eq!((outcome(&site.env, "hold"), site.tries("hold")), (success(3, 0), vec![json!(1); 3]));
    stop(next);
    stop(site.serve);
}

#[test]
fn a_workers_token_may_join_and_nothing_else_and_others_may_not_join() {
    let (site, machine) = (Site::start(), machine());
    let call = |token: &str, args: &[&str]| {
        let mut command = machine.command(args);
        let output = command.env("PV_TOKEN", token).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let through = ["--server", site.url.as_str()];
    for args in [&["ls", "notes"][..], &["repo", "list"], &["status"], &["worker", "list"], &["token", "list"]] {
        let (code, said) = call(&site.token, &[&through[..], args].concat());
        assert!(code == 7 && said.contains("is a worker"), "{args:?}: {code} {said}");
    }
    let join = ["worker", "join", site.url.as_str(), "--executor", "process"];
    for role in ["reader", "writer"] {
        let (code, said) = call(&token(&site.env, role, role), &join);
        assert!(code == 7 && said.contains("role worker"), "{role}: {code} {said}");
    }
    let (code, said) = call("pv_wrong", &join);
    assert!(code == 7 && said.contains("refused the token"), "{code} {said}");
    // A kept token does too.
    let login = machine.with_stdin(["login", &site.url], site.token.as_bytes());
    assert!(login.status.success(), "{}", machine.shown(&login));
    let worker = Background::of(&machine, machine.command(join));
    until_true("it joins", || worker.stderr().contains("joined "));
    site.env.ok(["token", "revoke", "edge"]);
    let ended = worker.end().assert_code(7);
    assert!(ended.stderr.contains("refused the token"), "{}", ended.stderr);
    stop(site.serve);
}

#[test]
fn a_name_is_taken_once_on_a_machine_and_a_server_without_work_for_workers_says_so() {
    let (site, machine) = (Site::start(), machine());
    let worker = site.worker(&machine, "edge", PROCESS);
    let second = site.starting(&machine, "edge", PROCESS).end().assert_code(4);
    assert!(second.stderr.contains("hint: give this one another name"), "{}", second.stderr);
    stop(worker);
    stop(site.serve);
    site.env.ok(["config", "set", "executor", "process"]);
    let (serve, url) = serve_at(&site.env, "127.0.0.1:0");
    let site = Site { serve, url, ..site };
    let refused = site.starting(&machine, "edge", PROCESS).end().assert_code(6);
    assert!(refused.stderr.contains("the executor of this store is process"), "{}", refused.stderr);
    stop(site.serve);
}

#[test]
fn a_worker_with_docker_runs_the_images_of_stages() {
    if !has_docker() {
        return;
    }
    let (site, machine) = (Site::start(), machine());
    let worker = site.worker(&machine, "edge", &["--executor", "docker", "--slots", "2"]);
    let (name, gate) = (format!("copy-{}", Gate::new().mark()), Gate::new());
    apply(&site.env, &spec(&name, "notes", &format!("{}; {}", gate.wait(), copy_of("notes"))));
    gate.until_waiting(2);
    assert_ne!(containers(&name), "");
    gate.open_until(|| newest_job(&site.env, &name)["state"] == "success");
    assert_eq!(outcome(&site.env, &name), success(3, 0));
    assert_eq!(site.env.ok(["cat", &format!("{name}:/b")]), "b\n");
    stop(worker);
    assert_eq!(containers(&name), "");
    stop(site.serve);
    assert_sound(&site.env);
}
