//! `pv run`, and the effect of changes to data, specs and code.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::{TestEnv, test_env};

use crate::support::*;

/// The exit code and stderr of a call that fails.
fn failure<const N: usize>(env: &TestEnv, args: [&str; N]) -> (i32, String) {
    let output = env.output(args);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }
}

/// Fails for files with the word `bad`.
const FAILS_ON_BAD: &str =
    "echo looking at $notes; if grep -q bad $notes; then echo cannot read >&2; exit 7; fi; cp $notes /pfs/out/";

#[test]
fn a_failed_datum_is_shown_with_its_input_exit_code_tries_and_last_lines() {
    let env = env_with_notes();
    put_note(&env, "b", "bad\n");
    apply(&env, &spec("up", "notes", FAILS_ON_BAD));
    let (exit_code, said) = failure(&env, ["run"]);
    assert_eq!(exit_code, 1);
    assert_says(
        &said,
        &[
            " failed: 1 of 3 datums failed; the other 2 are kept\n",
            "  notes:/b  4 B  exit 7  3 tries\n",
            " | looking at /pfs/notes/b\n",
            " | cannot read\n",
            "hint: pv logs up --failed ",
            "pv job retry up",
        ],
    );
    let job = newest_job(&env, "up");
    assert_eq!(
        [&job["state"], &job["datums_failed"], &job["datums_processed"]],
        [&"failure".into(), &Value::from(1), &2.into()]
    );
    let failed = env.json(["datum", "list", "up", "--state", "failed"]);
    assert_eq!([&failed[0]["exit_code"], &failed[0]["tries"]], [7, 3]);
    assert_eq!(failed[0]["inputs"][0]["path"], "/b");
    assert_says(&env.ok(["logs", "up", "--failed"]), &["try 3 of 3", "cannot read"]);
    let kept = job["output_commit"].as_str().unwrap();
    assert_eq!(env.ok(["cat", &format!("up@{kept}:/a")]), "a\n", "what succeeded can be read by id");
    assert_eq!(env.exit_code(["cat", "up:/a"]), 3, "but no branch has it");
    let (error, exit_code) = env.json_error(["run"]);
    assert_eq!((exit_code, error["kind"].as_str()), (1, Some("failed")), "a failed newest job counts");
}

#[test]
fn what_lies_below_a_failure_is_unrunnable_until_the_next_good_commit() {
    let env = env_with_notes();
    apply(&env, &(spec("up", "notes", FAILS_ON_BAD) + "---\n" + &spec("down", "up", &copy_of("up"))));
    env.ok(["run"]);
    let good = env.json(["show", "down"]).remove(0);
    put_note(&env, "d", "bad\n");
    assert_eq!(failure(&env, ["run"]).0, 1);
    let down = newest_job(&env, "down");
    assert_eq!(
        [&down["state"], &down["reason"], &down["output_commit"]],
        [&"unrunnable".into(), &Value::from("up failed"), &Value::Null]
    );
    assert_eq!(env.json(["show", "down"])[0], good, "the last good output stays");
    let run = down["run"].as_str().unwrap();
    let shown = env.json(["show", &format!("down@{run}")]).remove(0);
    assert_eq!((&shown["reason"], &shown["output_commit"]), (&Value::from("up failed"), &Value::Null));
    put_note(&env, "d", "good\n");
    env.ok(["run"]);
    assert_eq!(outcome(&env, "up"), success(1, 3));
    assert_eq!(outcome(&env, "down"), success(1, 3));
    assert_eq!(env.ok(["cat", "down:/d"]), "good\n");
    assert_eq!(env.json(["show", "down"])[0]["parents"], serde_json::json!([good["id"]]), "the failure is no base");
    assert_sound(&env);
}

#[test]
fn independent_pipelines_go_on_beside_a_failure() {
    let env = env_with_notes();
    apply(&env, &(spec("bad", "notes", "exit 1") + "---\n" + &spec("good", "notes", &copy_of("notes"))));
    assert_eq!(failure(&env, ["run"]).0, 1);
    assert_eq!(outcome(&env, "good"), success(3, 0));
    env.ok(["run", "good"]);
}

#[test]
fn bad_specs_are_refused_whole_with_every_problem() {
    let env = env_with_notes();
    let good = spec("good", "notes", "true");
    env.write("a/good.json", &good);
    env.write("a/bad.yml", "pipeline: {name: bad}\ntransform:\n  cmd: [\"true\"]\n  imge: x\ninput: {pfs: {repo: note, glob: '/*'}}\nparalelism_spec: {constant: 2}\n");
    let (exit_code, said) = failure(&env, ["pipeline", "apply", "-f", "a"]);
    assert_eq!(exit_code, 2);
    assert_says(
        &said,
        &[
            "bad.yml:4:3: unknown field `imge` in `transform` of pipeline `bad`\nhint: did you mean `image`?\n",
            "bad.yml:6:1: unknown field `paralelism_spec` in pipeline `bad`\nhint: did you mean `parallelism_spec`?\n",
            "; nothing was applied",
        ],
    );
    env.write(
        "a/bad.yml",
        "pipeline: {name: bad}\ntransform: {cmd: [\"true\"]}\ninput: {pfs: {repo: note, glob: '/*'}}\n",
    );
    let (exit_code, said) = failure(&env, ["pipeline", "apply", "-f", "a"]);
    assert_eq!(exit_code, 2);
    assert_says(&said, &["bad.yml:3:21: input `note`: repository `note` not found\nhint: did you mean `notes`?\n"]);
    assert_eq!(env.json(["pipeline", "list"]).len(), 0, "nothing is half-applied");
    assert_eq!(env.json(["repo", "list"]).len(), 2);
    assert_eq!(failure(&env, ["pipeline", "apply", "-f", "no-such-file.yml"]).0, 3);
    assert_eq!(failure(&env, ["run", "good"]).0, 3);
}

/// An empty registry.
fn empty_registry() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let Some(request) = lines.next() else { continue };
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let unknown = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
            let (status, body) = if request.contains("/v2/ ") { ("200 OK", "{}") } else { ("404 Not Found", unknown) };
            let head =
                "Content-Type: application/json\r\nDocker-Distribution-Api-Version: registry/2.0\r\nConnection: close";
            write!(&stream, "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok();
        }
    });
    address
}

#[test]
fn a_missing_image_is_not_found_and_nothing_is_half_applied() {
    if !has_docker() {
        return;
    }
    let env = env_with_notes_on("docker");
    let with_image = |image: &str| spec("bad", "notes", "true").replace(IMAGE, image);
    let good = spec("good", "notes", "true");
    let missing = format!("{}/no/such:image", empty_registry());
    env.write("spec.json", format!("{good}---\n{}", with_image(&missing)));
    let (exit_code, said) = failure(&env, ["pipeline", "apply", "-f", "spec.json"]);
    assert_eq!(exit_code, 3, "{said}");
    assert_says(&said, &[&format!("image `{missing}` not found"), "nothing was applied", "hint: "]);
    env.write("spec.json", format!("{good}---\n{}", with_image("127.0.0.1:1/no/such:image")));
    let (exit_code, said) = failure(&env, ["pipeline", "apply", "-f", "spec.json"]);
    assert_eq!(exit_code, 6, "a registry that does not answer may have it: {said}");
    assert_eq!(env.json(["pipeline", "list"]).len(), 0);
    assert_eq!(env.json(["log"]).len(), 1, "only the put is a run");
}

#[test]
fn docker_that_does_not_answer_is_unavailable_and_never_replaced() {
    let env = env_with_notes_on("docker");
    env.write("spec.json", spec("copy", "notes", &copy_of("notes")));
    let host = format!("unix://{}/docker.sock", env.dir().display());
    let mut command = env.command(["pipeline", "apply", "-f", "spec.json"]);
    let output = command.env("DOCKER_HOST", &host).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert_says(
        &said,
        &[
            &format!("the docker executor does not answer at `{host}`"),
            "nothing was applied",
            "hint: ",
            "pv config set executor process",
        ],
    );
    assert_eq!(env.json(["pipeline", "list"]).len(), 0);
}

/// An unprivileged user, anyone who runs the test.
const NOBODY: u32 = 65534;

/// Gives `path` and everything below it to `nobody`.
fn give_to_nobody(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give_to_nobody(&entry.unwrap().path());
        }
    }
}

#[test]
fn docker_without_permission_is_said_as_that() {
    let setpriv = Command::new("setpriv").arg("--version").output().is_ok_and(|output| output.status.success());
    let is_root = nix::unistd::geteuid().is_root();
    if is_root && !setpriv {
        skip("root may use every socket, and there is no setpriv to be another user");
        return;
    }
    let env = env_with_notes_on("docker");
    env.write("spec.json", spec("copy", "notes", &copy_of("notes")));
    let socket = env.dir().join("docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let pv = env.dir().join("pv");
    std::fs::copy(env!("CARGO_BIN_EXE_pv"), &pv).unwrap();
    let mut command = if is_root {
        give_to_nobody(env.dir());
        let mut command = Command::new("setpriv");
        let id = NOBODY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(&pv);
        command
    } else {
        Command::new(&pv)
    };
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    command.args(["pipeline", "apply", "-f", "spec.json"]).current_dir(env.work());
    let output = command.env("DOCKER_HOST", format!("unix://{}", socket.display())).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert_says(
        &said,
        &[
            &format!("permission denied on `{}`", socket.display()),
            "nothing was applied",
            "hint: ",
            "usermod -aG docker",
        ],
    );
}

#[test]
fn a_revert_runs_nothing_again() {
    let env = env_with_notes();
    apply(&env, &spec("copy", "notes", &copy_of("notes")));
    env.ok(["run"]);
    let before = env.json(["show", "copy"])[0]["tree"].clone();
    put_note(&env, "a", "changed\n");
    env.ok(["run"]);
    assert_eq!(outcome(&env, "copy"), success(1, 2));
    env.ok(["revert", "notes"]);
    env.ok(["run"]);
    assert_eq!(outcome(&env, "copy"), success(0, 3));
    assert_eq!(env.json(["show", "copy"])[0]["tree"], before);
    env.ok(["rm", "notes:/a"]);
    env.ok(["run"]);
    assert_eq!(outcome(&env, "copy"), success(0, 2));
    assert_eq!(env.exit_code(["cat", "copy:/a"]), 3, "outputs of removed inputs go");
}

#[test]
fn a_pipeline_of_another_name_takes_results_from_the_cache() {
    let env = env_with_notes();
    apply(&env, &spec("old-name", "notes", &copy_of("notes")));
    env.ok(["run"]);
    apply(&env, &spec("new-name", "notes", &copy_of("notes")));
    env.ok(["run"]);
    assert_eq!(outcome(&env, "new-name"), success(0, 3));
    assert_eq!(env.json(["show", "new-name"])[0]["tree"], env.json(["show", "old-name"])[0]["tree"]);
}

#[test]
fn changed_code_runs_again_and_a_changed_description_does_not() {
    let env = env_with_notes();
    let text =
        spec_with("code", &pfs("notes", "/*"), "sh /code/step > /pfs/out/$(basename $notes)", "\"code\": \"steps\",");
    env.write("steps/step", "cat $notes; echo one");
    apply(&env, &text);
    env.ok(["run"]);
    assert_eq!(env.ok(["cat", "code:/a"]), "a\none\n");
    env.write(
        "spec.json",
        text.replace(
            "\"pipeline\":",
            "\"description\": \"new words\", \"parallelism_spec\": {\"constant\": 1}, \"pipeline\":",
        ),
    );
    let applied = env.json(["pipeline", "apply", "-f", "spec.json"]).remove(0);
    assert_eq!(applied["pipelines"][0]["version"], 2, "{applied}");
    env.ok(["run"]);
    assert_eq!(outcome(&env, "code"), success(0, 3));
    env.write("steps/step", "cat $notes; echo two");
    apply(&env, &text);
    env.ok(["run"]);
    assert_eq!(outcome(&env, "code"), success(3, 0));
    assert_eq!(env.ok(["cat", "code:/a"]), "a\ntwo\n");
    env.write("steps/step", "cat $notes; echo one");
    apply(&env, &text);
    env.ok(["run"]);
    assert_eq!(outcome(&env, "code"), success(0, 3), "the first code's results are still known");
    assert_eq!(env.ok(["cat", "code:/a"]), "a\none\n");
    let unchanged = env.json(["pipeline", "apply", "-f", "spec.json"]).remove(0);
    assert_eq!((&unchanged["pipelines"][0]["state"], &unchanged["run"]), (&"unchanged".into(), &Value::Null));
}

/// Checks that the commits that an output commit depends on, at any depth, include no two of one branch.
fn assert_one_generation(env: &TestEnv, reference: &str) {
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let mut open = vec![reference.to_owned()];
    while let Some(next) = open.pop() {
        let commit = env.json(["show", &next]).remove(0);
        for from in commit["provenance"].as_array().into_iter().flatten() {
            let branch = format!("{}@{}", from["repo"].as_str().unwrap(), from["branch"].as_str().unwrap());
            let id = from["commit"].clone();
            open.push(format!("{}@{}", from["repo"].as_str().unwrap(), id.as_str().unwrap()));
            let known = seen.insert(branch.clone(), id.clone());
            assert!(known.is_none_or(|known| known == id), "{reference} rests on two commits of {branch}");
        }
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn no_job_of_a_diamond_mixes_generations() {
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    for repo in ["one", "two"] {
        env.ok(["repo", "create", repo]);
    }
    let put = |repo: &str, text: &str| {
        env.write("x", text);
        env.ok(["put", repo, "x"]);
    };
    let cross = |left: &str, right: &str| format!("{{\"cross\": [{}, {}]}}", pfs(left, "/"), pfs(right, "/"));
    let gate = Gate::new();
    let both = |a: &str, b: &str, from: &str| format!("cat /pfs/{a}/{from} /pfs/{b}/{from} > /pfs/out/x");
    let slow = format!("{}; {}", gate.wait(), both("one", "two", "x"));
    let specs = [
        spec_with("left", &cross("one", "two"), &slow, ""),
        spec_with("right", &cross("one", "two"), &both("two", "one", "x"), ""),
        spec_with("bottom", &cross("left", "right"), &both("left", "right", "x"), ""),
    ];
    put("one", "1");
    put("two", "a");
    apply(&env, &specs.join("---\n"));
    // Two quick commits before the run, then more while one side of the diamond waits.
    put("one", "2");
    put("two", "b");
    let mut run = Background::start(&env, ["run", "-j", "2"]);
    gate.until_waiting(1);
    put("one", "3");
    put("two", "c");
    gate.open_until(|| run.is_over());
    run.end().assert_code(0);
    let commits = env.json(["log", "bottom"]);
    assert_eq!(commits.len(), 5, "one for apply, one for each commit after it");
    let mut texts = Vec::new();
    for commit in &commits {
        let id = commit["id"].as_str().unwrap();
        assert_one_generation(&env, &format!("bottom@{id}"));
        texts.push(env.ok(["cat", &format!("bottom@{id}:/x")]));
    }
    assert_eq!(texts, ["3cc3", "3bb3", "2bb2", "2aa2", "1aa1"]);
}

#[test]
fn a_timeout_ends_the_run_and_keeps_what_is_done() {
    let env = env_with_notes();
    let gate = Gate::new();
    let script = format!("[ $(cat $notes) = a ] || {}; {}", gate.wait(), copy_of("notes"));
    apply(&env, &spec("hold", "notes", &script));
    // On a busy machine, the timeout is increased until the second datum starts within it.
    let mut seconds = 2;
    let start =
        |seconds: u32| Background::start(&env, ["--json", "run", "-j", "1", "--timeout", &format!("{seconds}s")]);
    let mut run = start(seconds);
    until_true("the second datum", || {
        if run.is_over() {
            seconds *= 2;
            run = start(seconds);
        }
        gate.waiting().len() == 1
    });
    until_true("the end of the time", || run.is_over());
    let ended = run.end().assert_code(8);
    assert_says(
        &ended.stderr,
        &["\"kind\":\"timed_out\"", "finished datums are kept", "pv run continues where this stopped"],
    );
    until_true("the end of its commands", || gate.waiting().is_empty());
    let mut run = Background::start(&env, ["run", "--timeout", "1h"]);
    gate.open_until(|| run.is_over());
    run.end().assert_code(0);
    assert_eq!((outcome(&env, "hold"), executed(&env)), (success(3, 0), 3), "no datum ran twice");
}

#[test]
fn as_many_datums_run_at_a_time_as_asked_for() {
    let env = env_with_notes();
    for name in ["d", "e", "f"] {
        put_note(&env, name, name);
    }
    let gate = Gate::new();
    apply(&env, &spec("hold", "notes", &gate.wait()));
    let start = |args: [&str; 3]| Background::start(&env, args);
    let run = start(["run", "-j", "4"]);
    gate.until_waiting(4);
    assert_eq!(env.json(["datum", "list", "hold"]).len(), 4);
    run.kill_9();
    let mut run = start(["run", "-j", "1"]);
    for done in 0..6 {
        until_true("the next datum", || {
            newest_job(&env, "hold")["datums_processed"] == done && gate.waiting().len() == 1
        });
        gate.let_go();
    }
    until_true("the end of the run", || run.is_over());
    run.end().assert_code(0);
}

#[test]
fn a_retry_runs_what_failed_when_its_cause_is_gone() {
    let env = env_with_notes();
    // Every sandbox has its own /tmp.
    let host = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::set_permissions(host.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let place = host.path().to_str().unwrap();
    env.ok(["config", "set", "process.paths", place]);
    apply(
        &env,
        &spec(
            "up",
            "notes",
            &format!("[ $(cat $notes) != b ] || [ -e {place}/repaired ] || exit 1; {}", copy_of("notes")),
        ),
    );
    assert_eq!(failure(&env, ["run"]).0, 1);
    assert_eq!(failure(&env, ["run"]).0, 1, "a failed job is not repeated by itself");
    assert_eq!(env.json(["job", "list"]).len(), 1);
    std::fs::write(host.path().join("repaired"), "").unwrap();
    env.ok(["run", "--retry"]);
    assert_eq!(outcome(&env, "up"), success(1, 2));
    assert_eq!(newest_job(&env, "up")["cause"]["kind"], "retry");
    assert_eq!(env.ok(["cat", "up:/b"]), "b\n");
    assert_eq!(env.json(["job", "list"]).len(), 2);
}

#[test]
fn only_what_is_selected_runs_with_what_it_needs() {
    let env = env_with_notes();
    let specs = [
        spec("up", "notes", &copy_of("notes")),
        spec("down", "up", &copy_of("up")),
        spec("aside", "notes", &copy_of("notes")),
    ];
    apply(&env, &specs.join("---\n"));
    env.ok(["run", "down"]);
    assert_eq!(outcome(&env, "down"), success(3, 0));
    assert_eq!(newest_job(&env, "aside")["state"], "waiting");
    env.ok(["run"]);
    assert_eq!(outcome(&env, "aside"), success(0, 3), "equal transforms share their results");
}

#[test]
fn two_datums_that_write_one_path_fail_the_job_and_are_named() {
    let env = env_with_notes();
    apply(&env, &spec("clash", "notes", "cp $notes /pfs/out/same"));
    let (exit_code, said) = failure(&env, ["run"]);
    assert_eq!(exit_code, 1);
    assert_says(&said, &["two datums write `/same`: datum "]);
    assert_eq!(said.matches("(notes:/").count(), 2, "both are named: {said}");
}

#[test]
fn a_store_without_pipelines_has_nothing_to_run() {
    let env = test_env!();
    insta::assert_snapshot!(env.pv(["run"]), @r"
    --- stderr
    there are no pipelines yet; pv pipeline apply -f FILE creates them
    ");
}

#[test]
fn jobs_wait_for_disk_and_use_no_tries() {
    let env = crate::flow::applied();
    env.ok(["config", "set", "min_free", "9000000000000000"]);
    let (error, exit_code) = env.json_error(["run"]);
    assert_eq!(exit_code, 6, "{error}");
    assert!(error["message"].as_str().unwrap().starts_with("jobs wait for disk"), "{error}");
    env.ok(["config", "unset", "min_free"]);
    env.ok(["run"]);
}

#[test]
fn a_refused_apply_does_not_settle_the_executor() {
    let env = tests::test_env!();
    env.write("bad.yml", "pipeline: {name: x}\ntransform: {cmd: [a]}\ninput: {pfs: {repo: nowhere, glob: /}}\n");
    assert_ne!(env.exit_code(["pipeline", "apply", "-f", "bad.yml"]), 0);
    assert_eq!(env.json(["config", "get", "executor"])[0]["source"], "default");
}
