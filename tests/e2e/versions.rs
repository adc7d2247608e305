//! The versions of a pipeline: their content, their differences, and rollback.

use serde_json::Value;
use tests::TestEnv;

use crate::flow;

fn apply(env: &TestEnv, script: &str) {
    env.write("code/run.sh", script);
    env.write("up.yml", "pipeline: {name: up}\ninput: {pfs: {repo: images, glob: '/*'}}\ntransform: {code: code, cmd: [sh, /code/run.sh]}\n");
    env.ok(["pipeline", "apply", "-f", "up.yml"]);
    env.ok(["run"]);
}

const GOOD: &str = "for f in /pfs/images/*; do tr a-z A-Z < $f > /pfs/out/${f##*/}; done\n";
const BAD: &str = "for f in /pfs/images/*; do echo wrong > /pfs/out/${f##*/}; done\n";

fn two_versions() -> TestEnv {
    let env = flow::with_images();
    apply(&env, GOOD);
    apply(&env, BAD);
    env
}

fn versions(env: &TestEnv) -> Vec<Value> {
    env.json(["pipeline", "log", "up"])
}

#[test]
fn the_log_tells_when_by_whom_and_what_changed() {
    let env = two_versions();
    let log = versions(&env);
    let told: Vec<_> = log.iter().map(|it| (it["version"].as_u64(), &it["changes"], &it["cause"])).collect();
    assert_eq!(told[0].0, Some(2));
    assert_eq!(told[0].1, &serde_json::json!(["code"]));
    assert_eq!(log[1]["changes"], serde_json::json!([]));
    assert_eq!(log[0]["author"], "Anna <anna@example.com>");
    assert_eq!((&log[0]["is_current"], &log[1]["is_current"]), (&true.into(), &false.into()));
    assert_eq!(log[0]["cause"], "apply");
    let shown = env.ok(["pipeline", "log", "up"]);
    assert!(shown.contains("v2 *") && shown.contains("code"), "{shown}");
    assert_eq!(env.exit_code(["pipeline", "log", "other"]), 3);
}

#[test]
fn a_version_is_shown_fetched_and_compared() {
    let env = two_versions();
    for words in [vec!["show", "up@v1"], vec!["pipeline", "show", "up@v1"]] {
        let shown = env.ok(words);
        assert!(
            shown.starts_with("version") && shown.contains("up@v1") && shown.contains("sh, /code/run.sh"),
            "{shown}"
        );
    }
    let details = env.json(["show", "up@v1"]).remove(0);
    assert_eq!((&details["version"], &details["spec"]["pipeline"]["name"]), (&1.into(), &"up".into()));
    assert_eq!(env.ok(["cat", "up@v1:/run.sh"]), GOOD);
    assert!(env.ok(["show", "up@v1:/run.sh"]).contains("the code of up@v1:/run.sh"));
    env.ok(["get", "up@v1", "old"]);
    assert_eq!(env.read("old/run.sh"), GOOD);
    env.ok(["get", "up@v2:/run.sh", "new"]);
    assert_eq!(env.read("new/run.sh"), BAD);
    let diff = env.ok(["diff", "up@v1", "up@v2"]);
    assert!(diff.contains("differs in: code") && diff.contains("run.sh") && diff.contains("wrong"), "{diff}");
    assert_eq!(env.exit_code(["show", "up@v9"]), 3);
    // A tag with that name takes precedence.
    env.ok(["tag", "create", "up@v1"]);
    assert_eq!(env.ok(["cat", "up@v1:/a"]), "wrong\n");
}

#[test]
fn rolled_back_it_executes_nothing_and_says_so_in_a_run_of_its_own() {
    let env = two_versions();
    assert_eq!(env.ok(["cat", "up:/a"]), "wrong\n");
    let rolled = env.json(["pipeline", "rollback", "up", "v1", "-m", "it is wrong"]).remove(0);
    assert_eq!((&rolled["version"], &rolled["rolled_back_to"]), (&3.into(), &1.into()));
    env.ok(["run"]);
    assert_eq!(env.ok(["cat", "up:/a"]), "ONE\n");
    let job = env.json(["job", "show", "up"]).remove(0);
    assert_eq!((&job["datums_processed"], &job["datums_cached"]), (&0.into(), &2.into()), "{job}");
    let run = env.json(["show", &format!("@{}", rolled["run"].as_str().unwrap())]).remove(0);
    assert_eq!((&run["cause"]["kind"], &run["cause"]["message"]), (&"rollback".into(), &"to v1: it is wrong".into()));
    let log = versions(&env);
    assert_eq!(
        (&log[0]["version"], &log[0]["cause"], &log[0]["is_current"]),
        (&3.into(), &"rollback".into(), &true.into())
    );
    assert_eq!(log[0]["code"]["tree"], log[2]["code"]["tree"]);
    // It is already at that version.
    let again = env.json(["pipeline", "rollback", "up", "1"]).remove(0);
    assert_eq!((&again["changed"], &again["run"]), (&false.into(), &Value::Null));
    assert_eq!(env.exit_code(["pipeline", "rollback", "up", "v7"]), 3);
    assert_eq!(env.exit_code(["pipeline", "rollback", "up", "main"]), 2);
}

#[test]
fn a_version_that_does_not_fit_any_more_is_not_rolled_back_to() {
    let env = two_versions();
    env.ok(["repo", "create", "other"]);
    env.write("up.yml", "pipeline: {name: up}\ninput: {pfs: {repo: other, glob: '/*'}}\ntransform: {code: code, cmd: [sh, /code/run.sh]}\n");
    env.ok(["pipeline", "apply", "-f", "up.yml"]);
    env.ok(["repo", "delete", "images", "--yes"]);
    let shown = env.pv(["pipeline", "rollback", "up", "v1"]);
    assert!(shown.contains("images") && shown.ends_with("--- exit 2"), "{shown}");
    assert_eq!(versions(&env).len(), 3);
}
