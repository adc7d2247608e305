//! Commands during a `pv run`: they go through the store's socket, and behave as they do alone.

use std::io::Write;
use std::process::Stdio;

use nix::sys::signal::Signal;
use tests::{TestEnv, test_env};

use crate::support::*;

/// A store with a pipeline whose datums wait at a gate, and a `pv run` that waits for them.
struct Busy {
    env: TestEnv,
    gate: Gate,
    run: Background,
}

impl Busy {
    fn new() -> Self {
        Self::with(env_with_notes())
    }

    fn with(env: TestEnv) -> Self {
        let gate = Gate::new();
        apply(&env, &hold(&gate));
        let run = Background::start(&env, ["run", "-j", "2"]);
        gate.until_waiting(2);
        Self { env, gate, run }
    }

    /// Releases all datums; returns how the run ended.
    fn end(mut self) -> (TestEnv, Ended) {
        self.gate.open_until(|| self.run.is_over());
        (self.env, self.run.end())
    }
}

fn hold(gate: &Gate) -> String {
    spec("hold", "notes", &format!("{}; echo after; {}", gate.wait(), copy_of("notes")))
}

#[test]
fn commands_print_beside_a_run_what_they_print_alone() {
    let calls: [&[&str]; 14] = [
        &["ls"],
        &["ls", "-r", "notes"],
        &["--json", "ls", "-r", "notes"],
        &["log", "notes"],
        &["--json", "log", "notes"],
        &["show", "notes"],
        &["show", "--raw", "notes"],
        &["cat", "notes:/a", "notes:/b"],
        &["cat", "notes:/no-such-file"],
        &["repo", "list"],
        &["config", "list"],
        &["--json", "find", "a"],
        &["putt"],
        &["pipeline", "check", "-f", "spec.json"],
    ];
    let env = env_with_notes();
    let gate = Gate::new();
    apply(&env, &hold(&gate));
    let alone: Vec<_> = calls.iter().map(|args| env.pv(*args)).collect();
    let run = Background::start(&env, ["run", "-j", "2"]);
    gate.until_waiting(2);
    for (args, alone) in calls.iter().zip(alone) {
        assert_eq!(env.pv(*args), alone, "{args:?}");
    }
    let (_, run) = Busy { env, gate, run }.end();
    run.assert_code(0);
}

#[test]
fn status_and_jobs_tell_how_far_it_is() {
    let busy = Busy::new();
    let job = newest_job(&busy.env, "hold");
    assert_eq!((job["state"].as_str(), job["datums_total"].as_u64()), (Some("running"), Some(3)));
    assert_eq!(job["output_commit"], serde_json::Value::Null);
    let status = busy.env.json(["status"]).remove(0);
    assert_eq!((status["running"].as_bool(), status["pipelines"][0]["state"].as_str()), (Some(true), Some("running")));
    assert_eq!(busy.env.json(["datum", "list", "hold"]).len(), 2, "two at a time");
    let (env, run) = busy.end();
    let run = run.assert_code(0);
    assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
    let words: Vec<&str> = run.stdout.split_whitespace().collect();
    assert_eq!(words[2..7], ["hold", "success", "run=3", "cached=0", "failed=0"]);
    assert_eq!(outcome(&env, "hold"), success(3, 0));
    assert_eq!(env.json(["status"])[0]["running"], false);
}

#[test]
fn a_put_beside_a_run_is_processed_by_that_run() {
    let busy = Busy::new();
    let put = put_note(&busy.env, "d", "d\n");
    assert_eq!(put["added"], 1);
    assert_eq!(busy.env.ok(["cat", "notes:/d"]), "d\n");
    let (env, run) = busy.end();
    let run = run.assert_code(0);
    assert_eq!(run.stdout.lines().count(), 2, "a job for each of two runs: {}", run.stdout);
    assert_eq!(outcome(&env, "hold"), success(1, 3));
    assert_eq!(env.ok(["cat", "hold:/d"]), "d\n");
    assert_eq!(env.json(["show", "hold"])[0]["run"], put["run"]);
}

#[test]
fn pipelines_applied_beside_a_run_are_run_by_it() {
    let busy = Busy::new();
    apply(&busy.env, &spec("below", "hold", &copy_of("hold")));
    let (env, run) = busy.end();
    run.assert_code(0);
    assert_eq!(outcome(&env, "below"), success(3, 0));
    assert_eq!(env.ok(["cat", "below:/c"]), "c\n");
}

#[test]
fn a_second_run_and_a_wait_end_with_the_job() {
    let busy = Busy::new();
    let mut others = [&["wait", "hold"][..], &["run"], &["run", "hold"]]
        .map(|args| Background::of(&busy.env, busy.env.command(args)));
    for other in &others {
        until_true("it was handed over", || other.is_served_by(&busy.run));
    }
    assert!(others.iter_mut().all(|other| !other.is_over()));
    let (env, run) = busy.end();
    run.assert_code(0);
    let [wait, runs @ ..] = others;
    let wait = wait.end().assert_code(0);
    assert!(wait.stdout.contains(" hold success run=3 cached=0 failed=0 "), "{}", wait.stdout);
    // Whether these print the job depends on whether they reached it before its end.
    for run in runs {
        run.end().assert_code(0);
    }
    assert_eq!(env.json(["job", "list"]).len(), 1);
}

#[test]
fn a_wait_has_an_end_of_its_own() {
    let busy = Busy::new();
    let (error, exit_code) = busy.env.json_error(["wait", "hold", "--timeout", "200ms"]);
    assert_eq!((exit_code, error["kind"].as_str()), (8, Some("timed_out")));
    let (_, run) = busy.end();
    run.assert_code(0);
}

#[test]
fn a_job_can_be_stopped() {
    let mut busy = Busy::new();
    busy.env.ok(["job", "stop", "hold"]);
    until_true("the end of the run", || busy.run.is_over());
    until_true("the end of its commands", || busy.gate.waiting().is_empty());
    let run = busy.run.end().assert_code(1);
    assert!(run.stderr.contains("was killed"), "{}", run.stderr);
    assert_eq!(newest_job(&busy.env, "hold")["state"], "killed");
    assert_eq!(busy.env.exit_code(["cat", "hold:/a"]), 3, "no branch has what it made");
    assert_sound(&busy.env);
}

#[test]
fn logs_are_followed() {
    let env = env_with_notes();
    let gate = Gate::new();
    let script = format!("(while :; do echo tick; sleep 0.05; done) & {}; kill $!; echo after", gate.wait());
    apply(&env, &spec("hold", "notes", &script));
    let run = Background::start(&env, ["run", "-j", "1"]);
    gate.until_waiting(1);
    let logs = Background::start(&env, ["logs", "-f", "hold"]);
    until_true("a line while the datum runs", || logs.stdout().contains("tick\n"));
    assert!(!logs.stdout().contains("after"));
    let (env, run) = Busy { env, gate, run }.end();
    run.assert_code(0);
    let followed = logs.end().assert_code(0).stdout;
    assert_eq!(followed.matches("after\n").count(), 3, "{followed}");
    assert_eq!(env.ok(["logs", "hold"]).matches("after\n").count(), 3);
}

#[test]
fn a_put_that_began_before_the_run_lands() {
    let env = env_with_notes();
    let gate = Gate::new();
    apply(&env, &hold(&gate));
    let mut command = env.command(["put", "notes", "-", "--as", "/late"]);
    command.stdin(Stdio::piped());
    let mut put = Background::of(&env, command);
    let mut pipe = put.child().stdin.take().unwrap();
    // More than a pipe buffers: when this returns, the reader has started.
    pipe.write_all(&vec![b'x'; 1 << 20]).unwrap();
    let run = Background::start(&env, ["run", "-j", "2"]);
    gate.until_waiting(2);
    drop(pipe);
    put.end().assert_code(0);
    assert_eq!(env.json(["ls", "notes:/late"])[0]["size_bytes"], 1 << 20);
    let (env, run) = Busy { env, gate, run }.end();
    run.assert_code(0);
    assert_eq!(outcome(&env, "hold"), success(1, 3));
    assert_sound(&env);
}

#[test]
fn standard_input_goes_through_the_socket() {
    let busy = Busy::new();
    let output = busy.env.with_stdin(["put", "notes", "-", "--as", "/piped"], b"through a pipe");
    assert!(output.status.success(), "{}", busy.env.shown(&output));
    assert_eq!(busy.env.ok(["cat", "notes:/piped"]), "through a pipe");
    let (_, run) = busy.end();
    run.assert_code(0);
}

#[test]
fn a_client_that_is_killed_is_forgotten_and_the_owner_goes_on() {
    let busy = Busy::new();
    for args in [&["wait", "hold"][..], &["logs", "-f", "hold"], &["run"]] {
        let client = Background::of(&busy.env, busy.env.command(args));
        until_true("it was handed over", || client.is_served_by(&busy.run));
        client.send(Signal::SIGKILL);
        until_true("the owner let go of its streams", || !client.is_served_by(&busy.run));
    }
    assert_eq!(busy.env.ok(["cat", "notes:/a"]), "a\n");
    let (env, run) = busy.end();
    run.assert_code(0);
    assert_eq!(outcome(&env, "hold"), success(3, 0));
}

#[test]
fn ctrl_c_leaves_nothing_behind_and_keeps_what_is_done() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let gate = Gate::new();
        let name = format!("hold-{}", gate.mark());
        let script = format!("[ \"$(cat $notes)\" = a ] || {}; {}", gate.wait(), copy_of("notes"));
        apply(&env, &spec(&name, "notes", &script));
        let run = Background::start(&env, ["run", "-j", "2"]);
        gate.until_waiting(2);
        until_true("the first datum", || newest_job(&env, &name)["datums_processed"] == 1);
        run.send(Signal::SIGINT);
        let ended = run.end().assert_code(130);
        assert!(ended.stderr.contains("finished datums are kept"), "{}", ended.stderr);
        until_true("the end of its commands", || gate.waiting().is_empty());
        assert_nothing_is_left(&env);
        if executor == "docker" {
            assert_eq!(containers(&name), "");
        }
        assert_sound(&env);
        let mut run = Background::start(&env, ["run"]);
        gate.open_until(|| run.is_over());
        run.end().assert_code(0);
        assert_eq!((outcome(&env, &name), executed(&env)), (success(3, 0), 3), "no datum ran twice");
    }
}

#[test]
fn a_term_signal_ends_a_run_with_143() {
    let busy = Busy::new();
    busy.run.send(Signal::SIGTERM);
    busy.run.end().assert_code(143);
    until_true("the end of its commands", || busy.gate.waiting().is_empty());
    assert_sound(&busy.env);
}

#[test]
fn a_store_may_lie_deeper_than_a_socket_address_can_say() {
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    let deep: String = "a-folder-with-a-long-name/".repeat(12);
    assert!(deep.len() > 300);
    let gate = Gate::new();
    env.ok(["init", &deep]);
    let at = |args: &[&str]| env.ok([&["--store", &deep], args].concat());
    at(&["config", "set", "executor", "process"]);
    at(&["repo", "create", "notes"]);
    env.write("a", "a\n");
    at(&["put", "notes", "a"]);
    env.write("spec.json", hold(&gate));
    at(&["pipeline", "apply", "-f", "spec.json"]);
    let mut run = Background::start(&env, ["--store", &deep, "run"]);
    gate.until_waiting(1);
    let client = Background::start(&env, ["--store", &deep, "wait", "hold"]);
    until_true("it was handed over", || client.is_served_by(&run));
    env.write("b", "b\n");
    at(&["put", "notes", "b"]);
    gate.open_until(|| run.is_over());
    run.end().assert_code(0);
    client.end().assert_code(0);
    assert_eq!(at(&["cat", "hold:/b"]), "b\n");
}

#[test]
fn a_client_finds_the_store_from_its_own_folder() {
    let busy = Busy::new();
    busy.env.write("below/d", "from below");
    let mut command = busy.env.command(["put", "notes", "d"]);
    let output = command.current_dir(busy.env.work().join("below")).output().unwrap();
    assert!(output.status.success(), "{}", busy.env.shown(&output));
    assert_eq!(busy.env.ok(["cat", "notes:/d"]), "from below");
    let (_, run) = busy.end();
    run.assert_code(0);
    let env = test_env!();
    assert_eq!(env.exit_code(["ls"]), 0, "another store has no owner");
}
