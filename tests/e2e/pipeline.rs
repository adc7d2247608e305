//! `pv pipeline`.

use serde_json::json;
use tests::{TestEnv, test_env};

use crate::flow::{self, fields};

fn without_store() -> TestEnv {
    TestEnv::without_store(env!("CARGO_BIN_EXE_pv"))
}

#[test]
fn new_prints_a_spec_that_can_be_applied() {
    let env = flow::with_images();
    let words =
        ["pipeline", "new", "lines", "--input", "images:/*", "--", "sh", "-c", "wc -l /pfs/images/* > /pfs/out/n"];
    insta::assert_snapshot!(env.pv(words), @r#"
    --- stdout
    pipeline:
      name: lines
    transform:
      cmd: [sh, "-c", "wc -l /pfs/images/* > /pfs/out/n"]
    input:
      pfs:
        repo: images
        glob: "/*"
    --- stderr
    next: save it as lines.yml, then  pv pipeline apply -f lines.yml
    "#);
    env.write("lines.yml", env.ok(words));
    insta::assert_snapshot!(env.pv(["pipeline", "check", "-f", "lines.yml"]), @r"
    --- stdout
    1 pipeline in 1 file: no errors
    ");
    insta::assert_snapshot!(env.pv(["pipeline", "apply", "-f", "lines.yml"]), @r"
    --- stdout
    PIPELINE  VERSION  STATE  WHY
    lines  v1  created
    --- stderr
    starts 1 job: lines
    run [id 1]
    next: pv run  preview: pv plan
    ");
}

#[test]
fn new_combines_several_inputs_each_with_each() {
    let env = without_store();
    let inputs = ["--input", "images@dev:/cam*/*", "--input", "model:/"];
    let words =
        ["pipeline", "new", "detect", "--image", "detect:1.2"].into_iter().chain(inputs).chain(["--", "detect"]);
    insta::assert_snapshot!(env.ok(words), @r#"
    pipeline:
      name: detect
    transform:
      image: "detect:1.2"
      cmd: [detect]
    input:
      cross:
        - pfs:
            repo: images
            branch: dev
            glob: "/cam*/*"
        - pfs:
            repo: model
            glob: /
    "#);
    insta::assert_snapshot!(env.pv(["pipeline", "new", "x", "--input", "images", "--", "true"]), @r"
    --- stderr
    error: `images` has no glob: write `images:/*`
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["pipeline", "new", "x", "--input", "a:/", "--input", "a:/b", "--", "true"]), @r"
    --- stderr
    error: repository `a` is given twice, but inputs need different names
    hint: leave one out here, then add it to the spec with its own `name`
    --- exit 2
    ");
}

#[test]
fn check_needs_no_store_and_says_all_that_is_wrong() {
    let env = without_store();
    env.write("specs/b.json", r#"{"pipeline": {"name": "b"}, "transform": {"cmd": ["true"]}}"#);
    env.write("specs/a.yml", "pipeline: {name: a}\ntransform: {cmd: [\"true\"]}\ninput: {pfs: {repo: images, glob: /}}\nparalelism_spec: {constant: 2}\n");
    env.write("specs/notes.txt", "not a spec");
    insta::assert_snapshot!(env.pv(["pipeline", "check", "-f", "specs"]), @r"
    --- stderr
    error: specs/a.yml:4:1: unknown field `paralelism_spec` in pipeline `a`
    hint: did you mean `parallelism_spec`?
    error: specs/b.json:1:1: pipeline `b` has no input
    hint: write `input: {pfs: {repo: REPO, glob: GLOB}}`
    2 errors in 2 of 2 files
    --- exit 2
    ");
    let (error, exit_code) = env.json_error(["pipeline", "check", "-f", "specs"]);
    assert_eq!((&error["kind"], exit_code), (&json!("usage"), 2));
    assert_eq!(error["causes"].as_array().unwrap().len(), 2);
    assert_eq!(env.exit_code(["pipeline", "check", "-f", "specs/none.yml"]), 3);
    std::fs::create_dir(env.work().join("empty")).unwrap();
    insta::assert_snapshot!(env.pv(["pipeline", "check", "-f", "empty"]), @r"
    --- stderr
    error: `empty` contains no spec: no *.yml, *.yaml or *.json
    hint: name another folder, or a file
    --- exit 2
    ");
}

#[test]
fn apply_creates_keeps_and_updates() {
    let env = flow::with_images();
    let spec = |cmd: &str| {
        format!(
            "pipeline: {{name: one}}\ntransform: {{cmd: [sh, -c, {cmd}]}}\ninput: {{pfs: {{repo: images, glob: /*}}}}\n"
        )
    };
    env.write("one.yml", spec("\"true\""));
    insta::assert_snapshot!(env.pv(["pipeline", "apply", "-f", "one.yml"]), @r"
    --- stdout
    PIPELINE  VERSION  STATE  WHY
    one  v1  created
    --- stderr
    starts 1 job: one
    run [id 1]
    next: pv run  preview: pv plan
    ");
    insta::assert_snapshot!(env.pv(["pipeline", "apply", "-f", "one.yml"]), @r"
    --- stdout
    PIPELINE  VERSION  STATE  WHY
    one  v1  unchanged
    --- stderr
    nothing differs: no pipeline has a new version
    ");
    let applied = env.with_stdin(["pipeline", "apply", "-f", "-"], spec("\"exit 0\"").as_bytes());
    insta::assert_snapshot!(env.shown(&applied), @r"
    --- stdout
    PIPELINE  VERSION  STATE  WHY
    one  v2  updated  cmd
    --- stderr
    starts 1 job: one
    kills 1 job: one@[id 1]
    run [id 2]
    next: pv run  preview: pv plan
    ");
    let jobs = env.json(["job", "list"]);
    let states: Vec<_> = jobs.iter().map(|job| [&job["state"], &job["pipeline_version"]]).collect();
    assert_eq!(states, [[&json!("waiting"), &json!(2)], [&json!("killed"), &json!(1)]]);
    assert_eq!(jobs[1]["reason"], "replaced by version 2");
}

#[test]
fn apply_is_all_or_nothing_and_names_every_problem() {
    let env = flow::with_images();
    env.write(
        "specs/good.yml",
        "pipeline: {name: good}\ntransform: {cmd: [\"true\"]}\ninput: {pfs: {repo: images, glob: /}}\n",
    );
    env.write(
        "specs/lost.yml",
        "pipeline: {name: lost}\ntransform: {cmd: [\"true\"], code: nowhere}\ninput: {pfs: {repo: image, glob: /}}\n",
    );
    insta::assert_snapshot!(env.pv(["pipeline", "apply", "-f", "specs"]), @r"
    --- stderr
    error: specs/lost.yml:2:34: `code`: `[dir]/work/specs/nowhere`: No such file or directory (os error 2)
    error: specs/lost.yml:3:21: input `image`: repository `image` not found
    hint: did you mean `images`?
    2 errors in 1 of 2 files; nothing was applied
    --- exit 2
    ");
    assert!(env.json(["pipeline", "list"]).is_empty());
    env.ok(["repo", "create", "other"]);
    env.write(
        "taken.yml",
        "pipeline: {name: images}\ntransform: {cmd: [\"true\"]}\ninput: {pfs: {repo: other, glob: /}}\n",
    );
    let (error, exit_code) = env.json_error(["pipeline", "apply", "-f", "taken.yml"]);
    assert_eq!((&error["kind"], &error["done"], exit_code), (&json!("conflict"), &json!("nothing was applied"), 4));
}

#[test]
fn a_warning_stands_where_its_cause_is_and_holds_nothing_up() {
    let env = flow::with_images();
    env.write(
        "one.yml",
        "pipeline: {name: one}\ntransform: {cmd: [\"true\"]}\ninput: {pfs: {repo: images, glob: \"/*.jpg\"}}\n",
    );
    insta::assert_snapshot!(env.pv(["pipeline", "apply", "-f", "one.yml"]), @r"
    --- stdout
    PIPELINE  VERSION  STATE  WHY
    one  v1  created
    --- stderr
    one.yml:3:35: warning: input `images`: glob `/*.jpg` matches no file of `images`
    hint: `/*` fits
    starts 1 job: one
    run [id 1]
    next: pv run  preview: pv plan
    ");
    let view = env.json(["pipeline", "apply", "-f", "one.yml"]).remove(0);
    assert_eq!(fields(&view), ["branches", "jobs", "kills", "pipelines", "run", "warnings"]);
    assert_eq!(
        [&view["run"], &view["jobs"], &view["pipelines"][0]["state"]],
        [&json!(null), &json!([]), &json!("unchanged")]
    );
    let warning = &view["warnings"][0];
    assert_eq!([&warning["file"], &warning["line"], &warning["column"]], [&json!("one.yml"), &json!(3), &json!(35)]);
}

#[test]
fn code_is_found_beside_the_spec_and_kept() {
    let env = flow::with_images();
    env.write("specs/code/run.sh", "cat /pfs/images/* > /pfs/out/all\n");
    env.write("specs/all.yml", "pipeline: {name: all}\ntransform: {cmd: [sh, /code/run.sh], code: code}\ninput: {pfs: {repo: images, glob: /}}\n");
    env.ok(["pipeline", "apply", "-f", "specs/all.yml"]);
    env.ok(["run"]);
    assert_eq!(env.ok(["cat", "all:/all"]), "one\ntwo\n");
    env.write("specs/code/run.sh", "cat /pfs/images/a > /pfs/out/all\n");
    let applied = env.json(["pipeline", "apply", "-f", "specs/all.yml"]).remove(0);
    assert_eq!([&applied["pipelines"][0]["version"], &applied["pipelines"][0]["why"]], [&json!(2), &json!(["code"])]);
    env.ok(["run"]);
    assert_eq!(env.ok(["cat", "all:/all"]), "one\n");
}

/// Runs git in a folder.
fn git(folder: &std::path::Path, args: &[&str]) -> String {
    let mut git = std::process::Command::new("git");
    git.args(["-c", "user.name=anna", "-c", "user.email=anna@example.com", "-c", "safe.directory=*"]).args(args);
    let output = git.current_dir(folder).output().expect("git is there");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_is_said_of_code_in_git_is_what_a_comparison_gave() {
    let env = flow::with_images();
    env.write("specs/code/run.sh", "cat /pfs/images/* > /pfs/out/all\n");
    env.write("specs/.gitignore", "*.bin\n");
    let spec = "pipeline: {name: all}\ntransform: {cmd: [sh, /code/run.sh], code: code}\ninput: {pfs: {repo: images, glob: /}}\n";
    env.write("specs/all.yml", spec);
    let folder = env.work().join("specs");
    for args in ["init -q", "add .", "commit -q -m code"] {
        git(&folder, &args.split(' ').collect::<Vec<_>>());
    }
    let head = git(&folder, &["rev-parse", "HEAD"]);
    let short = &head[..8];
    env.write("specs/notes.txt", "not tracked, and not the code's");
    env.ok(["pipeline", "apply", "-f", "specs/all.yml"]);
    env.ok(["run"]);
    let traced = env.ok(["trace", "all:/all"]);
    assert!(traced.contains(&format!(" in commit {short}   spec in commit {short}")), "{traced}");
    assert!(!traced.contains("clean"), "{traced}");
    let code = env.json(["trace", "all:/all", "--format", "json"])[0]["origin"]["datum"]["code"].clone();
    assert_eq!(
        (&code["git_code"]["state"], &code["git_code"]["path"]),
        (&json!("in_commit"), &json!("code")),
        "{code}"
    );
    assert_eq!((&code["git_commit"], &code["git_spec"]["state"]), (&json!(head), &json!("in_commit")), "{code}");

    // Git ignores it, but it is still code.
    env.write("specs/code/weights.bin", "1");
    env.write("specs/code/more.sh", "echo");
    env.ok(["pipeline", "apply", "-f", "specs/all.yml"]);
    env.ok(["run"]);
    let says = format!("differs from {short}: 2 files: /more.sh (not in the commit), /weights.bin (not in the commit)");
    let traced = env.ok(["trace", "all:/all"]);
    assert!(traced.contains(&says), "{traced}");
    let shown = env.ok(["pipeline", "show", "all"]);
    assert!(shown.contains(&format!("code differs from {head} at code: 2 files: /more.sh")), "{shown}");
    assert!(
        env.ok(["trace", "all:/all", "--format", "html"]).contains(&format!("differs from {head} at code: 2 files"))
    );
    let statements = env.ok(["trace", "all:/all", "--format", "intoto"]);
    assert!(!statements.is_empty());
    let shown = env.json(["show", "all"])[0]["pipeline"]["code"]["git_code"].clone();
    assert_eq!((&shown["state"], &shown["differ"]), (&json!("differs"), &json!(2)));
    let why = env.ok(["diff", "all", "--why"]);
    assert!(why.contains(&format!("in commit {short}")) && why.contains(&format!("differs from {short}")), "{why}");
}

#[test]
fn list_and_show_say_how_far_pipelines_are() {
    let env = flow::failed();
    insta::assert_snapshot!(env.pv(["pipeline", "list"]), @r"
    --- stdout
    PIPELINE  STATE  LAST JOB  RUN + CACHED  OUTPUT
    upper  failed  failure  [ago]  [took]  0 + 2  1 failed  behind by 1 run
    count  failed  unrunnable  [ago]  behind by 1 run
    ");
    let list = env.json(["pipeline", "list"]);
    assert_eq!(fields(&list[0]), ["behind_runs", "last_job", "name", "output_commit", "reason", "state", "version"]);
    assert_eq!(
        [&list[0]["name"], &list[0]["state"], &list[0]["behind_runs"]],
        [&json!("upper"), &json!("failed"), &json!(1)]
    );
    insta::assert_snapshot!(flow::steady(&env.pv(["pipeline", "show", "count"])), @r#"
    --- stdout
    pipeline  count v1
    state  failed  upper failed  behind by 1 run
    last job  count@[id 1]
    applied  [time]  [ago]
    executor  process
    network  default
    reads  upper@main
    writes  count@main  [id 2]

    spec
      pipeline:
        name: count
      transform:
        cmd: [sh, "-c", "ls /pfs/upper | wc -l > /pfs/out/count"]
      input:
        pfs:
          repo: upper
          glob: /
    "#);
    let shown = env.json(["pipeline", "show", "upper"]).remove(0);
    assert_eq!(shown["spec"]["input"]["pfs"]["glob"], "/*");
    insta::assert_snapshot!(env.pv(["pipeline", "show", "uper"]), @r"
    --- stderr
    error: pipeline `uper` not found
    hint: did you mean `upper`?
    --- exit 3
    ");
}

#[test]
fn delete_says_what_goes_and_keeps_the_data() {
    let env = flow::run();
    assert_eq!(env.exit_code(["pipeline", "delete", "upper", "--yes"]), 4);
    insta::assert_snapshot!(env.pv(["pipeline", "delete", "count"]), @r"
    --- stderr
    This deletes pipeline `count` v1. Its output repository `count` becomes yours, with 1 file (2 B).
    error: pipeline `count` was not deleted
    hint: --yes answers yes to the prompt
    --- exit 7
    ");
    insta::assert_snapshot!(env.pv(["pipeline", "delete", "count", "--yes"]), @r"
    --- stderr
    This deletes pipeline `count` v1. Its output repository `count` becomes yours, with 1 file (2 B).
    deleted pipeline `count`
    ");
    assert_eq!(env.ok(["cat", "count:/count"]).trim(), "2");
    assert_eq!(env.json(["repo", "show", "count"])[0]["kind"], "user");
    assert_eq!(env.exit_code(["pipeline", "show", "count"]), 3);
    insta::assert_snapshot!(env.pv(["pipeline", "delete", "upper", "--with-data", "--yes"]), @r"
    --- stderr
    This deletes pipeline `upper` v1. Its output repository `upper` is deleted too, with 2 files (8 B).
    deleted pipeline `upper`
    ");
    assert_eq!(env.exit_code(["repo", "show", "upper"]), 3);
}

#[test]
fn rerun_executes_again_what_the_cache_holds() {
    let env = flow::run();
    insta::assert_snapshot!(env.pv(["pipeline", "rerun", "upper"]), @r"
    --- stdout
    @[id 1]
    --- stderr
    2 jobs: upper, count
    next: pv run
    ");
    env.ok(["run"]);
    let job = env.json(["job", "show", "upper"]).remove(0);
    assert_eq!(
        [&job["cause"]["kind"], &job["datums_processed"], &job["datums_cached"]],
        [&json!("rerun"), &json!(2), &json!(0)]
    );
    assert_eq!(env.exit_code(["pipeline", "rerun", "nobody"]), 3);
}

#[test]
fn a_pipeline_without_data_has_nothing_to_run() {
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    env.write(
        "one.yml",
        "pipeline: {name: one}\ntransform: {cmd: [\"true\"]}\ninput: {pfs: {repo: images, glob: /}}\n",
    );
    insta::assert_snapshot!(env.pv(["pipeline", "apply", "-f", "one.yml"]), @r"
    --- stdout
    PIPELINE  VERSION  STATE  WHY
    one  v1  created
    --- stderr
    no jobs start: no input has data yet
    run [id 1]
    ");
    assert_eq!(env.exit_code(["pipeline", "rerun", "one"]), 4);
    insta::assert_snapshot!(env.pv(["pipeline", "list"]), @r"
    --- stdout
    PIPELINE  STATE  LAST JOB  RUN + CACHED  OUTPUT
    one  current  none: no data yet
    ");
}
