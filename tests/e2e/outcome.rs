//! Changes whose answer was lost: the outcome is looked up, and if it cannot be known the error says so.

use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use crate::support::*;

/// A `pv serve` that ends suddenly at this point.
fn serve_that_ends_at(env: &tests::TestEnv, point: &str) -> Background {
    let mut command = env.command(["serve", "-j", "2"]);
    command.env("PV_STOP_AT", point);
    serve_with(env, command)
}

#[test]
fn a_last_step_whose_owner_dies_before_its_answer_is_made_once() {
    for point in ["publish.before_record", "publish.after_record"] {
        let env = env_with_notes();
        let mut command = env.command(["put", "notes", "-", "--as", "/late"]);
        command.stdin(Stdio::piped());
        let mut put = Background::of(&env, command);
        let mut pipe = put.child().stdin.take().unwrap();
        // More than a pipe buffers: when this returns, the reader has started.
        pipe.write_all(&vec![b'x'; 1 << 20]).unwrap();
        let mut serve = serve_that_ends_at(&env, point);
        drop(pipe);
        let ended = put.end().assert_code(0);
        assert!(ended.stdout.starts_with("notes@"), "{point}: {}", ended.stdout);
        until_true("its sudden end", || serve.is_over());
        assert_eq!(env.json(["log", "notes"]).len(), 2, "{point}: it was made once");
        assert_eq!(env.json(["ls", "notes:/late"])[0]["size_bytes"], 1 << 20);
        assert_sound(&env);
    }
}

#[test]
fn a_command_whose_owner_dies_before_its_answer_says_that_the_outcome_is_not_known() {
    for (point, commits) in [("publish.before_record", 1), ("publish.after_record", 2)] {
        let env = env_with_notes();
        env.write("d", "d");
        let mut serve = serve_that_ends_at(&env, point);
        let (error, exit_code) = env.json_error(["put", "notes", "d"]);
        assert_eq!((exit_code, &error["done"]), (6, &json!("it is not known what was done")), "{error}");
        until_true("its sudden end", || serve.is_over());
        assert_eq!(env.json(["log", "notes"]).len(), commits, "{point}");
        assert_sound(&env);
    }
}

#[test]
fn what_was_committed_is_said_when_what_follows_fails() {
    let env = env_with_notes();
    apply(&env, &spec("bad", "notes", "exit 3"));
    env.exit_code(["run"]);
    env.write("d", "d");
    env.write("changes", r#"{"put": "notes", "from": "d", "as": "/e"}"#);
    for call in [&["put", "notes", "d", "--wait"][..], &["txn", "changes", "--wait"]] {
        let output = env.output([&["--json"], call].concat());
        let error: serde_json::Value =
            String::from_utf8_lossy(&output.stderr).lines().find_map(|line| serde_json::from_str(line).ok()).unwrap();
        let done = error["error"]["done"].as_str().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(done.starts_with("the change was committed, as run "), "{error}");
    }
}
