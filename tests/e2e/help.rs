//! `pv help`: commands, topics, and examples of each command that work as written.

use std::collections::BTreeMap;
use std::process::Command;

use tests::{TestEnv, test_env};

use crate::support::*;

#[test]
fn topics_and_commands_are_explained_without_a_store() {
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    let all = env.ok(["help"]);
    for topic in ["specs", "references", "globs", "settings", "txn", "exit-codes"] {
        assert!(all.contains(&format!("pv help {topic}")), "{all}");
        assert!(env.ok(["help", topic]).lines().count() > 8, "{topic}");
    }
    assert_eq!(env.ok(["help", "put"]), env.ok(["put", "--help"]));
    assert_eq!(env.ok(["help", "job", "retry"]), env.ok(["job", "retry", "--help"]));
    insta::assert_snapshot!(env.pv(["help", "exit-codes"]), @r#"
    --- stdout
    CODE  ERROR.KIND  MEANING
    0  done
    1  failed  the operation or a job failed; with --exit-code also: something differs or is not current
    2  usage  wrong usage, or an invalid spec
    3  not_found  the named object does not exist
    4  conflict  the current state does not allow it, for example because a branch moved
    5  damaged  stored data is damaged
    6  unavailable  an executor, the network or disk space is unavailable
    7  refused  needs --yes or more rights
    8  timed_out  timed out
    9  unchecked  consistent, but the signer was not checked: no key was given, or nothing is signed
    130  ended by Ctrl-C
    143  ended by SIGTERM

    With --json the last line on stderr is {"error": {kind, exit_code, message, causes, hint, done}}. A closed output pipe is not an error.
    "#);
    insta::assert_snapshot!(env.pv(["help", "sepcs"]), @r"
    --- stderr
    error: `sepcs` is neither a command nor a topic
    hint: did you mean `specs`?
    --- exit 2
    ");
    assert_eq!(env.exit_code(["help", "job", "specs"]), 2);
}

#[test]
fn topics_are_made_of_what_the_program_goes_by() {
    let env = test_env!();
    let specs = env.ok(["help", "specs"]);
    let schema: serde_json::Value = serde_json::from_str(&env.ok(["schema"])).unwrap();
    let objects = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for (name, field) in objects.flat_map(|object| object["properties"].as_object().unwrap()) {
        // Fields for editors only are left out.
        if name == "$schema" {
            continue;
        }
        assert!(specs.contains(name), "{name}");
        let about = field["description"].as_str().unwrap();
        assert!(field["deprecated"] == true || specs.contains(about), "{name}: {about}");
    }
    let settings = env.ok(["help", "settings"]);
    for setting in env.json(["config", "list"]) {
        assert!(settings.contains(setting["key"].as_str().unwrap()), "{setting}");
    }
    assert!(env.ok(["help", "globs"]).contains("**") && env.ok(["help", "references"]).contains("images@main~2"));
    assert!(env.ok(["help", "txn"]).contains("branch_move"));
}

/// The store of the examples: images of two commits, a model with a tag and a candidate, rules, stages that ran, failed, wait and are
/// stopped.
fn world() -> TestEnv {
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    for repo in ["model", "rules", "scratch", "old-frames"] {
        env.ok(["repo", "create", repo]);
    }
    env.write("batch/cam7/a.jpg", "a");
    env.write("batch/old.jpg", "old");
    env.ok(["put", "images", "batch", "-m", "first batch"]);
    let batch = env.work().join("batch");
    env.ok(["watch", "add", batch.to_str().unwrap(), "images", "--name", "hall"]);
    env.write("batch/cam7/b.jpg", "b");
    env.ok(["put", "images", "batch", "-m", "second batch"]);
    env.write("m.bin", "weights");
    env.ok(["put", "model", "m.bin"]);
    env.ok(["tag", "create", "model@v1"]);
    env.ok(["branch", "create", "model@candidate"]);
    env.write("m.bin", "other weights");
    env.ok(["put", "model@candidate", "m.bin"]);
    env.ok(["put", "scratch", "m.bin"]);
    env.ok(["put", "old-frames", "m.bin"]);
    env.write("photos/c.jpg", "c");
    env.ok(["put", "rules", "photos/c.jpg"]);
    env.write("token.txt", "secret");
    env.ok(["secret", "create", "ftp", "password=token.txt"]);
    env.ok(["token", "create", "laptop", "--role", "reader"]);
    env.ok(["notify", "create", "disk", "--on", "disk low", "--to", "mailto:ops@example.com"]);
    env.ok([
        "notify",
        "create",
        "frames",
        "--on",
        "new file /cam7/** in images",
        "--to",
        "https://hooks.example.com/pv",
    ]);
    env.write(
        "steps.jsonl",
        "{\"put\": \"images\", \"from\": \"photos\"}\n{\"put\": \"rules\", \"from\": \"m.bin\"}\n",
    );
    let detect = r#"for f in $(cd /pfs/images && find . -name '*.jpg'); do mkdir -p "/pfs/out/$(dirname $f)"; wc -c < "/pfs/images/$f" > "/pfs/out/$f.json"; done"#;
    let cross = format!("{{\"cross\": [{}, {}]}}", pfs("images", "/*"), pfs("model", "/"));
    env.write("pipelines/detect.yml", spec_with("detect", &cross, detect, ""));
    env.write(
        "pipelines/report.yml",
        spec_with("report", &pfs("detect", "/"), "find /pfs/detect -type f > /pfs/out/all.txt", ""),
    );
    env.ok(["pipeline", "apply", "-f", "pipelines"]);
    env.write("others.yml", [
        spec("archive", "detect", &copy_of("detect")),
        spec("broken", "rules", "exit 7"),
        "{\"pipeline\": {\"name\": \"nightly\"}, \"input\": {\"cron\": {\"name\": \"tick\", \"spec\": \"@never\"}}, \"transform\": {\"cmd\": [\"true\"]}}\n".to_owned(),
    ].join("---\n"));
    env.ok(["pipeline", "apply", "-f", "others.yml"]);
    assert_eq!(env.exit_code(["run"]), 1, "one is broken");
    env.ok(["pipeline", "stop", "archive"]);
    // The second version of its outputs.
    env.write("batch/cam7/a.jpg", "another a");
    env.ok(["put", "images", "batch", "-m", "third batch"]);
    env.ok(["run", "report"]);
    env.write("waiting.json", spec("waiting", "scratch", &copy_of("scratch")));
    env.ok(["pipeline", "apply", "-f", "waiting.json"]);
    env.ok(["bundle", "report:/all.txt", "-o", "case.zip"]);
    env.write("key.pem", env.ok(["key", "show"]));
    env
}

/// The examples in the help of every command below these words.
fn examples(env: &TestEnv, words: &[&str], found: &mut BTreeMap<String, Vec<String>>) {
    let help = env.ok([words, &["--help"]].concat());
    let below: Vec<&str> =
        help.split_once("Commands:\n").map_or("", |(_, list)| list.split("\n\n").next().unwrap()).lines().collect();
    // A command is indented by two spaces; continuation lines by more.
    let below: Vec<&str> = below
        .iter()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    for name in below.iter().filter(|name| **name != "help") {
        examples(env, &[words, &[*name]].concat(), found);
    }
    if below.is_empty() {
        let lines = help.lines().filter_map(|line| line.strip_prefix("  ").filter(|line| line.starts_with("pv ")));
        found.insert(words.join(" "), lines.map(str::to_owned).collect());
    }
}

#[test]
fn every_command_has_an_example_that_works() {
    let env = world();
    let mut found = BTreeMap::new();
    examples(&env, &[], &mut found);
    assert!(found.len() > 60, "{found:?}");
    let fails = ["pv status --exit-code", "pv job retry broken", "pv logs broken --failed"];
    for (words, lines) in found {
        assert!(!lines.is_empty(), "pv {words}");
        // Lines with placeholders, and commands that run until stopped, are tested elsewhere.
        for line in lines.iter().filter(|line| !tests::hints::has_gaps(line) && *line != "pv serve") {
            let place = tempfile::tempdir().unwrap();
            assert!(
                Command::new("cp").arg("-a").arg(env.dir().join(".")).arg(place.path()).status().unwrap().success()
            );
            // Deleting a commit requires that no job is open, and one waits here to be stopped.
            let line = if line.starts_with("pv commit delete") {
                format!("pv job stop waiting && {line}")
            } else {
                line.clone()
            };
            let line = line.as_str();
            let mut call = tests::hints::shell(env.binary(), line);
            call.current_dir(place.path().join("work")).env_clear();
            call.envs(env.command::<&str>([]).get_envs().filter_map(|(name, value)| Some((name, value?))))
                .env("PATH", "/usr/bin:/bin")
                .env_remove("PV_SERVER"); // it is that of the other store
            let done = call.output().unwrap();
            let is_fine = done.status.success()
                || (done.status.code() == Some(1) && fails.iter().any(|known| line.starts_with(known)));
            // Without a Docker engine there are no images.
            let has_none = String::from_utf8_lossy(&done.stderr).contains("error: no image ");
            let is_of_images = ["pv image save", "pv image load"].iter().any(|image| line.starts_with(image));
            let is_fine = is_fine || (is_of_images && done.status.code() == Some(3) && has_none);
            assert!(is_fine, "{line}: {}", env.shown(&done));
        }
    }
}
