//! Typical tasks of users, from the first command to the answer.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tests::TestEnv;

use crate::support::*;

/// Scores an image against the model's threshold; anything but a number is not an image.
const SCORE: &str = r#"
    name=$(basename "$images"); value=$(cat "$images"); least=$(cat /pfs/model/threshold)
    case $value in ''|*[!0-9]*) echo "no image: $name" >&2; exit 3;; esac
    [ "$value" -ge "$least" ] && flagged=true || flagged=false
    printf '{"flagged": %s, "score": %s}\n' $flagged "$value" > "/pfs/out/$name.json""#;
/// Keeps flagged results, writes nothing for the rest.
const ALARM: &str = r#"! grep -q '"flagged": true' "$score" || cp "$score" /pfs/out/"#;

/// Images that contain their numbers, a model with its threshold, and two stages that have run.
fn cameras(images: u32, threshold: u32) -> TestEnv {
    let env = TestEnv::with_store(env!("CARGO_BIN_EXE_pv"));
    env.ok(["config", "set", "executor", "process"]);
    for number in 0..images {
        env.write(format!("in/{number:04}"), number.to_string());
    }
    env.ok(["put", "images", "in", "--author", "Anna", "-m", "camera batch"]);
    env.ok(["repo", "create", "model"]);
    put_model(&env, "model", threshold, "first model");
    let cross = format!("{{\"cross\": [{}, {}]}}", pfs("images", "/*"), pfs("model", "/"));
    let specs = format!("{}---\n{}", spec_with("score", &cross, SCORE, ""), spec("alarm", "score", ALARM));
    env.write("specs.yml", specs);
    env.ok(["pipeline", "apply", "-f", "specs.yml"]);
    env
}

fn put_model(env: &TestEnv, reference: &str, threshold: u32, message: &str) -> Value {
    env.write("threshold", threshold.to_string());
    env.json(["put", reference, "threshold", "--author", "Carl", "-m", message]).remove(0)
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}"))
}

fn tree_of(env: &TestEnv, reference: &str) -> Value {
    env.json(["show", reference])[0]["tree"].clone()
}

#[test]
fn one_bad_image_among_a_thousand_is_found_mended_and_accounted_for() {
    let env = cameras(1000, 990);
    env.write("in/0500", "");
    env.ok(["put", "images", "in/0500", "--author", "Bob", "-m", "torn file"]);
    let output = env.output(["run"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in ["1 of 1000 datums", "/0500", "no image: 0500"] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let job = newest_job(&env, "score");
    assert_eq!(
        (&job["state"], &job["datums_cached"], &job["datums_failed"]),
        (&json!("failure"), &json!(999), &json!(1))
    );
    let failed = env.json(["datum", "list", "score", "--state", "failed"]).remove(0);
    assert!(env.ok(["logs", &format!("score/{}", text(&failed, "id"))]).contains("no image: 0500"));

    // Whose bytes are they? Then new bytes, and nothing else is computed.
    let history = env.json(["log", "images:/0500"]);
    assert_eq!(history.iter().map(|commit| text(commit, "author")).collect::<Vec<_>>(), ["Bob", "Anna"]);
    env.write("in/0500", "995");
    env.ok(["put", "images", "in/0500", "--author", "Bob", "-m", "read again"]);
    env.ok(["run"]);
    assert_eq!(outcome(&env, "score"), success(1, 999));
    assert_eq!(env.json(["ls", "alarm"]).len(), 11, "ten above the threshold, and the mended one");
    let traced = env.ok(["trace", "alarm:/0500.json"]);
    assert!(traced.contains("Bob") && traced.contains("read again") && traced.contains("complete"), "{traced}");
    assert_sound(&env);
}

#[test]
fn results_that_are_wrong_after_a_new_model_are_understood_and_taken_back() {
    let env = cameras(40, 30);
    env.ok(["run"]);
    let before = tree_of(&env, "score");
    put_model(&env, "model", 20, "more sensitive");
    env.ok(["run"]);
    assert_eq!(env.json(["ls", "alarm"]).len(), 20);

    let why = env.ok(["diff", "score@main~1", "score@main", "--why"]);
    assert!(why.contains("model") && why.contains("threshold") && why.contains("images"), "{why}");
    let flips = env.json(["diff", "score@main~1", "score@main", "--flips", "flagged"]);
    assert_eq!(
        (&flips[0]["lost"], &flips[0]["gained"], &flips[0]["unchanged"]),
        (&json!(0), &json!(10), &json!(30)),
        "{flips:?}"
    );
    let turned: Vec<&str> = flips[0]["records"].as_array().unwrap().iter().map(|row| text(row, "path")).collect();
    let expected: Vec<String> = (20..30).map(|number| format!("/{number:04}.json")).collect();
    assert_eq!(turned, expected);
    assert_eq!(env.exit_code(["diff", "alarm@main~1", "alarm@main", "--exit-code"]), 1);

    // Reverting computes nothing.
    env.ok(["revert", "model", "-m", "too many alarms"]);
    env.ok(["run"]);
    assert_eq!((outcome(&env, "score"), outcome(&env, "alarm")), (success(0, 40), success(0, 40)));
    assert_eq!(tree_of(&env, "score"), before);
    assert_eq!(env.exit_code(["diff", "score@main~2", "score@main", "--exit-code"]), 0);
    assert_sound(&env);
}

#[test]
fn who_is_affected_by_a_poisoned_image_is_answered_from_all_history() {
    let env = cameras(6, 100);
    env.write("extra/poison", "150");
    let put = env.json(["put", "images", "extra", "--author", "Mallory", "-m", "more frames"]).remove(0);
    env.ok(["run"]);
    put_model(&env, "model", 200, "calmer");
    env.ok(["run"]);
    env.ok(["cp", "images:/poison", "images:/harmless"]);
    env.ok(["rm", "images:/poison"]);
    env.ok(["run"]);

    // Content is identified by its digest: a copy of the file finds all its names.
    let found = env.json(["find", "extra/poison"]);
    let names: Vec<(&str, &str)> = found.iter().map(|one| (text(one, "repo"), text(one, "path"))).collect();
    assert!(names.contains(&("images", "/poison")) && names.contains(&("images", "/harmless")), "{names:?}");
    let at = format!("images@{}:/poison", text(&put, "commit"));
    let forward = env.json(["trace", &at, "--forward", "--all-runs"]).remove(0);
    let readers = forward["readers"].as_array().unwrap();
    let of = |pipeline: &str| readers.iter().filter(|reader| reader["pipeline"] == pipeline).collect::<Vec<_>>();
    // Two models each read it under both names or the first one; one of them raised an alarm.
    assert!(of("score").len() >= 3, "{forward}");
    assert!(of("alarm").iter().any(|reader| reader["outputs"][0]["path"] == "/poison.json"), "{forward}");
    assert!(
        of("alarm").iter().any(|reader| reader["outputs"] == json!([])),
        "one wrote nothing, and is told: {forward}"
    );
    assert!(
        of("score").iter().any(|reader| reader["outputs"][0]["at_head"] == true),
        "as /harmless it is there still: {forward}"
    );
    let told = env.ok(["trace", &at, "--forward", "--all-runs"]);
    assert!(told.contains("Mallory") && told.contains("score") && told.contains("alarm"), "{told}");
    assert_sound(&env);
}

#[test]
fn two_models_are_compared_before_release() {
    let env = cameras(50, 40);
    env.ok(["run"]);
    env.ok(["branch", "create", "model@candidate", "model"]);
    put_model(&env, "model@candidate", 45, "candidate");
    let tried = env.json(["try", "--with", "model@candidate"]).remove(0);
    let aside = format!("score@{}", text(&tried, "run"));
    let flips = env.json(["diff", "score", &aside, "--flips", "flagged"]);
    assert_eq!(
        (&flips[0]["lost"], &flips[0]["gained"], &flips[0]["unchanged"]),
        (&json!(5), &json!(0), &json!(45)),
        "{flips:?}"
    );
    let report = env.ok(["diff", "score", &aside, "--why", "--flips", "flagged", "--md"]);
    assert!(report.contains("| ") && report.contains("model") && report.contains("/0044.json"), "{report}");
    assert_eq!(env.json(["ls", "alarm"]).len(), 10, "nothing has moved");

    env.ok(["tag", "create", "model@v2", "model@candidate", "-m", "approved, 5 lost looked at"]);
    env.ok(["branch", "move", "model@main", "model@v2"]);
    env.ok(["run"]);
    assert_eq!((outcome(&env, "score"), outcome(&env, "alarm")), (success(0, 50), success(0, 50)));
    assert_eq!(env.json(["ls", "alarm"]).len(), 5);
    assert_eq!(tree_of(&env, "score"), tree_of(&env, &aside));
    assert_sound(&env);
}

/// A folder without store and author, with a bundle and a key received by mail.
fn elsewhere(env: &TestEnv) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for name in ["case.zip", "key.pem"] {
        std::fs::copy(env.work().join(name), place.path().join(name)).unwrap();
    }
    place
}

fn check_there(place: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pv"));
    let output = command.args(args).current_dir(place).env_clear().env("HOME", place).output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
    )
}

#[test]
fn a_case_is_proven_on_a_machine_without_a_store() {
    let env = cameras(5, 3);
    env.ok(["run"]);
    env.ok(["bundle", "alarm:/0004.json", "-o", "case.zip"]);
    env.write("key.pem", env.ok(["key", "show"]));
    let place = elsewhere(&env);
    let (code, said) = check_there(place.path(), &["verify", "--bundle", "case.zip", "--key", "key.pem"]);
    assert!(code == Some(0) && said.contains("PROVEN") && !said.contains("NOT PROVEN"), "{said}");
    let (code, said) = check_there(place.path(), &["verify", "--bundle", "case.zip"]);
    assert!(code == Some(9) && said.contains("SIGNER NOT CHECKED"), "{said}");

    // Another key proves nothing, and neither does a modified bundle.
    let other = TestEnv::with_store(env!("CARGO_BIN_EXE_pv"));
    std::fs::write(place.path().join("other.pem"), other.ok(["key", "show"])).unwrap();
    let (code, said) = check_there(place.path(), &["verify", "--bundle", "case.zip", "--key", "other.pem"]);
    assert!(code == Some(1) && said.contains("NOT PROVEN"), "{said}");
    let mut bytes = std::fs::read(place.path().join("case.zip")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(place.path().join("case.zip"), bytes).unwrap();
    let (code, said) = check_there(place.path(), &["verify", "--bundle", "case.zip", "--key", "key.pem"]);
    assert!(matches!(code, Some(1 | 5)), "{said}");
}
