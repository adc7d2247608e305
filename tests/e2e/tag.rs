//! `pv tag`

use tests::test_env;

#[test]
fn tags_are_made_listed_and_deleted_and_never_move() {
    let env = test_env!();
    env.write("a", "1");
    env.ok(["put", "images", "a"]);
    insta::assert_snapshot!(env.pv(["tag", "create", "images@v1", "-m", "approved"]), @r"
    --- stdout
    images@v1
    ");
    env.write("a", "2");
    env.ok(["put", "images", "a"]);
    insta::assert_snapshot!(env.pv(["tag", "create", "images@v1"]), @r"
    --- stderr
    error: tag `v1` of repository `images` already exists
    --- exit 4
    ");
    assert_eq!(env.exit_code(["branch", "move", "images@v1", "images@main"]), 4);
    assert_eq!(env.exit_code(["put", "images@v1", "a"]), 4);
    env.write("lines", r#"{"branch_move": "images@v1", "to": "images@main"}"#);
    assert_eq!(env.exit_code(["txn", "lines"]), 4);
    assert_eq!(env.ok(["cat", "images@v1:/a"]), "1");
    insta::assert_snapshot!(env.pv(["tag", "list"]), @r"
    --- stdout
    NAME  COMMIT  WHEN  MESSAGE
    images@v1  [id 1]  [ago]  approved
    ");
    let tag = env.json(["tag", "list", "images"]).remove(0);
    assert_eq!([&tag["repo"], &tag["name"], &tag["message"]], ["images", "v1", "approved"]);
    assert_eq!(tag["commit"], env.json(["show", "images@v1"])[0]["id"]);
    insta::assert_snapshot!(env.pv(["tag", "delete", "images@v1"]), @r"
    --- stderr
    This deletes tag `images@v1`. Its commit stays readable by id; files that nothing else reaches are kept for 14d.
    error: tag `images@v1` was not deleted
    hint: --yes answers yes to the prompt
    --- exit 7
    ");
    env.ok(["tag", "delete", "images@v1", "--yes"]);
    insta::assert_snapshot!(env.pv(["tag", "delete", "images@v1", "--yes"]), @r"
    --- stderr
    error: tag `v1` not found in repository `images`
    hint: pv tag list images
    --- exit 3
    ");
}
