//! A store modified by an attacker without a key: the answer of each command.

use repos::hash::digest_of;
use serde_json::{Value, json};
use tests::TestEnv;

use crate::support::{apply, copy_of, env_with_notes, outcome, put_note, spec, success};

/// Appends a record with a matching digest and no signature, as anybody can who knows the format.
fn append(env: &TestEnv, entries: &Value) {
    let path = env.dir().join(".pv/journal");
    let mut text = std::fs::read_to_string(&path).unwrap();
    let last = text.lines().last().unwrap()[..64].to_owned();
    // Keys in the order of canonical JSON.
    let json = format!(
        r#"{{"at":"2026-07-01T12:14:43.000123Z","entries":{},"format":1,"previous":"{last}"}}"#,
        serde_json::to_string(entries).unwrap()
    );
    text.push_str(&format!("{} {json}\n", digest_of(json.as_bytes())));
    std::fs::write(path, text).unwrap();
}

fn env() -> TestEnv {
    let env = env_with_notes();
    apply(&env, &spec("copied", "notes", &copy_of("notes")));
    env.ok(["run"]);
    env
}

#[test]
fn an_unsigned_record_is_named_by_verify_and_fsck_and_nothing_runs_on_it() {
    let env = env();
    env.ok(["verify", "copied"]);
    let old = env.json(["show", "notes"])[0]["id"].clone();
    put_note(&env, "d", "4\n");
    env.ok(["run"]);
    let new = env.json(["show", "notes"])[0]["id"].clone();
    let cause = json!({"at": "2026-07-01T12:14:43.000123Z", "cause": "move", "committer": "uid:1@x"});
    let moves = json!([{"branch": "main", "from": new, "repo": "notes", "to": old}]);
    let jobs = json!([{"pipeline": "copied", "version": 1}]);
    append(&env, &json!([{"cause": cause, "jobs": jobs, "kind": "run", "moves": moves, "run": "ab".repeat(16)}]));
    assert_eq!(env.json(["show", "notes"])[0]["id"], old, "readers see what is written");
    for claim in ["notes", "copied", "copied:/a"] {
        let (error, code) = env.json_error(["verify", claim]);
        let message = error["message"].as_str().unwrap();
        assert!(code == 1 && message.contains("moves notes@main") && message.contains("is not signed"), "{error}");
    }
    assert_eq!(env.exit_code(["fsck"]), 5);
    let (error, code) = env.json_error(["run"]);
    assert!(code == 5 && error["message"].as_str().unwrap().contains("is not signed"), "{error}");
    assert_eq!(env.exit_code(["bundle", "copied", "-o", "bundle.zip"]), 1);
}

#[test]
fn the_pipelines_of_a_key_that_nobody_vouches_for_do_not_run() {
    let env = env();
    env.write("other.json", spec("other", "notes", "cp /pfs/notes/* /pfs/out/"));
    let mut command = env.command(["pipeline", "apply", "-f", "other.json"]);
    assert!(command.env("PV_KEY", "mine.key").output().unwrap().status.success());
    let (error, code) = env.json_error(["run"]);
    let message = error["message"].as_str().unwrap();
    assert!(code == 4 && message.contains("applies pipeline other version 1"), "{error}");
    let hint = error["hint"].as_str().unwrap();
    let key = hint.strip_prefix("pv key trust ").unwrap().split(',').next().unwrap();
    env.ok(["key", "trust", key]);
    env.ok(["run"]);
    assert_eq!(outcome(&env, "other"), success(3, 0));
    env.ok(["verify"]);
}

#[test]
fn a_journal_cut_back_is_noticed_and_its_commits_are_not_collected() {
    let env = env();
    for name in ["d", "e", "f"] {
        put_note(&env, name, "more\n");
    }
    let path = env.dir().join(".pv/journal");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&path, lines[..lines.len() - 2].join("\n") + "\n").unwrap();
    std::fs::remove_dir_all(env.dir().join(".pv/index")).unwrap();
    let noted = std::fs::read(env.dir().join(".pv/position")).unwrap();
    std::fs::remove_file(env.dir().join(".pv/position")).unwrap();
    let (error, code) = env.json_error(["verify", "notes"]);
    assert!(code == 1 && error["message"].as_str().unwrap().contains("its end: "), "{error}");
    let output = env.pv(["verify", "notes"]);
    assert!(output.contains("it was cut back"), "{output}");
    assert_eq!(env.exit_code(["fsck"]), 5);
    assert_eq!(env.exit_code(["gc"]), 7);
    std::fs::write(&path, text).unwrap();
    std::fs::write(env.dir().join(".pv/position"), noted).unwrap();
    env.ok(["gc"]);
    env.ok(["verify", "notes"]);
}

#[test]
fn a_last_record_taken_away_is_not_proven_until_the_next_change() {
    let env = env();
    env.ok(["tag", "create", "notes@v1"]);
    let path = env.dir().join(".pv/journal");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&path, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    std::fs::remove_dir_all(env.dir().join(".pv/index")).unwrap();
    assert_eq!(env.exit_code(["verify", "notes"]), 5, "what was noted is more than what is there");
    std::fs::remove_file(env.dir().join(".pv/position")).unwrap();
    let (error, code) = env.json_error(["verify", "notes"]);
    assert!(code == 1 && error["message"].as_str().unwrap().contains("records may have been taken away"), "{error}");
    let report = env.ok(["fsck"]);
    assert!(report.contains("records may have been taken away"), "{report}");
    put_note(&env, "d", "more\n");
    env.ok(["verify", "notes"]);
}
