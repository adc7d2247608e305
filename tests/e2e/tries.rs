//! `pv try`.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tests::TestEnv;

use crate::support::*;

/// `stage` appends the model's line to each note, `last` copies the output of `stage`.
fn env_with_model(executor: &str) -> TestEnv {
    let env = env_with_notes_on(executor);
    env.ok(["repo", "create", "model"]);
    env.write("m", "one\n");
    env.ok(["put", "model", "m"]);
    let cross = format!("{{\"cross\": [{}, {}]}}", pfs("notes", "/*"), pfs("model", "/"));
    let script = "name=$(basename $notes); cat $notes > /pfs/out/$name; [ $name = b ] && cat /pfs/model/m >> /pfs/out/$name; true";
    let specs = format!("{}---\n{}", spec_with("stage", &cross, script, ""), spec("last", "stage", &copy_of("stage")));
    env.write("specs.yml", specs);
    env.ok(["pipeline", "apply", "-f", "specs.yml"]);
    env.ok(["run"]);
    env.ok(["branch", "create", "model@candidate", "model"]);
    env.write("m", "two\n");
    env.ok(["put", "model@candidate", "m"]);
    env
}

fn heads(env: &TestEnv) -> Vec<Value> {
    ["stage", "last", "model"].iter().map(|repo| env.json(["show", repo])[0]["id"].clone()).collect()
}

/// How the jobs of a trial compare: pipeline, executed, cached, same, differs.
fn compared(tried: &Value) -> Vec<(String, [u64; 4])> {
    let number = |value: &Value| value.as_u64().unwrap();
    let jobs = tried["jobs"].as_array().unwrap().iter();
    let job = |job: &Value| {
        let compared = &job["compared"];
        let numbers = [&job["datums_processed"], &job["datums_cached"], &compared["same"], &compared["differs"]];
        (job["pipeline"].as_str().unwrap().to_owned(), numbers.map(number))
    };
    jobs.map(job).collect()
}

#[test]
fn a_candidate_is_tried_aside_and_promoting_it_runs_nothing() {
    for executor in executors() {
        let env = env_with_model(executor);
        let (before, jobs) = (heads(&env), env.json(["job", "list", "stage"]));
        let tried = env.json(["try", "--with", "model@candidate"]).remove(0);
        let expected = [("stage".to_owned(), [3, 0, 2, 1]), ("last".to_owned(), [1, 2, 2, 1])];
        assert_eq!(compared(&tried), expected, "{executor}");
        let differs = &tried["jobs"][0]["compared"]["datums"][0];
        assert_eq!((&differs["verdict"], &differs["paths"][0]["path"]), (&json!("differs"), &json!("/b")));

        // It has no effects: no branch moved, no pipeline has a newer job, nothing is pending.
        assert_eq!(heads(&env), before);
        assert_eq!(env.json(["job", "list", "stage"]), jobs);
        assert!(env.json(["plan"]).is_empty());
        assert_eq!(env.exit_code(["status", "--exit-code"]), 0);
        // But it is recorded: its outputs can be read.
        let run = tried["run"].as_str().unwrap();
        assert_eq!(env.ok(["cat", &format!("last@{run}:/b")]), "b\ntwo\n");
        assert_eq!(env.json(["show", &format!("model@{run}")])[0]["branch"], "candidate");
        let newest = env.json(["log"]).remove(0);
        assert_eq!(
            (&newest["id"], &newest["cause"]["kind"], &newest["moves"]),
            (&json!(run), &json!("try"), &json!([]))
        );
        assert_eq!(env.json(["log", "last"]).len(), 1, "no commit of a try is in the history of a branch");

        env.ok(["branch", "move", "model@main", "model@candidate"]);
        env.ok(["run"]);
        assert_eq!(outcome(&env, "stage"), success(0, 3), "{executor}");
        assert_eq!(outcome(&env, "last"), success(0, 3), "{executor}");
        assert_eq!(env.ok(["cat", "last:/b"]), "b\ntwo\n");
        assert_sound(&env);
    }
}

#[test]
fn a_spec_is_tried_in_place_of_the_present_one_and_then_applied_from_the_cache() {
    let env = env_with_model("process");
    let changed = env.read("specs.yml").replace("[ $name = b ]", "[ $name != b ]");
    env.write("changed.yml", changed);
    let tried = env.json(["try", "--with", "changed.yml"]).remove(0);
    assert_eq!(compared(&tried), [("stage".to_owned(), [3, 0, 0, 3]), ("last".to_owned(), [3, 0, 0, 3])]);
    assert_eq!(env.json(["pipeline", "show", "stage"])[0]["version"], 1);
    // A repetition costs nothing, and uses no new number.
    let again = env.json(["try", "stage", "--with", "changed.yml"]).remove(0);
    assert_eq!(compared(&again), [("stage".to_owned(), [0, 3, 0, 3])]);
    assert_eq!(again["jobs"][0]["pipeline_version"], 2);
    env.ok(["pipeline", "apply", "-f", "changed.yml"]);
    env.ok(["run"]);
    assert_eq!((outcome(&env, "stage"), outcome(&env, "last")), (success(0, 3), success(0, 3)));
    assert_eq!(env.json(["pipeline", "show", "stage"])[0]["version"], 2);
    assert_eq!(env.ok(["cat", "last:/a"]), "a\none\n");
    assert_sound(&env);
}

#[test]
fn a_sample_makes_no_commit_and_what_it_computes_is_not_computed_again() {
    let env = env_with_model("process");
    let sample = env.json(["try", "--with", "model@candidate", "-n", "2"]).remove(0);
    assert_eq!(sample["jobs"].as_array().unwrap().len(), 1);
    assert_eq!((&sample["jobs"][0]["output_commit"], &sample["left_out"]), (&Value::Null, &json!(["last"])));
    assert_eq!(sample["jobs"][0]["datums_processed"], 2);
    let one = env.json(["try", "--with", "model@candidate", "--input", "/b"]).remove(0);
    assert_eq!(compared(&one)[0].1[2..], [0, 1]);
    let all = env.json(["try", "--with", "model@candidate"]).remove(0);
    let known = compared(&all)[0].1[1];
    assert!(known >= 2, "the samples are in the cache: {all}");
    let (error, code) = env.json_error(["try", "stage", "--input", "/nothing"]);
    assert_eq!((code, &error["kind"]), (3, &json!("not_found")), "{error}");
}

#[test]
fn failed_datums_are_tried_with_data_that_may_do_better() {
    let env = env_with_notes();
    apply(&env, &spec("picky", "notes", "grep -q bad $notes && exit 3; cp $notes /pfs/out/"));
    put_note(&env, "d", "bad\n");
    assert_eq!(env.exit_code(["run"]), 1);
    assert_eq!(env.exit_code(["try", "picky", "--failed"]), 1, "it fails again");
    let fixed = spec("picky", "notes", "cp $notes /pfs/out/");
    env.write("fixed.json", fixed);
    let tried = env.json(["try", "--with", "fixed.json", "--failed"]).remove(0);
    assert_eq!((&tried["jobs"][0]["datums_total"], &tried["jobs"][0]["state"]), (&json!(1), &json!("success")));
}

#[test]
fn outputs_go_to_a_folder_and_code_under_edit_is_shown_without_a_trace() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        env.write("code/run.sh", "cp $1 /pfs/out/");
        let text = spec_with("coded", &pfs("notes", "/*"), "sh /code/run.sh $notes", "\"code\": \"code\",");
        apply(&env, &text);
        env.ok(["run"]);
        let runs = env.json(["log"]).len();
        env.write("edited/run.sh", "tr a-c A-C < $1 > /pfs/out/$(basename $1)");
        let mount = "edited:/code";
        let tried = env.json(["try", "coded", "--mount", mount, "--out", "made", "--input", "/a"]).remove(0);
        assert_eq!((&tried["run"], compared(&tried)[0].1[3]), (&Value::Null, 1), "{executor}");
        assert_eq!(env.read("made/a"), "A\n");
        assert_eq!(env.read("edited/run.sh"), "tr a-c A-C < $1 > /pfs/out/$(basename $1)", "it is only shown");
        // After another edit, the existing output is replaced.
        env.write(
            "edited/run.sh",
            "echo edited > /pfs/out/$(basename $1); touch /code/x 2>/dev/null && echo written; true",
        );
        env.ok(["try", "coded", "--mount", mount, "--out", "made", "-n", "3"]);
        assert_eq!((env.read("made/a"), env.read("made/c")), ("edited\n".to_owned(), "edited\n".to_owned()));
        assert!(!env.work().join("edited/x").exists());
        // Nothing of it is kept: neither a run nor a result.
        assert_eq!(env.json(["log"]).len(), runs);
        env.ok(["pipeline", "rerun", "coded"]);
        env.ok(["run"]);
        assert_eq!(env.ok(["cat", "coded:/a"]), "a\n", "{executor}");
    }
}

#[test]
fn the_store_is_never_shown_and_the_agents_places_are_its_own() {
    let env = env_with_notes();
    apply(&env, &spec("copy", "notes", &copy_of("notes")));
    assert_eq!(env.exit_code(["try", "copy", "--mount", "..:/code"]), 2);
    for place in ["/", "/pfs", "/pfs/notes", "/tmp/x", "/code/x", "/a/../pfs"] {
        assert_eq!(env.exit_code(["try", "copy", "--mount", &format!(".:{place}")]), 2, "{place}");
    }
    assert_eq!(env.exit_code(["try"]), 2, "there is nothing to try");
    assert_eq!(env.exit_code(["try", "nobody"]), 3);
    assert_eq!(env.exit_code(["try", "--with", "nothing.yml"]), 3);
}

#[test]
fn a_shell_sees_what_the_datum_sees() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        apply(&env, &spec("copy", "notes", &copy_of("notes")));
        env.ok(["run"]);
        let typed = b"cat $notes\nls /pfs\nLINE=typed\necho got $LINE\necho made > /pfs/out/new\n";
        let output = env.with_stdin(["try", "copy", "--input", "/b", "--shell", "--out", "made"], typed);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{executor}: {}", env.shown(&output));
        for line in ["b\n", "notes\n", "out\n", "got typed\n"] {
            assert!(printed.contains(line), "{executor}: {line:?} in {printed}");
        }
        assert_eq!(env.read("made/new"), "made\n", "{executor}");
        assert_eq!(env.json(["job", "list", "copy"]).len(), 1);
    }
}

#[test]
fn a_try_beside_a_run_uses_its_engine_and_waits_for_nothing() {
    let env = env_with_model("process");
    let gate = Gate::new();
    let slow = format!("{}; cp -r $notes /pfs/out/", gate.wait());
    apply(&env, &spec_with("slow", &pfs("notes", "/a"), &slow, ""));
    let running = Background::start(&env, ["run", "-j", "2"]);
    gate.until_waiting(1);
    let tried = env.json(["try", "--with", "model@candidate", "stage"]).remove(0);
    assert_eq!(compared(&tried), [("stage".to_owned(), [3, 0, 2, 1])]);
    gate.open_until(|| env.json(["job", "list", "slow"])[0]["state"] == "success");
    running.end().assert_code(0);
}

#[test]
fn a_rebuilt_image_runs_exactly_its_pipeline_again() {
    if !has_docker() {
        return;
    }
    let docker = |args: &[&str]| {
        let done = Command::new("docker").args(args).stdout(Stdio::null()).status().unwrap();
        assert!(done.success(), "docker {args:?}");
    };
    let tag = format!("pv-test-rebuilt-{}:1", std::process::id());
    docker(&["tag", IMAGE, &tag]);
    let env = env_with_notes_on("docker");
    let of = |name: &str, input: &str, image: &str| spec(name, input, &copy_of(input)).replace(IMAGE, image);
    let specs = format!("{}---\n{}", of("tagged", "notes", &tag), of("other", "notes", IMAGE));
    env.write("specs.yml", specs);
    env.ok(["pipeline", "apply", "-f", "specs.yml"]);
    env.ok(["run"]);
    // Rebuilt: the same tag, other content.
    let container = format!("pv-test-rebuilt-{}", std::process::id());
    docker(&["run", "--name", &container, IMAGE, "sh", "-c", "echo 2 > /built"]);
    docker(&["commit", &container, &tag]);
    docker(&["rm", &container]);
    env.ok(["pipeline", "apply", "-f", "specs.yml"]);
    env.ok(["run"]);
    docker(&["rmi", "-f", &tag]);
    assert_eq!(outcome(&env, "tagged"), success(3, 0));
    assert_eq!(env.json(["job", "list", "other"]).len(), 1, "nothing of it changed");
}
