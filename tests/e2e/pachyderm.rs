//! For users of Pachyderm: hundreds of specs, habits, templates; and the page for them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::{TestEnv, test_env};

use crate::support::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The specs that `scripts/public-specs.py` writes; `None` without Python.
fn public_specs(env: &TestEnv) -> Option<PathBuf> {
    let folder = env.work().join("public");
    let script = root().join("scripts/public-specs.py");
    let written = Command::new("python3").arg(script).arg(&folder).status();
    if written.is_ok_and(|status| status.success()) {
        return Some(folder);
    }
    skip("no python3 that writes the specs");
    None
}

#[test]
fn nine_hundred_and_ninety_public_specs_are_checked_applied_and_shown() {
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    env.ok(["init", "..", "--default-branch", "master"]);
    env.ok(["config", "set", "executor", "process"]);
    let Some(folder) = public_specs(&env) else { return };
    for repo in std::fs::read_to_string(folder.join("repos")).unwrap().lines() {
        env.ok(["repo", "create", repo]);
    }
    env.write("value", "a secret value\n");
    for secret in std::fs::read_to_string(folder.join("secrets")).unwrap().lines() {
        let (name, keys) = secret.split_once(' ').unwrap();
        let keys = keys.split(' ').map(|key| format!("{key}=value"));
        env.ok(["secret", "create", name].map(str::to_owned).into_iter().chain(keys));
    }
    let checked = env.json(["pipeline", "check", "-f", "public/good"]).remove(0);
    assert_eq!(checked["pipelines"].as_array().unwrap().len(), 990);
    let applied = env.json(["pipeline", "apply", "-f", "public/good"]).remove(0);
    let pipelines = applied["pipelines"].as_array().unwrap();
    assert!(pipelines.len() == 990 && pipelines.iter().all(|one| one["state"] == "created"));
    assert_eq!(applied["branches"], serde_json::json!(["images@staging"]));
    for warning in applied["warnings"].as_array().unwrap() {
        assert!(warning["line"].as_u64().unwrap() > 0 && warning["column"].as_u64().unwrap() > 0, "{warning}");
    }
    assert_eq!(env.json(["pipeline", "list"]).len(), 990);
    let shown = env.json(["pipeline", "show", "edges-0"]).remove(0);
    assert_eq!(shown["spec"]["transform"]["env"]["DRY_RUN"], "true");
    let again = env.json(["pipeline", "apply", "-f", "public/good"]).remove(0);
    assert_eq!(again["run"], serde_json::Value::Null, "equal specs are no new versions");
}

#[test]
fn every_refusal_of_a_spec_has_its_line() {
    let env = test_env!();
    let Some(folder) = public_specs(&env) else { return };
    let output = env.output(["pipeline", "check", "-f", "public/wrong"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let errors: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    for error in &errors {
        let mut parts = error.split(':').skip(1);
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok()).is_some_and(|at| at > 0);
        assert!(number(parts.next()) && number(parts.next()), "no place: {error}");
    }
    let faults = std::fs::read_to_string(folder.join("wrong.tsv")).unwrap();
    assert_eq!(faults.lines().count(), 48);
    for fault in faults.lines() {
        let [file, line, expected] = fault.split('\t').collect::<Vec<_>>()[..] else { panic!("{fault}") };
        let at = format!("public/wrong/{file}:{line}:");
        let here: Vec<_> = errors.iter().filter(|error| error.starts_with(&at)).collect();
        assert!(here.iter().any(|error| error.contains(expected)), "{fault}: {here:?}");
    }
}

#[test]
fn habits_of_other_tools_are_answered_with_the_line() {
    let env = test_env!();
    insta::assert_snapshot!(env.pv(["create", "repo", "model"]), @r"
    --- stderr
    error: pv has no `create repo`
    hint: pv repo create model
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["put", "file", "images@main:/a.png", "-f", "b.png"]), @r"
    --- stderr
    error: pv has no `put file`
    hint: pv put images@main b.png --as /a.png
    --- exit 2
    ");
    // A valid command line, except that the repository does not exist.
    insta::assert_snapshot!(env.pv(["get", "file", "images@main:/a.png"]), @r"
    --- stderr
    error: repository `file` not found
    hint: pv get images@main:/a.png
    --- exit 3
    ");
    let (error, code) = env.json_error(["flush", "commit", "images@main"]);
    assert_eq!((error["hint"].as_str(), code), (Some("pv wait images@main"), 2));
    for (asked, line) in [
        ("repro", "pv run"),
        ("clone x", "pv init DIR --from URL"),
        ("exp show", "pv metrics"),
        ("checkout v1", "pv get v1"),
    ] {
        let said = env.pv(asked.split(' '));
        assert!(said.contains(&format!("hint: {line}\n")), "{asked}: {said}");
    }
    assert!(!env.pv(["lst"]).contains("pv has no"), "a slip is no habit");
}

#[test]
fn templates_are_rendered_with_their_arguments() {
    let env = env_with_notes();
    env.write(
        "copy.jsonnet",
        "function(suffix) [{pipeline: {name: 'copy-' + s}, transform: {image: 'a:1', cmd: ['sh', '-c', 'cp $notes /pfs/out/']}, \
         input: {pfs: {repo: 'notes', glob: '/*'}}} for s in std.split(suffix, ',')]",
    );
    env.ok(["pipeline", "apply", "-f", "copy.jsonnet", "--arg", "suffix=a,b"]);
    env.ok(["run"]);
    assert_eq!((outcome(&env, "copy-a"), outcome(&env, "copy-b").0), (success(3, 0), "success".to_owned()));
    insta::assert_snapshot!(env.pv(["pipeline", "check", "--jsonnet", "copy.jsonnet"]), @r"
    --- stderr
    error: copy.jsonnet:1:1: the argument `suffix` has no value
    hint: --arg suffix=VALUE
    1 error in copy.jsonnet
    --- exit 2
    ");
    env.write("bad.jsonnet", "{\n  pipeline: { name: 'x' },\n  glob: '/'\n}");
    let said = env.pv(["pipeline", "check", "-f", "bad.jsonnet"]);
    assert!(said.contains("error: bad.jsonnet, rendered:2:4: unknown field `glob`"), "{said}");
    assert_eq!(env.exit_code(["pipeline", "check", "-f", "copy.jsonnet", "--arg", "other=1"]), 2);
    env.write("plain.yml", spec("plain", "notes", "true"));
    assert_eq!(env.exit_code(["pipeline", "check", "-f", "plain.yml", "--arg", "x=1"]), 2);
}

#[test]
fn a_job_with_recovered_datums_tells_all_four_numbers() {
    let env = env_with_notes();
    let script = "[ $(basename $notes) != b ] && cp $notes /pfs/out/";
    apply(&env, &spec_with("some", &pfs("notes", "/*"), script, r#""err_cmd": ["true"],"#));
    env.ok(["run"]);
    let list = env.ok(["job", "list"]);
    assert!(list.contains("2 + 0 + 1 / 3"), "{list}");
    put_note(&env, "d", "d\n");
    env.ok(["run"]);
    let list = env.ok(["job", "list", "some", "-n", "1"]);
    assert!(list.contains("1 + 2 + 1 / 4"), "{list}");
}

/// The blocks of commands of a page, in order.
fn blocks(page: &str) -> Vec<&str> {
    page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/coming-from-pachyderm.md")).unwrap()
}

#[test]
fn the_page_for_users_of_pachyderm_works_as_it_stands() {
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    let bin = env.dir().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_pv"), bin.join("pv")).unwrap();
    let page = page();
    let blocks = blocks(&page);
    assert!(blocks.len() >= 7);
    for block in blocks {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", block]).current_dir(env.work()).env_clear().stdin(Stdio::null());
        command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("HOME", env.dir());
        command.envs([("PV_AUTHOR", "Anna <anna@example.com>"), ("TZ", "UTC"), ("PV_KNOWN_STORES", "none")]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{block}\n{}", env.shown(&output));
    }
    assert_eq!(env.ok(["cat", "edges:/liberty.txt"]).trim(), "10");
    let published: Vec<_> = env.json(["ls", "publish"]).iter().map(|file| file["path"].clone()).collect();
    assert_eq!(published, ["/liberty.txt", "/second.txt"]);
}

#[test]
fn the_page_names_every_field_and_answers_every_verb_as_pv_does() {
    let page = page();
    let schema = test_env!().json(["schema"]).remove(0);
    let objects = schema["$defs"].as_object().unwrap();
    for object in [&schema].into_iter().chain(
        objects
            .iter()
            .filter(|(name, _)| {
                !["gpu", "secrets", "resource_requests", "resource_limits", "metadata"].contains(&name.as_str())
            })
            .map(|(_, object)| object),
    ) {
        for field in object["properties"].as_object().unwrap().keys() {
            let is_named = page.contains(&format!("`{field}`")) || page.contains(&format!(".{field}`"));
            assert!(
                is_named || field == "strategy" || field == "never" || field == "project",
                "`{field}` is not on the page"
            );
        }
    }
    let env = test_env!();
    let mut rows = 0;
    for row in page.lines().filter_map(|line| line.strip_prefix("| `pachctl ")) {
        let (asked, line) = row.trim_end_matches("` |").split_once("` | `pv ").unwrap();
        rows += 1;
        let words = Command::new("bash").args(["-c", &format!("printf '%s\\n' {asked}")]).output().unwrap();
        let words = String::from_utf8(words.stdout).unwrap();
        let said = env.shown(&env.command(words.lines()).output().unwrap());
        let verb: Vec<&str> =
            line.split(' ').take(2).take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())).collect();
        // Some commands are equal in both, and some lines here need more than a habit can know.
        let is_alike = asked.split(' ').next() == line.split(' ').next() && !said.contains("pv has no");
        let is_known = ["--reprocess", "--head", "-f edges.json", "glob", "diff file", "--untar"]
            .iter()
            .any(|word| asked.contains(word));
        assert!(is_alike || is_known || said.contains(&format!("hint: pv {}", verb.join(" "))), "{asked}: {said}");
    }
    assert!(rows >= 40, "{rows}");
}
