//! What a running job shows, and one whose engine is gone.

use std::io::Read;
use std::process::Stdio;

use serde_json::Value;
use tests::TestEnv;

use crate::support::*;

/// The shell's message when a gate is released.
const KILLED: &str = "Terminated\n";

/// A job of three datums: `a` fails with a message, the others wait.
fn failing(gate: &Gate) -> TestEnv {
    let env = env_with_notes();
    let script = format!("if grep -q a $notes; then echo cannot read it; exit 7; fi; echo begun; {}", gate.wait());
    apply(&env, &spec("hold", "notes", &script));
    env
}

fn failed(env: &TestEnv) -> Vec<Value> {
    env.json(["datum", "list", "hold", "--state", "failed"])
}

#[track_caller]
fn assert_has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
}

#[test]
fn a_datum_that_fails_is_seen_with_its_log_while_the_job_runs() {
    let gate = Gate::new();
    let env = failing(&gate);
    let mut run = Background::start(&env, ["run", "-j", "2"]);
    gate.until_waiting(2);
    until_true("the end of the failed datum", || !failed(&env).is_empty());
    let datum = failed(&env).remove(0);
    assert_eq!((datum["tries"].as_u64(), datum["exit_code"].as_i64()), (Some(3), Some(7)));
    let id = &datum["id"].as_str().unwrap()[..12];
    let by_input = env.json(["datum", "show", "hold", "--input", "/a"]).remove(0);
    let by_id = env.json(["datum", "show", &format!("hold/{id}")]).remove(0);
    assert_eq!(by_input, by_id);
    // It has more fields than a list entry, and sizes of inputs; all fields of the list are equal.
    let shown = by_id.as_object().unwrap();
    for (field, value) in datum.as_object().unwrap().iter().filter(|(field, _)| *field != "inputs") {
        assert_eq!(shown.get(field), Some(value), "{field}");
    }
    for field in ["input", "path", "digest"] {
        assert_eq!(by_id["inputs"][0][field], datum["inputs"][0][field], "{field}");
    }
    assert_eq!(env.json(["show", &format!("hold/{id}")]).remove(0), by_id, "the same by any name");
    let listed: Vec<String> =
        env.json(["datum", "list", "hold"]).iter().map(|datum| datum["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, ["failed", "running", "running"]);
    let logs = env.ok(["logs", "hold", "--failed"]);
    assert_eq!((logs.matches("cannot read it\n").count(), logs.contains("begun")), (3, false), "{logs}");
    until_true("what the others printed", || env.ok(["logs", "hold"]).matches("begun\n").count() == 2);
    assert_has(&env.ok(["logs", "hold"]), &["  running\nbegun\n", "cannot read it\n"]);
    assert_has(
        &env.ok(["job", "show", "hold"]),
        &["failed so far: 1 datum\n", "| cannot read it", "running: 2 datums"],
    );
    assert_has(&env.ok(["explain", "hold"]), &["1 of 3 datums failed so far"]);
    assert_has(&env.ok(["explain", &format!("hold/{id}")]), &["executed: it is new", "notes:/a"]);
    assert_has(&env.ok(["status"]), &["running; 1 datum has failed so far", "--failed"]);
    let job = newest_job(&env, "hold");
    assert_eq!((job["state"].as_str(), job["datums_failed"].as_u64()), (Some("running"), Some(1)));
    gate.open_until(|| run.is_over());
    run.end().assert_code(1);
    assert_eq!(failed(&env), [datum], "it is the same when the job has ended");
    assert_eq!(env.ok(["logs", "hold", "--failed"]), logs);
}

#[test]
fn what_an_engine_left_behind_is_seen_without_it() {
    let gate = Gate::new();
    let env = failing(&gate);
    let run = Background::start(&env, ["run", "-j", "2"]);
    gate.until_waiting(2);
    until_true("the end of the failed datum", || !failed(&env).is_empty());
    let datum = failed(&env).remove(0);
    run.kill_9();
    assert_eq!(failed(&env), [datum], "its result was kept at once");
    assert_has(&env.ok(["logs", "hold", "--failed"]), &["cannot read it\n", "/a  exit 7  try 3 of 3"]);
    assert_has(&env.ok(["job", "show", "hold"]), &["failed so far", "| cannot read it"]);
    let ended = Background::start(&env, ["logs", "-f", "hold"]).end().assert_code(6);
    assert_has(&ended.stdout, &["cannot read it\n"]);
    assert_has(&ended.stderr, &["has not ended, and nothing runs it"]);
    gate.let_go();
}

/// A job of many short datums, the first of which waits.
fn many(gate: &Gate, count: usize) -> TestEnv {
    let env = env_with_notes();
    for number in 0..count {
        env.write(format!("notes/n{number:03}"), format!("{number}"));
    }
    env.ok(["put", "notes", "notes"]);
    let script = format!("echo first $notes; [ $(cat $notes) != a ] || {}; echo last $notes", gate.wait());
    apply(&env, &spec("hold", "notes", &script));
    env
}

#[test]
fn whoever_follows_gets_every_line_once() {
    let gate = Gate::new();
    let env = many(&gate, 40);
    let mut run = Background::start(&env, ["run", "-j", "1"]);
    gate.until_waiting(1);
    let calls: [&[&str]; 3] =
        [&["logs", "-f", "hold"], &["--json", "logs", "-f", "hold"], &["logs", "-f", "--failed", "hold"]];
    let following = calls.map(|call| Background::of(&env, env.command(call)));
    until_true("what was printed before", || following[0].stdout().contains("first /pfs/notes/a\n"));
    for one in &following {
        until_true("it was handed over", || one.is_served_by(&run));
    }
    gate.open_until(|| run.is_over());
    run.end().assert_code(0);
    let [text, json, failed] = following.map(|one| one.end().assert_code(0).stdout);
    let names: Vec<String> =
        (0..40).map(|number| format!("n{number:03}")).chain(["a", "b", "c"].map(str::to_owned)).collect();
    let mut logs = std::collections::BTreeMap::<String, (String, u32)>::new();
    for line in json.lines() {
        let piece: Value = serde_json::from_str(line).unwrap();
        let (log, ends) = logs.entry(piece["datum"].as_str().unwrap().to_owned()).or_default();
        log.push_str(&piece["log"].as_str().unwrap().replace(KILLED, ""));
        *ends += u32::from(piece["finished_at"].is_string());
    }
    assert_eq!(logs.len(), names.len());
    for name in names {
        let expected = format!("first /pfs/notes/{name}\nlast /pfs/notes/{name}\n");
        let times = [format!("first /pfs/notes/{name}\n"), format!("last /pfs/notes/{name}\n")]
            .map(|line| text.matches(&line).count());
        assert_eq!(times, [1, 1], "{name}\n{text}");
        assert_eq!(logs.values().filter(|(log, ends)| (log, *ends) == (&expected, 1)).count(), 1, "{name}\n{json}");
    }
    assert_eq!(failed, "", "no datum failed");
}

#[test]
fn a_datum_that_fails_is_shown_to_those_who_follow_failures() {
    let gate = Gate::new();
    let env = failing(&gate);
    let mut run = Background::start(&env, ["run", "-j", "2"]);
    gate.until_waiting(2);
    let following = Background::start(&env, ["logs", "-f", "--failed", "hold"]);
    until_true("the failed datum", || following.stdout().matches("cannot read it\n").count() == 3);
    gate.open_until(|| run.is_over());
    run.end().assert_code(1);
    let shown = following.end().assert_code(0).stdout;
    assert!(!shown.contains("begun"), "{shown}");
}

#[test]
fn one_datum_at_work_is_read_and_followed() {
    let gate = Gate::new();
    let env = env_with_notes();
    apply(&env, &spec("hold", "notes", &format!("echo begun $notes; {}; echo done $notes", gate.wait())));
    let mut run = Background::start(&env, ["run", "-j", "1"]);
    gate.until_waiting(1);
    let datum = until("the datum at work", || env.json(["datum", "list", "hold"]).pop());
    let name = format!("hold/{}", &datum["id"].as_str().unwrap()[..12]);
    until_true("what it printed", || env.ok(["logs", &name]).ends_with("running\nbegun /pfs/notes/a\n"));
    let following = Background::start(&env, ["logs", "-f", &name]);
    until_true("what it printed", || following.stdout().contains("begun /pfs/notes/a\n"));
    gate.open_until(|| run.is_over());
    run.end().assert_code(0);
    let followed = following.end().assert_code(0).stdout;
    let followed = followed.replace(KILLED, "");
    assert!(followed.ends_with("begun /pfs/notes/a\ndone /pfs/notes/a\n"), "{followed}");
}

#[test]
fn a_follower_that_stands_still_holds_no_datum_up() {
    let gate = Gate::new();
    let env = env_with_notes();
    let script = format!("{}; head -c 30000000 /dev/zero | tr '\\0' x; echo; echo the end", gate.wait());
    apply(&env, &spec("loud", "notes", &script));
    let serve = serve(&env);
    gate.until_waiting(2);
    let mut following = env.command(["logs", "-f", "loud"]).stdout(Stdio::piped()).spawn().unwrap();
    gate.open_until(|| newest_job(&env, "loud")["state"] == "success");
    // Nobody has read a byte so far; the stored logs can still be read, unless the owner gave up on the reader.
    let mut text = Vec::new();
    following.stdout.take().unwrap().read_to_end(&mut text).unwrap();
    if following.wait().unwrap().success() {
        let text = String::from_utf8_lossy(&text);
        assert_eq!(text.matches("\nthe end\n").count(), 3);
        assert!(text.contains("output arrived too quickly") || text.contains("bytes omitted"));
    }
    drop(serve);
}
