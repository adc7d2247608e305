//! `pv status`, and `pv` alone.

use serde_json::json;
use tests::{TestEnv, test_env};

use crate::flow::{self, fields};

/// All but the first line, which tells of this machine's disk.
fn below_the_head(text: &str) -> String {
    text.split_once("free\n").map_or(text, |(_, below)| below).to_owned()
}

#[test]
fn pv_alone_is_help_outside_a_store_and_status_inside() {
    let none: [&str; 0] = [];
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    assert!(env.ok(none).contains("No store here or above."));
    let env = test_env!();
    assert_eq!(below_the_head(&env.ok(none)), below_the_head(&env.ok(["status"])));
    let head = env.ok(none);
    assert!(head.starts_with(env.dir().canonicalize().unwrap().to_str().unwrap()), "{head}");
    assert_eq!(env.exit_code(["--store", "/nowhere", "status"]), 3);
}

#[test]
fn status_says_how_far_everything_is_and_what_needs_you() {
    let env = flow::applied();
    insta::assert_snapshot!(below_the_head(&env.pv(["status"])), @r"
    REPOSITORY  HEAD  FILES  SIZE  LAST COMMIT
    images  [id 1]  2  8 B  [ago]  Anna  first

    PIPELINE  STATE  LAST JOB  RUN + CACHED  OUTPUT
    upper  pending  for pv run  none has ended  behind by 1 run
    count  pending  for upper  none has ended  behind by 1 run

    needs you
      upper  pending  pv run
    ");
    env.ok(["run"]);
    insta::assert_snapshot!(below_the_head(&env.pv(["status"])), @r"
    REPOSITORY  HEAD  FILES  SIZE  LAST COMMIT
    images  [id 1]  2  8 B  [ago]  Anna  first

    PIPELINE  STATE  LAST JOB  RUN + CACHED  OUTPUT
    upper  current  success  [ago]  [took]  2 + 0  [id 2]
    count  current  success  [ago]  [took]  1 + 0  [id 3]
    ");
    let env = flow::failed();
    insta::assert_snapshot!(below_the_head(&env.pv(["status"])), @r"
    REPOSITORY  HEAD  FILES  SIZE  LAST COMMIT
    images  [id 1]  3  12 B  [ago]  Anna  third

    PIPELINE  STATE  LAST JOB  RUN + CACHED  OUTPUT
    upper  failed  failure  [ago]  [took]  0 + 2  1 failed  behind by 1 run
    count  failed  unrunnable  [ago]  behind by 1 run

    needs you
      upper  failed: 1 of 3 datums failed  pv job show upper@[id 2]  then  pv job retry upper
    ");
}

#[test]
fn the_exit_code_says_whether_every_pipeline_is_current() {
    let env = flow::applied();
    assert_eq!((env.exit_code(["status"]), env.exit_code(["status", "--exit-code"])), (0, 1));
    env.ok(["run"]);
    assert_eq!(env.exit_code(["status", "--exit-code"]), 0);
}

#[test]
fn programs_get_the_whole_at_once() {
    let env = flow::failed();
    let status = env.json(["status"]).remove(0);
    let expected = ["executor", "free_bytes", "needs_you", "pipelines", "repos", "running", "size_bytes", "store"];
    assert_eq!(fields(&status), expected);
    assert_eq!([&status["executor"], &status["running"]], [&json!("process"), &json!(false)]);
    assert_eq!(status["repos"].as_array().unwrap().len(), 3);
    let needs = status["needs_you"].as_array().unwrap();
    assert_eq!(needs.iter().map(|need| &need["pipeline"]).collect::<Vec<_>>(), ["upper"]);
    assert!(status["size_bytes"].as_u64().unwrap() > 0);
}
