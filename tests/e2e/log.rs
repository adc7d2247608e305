//! `pv log`

use tests::test_env;

#[test]
fn commits_are_listed_newest_first_and_by_path() {
    let env = test_env!();
    for (path, message) in [("a", "first"), ("b", "second"), ("c", "third")] {
        env.write(path, path);
        env.ok(["put", "images", path, "-m", message]);
    }
    insta::assert_snapshot!(env.pv(["log", "images"]), @r"
    --- stdout
    COMMIT  WHEN  WHO  FILES  SIZE  MESSAGE
    [id 1]  [ago]  Anna  3  3 B  third
    [id 2]  [ago]  Anna  2  2 B  second
    [id 3]  [ago]  Anna  1  1 B  first
    ");
    let messages = |args: &[&str]| {
        let log = env.json(["log"].iter().chain(args));
        log.iter().map(|commit| commit["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(messages(&["images:/b"]), ["second"]);
    assert_eq!(messages(&["images", "-n", "2"]), ["third", "second"]);
    assert_eq!(messages(&["images@main^"]), ["second", "first"]);
    assert_eq!(messages(&["images", "--since", "1h"]).len(), 3);
    assert_eq!(messages(&["images", "--since", "2999-01-01"]).len(), 0);
    assert_eq!(env.exit_code(["log", "images", "--since", "soon"]), 2);
}

#[test]
fn the_history_of_a_path_tells_what_each_commit_did_to_it() {
    let env = test_env!();
    env.write("a", "1");
    env.write("d/x", "2");
    env.ok(["put", "images", "a", "-m", "first"]);
    env.ok(["put", "images:/d", "d", "-m", "folder"]);
    env.write("a", "12");
    env.ok(["put", "images", "a", "-m", "longer"]);
    env.ok(["rm", "images:/a", "-m", "gone"]);
    let snapshot = env.pv(["log", "images:/a"]);
    insta::assert_snapshot!(snapshot, @r"
    --- stdout
    COMMIT  WHEN  WHO  CHANGE  SIZE  MESSAGE
    [id 1]  [ago]  Anna  removed  gone
    [id 2]  [ago]  Anna  modified  2 B  longer
    [id 3]  [ago]  Anna  added  1 B  first
    ");
    insta::assert_snapshot!(env.pv(["log", "images:/d"]), @r"
    --- stdout
    COMMIT  WHEN  WHO  CHANGE  SIZE  MESSAGE
    [id 4]  [ago]  Anna  below  folder
    ");
    let questions =
        [["log", "images:/a"], ["log", "images:/d"], ["log", "images:/d/x"], ["find", "*"], ["find", "d/x"]];
    let before = questions.map(|question| env.json(question));
    assert_eq!(before[0][1]["file"]["size_bytes"], 2);
    assert_eq!(
        before[0].iter().map(|commit| commit["change"].as_str().unwrap()).collect::<Vec<_>>(),
        ["removed", "modified", "added"]
    );
    env.ok(["fsck", "--rebuild-index"]);
    assert_eq!(questions.map(|question| env.json(question)), before, "by the index and without it");
}

#[test]
fn a_commit_has_every_field_of_the_contract() {
    let env = test_env!();
    env.write("a", "12");
    env.ok(["put", "images", "a", "-m", "first"]);
    let commit = env.json(["log", "images"]).remove(0);
    let fields: Vec<&str> = commit.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "author",
        "branch",
        "commit",
        "committer",
        "created_at",
        "datums",
        "error",
        "files",
        "id",
        "job",
        "journal",
        "kind",
        "lineage",
        "message",
        "origins",
        "parents",
        "pipeline",
        "provenance",
        "repo",
        "run",
        "size_bytes",
        "sources",
        "tree",
    ];
    assert_eq!(fields, expected);
    assert_eq!(commit["commit"], commit["id"], "as every other object calls it");
    assert_eq!((commit["files"].as_u64(), commit["size_bytes"].as_u64()), (Some(1), Some(2)));
    assert!(commit["created_at"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn runs_are_listed_without_a_reference() {
    let env = test_env!();
    env.write("a", "1");
    let put = env.json(["put", "images", "a", "-m", "camera batch"]).remove(0);
    env.ok(["branch", "create", "images@next"]);
    insta::assert_snapshot!(env.pv(["log"]), @r#"
    --- stdout
    RUN  WHEN  WHO  CAUSE  RESULT
    [id 1]  [ago]  Anna  move images@next  no jobs
    [id 2]  [ago]  Anna  commit images@main "camera batch"  no jobs
    "#);
    let run = env.json(["log"]).remove(1);
    let fields: Vec<&str> = run.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["cause", "created_at", "finished_at", "id", "jobs", "moves", "state"]);
    assert_eq!([&run["id"], &run["moves"][0]["to"]], [&put["run"], &put["commit"]]);
    assert_eq!([&run["cause"]["kind"], &run["cause"]["message"], &run["state"]], ["commit", "camera batch", "success"]);
}
