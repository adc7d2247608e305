//! `pv txn`: all lines become one run, or nothing happens.

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::{TestEnv, test_env};

use crate::support::*;

fn env_with_rules() -> TestEnv {
    let env = test_env!();
    env.ok(["repo", "create", "rules"]);
    env.write("batch/a.jpg", "one");
    env.write("batch/b.jpg", "two");
    env.write("strict.json", "{}");
    env
}

/// Runs these lines from a file.
fn txn(env: &TestEnv, lines: &[Value]) -> String {
    write(env, lines);
    env.pv(["txn", "steps.jsonl", "-m", "both"])
}

fn write(env: &TestEnv, lines: &[Value]) {
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    env.write("steps.jsonl", lines.join("\n"));
}

fn records(env: &TestEnv) -> usize {
    std::fs::read_to_string(env.dir().join(".pv/journal")).unwrap().lines().count()
}

#[test]
fn all_lines_are_one_run_with_a_commit_a_branch() {
    let env = env_with_rules();
    let lines = [
        json!({"put": "images:/cam7", "from": ["batch", "strict.json"], "exclude": "b.*", "message": "camera 7"}),
        json!({"put": "rules", "from": "strict.json", "as": "/rules.json"}),
        json!({"mv": "images:/cam7/strict.json", "to": "images:/s.json"}),
        json!({"cp": "images:/cam7", "to": "images:/copy"}),
        json!({"branch_create": "images@release", "at": "images@main"}),
    ];
    let before = records(&env);
    insta::assert_snapshot!(txn(&env, &lines), @r"
    --- stdout
    images@[id 1]
    rules@[id 2]
    images@[id 1]
    --- stderr
    images@main: 3 added, 0 modified, 0 removed, 0 unchanged · 10 B, 5 B new
    rules@main: 1 added, 0 modified, 0 removed, 0 unchanged · 2 B, 0 B new
    images@release: new
    run [id 3] · [took]
    ");
    assert_eq!(records(&env), before + 1, "one record makes all of it visible");
    insta::assert_snapshot!(env.pv(["ls", "-r", "images@release"]), @r"
    --- stdout
        3 B  [id 4]  /cam7/a.jpg
        3 B  [id 4]  /copy/a.jpg
        2 B  [id 5]  /s.json
    ");
    let run = &env.json(["log"])[0];
    assert_eq!(run["cause"]["kind"], "txn");
    assert_eq!(run["cause"]["refs"], json!(["images@main", "rules@main", "images@release"]));
    assert_eq!(run["moves"].as_array().unwrap().len(), 3);
    let messages = ["images", "rules"].map(|repo| env.json(["show", repo])[0]["message"].clone());
    assert_eq!(messages, ["camera 7", "both"]);
    insta::assert_snapshot!(txn(&env, &lines[1..2]), @r"
    --- stdout
    rules@[id 2]
    --- stderr
    rules@main: nothing differs
    nothing differs: no commit was made
    ");
    assert_eq!(env.json(["log", "rules"]).len(), 1, "what is there already makes no commit");
    assert_sound(&env);
}

#[test]
fn everything_that_is_wrong_with_the_lines_is_told_at_once_and_nothing_is_done() {
    let env = env_with_rules();
    env.write(
        "steps.jsonl",
        "{\"put\": \"images\", \"form\": \"batch\"}\n\n{\"cp\": \"images:/a\", \"mv\": \"images:/b\", \"to\": 7}\n\
         {\"rm\": \"images:/a\", \"recursive\": \"yes\"}\n{\"put\": \"rules\", \"from\": \"-\"}\n{oops}\n[]\n\
         {\"branch_move\": \"images\", \"to\": \"images\", \"to\": \"rules\"}\n{\"copy\": \"images:/a\"}\n\
         {\"mv\": \"images:/a\", \"to\": \"rules:/a\"}\n",
    );
    insta::assert_snapshot!(env.pv(["txn", "steps.jsonl"]), @r#"
    --- stderr
    error: steps.jsonl:1:19: unknown field `form`
    hint: did you mean `from`?
    error: steps.jsonl:1:2: `from` is missing: the files and directories to put
    error: steps.jsonl:3:2: `mv` and `cp` are on one line: write a line for each
    error: steps.jsonl:4:21: `recursive` must be true or false, not `"yes"`
    error: steps.jsonl:5:18: a transaction cannot read content from standard input: name a file
    error: steps.jsonl:6:2: key must be a string
    error: steps.jsonl:7:1: invalid type: sequence, expected a JSON object
    error: steps.jsonl:8:27: `to` appears twice
    error: steps.jsonl:8:2: `images` has no name: write `images@NAME`
    error: steps.jsonl:9:1: expected one of `put`, `rm`, `mv`, `cp`, `branch_move`, `branch_create`
    error: steps.jsonl:10:2: `images:/a` and `rules:/a` are on different branches; a move stays on one branch
    hint: cp, then rm
    11 errors in steps.jsonl; nothing was committed
    --- exit 2
    "#);
    let found = [
        json!({"put": "images", "from": ["batch", "nothing"]}),
        json!({"put": "nowhere", "from": "batch"}),
        json!({"put": "images@other", "from": "batch"}),
        json!({"put": "rules", "from": "batch", "expect": "v1"}),
    ];
    insta::assert_snapshot!(txn(&env, &found), @r"
    --- stderr
    error: steps.jsonl:1:1: `nothing` not found on this machine
    error: steps.jsonl:2:1: repository `nowhere` not found
    hint: pv repo list lists all; to create it: pv repo create nowhere
    error: steps.jsonl:3:1: branch `other` not found in repository `images`
    hint: to create it: pv branch create images@other
    error: steps.jsonl:4:1: branch `v1` not found in repository `rules`
    hint: pv branch list rules lists its branches; to create it: pv branch create rules@v1
    4 errors in steps.jsonl; nothing was committed
    --- exit 3
    ");
    let steps = [
        json!({"put": "images", "from": "batch"}),
        json!({"rm": "images:/c.jpg"}),
        json!({"cp": "images:/a.jpg", "to": "rules:/a.jpg"}),
    ];
    insta::assert_snapshot!(txn(&env, &steps), @r"
    --- stderr
    error: steps.jsonl:2:1: `/c.jpg` not found in images@main
    hint: did you mean `/a.jpg`?
    1 error in steps.jsonl; nothing was committed
    --- exit 3
    ");
    let (error, code) = env.json_error(["txn", "steps.jsonl"]);
    assert_eq!((error["done"].as_str().unwrap(), code), ("nothing was committed", 3));
    assert!(env.json(["log"]).is_empty());
    assert_eq!(env.exit_code(["txn", "no-such-file"]), 3);
    assert_sound(&env);
}

#[test]
fn json_is_an_object_a_branch_and_standard_input_a_file() {
    let env = env_with_rules();
    let text = "{\"put\":\"images\",\"from\":\"batch\"}\n{\"branch_create\":\"images@try\",\"at\":\"images\"}\n\
                {\"branch_create\":\"rules@empty\"}\n";
    let output = env.with_stdin(["--json", "txn", "-"], text.as_bytes());
    assert!(output.status.success(), "{}", env.shown(&output));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!([&lines[0]["added"], &lines[0]["changed"], &lines[1]["added"]], [&json!(2), &json!(true), &json!(0)]);
    assert_eq!([&lines[1]["commit"], &lines[1]["run"]], [&lines[0]["commit"], &lines[0]["run"]]);
    assert_eq!([&lines[2]["changed"], &lines[2]["commit"]], [&json!(true), &json!(null)]);
    let again = env.with_stdin(["--json", "txn", "-"], text.lines().next().unwrap().as_bytes());
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!([&again["changed"], &again["run"]], [&json!(false), &json!(null)]);
}

#[test]
fn a_dry_run_says_what_would_change_and_a_drastic_mirror_is_asked_about() {
    let env = env_with_rules();
    env.ok(["put", "images", "batch"]);
    env.write("one/new.jpg", "new");
    let lines =
        [json!({"put": "rules", "from": "strict.json"}), json!({"put": "images", "from": "one", "mirror": true})];
    write(&env, &lines);
    let before = (records(&env), env.ok(["ls", "-r", "images"]));
    insta::assert_snapshot!(env.pv(["txn", "steps.jsonl", "--dry-run"]), @r"
    --- stdout
    rules@main
    images@main
    --- stderr
    rules@main: 1 added, 0 modified, 0 removed, 0 unchanged · 2 B, 2 B new
    images@main: 1 added, 0 modified, 2 removed, 0 unchanged · 3 B, 3 B new
    dry run: nothing was committed
    ");
    insta::assert_snapshot!(env.pv(["txn", "steps.jsonl"]), @r"
    --- stderr
    Line 2 removes 2 of 2 files in images@main:/.
    error: this would remove more than half of the files in images@main:/; nothing was committed
    hint: --yes answers yes to the prompt
    --- exit 7
    ");
    assert_eq!((records(&env), env.ok(["ls", "-r", "images"])), before);
    env.ok(["--yes", "txn", "steps.jsonl"]);
    assert_eq!(env.json(["ls", "-r", "images"]).len(), 1);
}

#[test]
fn another_head_than_expected_stops_the_whole() {
    let env = env_with_rules();
    let first = env.json(["put", "images", "batch"]).remove(0)["commit"].as_str().unwrap().to_owned();
    env.write("c", "three");
    env.ok(["put", "images", "c"]);
    let line = |expect: &str| json!({"rm": "images:/a.jpg", "expect": expect});
    write(&env, &[json!({"put": "rules", "from": "strict.json"}), line(&first)]);
    assert_eq!(env.exit_code(["txn", "steps.jsonl"]), 4);
    assert_eq!(env.json(["log"]).len(), 2);
    write(&env, &[json!({"put": "rules", "from": "strict.json"}), line("main")]);
    env.ok(["txn", "steps.jsonl"]);
    assert_eq!(env.json(["log"]).len(), 3);
}

#[test]
fn an_owner_takes_a_transaction_over_and_transactions_at_once_all_land() {
    let env = env_with_notes();
    let gate = Gate::new();
    apply(&env, &spec("slow", "notes", &gate.wait()));
    let owner = Background::start(&env, ["run", "-j", "1"]);
    gate.until_waiting(1);
    let numbers = 0..4;
    let handles: Vec<Background> = numbers
        .map(|number| {
            env.write(format!("f{number}"), number.to_string());
            let text = format!(
                "{{\"put\":\"images\",\"from\":\"f{number}\"}}\n{{\"cp\":\"images:/f{number}\",\"to\":\"notes:/f{number}\"}}\n"
            );
            env.write(format!("t{number}"), text);
            Background::of(&env, env.command(["txn", &format!("t{number}")]))
        })
        .collect();
    for handle in handles {
        handle.end().assert_code(0);
    }
    assert_eq!(env.json(["ls", "-r", "images"]).len(), 4);
    assert_eq!(env.json(["ls", "-r", "notes"]).len(), 7);
    assert_eq!(env.json(["log", "images"]).len(), 4);
    owner.send(Signal::SIGTERM);
    owner.end().assert_code(143);
    assert_sound(&env);
}
