//! Pipelines that are stopped and started, cron inputs and triggers, as users see them. Due times of ticks are tested in the engine, with a
//! clock that stands still.

use serde_json::json;

use crate::flow;

#[test]
fn a_stopped_pipeline_is_shown_as_such_and_catches_up_in_one_run() {
    let env = flow::run();
    env.write("c", "three\n");
    env.ok(["put", "images", "c"]);
    insta::assert_snapshot!(env.pv(["pipeline", "stop", "upper"]), @r"
    --- stderr
    stopped pipeline `upper`, 1 job killed; pv pipeline start upper catches up
    ");
    insta::assert_snapshot!(env.pv(["pipeline", "stop", "upper"]), @r"
    --- stderr
    pipeline `upper` is already stopped
    ");
    env.write("d", "four\n");
    env.ok(["put", "images", "d"]);
    let view = env.json(["pipeline", "show", "upper"]).remove(0);
    assert_eq!(view["state"], "stopped");
    assert_eq!(env.exit_code(["run", "upper"]), 4);
    assert_eq!(env.exit_code(["pipeline", "rerun", "upper"]), 4);
    let status = env.json(["status"]).remove(0);
    let need = status["needs_you"].as_array().unwrap().iter().find(|need| need["pipeline"] == "upper").unwrap();
    assert_eq!(need["commands"], json!(["pv pipeline start upper"]));

    insta::assert_snapshot!(env.pv(["pipeline", "start", "upper"]), @r"
    --- stdout
    @[id 1]
    --- stderr
    2 jobs: upper, count
    next: pv run
    ");
    env.ok(["run"]);
    assert_eq!(env.ok(["cat", "count:/count"]).trim(), "4");
    assert_eq!(env.json(["job", "list", "upper"]).len(), 3, "one for each of the first two runs, one to catch up");
    insta::assert_snapshot!(env.pv(["pipeline", "start", "upper"]), @r"
    --- stderr
    pipeline `upper` is not stopped
    ");
}

#[test]
fn a_clock_ticks_when_somebody_says_so() {
    let env = flow::with_images();
    env.write(
        "report.yml",
        "pipeline: {name: report}\ntransform: {cmd: [sh, -c, \"ls /pfs/tick > /pfs/out/$(ls /pfs/tick)\"]}\ninput: {cron: {name: tick, spec: \"@yearly\"}}\n",
    );
    env.ok(["pipeline", "apply", "-f", "report.yml"]);
    let show = env.json(["pipeline", "show", "report"]).remove(0);
    assert!(show["next_tick"].as_str().unwrap().ends_with("-01-01T00:00:00.000000Z"), "{show}");
    env.ok(["pipeline", "tick", "report"]);
    env.ok(["run"]);
    let ticks = env.json(["ls", "report_tick"]);
    assert_eq!(ticks.len(), 1);
    assert_eq!(env.json(["ls", "report"])[0]["path"], ticks[0]["path"]);
    assert_eq!(env.json(["show", "report_tick"])[0]["kind"], "cron");
    assert_eq!(env.json(["job", "show", "report"])[0]["cause"]["kind"], "cron");
    assert_eq!(env.exit_code(["put", "report_tick", "a"]), 4);
    assert_eq!(env.exit_code(["repo", "delete", "report_tick", "--yes"]), 4);
    env.ok(["pipeline", "delete", "report", "--with-data", "--yes"]);
    assert_eq!(env.exit_code(["repo", "show", "report_tick"]), 3);
}

#[test]
fn a_missed_tick_is_made_by_the_next_run() {
    let env = flow::with_images();
    env.write(
        "report.yml",
        "pipeline: {name: report}\ntransform: {cmd: [sh, -c, \"ls /pfs/tick > /pfs/out/$(ls /pfs/tick)\"]}\ninput: {cron: {name: tick, spec: \"@yearly\", start: \"2020-06-01T00:00:00Z\"}}\n",
    );
    env.ok(["pipeline", "apply", "-f", "report.yml"]);
    env.ok(["run"]);
    assert_eq!(env.json(["ls", "report"]).len(), 1, "the newest of those missed");
    env.ok(["run"]);
    assert_eq!(env.json(["job", "list", "report"]).len(), 1, "it is made once");
}

#[test]
fn a_trigger_takes_a_batch() {
    let env = flow::with_images();
    env.write(
        "batch.yml",
        "pipeline: {name: batch}\ntransform: {cmd: [sh, -c, \"ls /pfs/images > /pfs/out/names\"]}\ninput: {pfs: {repo: images, glob: /, trigger: {commits: 2}}}\n",
    );
    env.ok(["pipeline", "apply", "-f", "batch.yml"]);
    env.ok(["run"]);
    env.write("c", "three\n");
    env.ok(["put", "images", "c"]);
    assert_eq!(env.json(["job", "list", "batch"]).len(), 1);
    let runs = env.json(["log"]);
    assert_eq!(runs[0]["cause"]["kind"], "trigger", "the second commit, in the same change");
    env.ok(["run"]);
    assert_eq!(env.ok(["cat", "batch:/names"]), "a\nb\nc\n");
    assert_eq!(env.exit_code(["put", "images@batch-trigger-1", "c"]), 4);
    assert_eq!(env.exit_code(["branch", "delete", "images@batch-trigger-1", "--yes"]), 4);
}
