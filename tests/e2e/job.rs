//! `pv job`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::TestEnv;

use crate::flow::{self, fields, steady};

#[test]
fn jobs_are_listed_newest_first() {
    let env = flow::failed();
    insta::assert_snapshot!(env.pv(["job", "list"]), @r"
    --- stdout
    JOB  STATE  WHEN  TOOK  RUN + CACHED  CAUSE  REASON
    count@[id 1]  unrunnable  [ago]  commit images@main  upper failed
    upper@[id 1]  failure  [ago]  [took]  0 + 2  1 failed  commit images@main  1 of 3 datums failed
    count@[id 2]  success  [ago]  [took]  1 + 0  apply count upper
    upper@[id 2]  success  [ago]  [took]  2 + 0  apply count upper
    ");
    let of_one = env.json(["job", "list", "count"]);
    assert_eq!(of_one.iter().map(|job| &job["state"]).collect::<Vec<_>>(), ["unrunnable", "success"]);
    assert_eq!(env.json(["job", "list", "-n", "3"]).len(), 3);
    let run = format!("@{}", of_one[1]["run"].as_str().unwrap());
    assert_eq!(env.json(["job", "list", &run]).len(), 2);
    assert!(env.json(["job", "list", "--since", "2999-01-01"]).is_empty());
    assert_eq!(env.exit_code(["job", "list", "nobody"]), 3);
}

#[test]
fn a_job_has_the_fields_of_the_contract() {
    let env = flow::run();
    let job = env.json(["job", "show", "upper"]).remove(0);
    let expected = [
        "cause",
        "created_at",
        "datums_cached",
        "datums_failed",
        "datums_per_second",
        "datums_processed",
        "datums_recovered",
        "datums_total",
        "duration_seconds",
        "executed_on",
        "executor",
        "failed_datums",
        "finished_at",
        "id",
        "inputs",
        "output_commit",
        "pipeline",
        "pipeline_version",
        "reason",
        "run",
        "running_datums",
        "seconds_left",
        "started_at",
        "state",
    ];
    assert_eq!(fields(&job), expected);
    let listed = env.json(["job", "list", "upper"]).remove(0);
    assert!(fields(&listed).iter().all(|field| listed[field] == job[field]), "{listed}");
    let head = env.json(["show", "images"]).remove(0);
    assert_eq!((&head["commit"], &head["id"]), (&job["inputs"][0]["commit"], &job["inputs"][0]["commit"]));
    let run = env.json(["show", &format!("@{}", job["run"].as_str().unwrap())]).remove(0);
    let trace = env.json(["trace", "upper:/a"]).remove(0);
    assert_eq!((&job["cause"], &trace["origin"]["datum"]["cause"]), (&run["cause"], &run["cause"]), "of one shape");
    assert_eq!(trace["origin"]["datum"]["inputs"][0]["commit"]["commit"], head["commit"]);
    assert_eq!(job["id"], json!(format!("upper@{}", job["run"].as_str().unwrap())));
    assert_eq!(
        [&job["state"], &job["executor"], &job["datums_total"]],
        [&json!("success"), &json!("process"), &json!(2)]
    );
    let head = env.json(["show", "upper"]).remove(0);
    assert_eq!(job["output_commit"], head["id"]);
}

#[test]
fn show_says_which_datums_failed_and_what_they_said() {
    let env = flow::failed();
    let job = env.json(["job", "show", "upper"]).remove(0);
    let failed = &job["failed_datums"][0];
    assert_eq!((&failed["inputs"][0]["path"], &failed["last_words"]), (&json!("/c"), &json!(["what is bad"])));
    assert_eq!((&job["executed_on"]["kind"], job["duration_seconds"].is_number()), (&json!("process"), true));
    insta::assert_snapshot!(steady(&env.pv(["job", "show", "upper"])), @r"
    --- stdout
    job  upper@[id 1]
    state  failure  1 of 3 datums failed
    cause  commit images@main  Anna <anna@example.com>
    pipeline  upper v1
    executor  process [host]
    datums  0 run, 2 cached, 1 failed of 3
    created  [time] [utc]  [ago]
    started  [time] [utc]  [ago]
    ended  [time] [utc]  [ago]
    took  [took]
    read  images@main  [id 2]
    made  upper@[id 3]  only what succeeded; not on a branch

    failed: 1 datum
      datum [id 4]  images:/c  4 B  exit 7  3 tries
        | what is bad
    --- stderr
    full output: pv logs upper@[id 1] --failed
    skip them: pv job retry upper --skip-failed -m WHY
    retry: pv job retry upper
    ");
    insta::assert_snapshot!(steady(&env.pv(["job", "show", "count"])), @r"
    --- stdout
    job  count@[id 1]
    state  unrunnable  upper failed
    cause  commit images@main  Anna <anna@example.com>
    pipeline  count v1
    executor  process [host]
    created  [time] [utc]  [ago]
    ended  [time] [utc]  [ago]
    ");
    let run = env.json(["job", "show", "upper"])[0]["run"].as_str().unwrap().to_owned();
    insta::assert_snapshot!(env.pv(["job", "show", &format!("@{run}")]), @r"
    --- stdout
    JOB  STATE  WHEN  TOOK  RUN + CACHED  CAUSE  REASON
    upper@[id 1]  failure  [ago]  [took]  0 + 2  1 failed  commit images@main  1 of 3 datums failed
    count@[id 1]  unrunnable  [ago]  commit images@main  upper failed
    ");
    insta::assert_snapshot!(env.pv(["show", &format!("@{run}")]), @r#"
    --- stdout
    run  [id 1]
    cause  commit images@main "third"
    who  Anna <anna@example.com>  [committer]
    when  [time]  [ago]
    moved  images@main  [id 5] → [id 2]
    jobs  1 failure, 1 unrunnable

    JOB  STATE  WHEN  TOOK  RUN + CACHED  CAUSE  REASON
    upper@[id 1]  failure  [ago]  [took]  0 + 2  1 failed  commit images@main  1 of 3 datums failed
    count@[id 1]  unrunnable  [ago]  commit images@main  upper failed
    "#);
    insta::assert_snapshot!(env.pv(["job", "show", "uper"]), @r"
    --- stderr
    error: pipeline `uper` not found
    hint: did you mean `upper`?
    --- exit 3
    ");
}

#[test]
fn retry_is_a_new_run_and_only_of_the_newest_job() {
    let env = flow::failed();
    let jobs = env.json(["job", "list", "upper"]);
    let old = jobs[1]["id"].as_str().unwrap().to_owned();
    insta::assert_snapshot!(env.pv(["job", "retry", &old]), @r"
    --- stderr
    error: job `upper@[id 1]` is not the newest of its pipeline: that is `upper@[id 2]`
    hint: pv job retry upper
    --- exit 4
    ");
    insta::assert_snapshot!(env.pv(["job", "retry", "upper"]), @r"
    --- stdout
    @[id 3]
    --- stderr
    2 jobs: upper, count
    next: pv run
    ");
    assert_eq!(env.exit_code(["job", "retry", "upper"]), 4);
    env.write("c", "good\n");
    env.ok(["put", "images", "c"]);
    assert_eq!(env.exit_code(["run"]), 0);
    let retried = env.json(["job", "list", "upper"]).remove(1);
    assert_eq!(retried["cause"]["kind"], "retry");
    assert_eq!(env.exit_code(["job", "retry", "upper", "--skip-failed"]), 2);
}

#[test]
fn a_job_that_waits_can_be_stopped_once() {
    let env = flow::applied();
    insta::assert_snapshot!(env.pv(["job", "stop", "upper"]), @r"
    --- stderr
    stopped upper@[id 1]
    ");
    let job = env.json(["job", "show", "upper"]).remove(0);
    assert_eq!([&job["state"], &job["reason"]], [&json!("killed"), &json!("stopped by Anna <anna@example.com>")]);
    insta::assert_snapshot!(env.pv(["job", "stop", "upper"]), @r"
    --- stderr
    error: job `upper@[id 1]` has already ended
    hint: pv job show upper@[id 1]
    --- exit 4
    ");
}

/// Polls until `is_there`, for at most a minute.
fn until(env: &TestEnv, args: &[&str], is_there: impl Fn(&[Value]) -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !is_there(&env.json(args)) {
        assert!(Instant::now() < end, "{}", env.pv(args));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_job_at_work_is_seen_from_outside_and_can_be_stopped() {
    let env = flow::with_images();
    env.write(
        "slow.yml",
        "pipeline: {name: slow}\ntransform: {cmd: [sleep, \"600\"]}\ninput: {pfs: {repo: images, glob: /*}}\n",
    );
    env.ok(["pipeline", "apply", "-f", "slow.yml"]);
    let mut run = env.command(["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(&env, &["datum", "list", "slow", "--state", "running"], |datums| !datums.is_empty());
    assert_eq!(env.json(["job", "show", "slow"])[0]["state"], "running");
    let status = env.json(["status"]).remove(0);
    assert_eq!([&status["running"], &status["pipelines"][0]["state"]], [&json!(true), &json!("running")]);
    assert_eq!(env.json(["log"])[0]["state"], "running");
    assert!(env.pv(["job", "show", "slow"]).contains("running: "));
    env.ok(["job", "stop", "slow"]);
    assert_eq!(run.wait().unwrap().code(), Some(1));
    assert_eq!(env.json(["job", "show", "slow"])[0]["state"], "killed");
}
