//! `pv status`, and `pv` alone.

use serde_json::json;
use tests::{TestEnv, test_env};

use crate::flow::{self, fields};

/// All but the first line, which is about this machine's disk.
fn below_the_head(text: &str) -> String {
    text.split_once("free\n").map_or(text, |(_, below)| below).to_owned()
}

#[test]
fn pv_alone_is_help_outside_a_store_and_status_inside() {
    let none: [&str; 0] = [];
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    assert!(env.ok(none).contains("There is no store in this folder or its parents."));
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
    upper  pending  for pv run  none ended yet  behind by 1 run
    count  pending  for upper  none ended yet  behind by 1 run

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
    let expected = [
        "differs_on_disk",
        "executor",
        "free_bytes",
        "needs_you",
        "pipelines",
        "repos",
        "running",
        "size_bytes",
        "store",
        "watches",
    ];
    assert_eq!(fields(&status), expected);
    assert_eq!([&status["executor"], &status["running"]], [&json!("process"), &json!(env.is_served())]);
    assert_eq!(status["repos"].as_array().unwrap().len(), 3);
    let needs = status["needs_you"].as_array().unwrap();
    assert_eq!(needs.iter().map(|need| &need["pipeline"]).collect::<Vec<_>>(), ["upper"]);
    assert!(status["size_bytes"].as_u64().unwrap() > 0);
}

/// The status of files that differ from what was applied.
fn drifts(env: &TestEnv) -> Vec<serde_json::Value> {
    env.json(["status"]).remove(0)["differs_on_disk"].as_array().unwrap().clone()
}

#[test]
fn specs_and_code_that_are_not_what_was_applied_are_said() {
    let env = flow::with_images();
    let spec = |code: &str, comment: &str| {
        format!(
            "{comment}\npipeline: {{name: count}}\ninput: {{pfs: {{repo: images, glob: /}}}}\ntransform: {{cmd: [sh, /code/run.sh], {code}}}\n"
        )
    };
    env.write("specs/count.yml", spec("code: ../code", "# one"));
    env.write("code/run.sh", "ls /pfs/images > /pfs/out/list\n");
    env.ok(["pipeline", "apply", "-f", "specs"]);
    env.ok(["run"]);
    assert!(drifts(&env).is_empty());
    assert!(!env.ok(["status"]).contains("needs you"));

    // Comments do not matter, and neither does the current folder.
    env.write("specs/count.yml", spec("code: ../code", "# two"));
    let elsewhere = env.command(["--json", "status"]).current_dir(env.dir()).output().unwrap();
    assert!(drifts(&env).is_empty() && String::from_utf8_lossy(&elsewhere.stdout).contains("\"differs_on_disk\":[]"));

    env.write("code/run.sh", "ls -l /pfs/images > /pfs/out/list\n");
    assert_eq!(drifts(&env)[0]["what"], json!(["code"]));
    env.write("specs/count.yml", spec("code: ../code, env: {A: b}", ""));
    assert_eq!(drifts(&env)[0]["what"], json!(["spec", "code"]));
    let shown = env.ok(["status"]);
    insta::assert_snapshot!(shown.split_once("needs you").unwrap().1.split_whitespace().collect::<Vec<_>>().join(" "), @"count spec and code on disk differ from the applied version: specs/count.yml pv plan -f specs/count.yml then pv pipeline apply -f specs/count.yml");
    assert_eq!(env.exit_code(["status", "--exit-code"]), 0, "the pipeline itself is current");

    env.write("specs/count.yml", "pipeline: {name: count}\n");
    assert_eq!(drifts(&env)[0]["what"], json!(["errors"]));
    assert!(env.ok(["status"]).contains("pv pipeline check -f specs/count.yml"));

    // The applied text is restored, or applied again; a missing file is not compared, nor is one that never existed.
    env.write("specs/count.yml", spec("code: ../code", ""));
    env.write("code/run.sh", "ls /pfs/images > /pfs/out/list\n");
    assert!(drifts(&env).is_empty());
    env.write("code/more.sh", "true\n");
    assert_eq!(drifts(&env)[0]["what"], json!(["code"]));
    env.ok(["pipeline", "apply", "-f", "specs"]);
    assert!(drifts(&env).is_empty());
    std::fs::remove_file(env.work().join("specs/count.yml")).unwrap();
    assert!(drifts(&env).is_empty());
    env.write("specs/count.yml", spec("env: {A: c}", ""));
    assert_eq!(drifts(&env).len(), 1);
    let text = spec("env: {A: d}", "");
    assert!(env.with_stdin(["pipeline", "apply", "-f", "-"], text.as_bytes()).status.success());
    assert!(drifts(&env).is_empty(), "this version came from no file");
}
