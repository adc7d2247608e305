//! Commands that `pv` suggests are executed as written, in a copy of the folder where they were suggested.

use std::path::Path;
use std::process::{Command, Output};

use tests::TestEnv;
use tests::hints::{commands, has_gaps, shell};

use crate::flow;
use crate::support::*;

/// Executes all suggested commands without placeholders, each in a copy of the folder; returns them.
fn follow(env: &TestEnv, output: &Output) -> Vec<String> {
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stderr), needs(&String::from_utf8_lossy(&output.stdout)));
    let told: Vec<String> = commands(&said).into_iter().filter(|command| !has_gaps(command)).collect();
    for command in &told {
        if command.contains("--shell") {
            continue; // it needs a terminal
        }
        let place = tempfile::tempdir().unwrap();
        let copied = Command::new("cp").arg("-a").arg(env.dir().join(".")).arg(place.path()).status().unwrap();
        assert!(copied.success());
        let done = call(env, command, place.path());
        let shown = env.shown(&done);
        // Running again may fail again, for the same reason.
        let may_fail = ["pv run", "pv job retry", "pv try"].iter().any(|verb| command.starts_with(verb));
        assert!(
            matches!(done.status.code(), Some(0 | 1) if may_fail || done.status.success()),
            "`{command}`: {shown}\nin:\n{said}"
        );
    }
    told
}

/// Runs a shell line in the folder `work` of this environment, or of a copy of it.
fn call(env: &TestEnv, line: &str, place: &Path) -> Output {
    let mut call = shell(env.binary(), line);
    call.current_dir(place.join("work")).env_clear();
    call.envs(env.command::<&str>([]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    if place != env.dir() {
        call.env_remove("PV_SERVER"); // it is that of the other store
    }
    call.env("HOME", place).output().unwrap()
}

/// The lines below `needs you`, in the format of hints.
fn needs(stdout: &str) -> String {
    let below = stdout.split_once("needs you\n").map_or("", |(_, below)| below);
    below.lines().map(|line| format!("hint: {}\n", line.trim())).collect::<Vec<_>>().concat()
}

#[track_caller]
fn told(env: &TestEnv, args: &[&str], expected: &[&str]) {
    let output = env.output(args);
    assert_eq!(follow(env, &output), expected, "{args:?}: {}", env.shown(&output));
}

#[test]
fn what_is_told_after_changes_can_be_done() {
    let env = flow::with_images();
    env.write("c", "three\n");
    told(&env, &["put", "images", "c"], &["pv revert images"]);
    env.write("specs/upper.yml", flow::UPPER);
    told(&env, &["pipeline", "apply", "-f", "specs"], &["pv run", "pv plan"]);
    told(&env, &["status"], &["pv run"]);
    env.write("d", "four\n");
    told(&env, &["put", "images", "d"], &["pv run", "pv revert images"]);
    told(&env, &["put", "images", "d"], &[]);
    told(&env, &["rm", "images:/d"], &["pv run", "pv revert images"]);
    told(&env, &["cp", "images:/c", "images:/e"], &["pv run", "pv revert images"]);
    told(&env, &["mv", "images:/e", "images:/f"], &["pv run", "pv revert images"]);
    told(&env, &["revert", "images"], &["pv run", "pv revert images"]);
    env.write("steps.jsonl", "{\"put\":\"images\",\"from\":\"d\"}\n");
    told(&env, &["txn", "steps.jsonl"], &["pv run"]);
    env.ok(["run"]);
    told(&env, &["pipeline", "rerun", "upper"], &["pv run"]);
    env.ok(["run"]);
    told(&env, &["pipeline", "stop", "upper"], &[]);
    told(&env, &["status"], &["pv pipeline start upper"]);
    // No command is suggested that cannot work.
    env.write("g", "five\n");
    told(&env, &["put", "images", "g"], &["pv revert images"]);
    env.ok(["pipeline", "start", "upper"]);
    env.ok(["branch", "create", "images@release", "images@main~1"]);
    let moved = env.output(["branch", "move", "images@release", "images@main"]);
    assert_eq!(follow(&env, &moved).len(), 1, "{}", env.shown(&moved));
}

#[test]
fn a_command_that_runs_what_it_causes_tells_nobody_to_run_it() {
    let env = flow::applied();
    env.write("c", "three\n");
    told(&env, &["put", "images", "c", "--wait"], &["pv revert images"]);
    env.write("steps.jsonl", "{\"rm\":\"images:/c\"}\n");
    told(&env, &["txn", "steps.jsonl", "--wait"], &[]);
}

#[test]
fn beside_an_engine_that_takes_jobs_there_is_only_something_to_wait_for() {
    let env = flow::run();
    let served = serve(&env);
    env.write("c", "three\n");
    let output = env.output(["put", "images", "c"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = commands(&said);
    assert!(told[0].starts_with("pv wait @") && told[1] == "pv revert images", "{said}");
    assert!(call(&env, &told[0], env.dir()).status.success());
    served.send(nix::sys::signal::Signal::SIGINT);
    served.end().assert_code(130);
}

#[test]
fn what_is_told_of_failures_can_be_done() {
    let env = flow::failed();
    let skip = "pv job retry upper --skip-failed -m WHY";
    let run = env.output(["run"]);
    assert!(commands(&String::from_utf8_lossy(&run.stderr)).contains(&skip.to_owned()), "{}", env.shown(&run));
    assert_eq!(follow(&env, &run), ["pv logs upper --failed", "pv try upper --failed --shell", "pv job retry upper"]);
    let shown = env.output(["job", "show", "upper"]);
    assert_eq!(follow(&env, &shown).len(), 2, "{}", env.shown(&shown));
    let status = env.output(["status"]);
    assert_eq!(follow(&env, &status).len(), 2, "{}", env.shown(&status));
    let datum = env.json(["datum", "list", "upper", "--state", "failed"])[0]["id"].as_str().unwrap().to_owned();
    for args in [&["datum", "show", &datum][..], &["explain", &datum], &["trace", "count:/count"]] {
        let output = env.output(args);
        assert_eq!(follow(&env, &output).len(), 1, "{args:?} {}", env.shown(&output));
    }
}

#[test]
fn a_job_that_is_not_the_newest_is_not_to_be_retried() {
    let env = flow::failed();
    let old = env.json(["job", "list", "upper", "-n", "1"])[0]["id"].as_str().unwrap().to_owned();
    env.ok(["rm", "images:/c"]);
    env.ok(["run"]);
    let shown = env.output(["job", "show", &old]);
    let told = follow(&env, &shown);
    assert!(told.iter().all(|command| command.starts_with("pv logs upper@")), "{told:?}");
    let run = old.split_once('@').unwrap().1;
    let again = env.output(["run", &format!("@{run}")]);
    let told = follow(&env, &again);
    assert!(!told.iter().any(|command| command.contains("retry") || command.contains("try")), "{told:?}");
}

#[test]
fn what_errors_tell_can_be_done() {
    let env = flow::run();
    env.ok(["tag", "create", "images@v1"]);
    let cases: &[&[&str]] = &[
        &["ls", "imgs"],
        &["ls", "images@nothing"],
        &["show", "@abcd"],
        &["job", "show", "nothing"],
        &["put", "images@new", "a"],
        &["put", "upper", "a"],
        &["put", "images@v1", "a"],
        &["tag", "create", "images@v1", "images@main"],
        &["trace", "images"],
        &["cat", "images:/"],
        &["mv", "images:/a", "upper:/a"],
        &["diff", "@abcd"],
        &["config", "set", "jobs", "many"],
        &["pipeline", "show", "nothing"],
        &["commit", "prune", "images:/a", "--keep", "1"],
        &["secret", "delete", "nothing", "--yes"],
        &["wait", "nothing"],
        &["run", "nothing"],
        &["help", "putt"],
        &["find", "nothing"],
        &["datum", "show", "upper"],
    ];
    for args in cases {
        let output = env.output(*args);
        assert!(!output.status.success(), "{args:?}: {}", env.shown(&output));
        follow(&env, &output);
    }
}

#[test]
fn what_is_told_at_the_beginning_can_be_done() {
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    let none: [&str; 0] = [];
    for line in env.ok(none).lines().filter_map(|line| line.strip_prefix("  pv ")) {
        let command = line.split("  ").next().unwrap();
        tests::hints::parses(env.binary(), &format!("pv {command}")).unwrap();
    }
    let made = env.output(["init", "--example"]);
    assert_eq!(commands(&String::from_utf8_lossy(&made.stderr)), ["pv run", "pv trace total:/total"]);
    for command in ["config set executor process", "run", "trace total:/total"] {
        env.ok(command.split(' '));
    }
    let bundled = env.output(["bundle", "total:/total", "-o", "case.zip"]);
    let told = commands(&String::from_utf8_lossy(&bundled.stderr));
    assert_eq!(told, ["pv key show > KEY.pem", "pv verify --bundle case.zip --key KEY.pem"]);
    for command in told {
        let done = call(&env, &command, env.dir());
        assert!(done.status.success(), "{command}: {}", env.shown(&done));
    }
}
