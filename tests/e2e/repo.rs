//! `pv repo`

use serde_json::json;
use tests::test_env;

#[test]
fn repositories_are_made_listed_and_shown() {
    let env = test_env!();
    env.write("a.jpg", "12345");
    env.ok(["put", "images", "a.jpg", "-m", "first"]);
    env.ok(["repo", "create", "rules"]);
    env.ok(["tag", "create", "images@v1", "-m", "approved"]);
    insta::assert_snapshot!(env.pv(["repo", "list"]), @r"
    --- stdout
    REPOSITORY  HEAD  FILES  SIZE  LAST COMMIT
    images  [id 1]  1  5 B  [ago]  Anna  first
    rules  none  0  0 B
    ");
    insta::assert_snapshot!(env.pv(["repo", "show", "images"]), @r"
    --- stdout
    REPOSITORY  HEAD  FILES  SIZE  LAST COMMIT
    images  [id 1]  1  5 B  [ago]  Anna  first

    branches
    NAME  COMMIT  WHEN  MESSAGE
    images@main  [id 1]  [ago]  first

    tags
    NAME  COMMIT  WHEN  MESSAGE
    images@v1  [id 1]  [ago]  approved
    ");
    insta::assert_snapshot!(env.pv(["repo", "create", "images"]), @r"
    --- stderr
    error: repository `images` already exists
    --- exit 4
    ");
    insta::assert_snapshot!(env.pv(["repo", "create", "images_"]), @r"
    --- stderr
    error: `images_` is not a legal repository name: its first and last character must be a letter or digit
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["repo", "show", "imags"]), @r"
    --- stderr
    error: repository `imags` not found
    hint: did you mean `images`?
    --- exit 3
    ");
    let listed = env.json(["repo", "list"]);
    assert_eq!(listed[0]["head"], env.json(["show", "images"])[0]["id"]);
    assert_eq!(
        listed[1],
        json!({"name": "rules", "kind": "user", "branches": [], "head": null, "files": 0, "size_bytes": 0})
    );
}

#[test]
fn a_deletion_says_what_goes_and_needs_yes() {
    let env = test_env!();
    env.write("a.jpg", "12345");
    env.ok(["put", "images", "a.jpg"]);
    insta::assert_snapshot!(env.pv(["repo", "delete", "images"]), @r"
    --- stderr
    This deletes repository `images` with 1 branch, 0 tags, and 1 file (5 B) at their heads. pv gc frees what nothing else reaches after 14d.
    error: repository `images` was not deleted
    hint: --yes answers yes to the prompt
    --- exit 7
    ");
    assert_eq!(env.json(["repo", "list"]).len(), 1);
    insta::assert_snapshot!(env.pv(["repo", "delete", "images", "--yes"]), @r"
    --- stderr
    This deletes repository `images` with 1 branch, 0 tags, and 1 file (5 B) at their heads. pv gc frees what nothing else reaches after 14d.
    deleted repository `images`
    ");
    assert_eq!(env.json(["repo", "list"]).len(), 0);
    assert_eq!(env.exit_code(["repo", "delete", "images", "--yes"]), 3);
}
