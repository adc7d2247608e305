//! `pv rm`, `mv`, `cp` and `revert`.

use tests::{TestEnv, test_env};

fn env_with_files() -> TestEnv {
    let env = test_env!();
    for path in ["d/cam7/a.jpg", "d/cam7/b.jpg", "d/c.jpg"] {
        env.write(path, path);
    }
    env.ok(["put", "images", "d"]);
    env
}

fn paths(env: &TestEnv, reference: &str) -> Vec<String> {
    let listed = env.json(["ls", "-r", reference]);
    listed.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn rm_removes_files_and_directories_only_with_r() {
    let env = env_with_files();
    insta::assert_snapshot!(env.pv(["rm", "images:/c.jpg"]), @r"
    --- stdout
    images@[id 1]
    --- stderr
    0 added, 0 modified, 1 removed, 0 unchanged · 0 B, 0 B new · [took]
    run [id 2]
    undo: pv revert images
    ");
    insta::assert_snapshot!(env.pv(["rm", "images:/cam7"]), @r"
    --- stderr
    error: `/cam7` in images@main is a directory; nothing was committed
    hint: use -r for directories
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["rm", "images:/cam8"]), @r"
    --- stderr
    error: `/cam8` not found in images@main; nothing was committed
    hint: did you mean `/cam7`?
    --- exit 3
    ");
    insta::assert_snapshot!(env.pv(["rm", "images"]), @r"
    --- stderr
    error: `images` has no path
    hint: write images:/PATH
    --- exit 2
    ");
    env.ok(["rm", "-r", "images:/cam7"]);
    assert_eq!(paths(&env, "images"), Vec::<String>::new());
    assert_eq!(paths(&env, "images@main^^").len(), 3);
}

#[test]
fn mv_takes_the_new_path_itself() {
    let env = env_with_files();
    env.ok(["mv", "images:/cam7", "images:/old/cam7"]);
    assert_eq!(paths(&env, "images"), ["/c.jpg", "/old/cam7/a.jpg", "/old/cam7/b.jpg"]);
    env.ok(["mv", "images:/c.jpg", "images:/old/cam7/a.jpg"]);
    assert_eq!(env.ok(["cat", "images:/old/cam7/a.jpg"]), "d/c.jpg");
    insta::assert_snapshot!(env.pv(["mv", "images:/old/cam7/a.jpg", "images:/old"]), @r"
    --- stderr
    error: a directory is in the way at `/old`; nothing was committed
    hint: give the full new path, such as `/old/NAME`
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["mv", "images:/old", "images:/old/deeper"]), @r"
    --- stderr
    error: cannot move `/old` into itself, `/old/deeper`; nothing was committed
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["mv", "images:/old", "images@other:/x"]), @r"
    --- stderr
    error: `images:/old` and `images@other:/x` are on different branches; a move stays on one branch
    hint: pv cp 'images:/old' 'images@other:/x'  then pv rm 'images:/old'
    --- exit 2
    ");
}

#[test]
fn cp_works_across_repositories_and_keeps_its_origin() {
    let env = env_with_files();
    env.ok(["repo", "create", "chosen"]);
    env.ok(["cp", "images:/cam7", "chosen:/from-images"]);
    assert_eq!(paths(&env, "chosen"), ["/from-images/a.jpg", "/from-images/b.jpg"]);
    let commit = env.json(["show", "chosen"]).remove(0);
    let origin = &commit["sources"][0];
    assert_eq!([&origin["repo"], &origin["path"]], ["images", "/cam7"]);
    assert_eq!(origin["commit"], env.json(["show", "images"])[0]["id"]);
    insta::assert_snapshot!(env.pv(["cp", "images", "chosen:/x"]), @r"
    --- stderr
    error: `images` has no path
    hint: write images:/PATH
    --- exit 2
    ");
}

#[test]
fn revert_takes_a_change_back_unless_its_paths_changed_since() {
    let env = env_with_files();
    env.write("c.jpg", "changed");
    env.ok(["put", "images", "c.jpg", "-m", "oops"]);
    insta::assert_snapshot!(env.pv(["revert", "images"]), @r"
    --- stdout
    images@[id 1]
    --- stderr
    0 added, 1 modified, 0 removed, 0 unchanged · 7 B, 0 B new · [took]
    modified: /c.jpg  (pv diff images)
    run [id 2]
    undo: pv revert images
    ");
    assert_eq!(env.ok(["cat", "images:/c.jpg"]), "d/c.jpg");
    assert!(env.json(["show", "images"])[0]["message"].as_str().unwrap().ends_with(" oops"));
    env.write("c.jpg", "changed again");
    env.ok(["put", "images", "c.jpg"]);
    insta::assert_snapshot!(env.pv(["revert", "images@main~2"]), @r"
    --- stderr
    error: images@[id 3]: 1 paths have changed since; nothing was committed
      because: `/c.jpg` differs from the original
    --- exit 4
    ");
}
