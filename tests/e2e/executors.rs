//! All executors give the same results.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use serde_json::Value;
use tests::{TestEnv, test_env};

use crate::support::*;

/// Every kind of output: copies, links to the input, links between outputs, folders, programs, nothing.
const EVERYTHING: &str = r#"
name=$(basename "$notes")
cd /pfs/out
mkdir -p "dir/$name" links
printf 'from %s\n' "$name" > "dir/$name/text"
ln -s "$notes" "links/$name-input"
ln -s "../dir/$name/text" "links/$name-text"
ln -s "$name" "dir/$name-folder"
printf '#!/bin/sh\n' > "dir/$name/program"
chmod 755 "dir/$name/program"
chmod 600 "dir/$name/text"
: > "dir/$name/empty"
mkdir -p nothing/here
"#;

fn env_with_everything(executor: &str) -> TestEnv {
    let env = env_with_notes_on(executor);
    let tool = env.write("tool", "#!/bin/sh\n");
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    env.ok(["put", "notes", "tool"]);
    apply(&env, &spec("everything", "notes", EVERYTHING));
    apply(
        &env,
        &spec_with(
            "all",
            &pfs("everything", "/"),
            "cp -rL \"$everything\"/dir /pfs/out/; ln -s /pfs/everything/links /pfs/out/",
            "",
        ),
    );
    env.ok(["run"]);
    env
}

fn tree(env: &TestEnv, repo: &str) -> Value {
    env.json(["show", repo])[0]["tree"].clone()
}

fn executable_files(env: &TestEnv, repo: &str) -> Vec<String> {
    let files = env.json(["ls", "-r", repo]).into_iter().filter(|file| file["executable"] == true);
    files.map(|file| file["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_same_pipeline_gives_the_same_tree_under_both() {
    let process = env_with_everything("process");
    let programs = ["/dir/a/program", "/dir/a-folder/program", "/dir/tool/program", "/links/tool-input"];
    let executable = executable_files(&process, "everything");
    assert!(programs.iter().all(|program| executable.iter().any(|path| path == program)), "{executable:?}");
    assert_eq!(process.ok(["cat", "everything:/links/b-input"]), "b\n");
    assert_eq!(process.ok(["cat", "everything:/links/b-text"]), "from b\n");
    let digest = |path: &str| process.json(["ls", path])[0]["digest"].clone();
    assert_eq!(digest("everything:/links/a-input"), digest("notes:/a"));
    assert_eq!(process.exit_code(["ls", "everything:/nothing"]), 3, "empty folders are not kept");
    assert_eq!(outcome(&process, "everything"), success(4, 0));
    if !has_docker() {
        return;
    }
    let docker = env_with_everything("docker");
    assert_eq!(newest_job(&docker, "all")["executor"], "docker");
    for repo in ["everything", "all"] {
        assert_eq!(docker.json(["ls", "-r", repo]), process.json(["ls", "-r", repo]));
        assert_eq!(tree(&docker, repo), tree(&process, repo));
    }
}

#[test]
fn another_executor_makes_other_recipes_but_the_same_output() {
    if !has_docker() {
        return;
    }
    let env = env_with_everything("process");
    let before = tree(&env, "all");
    env.ok(["config", "set", "executor", "docker"]);
    env.ok(["run"]);
    assert_eq!(outcome(&env, "everything"), success(4, 0), "results of one executor do not count for another");
    assert_eq!(tree(&env, "all"), before);
    env.ok(["config", "set", "executor", "process"]);
    env.ok(["run"]);
    assert_eq!(outcome(&env, "everything"), success(0, 4), "but they are not forgotten");
    assert_eq!(tree(&env, "all"), before);
}

#[expect(clippy::print_stderr, reason = "the time is for whoever runs the tests")]
#[test]
fn a_thousand_datums_run_in_one_docker_job() {
    if !has_docker() {
        return;
    }
    let env = test_env!();
    env.ok(["config", "set", "executor", "docker"]);
    for number in 0..1000 {
        env.write(format!("many/{number}"), number.to_string());
    }
    env.ok(["put", "images", "many"]);
    apply(&env, &spec("nothing", "images", "true"));
    let start = Instant::now();
    env.ok(["run", "-j", "2"]);
    eprintln!("1,000 datums of `sh -c true` under docker, two at a time: {:?}", start.elapsed());
    assert_eq!(outcome(&env, "nothing"), success(1000, 0));
    assert_eq!(env.json(["show", "nothing"])[0]["files"], 0);
}
