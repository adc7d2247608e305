//! The failure table: whatever goes wrong in a stage or around it is reported in state, reason, counts and tries, leaves nothing behind,
//! and the next job succeeds. In both executors, where it applies.

use std::process::Command;

use serde_json::{Value, json};
use tests::TestEnv;

use crate::support::*;

/// A spec over each file of `repo`: its transform and additional fields, each followed by a comma.
fn stage(name: &str, repo: &str, script: &str, transform: &str, more: &str) -> String {
    let spec = spec_with(name, &pfs(repo, "/*"), script, transform);
    spec.replacen('{', &format!("{{{more}"), 1)
}

/// A script that does something wrong for the note `b` while that contains `b`, else copies it.
fn wrong(what: &str) -> String {
    format!("cp $notes /pfs/out/; ! grep -q -x b $notes || {{ {what}; }}")
}

/// State, reason, and the datums: all, processed, cached, failed, recovered.
fn end_of(env: &TestEnv, pipeline: &str) -> (String, String, [u64; 5]) {
    let job = newest_job(env, pipeline);
    let number = |field: &str| job[format!("datums_{field}")].as_u64().unwrap();
    let text = |field: &str| job[field].as_str().unwrap_or_default().to_owned();
    (text("state"), text("reason"), ["total", "processed", "cached", "failed", "recovered"].map(number))
}

fn ended(state: &str, reason: &str, counts: [u64; 5]) -> (String, String, [u64; 5]) {
    (state.to_owned(), reason.to_owned(), counts)
}

/// State, tries, exit code and reason of the datum that read `/b`.
fn datum_b(env: &TestEnv, pipeline: &str) -> [Value; 4] {
    let datum = env.json(["datum", "show", pipeline, "--input", "/b"]).remove(0);
    ["state", "tries", "exit_code", "reason"].map(|field| datum[field].clone())
}

/// Fixes the note `b`, runs, and checks that all is well.
fn the_next_is_good(env: &TestEnv, pipelines: &[&str]) {
    put_note(env, "b", "good\n");
    env.ok(["run", "-j", "4"]);
    for pipeline in pipelines {
        let (state, reason, counts) = end_of(env, pipeline);
        assert_eq!((state.as_str(), reason.as_str(), counts[0], counts[3]), ("success", "", 3, 0), "{pipeline}");
        assert_eq!(env.ok(["cat", &format!("{pipeline}:/b")]), "good\n");
    }
    assert_sound(env);
}

#[test]
fn user_errors() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let gate = Gate::new();
        // Children of every kind: in the background, and in a separate session.
        let endless = format!("sleep {m} & (setsid sleep {m} &); trap '' TERM HUP; sleep {m}", m = gate.mark());
        let recovery = "\"err_cmd\": [\"sh\"], \"err_stdin\": [\"echo handled; cat $notes; ls /pfs/out\"],";
        let specs = [
            stage("code", "notes", &wrong("echo what is wrong; exit 3"), "", ""),
            stage("below", "code", "cp $code /pfs/out/", "", ""),
            stage("accepted", "notes", &wrong("exit 3"), "\"accept_return_code\": [3],", ""),
            stage("recovered", "notes", &wrong("echo what is wrong; exit 3"), recovery, "\"datum_tries\": 2,"),
            stage("signal", "notes", &wrong("kill -9 $$"), "", "\"datum_tries\": 1,"),
            stage("slow", "notes", &wrong(&endless), "", "\"datum_timeout\": \"700ms\", \"datum_tries\": 2,"),
        ];
        env.write("specs.json", specs.concat());
        env.ok(["pipeline", "apply", "-f", "specs.json"]);
        assert_eq!(env.exit_code(["run", "-j", "4"]), 1);
        assert!(gate.waiting().is_empty(), "{executor}: a process outlived its datum");

        let failed = "1 of 3 datums failed";
        assert_eq!(end_of(&env, "code"), ended("failure", failed, [3, 2, 0, 1, 0]), "{executor}");
        assert_eq!(datum_b(&env, "code"), [json!("failed"), json!(3), json!(3), Value::Null]);
        let (state, reason, counts) = end_of(&env, "below");
        assert_eq!((state.as_str(), counts), ("unrunnable", [0; 5]), "{executor}: {reason}");
        assert!(reason.contains("code"), "{reason}");
        assert_eq!(end_of(&env, "accepted"), ended("success", "", [3, 3, 0, 0, 0]), "{executor}");
        assert_eq!(datum_b(&env, "accepted"), [json!("success"), json!(1), json!(3), Value::Null]);
        assert_eq!(end_of(&env, "recovered"), ended("success", "", [3, 2, 0, 0, 1]), "{executor}");
        let reason = "exit code 3; `err_cmd` recovered it";
        assert_eq!(datum_b(&env, "recovered"), [json!("recovered"), json!(2), json!(3), json!(reason)]);
        let id = env.json(["datum", "show", "recovered", "--input", "/b"])[0]["id"].as_str().unwrap().to_owned();
        let log = env.ok(["logs", &format!("recovered/{id}")]);
        assert!(log.ends_with("what is wrong\nhandled\nb\n"), "{executor}: {log}");
        assert_eq!(env.exit_code(["cat", "recovered:/b"]), 3, "no output of a recovered datum");
        assert_eq!(end_of(&env, "signal"), ended("failure", failed, [3, 2, 0, 1, 0]), "{executor}");
        assert_eq!(datum_b(&env, "signal"), [json!("failed"), json!(1), Value::Null, json!("ended by signal 9")]);
        assert_eq!(end_of(&env, "slow"), ended("failure", failed, [3, 2, 0, 1, 0]), "{executor}");
        let reason = "it took longer than `datum_timeout` allows: 700ms";
        assert_eq!(datum_b(&env, "slow"), [json!("failed"), json!(2), Value::Null, json!(reason)]);

        the_next_is_good(&env, &["code", "below", "accepted", "recovered", "signal", "slow"]);
    }
}

#[test]
fn a_job_that_takes_too_long_ends_with_all_its_processes() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let gate = Gate::new();
        let endless = format!("(setsid sleep {m} &); sleep {m}", m = gate.mark());
        // Long enough for a sandbox to start on a busy machine, since the next job must be in time.
        apply(&env, &stage("job", "notes", &wrong(&endless), "", "\"job_timeout\": \"4s\","));
        assert_eq!(env.exit_code(["run"]), 1);
        assert!(gate.waiting().is_empty(), "{executor}: a process outlived its job");
        let (state, reason, counts) = end_of(&env, "job");
        assert_eq!((state.as_str(), reason.as_str()), ("killed", "it took longer than `job_timeout` allows: 4s"));
        assert!(counts[0] == 3 && counts[1] <= 2 && counts[3] == 0, "{executor}: {counts:?}");
        the_next_is_good(&env, &["job"]);
    }
}

#[test]
fn a_program_that_is_not_there() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let missing = |program: &str| stage("absent", "notes", "", "", "").replace("\"sh\", \"-c\", \"\"", program);
        apply(&env, &missing("\"no-such-program\""));
        assert_eq!(env.exit_code(["run"]), 1);
        assert_eq!(end_of(&env, "absent"), ended("failure", "3 of 3 datums failed", [3, 0, 0, 3, 0]), "{executor}");
        let reason = "the command did not start: `no-such-program` is not in the sandbox's PATH";
        assert_eq!(datum_b(&env, "absent"), [json!("failed"), json!(1), Value::Null, json!(reason)], "no second try");
        apply(&env, &missing("\"sh\", \"-c\", \"cp $notes /pfs/out/\""));
        the_next_is_good(&env, &["absent"]);
    }
}

#[test]
fn a_job_whose_datums_all_fail_stops() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        for number in 0..120 {
            env.write(format!("more/{number}"), "b\n");
        }
        env.ok(["put", "notes", "more", "--mirror", "--yes"]);
        apply(&env, &stage("all", "notes", &wrong("exit 1"), "", "\"datum_tries\": 1,"));
        assert_eq!(env.exit_code(["run", "-j", "2"]), 1);
        let reason = "its first 100 datums all failed, so it was stopped";
        assert_eq!(end_of(&env, "all"), ended("failure", reason, [120, 0, 0, 100, 0]), "{executor}");
        env.ok(["put", "notes", "notes", "--mirror", "--yes"]);
        the_next_is_good(&env, &["all"]);
    }
}

#[test]
fn more_memory_than_the_limit() {
    if !has_docker() {
        return;
    }
    let env = env_with_notes_on("docker");
    // `dd` allocates its whole buffer, and fills it.
    let specs = [
        stage("itself", "notes", &wrong("exec dd if=/dev/zero of=/dev/null bs=200M count=1"), "", LIMITED),
        stage("child", "notes", &wrong("dd if=/dev/zero of=/dev/null bs=200M count=1; exit 5"), "", LIMITED),
        stage("noticed", "notes", &wrong("dd if=/dev/zero of=/dev/null bs=200M count=1; true"), "", LIMITED),
    ];
    env.write("specs.json", specs.concat());
    env.ok(["pipeline", "apply", "-f", "specs.json"]);
    assert_eq!(env.exit_code(["run", "-j", "2"]), 1);
    for (pipeline, code) in [("itself", Value::Null), ("child", json!(5))] {
        assert_eq!(end_of(&env, pipeline), ended("failure", "1 of 3 datums failed", [3, 2, 0, 1, 0]));
        let expected = [json!("failed"), json!(1), code, json!("out of memory: limit 64 MiB")];
        assert_eq!(datum_b(&env, pipeline), expected, "{pipeline}");
    }
    assert_eq!(end_of(&env, "noticed"), ended("success", "", [3, 3, 0, 0, 0]), "a stage may handle it");
    the_next_is_good(&env, &["itself", "child", "noticed"]);
}

#[test]
fn memory_that_grows() {
    if !has_docker() {
        return;
    }
    let env = env_with_notes_on("docker");
    let growing = |max: &str| {
        let memory = format!("{{\"start\": \"32Mi\", \"factor\": 2, \"max\": \"{max}\"}}");
        format!("\"datum_tries\": 1, \"resource_limits\": {{\"memory\": {memory}}},")
    };
    // More than 64 MiB, whatever else is in the sandbox, and less than 128 MiB.
    let specs = [
        stage("grown", "notes", &wrong("dd if=/dev/zero of=/dev/null bs=80M count=1 || exit 5"), "", &growing("1Gi")),
        stage("most", "notes", &wrong("exec dd if=/dev/zero of=/dev/null bs=80M count=1"), "", &growing("48Mi")),
    ];
    env.write("specs.json", specs.concat());
    env.ok(["pipeline", "apply", "-f", "specs.json"]);
    assert_eq!(env.exit_code(["run", "-j", "2"]), 1);

    assert_eq!(end_of(&env, "grown"), ended("success", "", [3, 3, 0, 0, 0]));
    assert_eq!(datum_b(&env, "grown"), [json!("success"), json!(3), json!(0), Value::Null]);
    let limits = |pipeline: &str, input: &str| {
        let tries = env.json(["datum", "show", pipeline, "--input", input]).remove(0)["try_details"].take();
        tries.as_array().unwrap().iter().map(|one| one["memory_bytes"].as_u64().unwrap() >> 20).collect::<Vec<_>>()
    };
    assert_eq!([limits("grown", "/b"), limits("grown", "/c")], [vec![32, 64, 128], vec![32]]);
    let shown = env.ok(["datum", "show", "grown", "--input", "/b"]);
    for words in
        ["out of memory: limit 32 MiB", "killed at 32 MiB, again with 64 MiB; killed at 64 MiB, again with 128 MiB"]
    {
        assert!(shown.contains(words), "{words} in {shown}");
    }

    assert_eq!(end_of(&env, "most"), ended("failure", "1 of 3 datums failed", [3, 2, 0, 1, 0]));
    let reason = "out of memory: limit 48 MiB, the most that `resource_limits.memory` allows; raise its `max`";
    assert_eq!(datum_b(&env, "most"), [json!("failed"), json!(2), Value::Null, json!(reason)]);
    assert_eq!(limits("most", "/b"), [32, 48]);

    apply(
        &env,
        &stage("grown", "notes", &wrong("dd if=/dev/zero of=/dev/null bs=80M count=1 || exit 5"), "", &growing("2Gi")),
    );
    // The other pipeline has still failed.
    assert_eq!(env.exit_code(["run"]), 1);
    assert_eq!(end_of(&env, "grown"), ended("success", "", [3, 0, 3, 0, 0]), "other numbers run nothing again");
    the_next_is_good(&env, &["grown", "most"]);
}

const LIMITED: &str = "\"datum_tries\": 1, \"resource_limits\": {\"memory\": \"64Mi\", \"cpu\": 1},";

#[test]
fn the_process_executor_says_that_it_knows_no_limits() {
    let env = env_with_notes();
    env.write("spec.json", stage("limited", "notes", "cp $notes /pfs/out/", "", LIMITED));
    let output = env.output(["pipeline", "apply", "-f", "spec.json"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("the process executor does not enforce"), "{said}");
}

/// A new image with the files of the test image.
fn image(name: &str) -> String {
    let script = format!(
        "id=$(docker create {IMAGE} true) && docker export $id | docker import --change 'ENV PATH=/bin:/usr/bin' - {name}; \
         docker rm $id >/dev/null"
    );
    assert!(Command::new("sh").args(["-c", &script]).output().unwrap().status.success());
    name.to_owned()
}

fn remove_image(name: &str) {
    assert!(Command::new("docker").args(["rmi", "-f", name]).output().unwrap().status.success());
}

#[test]
fn an_image_that_is_removed_meanwhile() {
    if !has_docker() {
        return;
    }
    let env = env_with_notes_on("docker");
    let name = image(&format!("pv-test-removed:{}", std::process::id()));
    let spec = stage("gone", "notes", "cp $notes /pfs/out/", "", "").replace(IMAGE, &name);
    apply(&env, &spec);
    remove_image(&name);
    assert_eq!(env.exit_code(["run"]), 1);
    let (state, reason, counts) = end_of(&env, "gone");
    assert_eq!((state.as_str(), counts), ("failure", [3, 0, 0, 0, 0]));
    assert!(
        reason.starts_with(&format!("image `{name}` is not available")) && reason.contains("no longer has it"),
        "{reason}"
    );
    image(&name);
    apply(&env, &spec);
    the_next_is_good(&env, &["gone"]);
    remove_image(&name);
}

#[test]
fn a_container_that_is_killed_from_outside() {
    if !has_docker() {
        return;
    }
    let env = env_with_notes_on("docker");
    let gate = Gate::new();
    let name = format!("killed-{}", std::process::id());
    apply(&env, &stage(&name, "notes", &format!("cp $notes /pfs/out/; {}", gate.wait()), "", ""));
    let run = Background::start(&env, ["run", "-j", "1"]);
    gate.until_waiting(1);
    let containers = containers(&name);
    let killed = Command::new("docker").args(["kill", containers.trim()]).output().unwrap();
    assert!(killed.status.success(), "{killed:?}");
    gate.until_waiting(0);
    let mut run = run;
    gate.open_until(|| run.is_over());
    run.end().assert_code(0);
    assert_eq!(end_of(&env, &name), ended("success", "", [3, 3, 0, 0, 0]));
    let tries = env.json(["datum", "list", &name]).iter().map(|datum| datum["tries"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(tries, 3, "it was no datum's fault");
    assert_eq!(self::containers(&name), "", "and no container is left");
}

#[test]
fn an_autoscaling_pipeline_keeps_no_sandbox() {
    if !has_docker() {
        return;
    }
    let env = env_with_notes_on("docker");
    let gate = Gate::new();
    let name = format!("scaled-{}", std::process::id());
    let first = stage(&name, "notes", "cp $notes /pfs/out/", "", "\"autoscaling\": true,");
    let second = stage("waits", &name, &gate.wait(), "", "");
    env.write("specs.json", first + &second);
    env.ok(["pipeline", "apply", "-f", "specs.json"]);
    let mut run = Background::start(&env, ["run", "-j", "1"]);
    gate.until_waiting(1);
    assert_eq!(containers(&name), "", "none waits while another pipeline is at work");
    gate.open_until(|| run.is_over());
    run.end().assert_code(0);
}
