//! `pv branch`

use tests::test_env;

#[test]
fn branches_are_made_moved_listed_and_deleted() {
    let env = test_env!();
    env.write("a", "1");
    env.ok(["put", "images", "a", "-m", "first"]);
    env.write("a", "2");
    env.ok(["put", "images", "a", "-m", "second"]);
    insta::assert_snapshot!(env.pv(["branch", "create", "images@candidate", "images@main^"]), @r"
    --- stdout
    images@candidate
    ");
    insta::assert_snapshot!(env.pv(["branch", "create", "images@candidate"]), @r"
    --- stderr
    error: branch `candidate` of repository `images` already exists
    --- exit 4
    ");
    assert_eq!(env.ok(["cat", "images@candidate:/a"]), "1");
    insta::assert_snapshot!(env.pv(["branch", "move", "images@candidate", "images"]), @r"
    --- stdout
    images@candidate
    --- stderr
    run [id 1]
    undo: pv branch move images@candidate images@[id 2]
    ");
    assert_eq!(env.ok(["cat", "images@candidate:/a"]), "2");
    insta::assert_snapshot!(env.pv(["branch", "list", "images"]), @r"
    --- stdout
    NAME  COMMIT  WHEN  MESSAGE
    images@candidate  [id 3]  [ago]  second
    images@main  [id 3]  [ago]  second
    ");
    insta::assert_snapshot!(env.pv(["branch", "delete", "images@candidate"]), @r"
    --- stderr
    This deletes branch `images@candidate` at [id 3]. Its commits stay readable by id; files that nothing else reaches are kept for 14d.
    error: branch `images@candidate` was not deleted
    hint: --yes answers yes to the prompt
    --- exit 7
    ");
    insta::assert_snapshot!(env.pv(["branch", "delete", "images@candidate", "--yes"]), @r"
    --- stderr
    This deletes branch `images@candidate` at [id 3]. Its commits stay readable by id; files that nothing else reaches are kept for 14d.
    deleted branch `images@candidate`
    ");
    insta::assert_snapshot!(env.pv(["branch", "delete", "images@candidat", "--yes"]), @r"
    --- stderr
    error: branch `candidat` not found in repository `images`
    hint: pv branch list images lists its branches; to create it: pv branch create images@candidat
    --- exit 3
    ");
}

#[test]
fn a_branch_begins_at_the_default_branch_or_empty() {
    let env = test_env!();
    env.ok(["branch", "create", "images@before"]);
    assert_eq!(env.exit_code(["cat", "images@before:/a"]), 3);
    env.write("a", "1");
    env.ok(["put", "images", "a"]);
    let made = env.json(["branch", "create", "images@after"]).remove(0);
    assert_eq!(made["commit"], env.json(["show", "images"])[0]["id"]);
    assert_eq!(made["name"], "after");
    assert_eq!(made["repo"], "images");
}

#[test]
fn branches_and_tags_share_their_names() {
    let env = test_env!();
    env.write("a", "1");
    env.ok(["put", "images", "a"]);
    env.ok(["tag", "create", "images@v1"]);
    assert_eq!(env.exit_code(["branch", "create", "images@v1"]), 4);
    assert_eq!(env.exit_code(["tag", "create", "images@main"]), 4);
    insta::assert_snapshot!(env.pv(["put", "images@v1", "a"]), @r"
    --- stderr
    error: `v1` is a tag of repository `images`, not a branch; a tag never moves
    hint: pv branch list images lists its branches
    --- exit 4
    ");
    insta::assert_snapshot!(env.pv(["branch", "create", "images"]), @r"
    --- stderr
    error: `images` has no name: write `images@NAME`
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["branch", "create", "images@-x"]), @r"
    --- stderr
    error: `-x` is not a legal branch name: its first and last character must be a letter or digit
    --- exit 2
    ");
}
