//! `pv serve`: the long-running engine, and what other processes see of it.

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::TestEnv;

use crate::support::*;

/// A store with a pipeline `copy` of `notes`, up to date.
fn current() -> TestEnv {
    let env = env_with_notes();
    apply(&env, &spec("copy", "notes", &copy_of("notes")));
    env.ok(["run"]);
    env
}

/// A store with a pipeline whose datums wait at a gate.
fn held() -> (TestEnv, Gate) {
    let env = env_with_notes();
    let gate = Gate::new();
    apply(&env, &spec("hold", "notes", &format!("{}; {}", gate.wait(), copy_of("notes"))));
    (env, gate)
}

fn wait_for_newest(env: &TestEnv, pipeline: &str) {
    env.ok(["wait", pipeline, "--timeout", "90s"]);
}

/// Stops it as a service manager does.
fn stop(serve: Background) -> Ended {
    serve.send(Signal::SIGTERM);
    serve.end().assert_code(0)
}

#[test]
fn jobs_run_as_commits_come_and_each_is_a_line() {
    let env = current();
    let serve = serve(&env);
    for name in ["d", "e"] {
        let put = put_note(&env, name, name);
        wait_for_newest(&env, "copy");
        assert_eq!(env.ok(["cat", &format!("copy:/{name}")]), name);
        assert_eq!(newest_job(&env, "copy")["run"], put["run"]);
    }
    let ended = stop(serve);
    let lines: Vec<Vec<&str>> = ended.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 2, "{}", ended.stdout);
    assert_eq!(lines[0][2..7], ["copy", "success", "run=1", "cached=3", "failed=0"]);
    assert_eq!(lines[1][2..7], ["copy", "success", "run=1", "cached=4", "failed=0"]);
    assert_nothing_is_left(&env);
    assert_sound(&env);
}

#[test]
fn what_was_pending_is_run_and_json_is_an_object_a_job() {
    let env = env_with_notes();
    apply(&env, &spec("copy", "notes", &copy_of("notes")));
    let serve = serve_with(&env, env.command(["--json", "serve"]));
    wait_for_newest(&env, "copy");
    until_true("the job's line", || serve.stdout().ends_with('\n'));
    let job: Value = serde_json::from_str(&stop(serve).stdout).unwrap();
    assert_eq!(
        [&job["pipeline"], &job["state"], &job["datums_processed"]],
        [&"copy".into(), &Value::from("success"), &3.into()]
    );
}

#[test]
fn a_second_serve_says_who_holds_the_store() {
    let env = current();
    let serve = serve(&env);
    let (error, exit_code) = env.json_error(["serve"]);
    let expected = format!("the store is in use by process {} (pv serve", serve.pid());
    assert_eq!(exit_code, 6);
    assert!(error["message"].as_str().unwrap().starts_with(&expected), "{error}");
    assert_eq!(env.ok(["cat", "notes:/a"]), "a\n", "the first goes on");
    stop(serve);
    let second = crate::support::serve(&env);
    stop(second);
}

#[test]
fn a_run_beside_it_waits_for_what_it_selected_and_prints_the_same() {
    let (env, gate) = held();
    apply(&env, &spec("other", "notes", &copy_of("notes")));
    let serve = serve_with(&env, env.command(["serve", "-j", "4"]));
    gate.until_waiting(3);
    env.ok(["run", "other"]);
    let mut run = Background::start(&env, ["run", "hold"]);
    until_true("it was handed over", || run.is_served_by(&serve));
    assert!(!run.is_over());
    gate.open_until(|| run.is_over());
    let ran = run.end().assert_code(0).stdout;
    assert_eq!(ran.lines().count(), 1, "only what it selected: {ran}");
    assert!(ran.contains(" hold success run=3 cached=0 failed=0 "), "{ran}");
    until_true("the same line", || serve.stdout().contains(&ran));
    let said = env.pv(["run", "no-such-pipeline"]);
    stop(serve);
    assert_eq!(env.pv(["run", "no-such-pipeline"]), said);
}

#[test]
fn a_put_that_waits_prints_the_jobs_of_its_run_alone_and_beside_it() {
    let shape = |text: &str| {
        let words = text.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
        words[2..7].join(" ")
    };
    let env = current();
    env.write("d", "d");
    let alone = env.ok(["put", "notes", "d", "--wait"]);
    env.ok(["revert", "notes"]);
    env.ok(["run"]);
    let serve = serve(&env);
    env.write("d", "other");
    let beside = env.ok(["put", "notes", "d", "--wait"]);
    assert_eq!(shape(&alone), "copy success run=1 cached=3 failed=0");
    assert_eq!(shape(&beside), shape(&alone));
    env.write("bad", "bad");
    apply(&env, &spec("copy", "notes", &format!("! grep -q bad $notes && {}", copy_of("notes"))));
    let output = env.output(["put", "notes", "bad", "--wait"]);
    assert_eq!(output.status.code(), Some(1), "its job failed: {}", env.shown(&output));
    stop(serve);
}

#[test]
fn a_stop_lets_running_datums_finish_and_the_next_goes_on_with_the_rest() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let gate = Gate::new();
        let name = format!("hold-{}", gate.mark());
        apply(&env, &spec(&name, "notes", &format!("{}; {}", gate.wait(), copy_of("notes"))));
        let mut serve = crate::support::serve(&env);
        gate.until_waiting(2);
        serve.send(Signal::SIGTERM);
        until_true("it says what it does", || serve.stderr().contains("stopping after running datums finish"));
        assert_eq!(newest_job(&env, &name)["datums_processed"], 0, "commands go through it meanwhile");
        gate.open_until(|| serve.is_over());
        assert_eq!(serve.end().assert_code(0).stdout, "");
        assert_eq!(newest_job(&env, &name)["state"], "waiting");
        assert_nothing_is_left(&env);
        if executor == "docker" {
            assert_eq!(containers(&name), "");
        }
        let serve = crate::support::serve(&env);
        gate.until_waiting(1);
        gate.let_go();
        wait_for_newest(&env, &name);
        stop(serve);
        assert_eq!((outcome(&env, &name), executed(&env)), (success(3, 0), 3), "two had finished");
        assert_sound(&env);
    }
}

#[test]
fn a_second_signal_and_the_end_of_the_grace_give_running_datums_back_at_once() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let gate = Gate::new();
        let name = format!("hold-{}", gate.mark());
        apply(&env, &spec(&name, "notes", &format!("{}; {}", gate.wait(), copy_of("notes"))));
        for (signal, grace, signals) in
            [(Signal::SIGTERM, "1h", 2), (Signal::SIGINT, "1h", 2), (Signal::SIGTERM, "0s", 1)]
        {
            let serve = serve_with(&env, env.command(["serve", "-j", "2", "--grace", grace]));
            gate.until_waiting(2);
            for sent in 0..signals {
                until_true("it says what it does", || sent == 0 || serve.stderr().contains("stopping after"));
                serve.send(signal);
            }
            serve.end().assert_code(if signal == Signal::SIGTERM { 0 } else { 130 });
            until_true("the end of its commands", || gate.waiting().is_empty());
            assert_nothing_is_left(&env);
            if executor == "docker" {
                assert_eq!(containers(&name), "");
            }
        }
        let mut run = Background::start(&env, ["run"]);
        gate.open_until(|| run.is_over());
        run.end().assert_code(0);
        assert_eq!((outcome(&env, &name), executed(&env)), (success(3, 0), 3), "each ran to its end once");
        assert_sound(&env);
    }
}

#[test]
fn those_who_wait_go_on_by_themselves_when_it_stops() {
    let (env, gate) = held();
    let serve = serve_with(&env, env.command(["serve", "-j", "2", "--grace", "0s"]));
    gate.until_waiting(2);
    let calls: [&[&str]; 3] = [&["wait", "hold"], &["run"], &["run", "hold"]];
    let waiting = calls.map(|args| Background::of(&env, env.command(args)));
    for one in &waiting {
        until_true("it was handed over", || one.is_served_by(&serve));
    }
    stop(serve);
    // One of the runs owns the store now and serves the other.
    gate.until_waiting(2);
    let mut waiting = Vec::from(waiting);
    gate.open_until(|| waiting.iter_mut().all(Background::is_over));
    for one in waiting {
        one.end().assert_code(0);
    }
    assert_eq!((outcome(&env, "hold"), executed(&env)), (success(3, 0), 3));
    assert_sound(&env);
}

#[test]
fn a_wait_that_began_before_it_came_is_answered_by_it() {
    let (env, gate) = held();
    let mut wait = Background::start(&env, ["wait", "hold"]);
    until_true("it says for what it waits", || wait.stderr().contains("this waits for `pv run` or `pv serve`"));
    let serve = serve(&env);
    until_true("it was handed over", || wait.is_served_by(&serve));
    gate.open_until(|| wait.is_over());
    assert!(wait.end().assert_code(0).stdout.contains(" hold success run=3 "));
    stop(serve);
}

#[test]
fn those_who_wait_go_on_by_themselves_when_it_is_killed() {
    let (env, gate) = held();
    let serve = serve(&env);
    gate.until_waiting(2);
    let calls: [&[&str]; 2] = [&["wait", "hold"], &["run", "hold"]];
    let waiting = calls.map(|args| Background::of(&env, env.command(args)));
    for one in &waiting {
        until_true("it was handed over", || one.is_served_by(&serve));
    }
    serve.kill_9();
    let mut waiting = Vec::from(waiting);
    gate.open_until(|| waiting.iter_mut().all(Background::is_over));
    for one in waiting {
        one.end().assert_code(0);
    }
    assert_eq!((outcome(&env, "hold"), executed(&env)), (success(3, 0), 3));
    assert_sound(&env);
}

#[test]
fn logs_are_followed_until_the_job_ends() {
    let (env, gate) = held();
    apply(&env, &spec("hold", "notes", &format!("echo before; {}; echo after", gate.wait())));
    let serve = serve_with(&env, env.command(["serve", "-j", "1"]));
    gate.until_waiting(1);
    let mut logs = Background::start(&env, ["logs", "-f", "hold"]);
    until_true("what was printed before it came", || logs.stdout().contains("before\n"));
    gate.open_until(|| logs.is_over());
    let followed = logs.end().assert_code(0).stdout;
    for word in ["before\n", "after\n"] {
        assert_eq!(followed.matches(word).count(), 3, "{followed}");
    }
    assert!(followed.ends_with("after\n"), "{followed}");
    stop(serve);
}

#[test]
fn all_jobs_of_a_run_are_stopped_together() {
    let (env, gate) = held();
    apply(&env, &spec("below", "hold", &copy_of("hold")));
    let serve = serve(&env);
    gate.until_waiting(2);
    let run = newest_job(&env, "below")["run"].as_str().unwrap().to_owned();
    let first = newest_job(&env, "hold")["run"].as_str().unwrap().to_owned();
    env.ok(["job", "stop", &format!("@{run}")]);
    env.ok(["job", "stop", &format!("@{first}")]);
    until_true("the end of its commands", || gate.waiting().is_empty());
    env.exit_code(["wait", &format!("@{first}")]);
    for job in env.json(["job", "list"]) {
        assert_eq!(job["state"], "killed", "{job}");
        assert!(job["reason"].as_str().unwrap().starts_with("stopped by Anna"), "{job}");
    }
    assert_eq!(env.exit_code(["job", "stop", &format!("@{run}")]), 4, "nothing is left to stop");
    stop(serve);
    assert_sound(&env);
}

#[test]
fn jobs_that_run_wait_while_the_disk_is_full_and_use_no_tries() {
    let (env, gate) = held();
    let serve = serve_with(&env, env.command(["serve", "-j", "1"]));
    gate.until_waiting(1);
    env.ok(["config", "set", "min_free", "9000000000000000"]);
    until_true("the job waits", || newest_job(&env, "hold")["state"] == "waiting");
    assert_eq!(newest_job(&env, "hold")["reason"], "disk");
    gate.let_go();
    until_true("the datum that ran has finished", || newest_job(&env, "hold")["datums_processed"] == 1);
    assert!(gate.waiting().is_empty(), "and no other has begun");
    env.ok(["config", "unset", "min_free"]);
    gate.until_waiting(1);
    assert_eq!(newest_job(&env, "hold")["state"], "running");
    gate.open_until(|| newest_job(&env, "hold")["state"] == "success");
    stop(serve);
    for datum in env.json(["datum", "list", "hold"]) {
        assert_eq!(datum["tries"], 1, "{datum}");
    }
}

#[test]
fn a_run_on_a_disk_that_fills_up_lets_datums_finish_and_ends_with_6() {
    let (env, gate) = held();
    let mut run = Background::start(&env, ["--json", "run", "-j", "1"]);
    gate.until_waiting(1);
    env.ok(["config", "set", "min_free", "9000000000000000"]);
    until_true("the job waits", || newest_job(&env, "hold")["reason"] == "disk");
    gate.open_until(|| run.is_over());
    let ended = run.end().assert_code(6);
    assert!(ended.stderr.contains("jobs wait for disk"), "{}", ended.stderr);
    assert_nothing_is_left(&env);
    env.ok(["config", "unset", "min_free"]);
    let mut run = Background::start(&env, ["run"]);
    gate.open_until(|| run.is_over());
    run.end().assert_code(0);
    assert_eq!((outcome(&env, "hold"), executed(&env)), (success(3, 0), 3), "what had finished is kept");
}

#[test]
fn sandboxes_stay_warm_and_those_of_old_versions_go() {
    if !has_docker() {
        return;
    }
    let env = env_with_notes_on("docker");
    let name = format!("warm-{}", Gate::new().mark());
    apply(&env, &spec(&name, "notes", &copy_of("notes")));
    let serve = serve(&env);
    wait_for_newest(&env, &name);
    let warm = containers(&name);
    assert!((1..=2).contains(&warm.lines().count()), "{warm}");
    put_note(&env, "d", "d");
    wait_for_newest(&env, &name);
    assert_eq!(containers(&name), warm, "the next job has the same");
    apply(&env, &spec(&name, "notes", &format!("true; {}", copy_of("notes"))));
    wait_for_newest(&env, &name);
    until_true("the end of the old version's", || {
        let now = containers(&name);
        !now.is_empty() && warm.lines().all(|old| !now.contains(old))
    });
    env.ok(["pipeline", "delete", &name, "--yes"]);
    until_true("the end of all", || containers(&name).is_empty());
    stop(serve);
}

#[test]
fn clocks_tick_by_themselves() {
    let env = env_with_notes();
    let input = "{\"cron\": {\"name\": \"tick\", \"spec\": \"@every 1s\"}}";
    apply(&env, &spec_with("clock", input, "ls /pfs/tick > /pfs/out/ticks", ""));
    let serve = serve(&env);
    let ticked = || env.json(["job", "list", "clock"]).iter().filter(|job| job["cause"]["kind"] == "cron").count();
    until_true("two ticks", || ticked() >= 2);
    stop(serve);
    assert_sound(&env);
}
