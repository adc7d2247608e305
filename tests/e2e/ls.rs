//! `pv ls`

use serde_json::json;
use tests::test_env;

#[test]
fn a_directory_is_listed_one_level_or_all() {
    let env = test_env!();
    env.write("d/cam7/a.jpg", "a");
    env.write("d/cam7/deep/b.jpg", "bb");
    env.write("d/c.jpg", "ccc");
    env.ok(["put", "images", "d"]);
    insta::assert_snapshot!(env.pv(["ls", "images"]), @r"
    --- stdout
        3 B  [id 1]  /c.jpg
        3 B  2 files  /cam7/
    ");
    insta::assert_snapshot!(env.pv(["ls", "images:/cam7"]), @r"
    --- stdout
        1 B  [id 2]  /cam7/a.jpg
        2 B  1 file  /cam7/deep/
    ");
    insta::assert_snapshot!(env.pv(["ls", "-r", "images:/cam7"]), @r"
    --- stdout
        1 B  [id 2]  /cam7/a.jpg
        2 B  [id 3]  /cam7/deep/b.jpg
    ");
    insta::assert_snapshot!(env.pv(["ls", "images:/cam8"]), @r"
    --- stderr
    error: `/cam8` not found in images@[id 4]
    hint: did you mean `/cam7`?
    --- exit 3
    ");
    let listed = env.json(["ls", "images"]);
    assert_eq!(listed[1], json!({"path": "/cam7", "files": 2, "size_bytes": 3}));
    let digest = "64daa44ad493ff28a96effab6e77f1732a3d97d83241581b37dbd70a7a4900fe";
    assert_eq!(listed[0], json!({"path": "/c.jpg", "size_bytes": 3, "digest": digest, "executable": false}));
}

#[test]
fn changed_files_of_a_commit_are_listed() {
    let env = test_env!();
    env.write("a", "1");
    env.write("b", "2");
    env.ok(["put", "images", "a", "b"]);
    env.write("b", "3");
    env.ok(["put", "images", "b"]);
    let changed = env.json(["ls", "images", "--changed"]);
    assert_eq!(changed.iter().map(|file| &file["path"]).collect::<Vec<_>>(), ["/b"]);
}

#[test]
fn without_a_reference_repositories_are_listed() {
    let env = test_env!();
    assert_eq!(env.json(["ls"]), env.json(["repo", "list"]));
    assert_eq!(env.exit_code(["ls", "-r"]), 2);
}

#[test]
fn an_empty_repository_lists_as_empty() {
    let env = test_env!();
    env.ok(["branch", "create", "images@dev"]);
    for words in [["ls", "images"], ["log", "images"], ["ls", "images@dev"], ["log", "images@dev"]] {
        let output = env.output(words);
        assert!(output.status.success() && output.stdout.is_empty(), "{}", env.shown(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains("yet"), "{}", env.shown(&output));
        assert_eq!(env.json(words).len(), 0);
    }
    assert_eq!(env.exit_code(["ls", "images:/a"]), 3);
    assert_eq!(env.exit_code(["ls", "images@other"]), 3);
    assert_eq!(env.exit_code(["ls", "other"]), 3);
}

#[test]
fn a_store_may_be_named_by_its_own_folder() {
    let env = test_env!();
    env.write("a", "1");
    env.ok(["put", "images", "a"]);
    let store = env.dir().join(".pv");
    assert_eq!(env.ok(["--store", store.to_str().unwrap(), "cat", "images:/a"]), "1");
    let by_variable = env.command(["cat", "images:/a"]).env("PV_STORE", &store).output().unwrap();
    assert_eq!(by_variable.stdout, b"1");
}
