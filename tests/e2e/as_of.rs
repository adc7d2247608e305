//! The state of a branch at a time, and who moved it.

use serde_json::Value;
use tests::{TestEnv, test_env};

use crate::flow;

/// Three commits.
fn with_history() -> TestEnv {
    let env = test_env!();
    for content in ["one", "two", "three"] {
        env.write("a", content);
        env.ok(["put", "images", "a", "-m", content]);
    }
    env
}

/// When the branch moved, oldest first.
fn moved_at(env: &TestEnv, branch: &str) -> Vec<String> {
    let moves = env.json(["branch", "log", branch]);
    moves.iter().rev().map(|moved| moved["at"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_branch_is_read_as_it_was_at_a_time() {
    let env = with_history();
    let times = moved_at(&env, "images@main");
    assert_eq!(times.len(), 3);
    for (time, content) in times.iter().zip(["one", "two", "three"]) {
        assert_eq!(env.ok(["cat", &format!("images@main@{{{time}}}:/a")]), content);
        assert_eq!(env.ok(["cat", &format!("images@{{{time}}}:/a")]), content);
    }
    assert_eq!(env.ok(["cat", &format!("images@main@{{{}}}~1:/a", times[2])]), "two");
    assert_eq!(env.ok(["cat", "images@main@{now}:/a"]), "three");
    let (error, code) = env.json_error(["cat", "images@main@{2 days ago}:/a"]);
    assert_eq!(code, 3);
    assert!(error["message"].as_str().unwrap().contains("it was created at"), "{error}");
    assert_eq!(env.exit_code(["cat", "images@main@{soon}:/a"]), 2);
    // After moving back, the branch is at the old commit.
    env.ok(["branch", "move", "images@main", "images@main~2"]);
    assert_eq!(env.ok(["cat", "images@main@{now}:/a"]), "one");
    assert_eq!(env.ok(["cat", &format!("images@main@{{{}}}:/a", times[2])]), "three");
}

#[test]
fn a_branch_that_is_gone_was_there() {
    let env = with_history();
    env.ok(["branch", "create", "images@try", "images@main~1"]);
    let made = moved_at(&env, "images@try").remove(0);
    env.ok(["branch", "delete", "images@try", "--yes"]);
    assert_eq!(env.ok(["cat", &format!("images@try@{{{made}}}:/a")]), "two");
    let (error, code) = env.json_error(["cat", "images@try@{now}:/a"]);
    assert_eq!(code, 3);
    assert!(error["message"].as_str().unwrap().contains("it was deleted at"), "{error}");
    let changes: Vec<Value> =
        env.json(["branch", "log", "images@try"]).into_iter().map(|mut moved| moved["change"].take()).collect();
    assert_eq!(changes, ["deleted", "made"]);
    assert_eq!(env.exit_code(["branch", "log", "images@never"]), 3);
}

#[test]
fn the_log_of_a_branch_tells_who_when_and_why() {
    let env = flow::run();
    env.write("a", "three\n");
    env.ok(["put", "images", "a", "-m", "better", "--author", "Bert <b@example.com>"]);
    env.ok(["run"]);
    let moves = env.json(["branch", "log", "images@main"]);
    assert_eq!(moves.len(), 2);
    assert_eq!((&moves[0]["author"], &moves[0]["message"]), (&"Bert <b@example.com>".into(), &"better".into()));
    assert_eq!((&moves[0]["from"], &moves[0]["cause"]), (&moves[1]["to"], &"commit images@main".into()));
    assert_eq!(moves[0]["to"], env.json(["show", "images"])[0]["id"]);
    let output = env.json(["branch", "log", "upper@main"]);
    assert_eq!(output[0]["to"], env.json(["show", "upper"])[0]["id"]);
    assert!(output[0]["job"].as_str().unwrap().starts_with("upper@"), "{}", output[0]);
    let shown = env.ok(["branch", "log", "images@main"]);
    assert!(shown.contains("Bert") && shown.contains("better") && shown.contains("(made)"), "{shown}");
    assert_eq!(env.ok(["branch", "log", "images@main", "-n", "1"]).lines().count(), 2);
}
