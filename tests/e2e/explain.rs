//! `pv explain`, `pv plan` by reason, and retries that skip failed datums.

use serde_json::{Value, json};
use tests::TestEnv;

use crate::support::*;

const PLAIN: &str = "cp -r \"$notes\" /pfs/out/";

fn env_with_copy() -> TestEnv {
    let env = env_with_notes();
    apply(&env, &spec("copy", "notes", PLAIN));
    env.ok(["run"]);
    env
}

fn explained(env: &TestEnv, what: &str) -> Value {
    env.json(["explain", what]).remove(0)
}

fn fields(explained: &Value) -> Vec<&str> {
    explained["changes"].as_array().unwrap().iter().map(|change| change["field"].as_str().unwrap()).collect()
}

#[test]
fn a_datum_tells_what_changed_field_by_field() {
    let env = env_with_copy();
    assert_eq!(explained(&env, "copy:/a")["why"], "executed: it is new; the previous commit has no such datum");
    put_note(&env, "a", "other\n");
    env.ok(["run"]);
    let changed = explained(&env, "copy:/a");
    assert_eq!((changed["why"].as_str().unwrap(), fields(&changed)), ("executed: notes changed", vec!["notes"]));
    let kept = explained(&env, "copy:/b");
    assert_eq!(kept["state"], "success", "seen from the job that executed it");
    let job = newest_job(&env, "copy")["id"].as_str().unwrap().to_owned();
    let in_job = explained(&env, &format!("{job}/{}", kept["id"].as_str().unwrap()));
    assert!(in_job["why"].as_str().unwrap().starts_with("not executed: its inputs have not changed"), "{in_job}");

    apply(&env, &spec_with("copy", &pfs("notes", "/*"), PLAIN, "\"env\": {\"LEVEL\": \"2\"},"));
    env.ok(["run"]);
    let new_version = explained(&env, "copy:/b");
    assert_eq!(new_version["why"], "executed: env changed");
    assert_eq!(fields(&new_version), ["transform.env.LEVEL"]);
    assert_eq!(new_version["changes"][0]["new"], "2");
    let same = new_version["same"].as_array().unwrap();
    for field in ["transform.cmd", "transform.network", "notes"] {
        assert!(same.contains(&json!(field)), "{field}: {same:?}");
    }

    env.ok(["pipeline", "rerun", "copy"]);
    env.ok(["run"]);
    assert_eq!(explained(&env, "copy:/b")["why"], "executed: a rerun was requested; the recipe is the same");
    env.ok(["revert", "notes"]);
    env.ok(["run"]);
    assert_eq!(env.exit_code(["explain", "copy:/nothing"]), 3);
}

#[test]
fn two_datums_stand_side_by_side() {
    let env = env_with_copy();
    let both = env.json(["explain", "copy:/a", "copy:/b"]).remove(0);
    assert_eq!(fields(&both), ["notes", "outputs"]);
    let sha256_of_a = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7";
    assert_eq!(both["changes"][0]["old"], format!("/a {sha256_of_a}"));
    let by = &both["changes"][0]["old_by"];
    assert_eq!((&by["by"], &by["message"]), (&json!("Anna <anna@example.com>"), &json!("first")));
    assert_eq!(both["old"]["id"], explained(&env, "copy:/a")["id"]);
    assert_eq!(fields(&env.json(["explain", "copy:/a", "copy:/a"])[0]), Vec::<&str>::new());
    assert_eq!(env.exit_code(["explain", "copy:/a", "copy"]), 2, "a pipeline is no datum");

    // A changed code file is reported with both digests, a variable and the command with their values.
    env.write("code/main.sh", "cp /pfs/notes/* /pfs/out/\n");
    let with_code = |level: &str| {
        let transform = format!("\"code\": \"code\", \"env\": {{\"LEVEL\": \"{level}\", \"MODE\": \"fast\"}},");
        apply(&env, &spec_with("coded", &pfs("notes", "/*"), &format!("sh /code/main.sh {level}"), &transform));
        env.ok(["run"]);
    };
    with_code("1");
    put_note(&env, "a", "other\n");
    env.write("code/main.sh", "cp /pfs/notes/* /pfs/out/; true\n");
    with_code("2");
    let changed = explained(&env, "coded:/b");
    assert_eq!(changed["why"], "executed: cmd, code, env changed");
    assert_eq!(fields(&changed), ["transform.cmd", "transform.env.LEVEL", "transform.code/main.sh"]);
    insta::assert_snapshot!(env.pv(["explain", "coded:/a"]), @r"
    --- stdout
    datum [id 1] of coded@[id 2]  executed: cmd, code, env, notes changed
    reads  notes:/a  [id 3]

    FIELD  EARLIER  NOW
    datum  [id 4]  [id 1]
    executed by  coded@[id 5]  coded@[id 2]
    state  success  success
    cmd  sh -c 'sh /code/main.sh 1'  sh -c 'sh /code/main.sh 2'
    env.LEVEL  1  2
    code/main.sh  [id 6]  [id 7]
    notes  /a [id 8]  /a [id 3]
                    Anna <anna@example.com>  [time]  Anna <anna@example.com>  [time]
                    first  a
    same  host, env.MODE, network
    --- stderr
    its output: pv logs coded@[id 2]/[id 1]
    ");
    let jobs = env.json(["job", "list", "coded"]);
    let [new, old] = [0, jobs.len() - 1].map(|at| jobs[at]["id"].as_str().unwrap());
    insta::assert_snapshot!(env.pv(["explain", old, new]), @r"
    --- stdout
    FIELD  EARLIER  NOW
    job  coded@[id 5]  coded@[id 2]
    state  success  success
    datums  3: 3 run, 0 cached, 0 failed  3: 3 run, 0 cached, 0 failed
    version  1  2
    cmd  sh -c 'sh /code/main.sh 1'  sh -c 'sh /code/main.sh 2'
    env.LEVEL  1  2
    code/main.sh  [id 6]  [id 7]
    notes@main  [id 9]  [id 10]
                    Anna <anna@example.com>  [time]  Anna <anna@example.com>  [time]
                    first  a
    same  host, env.MODE, network
    ");
}

#[test]
fn files_below_a_directory_are_told_one_by_one_until_they_are_many() {
    let env = env_with_copy();
    apply(&env, &spec_with("all", &pfs("notes", "/"), "cat /pfs/notes/* > /pfs/out/all", ""));
    env.ok(["run"]);
    env.write("in/a", "other\n");
    env.write("in/e", "new\n");
    env.ok(["put", "notes", "in", "-m", "second", "--author", "Bob"]);
    env.ok(["run"]);
    let changed = explained(&env, "all:/all");
    let paths: Vec<&str> = changed["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["new"].as_str().unwrap().split(' ').next().unwrap())
        .collect();
    assert_eq!(paths, ["/a", "/e"]);
    assert_eq!((&changed["changes"][1]["old"], &changed["changes"][1]["new_by"]["by"]), (&json!(null), &json!("Bob")));
    for number in 0..30 {
        env.write(format!("in/many{number}"), "x\n");
    }
    env.ok(["put", "notes", "in"]);
    env.ok(["run"]);
    let changed = explained(&env, "all:/all");
    assert_eq!(fields(&changed), ["notes"], "the directory as a whole");
    assert!(changed["changes"][0]["new"].as_str().unwrap().starts_with("/ "));
}

#[test]
fn a_job_tells_which_inputs_moved_and_what_it_did() {
    let env = env_with_copy();
    assert_eq!(
        explained(&env, newest_job(&env, "copy")["id"].as_str().unwrap())["why"],
        "the first output: 3 executed, 0 not executed, 0 failed, 0 recovered"
    );
    put_note(&env, "a", "other\n");
    env.ok(["run"]);
    let job = newest_job(&env, "copy")["id"].as_str().unwrap().to_owned();
    let told = explained(&env, &job);
    assert_eq!(told["why"], "notes@main changed: 1 executed, 2 not executed, 0 failed, 0 recovered");
    assert_eq!((&told["inputs"][0]["message"], &told["cause"]["kind"]), (&json!("a"), &json!("commit")));
    let all = env.json(["explain", &format!("@{}", told["run"].as_str().unwrap())]);
    assert_eq!(all.len(), 1);
}

#[test]
fn a_pipeline_tells_why_nothing_runs() {
    let env = env_with_copy();
    let because = |name: &str| explained(&env, name)["because"][0].as_str().unwrap().to_owned();
    assert_eq!(because("copy"), "the newest output was made from the current commit of every input");
    env.ok(["repo", "create", "later"]);
    apply(&env, &spec("late", "later", "true"));
    assert_eq!(because("late"), "branch `later@main` does not exist");
    apply(&env, &spec_with("blind", &pfs("notes", "/*.jpg"), "true", ""));
    env.ok(["run"]);
    assert_eq!(because("blind"), "glob `/*.jpg` matches nothing in `notes@main` (3 files)");
    apply(&env, &spec("picky", "notes", "exit 3"));
    apply(&env, &spec("below", "picky", "true"));
    assert!(because("picky").starts_with("its job waits"));
    env.exit_code(["run"]);
    assert!(because("picky").starts_with("its newest job ended as failure"));
    assert_eq!(because("below"), "`picky@main` has no commit yet: picky is failed, 3 of 3 datums failed");
    put_note(&env, "d", "d\n");
    assert_eq!(env.exit_code(["run"]), 1);
    assert_eq!(because("below"), "its newest job ended as unrunnable: picky failed");
    assert_eq!(env.exit_code(["explain", "notes"]), 2);
    assert_eq!(env.exit_code(["explain", "nobody-here"]), 3);
}

#[test]
fn a_plan_is_rolled_up_by_reason() {
    let env = env_with_copy();
    let reasons = |plan: &[Value]| {
        let reasons = plan[0]["reasons"].as_array().unwrap().iter();
        reasons.map(|one| format!("{} {}", one["datums"], one["why"].as_str().unwrap())).collect::<Vec<_>>()
    };
    env.write("in/a", "other\n");
    env.write("in/d", "d\n");
    env.ok(["put", "notes", "in"]);
    env.ok(["rm", "notes:/c"]);
    env.json(["plan"]);
    let first = env.json(["plan"]);
    assert_eq!(reasons(&first[..1]), ["1 changed: notes", "1 new"]);
    env.ok(["run"]);
    let changed = spec_with("copy", &pfs("notes", "/*"), PLAIN, "\"env\": {\"LEVEL\": \"2\"},");
    env.write("changed.json", changed);
    let plan = env.json(["plan", "-f", "changed.json"]);
    assert_eq!(reasons(&plan), ["3 new version: env"]);
    let datums = env.json(["plan", "-f", "changed.json", "--datums"]);
    assert!(datums.iter().all(|datum| datum["why"] == "new version: env"), "{datums:?}");
}

#[test]
fn a_retry_is_about_the_failed_datums_that_read_some_files() {
    let env = env_with_notes();
    apply(&env, &spec("picky", "notes", "grep -q bad $notes && exit 3; cp $notes /pfs/out/"));
    put_note(&env, "d", "bad\n");
    put_note(&env, "e", "bad\n");
    assert_eq!(env.exit_code(["run"]), 1);
    assert_eq!(env.exit_code(["job", "retry", "picky", "--input", "/a"]), 3, "it did not fail");
    let before = newest_job(&env, "picky")["id"].clone();
    env.ok(["job", "retry", "picky", "--input", "/d"]);
    let plan = env.json(["plan", "--datums"]);
    let runs: Vec<_> = plan.iter().filter(|datum| datum["executes"] == true).collect();
    assert!(runs.len() == 1 && runs[0]["inputs"][0]["path"] == "/d", "{plan:?}");
    assert_eq!(env.exit_code(["run"]), 1);
    let failed = env.json(["datum", "list", "picky", "--state", "failed"]);
    let executed: Vec<_> =
        failed.iter().map(|datum| (datum["inputs"][0]["path"].clone(), datum["executed_by"] == before)).collect();
    assert_eq!(executed, [(json!("/d"), false), (json!("/e"), true)], "{failed:?}");

    env.ok(["job", "retry", "picky", "--input", "/e", "--skip-failed", "-m", "torn"]);
    assert_eq!(env.exit_code(["run"]), 1);
    let job = newest_job(&env, "picky");
    assert_eq!((&job["datums_failed"], &job["datums_recovered"]), (&json!(1), &json!(1)), "{job}");
    assert_sound(&env);
}

#[test]
fn a_retry_goes_on_without_what_failed_in_that_job_alone() {
    let env = env_with_notes();
    apply(&env, &spec("picky", "notes", "grep -q bad $notes && exit 3; cp $notes /pfs/out/"));
    apply(&env, &spec("below", "picky", &copy_of("picky")));
    put_note(&env, "d", "bad\n");
    assert_eq!(env.exit_code(["run"]), 1);
    assert_eq!(env.exit_code(["job", "retry", "picky", "--skip-failed"]), 2, "it needs a reason");
    let failed = newest_job(&env, "picky")["id"].as_str().unwrap().to_owned();
    env.ok(["job", "retry", "picky", "--skip-failed", "-m", "empty file"]);
    assert_eq!(env.exit_code(["job", "retry", &failed, "--skip-failed", "-m", "late"]), 4, "it is not the newest");
    env.ok(["run"]);
    let job = newest_job(&env, "picky");
    assert_eq!(
        (&job["state"], &job["datums_recovered"], &job["cause"]["kind"]),
        (&json!("success"), &json!(1), &json!("retry"))
    );
    assert_eq!(job["datums_processed"], 0, "nothing is executed again");
    assert_eq!(outcome(&env, "below"), success(0, 3), "it goes on");
    let datum = env.json(["datum", "list", "picky", "--state", "recovered"]).remove(0);
    let reason = datum["reason"].as_str().unwrap();
    // The committer through a server is a token.
    let has_committer = reason.contains("(uid:") || reason.contains("(server-test-");
    assert!(reason.contains("Anna") && has_committer && reason.ends_with(": empty file"), "{reason}");
    assert_eq!(env.exit_code(["job", "retry", "picky", "--skip-failed", "-m", "again"]), 4, "none of it failed");

    // Skipped only in that job: the next one runs it again.
    put_note(&env, "e", "e\n");
    assert_eq!(env.exit_code(["run"]), 1);
    assert_eq!(newest_job(&env, "picky")["datums_failed"], 1);
    assert_sound(&env);
}

#[test]
fn jobs_are_stopped_with_a_reason_and_whole_runs_at_once() {
    let env = env_with_copy();
    apply(&env, &spec("below", "copy", &copy_of("copy")));
    env.ok(["run"]);
    let run = put_note(&env, "d", "d\n")["run"].as_str().unwrap().to_owned();
    env.ok(["job", "stop", &format!("@{run}"), "-m", "wrong batch"]);
    let jobs = env.json(["job", "list", &format!("@{run}")]);
    assert!(jobs.iter().all(|job| job["state"] == "killed"), "{jobs:?}");
    assert!(jobs[0]["reason"].as_str().unwrap().ends_with(": wrong batch"), "{jobs:?}");
    assert_eq!(env.exit_code(["job", "stop", &format!("@{run}")]), 4);
}

#[test]
fn a_plan_lists_each_pending_run_and_bounds_nothing_that_has_no_bound() {
    let env = env_with_copy();
    apply(&env, &spec("below", "copy", &copy_of("copy")));
    put_note(&env, "d", "d\n");
    let shown = env.ok(["plan"]);
    assert!(!shown.contains('≤'), "{shown}");
    let plan = env.json(["plan"]);
    let below: Vec<_> = plan.iter().filter(|one| one["pipeline"] == "below").collect();
    assert_eq!(below.len(), 2, "{plan:?}");
    // In the run of its apply nothing upstream is open; in the other one it waits for output of `copy`.
    assert_eq!((&below[0]["at_most"], &below[0]["run"]), (&json!(false), &json!(3)));
    assert_eq!((&below[1]["at_most"], &below[1]["unbounded"]), (&json!(true), &json!(true)));
    for one in below {
        let run = one["in_run"].as_str().unwrap();
        assert!(shown.contains(&run[..8]), "{run}\n{shown}");
        assert!(one["run"].as_u64().unwrap() >= outcome_after_run(&env, run), "{one}");
    }
    assert_eq!(env.json(["plan"]).len(), 0, "all of it ran");
}

/// How many datums the job of `below` in a run executed.
fn outcome_after_run(env: &TestEnv, run: &str) -> u64 {
    env.ok(["run"]);
    env.json(["job", "show", &format!("below@{run}")])[0]["datums_processed"].as_u64().unwrap()
}
