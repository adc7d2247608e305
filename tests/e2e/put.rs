//! `pv put`, and each of its pitfalls.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use serde_json::json;
use tests::test_env;

#[test]
fn a_put_commits_and_says_what_it_did() {
    let env = test_env!();
    env.write("batch/a.jpg", "one");
    env.write("batch/night/b.jpg", "three");
    insta::assert_snapshot!(env.pv(["put", "images", "batch", "-m", "camera batch"]), @r"
    --- stdout
    images@[id 1]
    --- stderr
    2 added, 0 modified, 0 removed, 0 unchanged · 8 B, 8 B new · [took]
    run [id 2]
    undo: pv revert images
    ");
    insta::assert_snapshot!(env.pv(["ls", "-r", "images"]), @r"
    --- stdout
        3 B  [id 3]  /a.jpg
        5 B  [id 4]  /night/b.jpg
    ");
    env.write("batch/a.jpg", "two");
    insta::assert_snapshot!(env.pv(["put", "images", "batch"]), @r"
    --- stdout
    images@[id 5]
    --- stderr
    0 added, 1 modified, 0 removed, 1 unchanged · 8 B, 3 B new · [took]
    modified: /a.jpg  (pv diff images)
    run [id 6]
    undo: pv revert images
    ");
}

#[test]
fn unchanged_content_makes_no_commit_and_names_the_one_that_is() {
    let env = test_env!();
    env.write("a", "one");
    let first = env.ok(["put", "images", "a"]);
    insta::assert_snapshot!(env.pv(["put", "images", "a"]), @r"
    --- stdout
    images@[id 1]
    --- stderr
    nothing differs: no commit was made
    ");
    assert_eq!(env.ok(["put", "images", "a"]), first);
    assert_eq!(env.json(["log", "images"]).len(), 1);
}

#[test]
fn json_has_the_fields_of_the_contract() {
    let env = test_env!();
    env.write("a", "one");
    env.write("b", "two");
    let put = env.json(["put", "images", "a", "b"]).remove(0);
    let fields: Vec<&str> = put.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "added",
        "branch",
        "changed",
        "commit",
        "modified",
        "new_bytes",
        "removed",
        "repo",
        "run",
        "size_bytes",
        "unchanged",
    ];
    assert_eq!(fields, expected);
    assert_eq!([&put["repo"], &put["branch"], &put["changed"]], [&json!("images"), &json!("main"), &json!(true)]);
    assert_eq!([&put["added"], &put["size_bytes"], &put["new_bytes"]], [&json!(2), &json!(6), &json!(6)]);
    assert_eq!(put["commit"].as_str().unwrap().len(), 64);
    assert_eq!(put["run"].as_str().unwrap().len(), 32);
    let again = env.json(["put", "images", "a"]).remove(0);
    assert_eq!([&again["changed"], &again["run"], &again["unchanged"]], [&json!(false), &json!(null), &json!(1)]);
    assert_eq!(again["commit"], put["commit"]);
}

#[test]
fn a_file_lands_below_dir_and_as_chooses_the_whole_path() {
    let env = test_env!();
    env.write("x.jpg", "x");
    env.ok(["put", "images:/cam7", "x.jpg"]);
    env.ok(["put", "images", "x.jpg", "--as", "/cam8/y.jpg"]);
    assert_eq!(env.ok(["cat", "images:/cam7/x.jpg", "images:/cam8/y.jpg"]), "xx");
}

#[test]
fn a_dir_that_ends_in_the_sources_name_is_refused() {
    let env = test_env!();
    env.write("x.jpg", "x");
    insta::assert_snapshot!(env.pv(["put", "images:/cam7/x.jpg", "x.jpg"]), @r"
    --- stderr
    error: this would store `/cam7/x.jpg/x.jpg`; nothing was committed
    hint: pv put images:/cam7 x.jpg  or, to choose the name: pv put images x.jpg --as /cam7/x.jpg
    --- exit 2
    ");
}

#[test]
fn a_target_that_looks_like_a_name_is_said_to_be_a_directory() {
    let env = test_env!();
    env.write("x.jpg", "1");
    env.write("y.jpg", "2");
    env.ok(["put", "images", "x.jpg"]);
    let shown = env.pv(["put", "images:/x.jpg", "y.jpg"]);
    assert!(
        shown.contains("hint: to choose the name: pv put images y.jpg --as /x.jpg") && shown.ends_with("exit 2"),
        "{shown}"
    );
    let shown = env.pv(["put", "images:/new.jpg", "y.jpg"]);
    assert!(
        shown.contains("it is stored as `/new.jpg/y.jpg`; to choose the name: pv put images y.jpg --as /new.jpg"),
        "{shown}"
    );
}

#[test]
fn two_sources_with_one_target_are_refused() {
    let env = test_env!();
    env.write("one/x.jpg", "1");
    env.write("two/x.jpg", "2");
    insta::assert_snapshot!(env.pv(["put", "images", "one/x.jpg", "two/x.jpg"]), @r"
    --- stderr
    error: `/x.jpg`: two sources have this target; nothing was committed
    --- exit 2
    ");
}

#[test]
fn special_unreadable_and_dangling_sources_are_all_named() {
    let env = test_env!();
    env.write("d/fine", "1");
    symlink("nowhere", env.work().join("d/dangling")).unwrap();
    let fifo = env.work().join("d/fifo");
    assert!(std::process::Command::new("mkfifo").arg(fifo).status().unwrap().success());
    insta::assert_snapshot!(env.pv(["put", "images", "d"]), @r"
    --- stderr
    error: `d/dangling` is a link to nothing
           `d/fifo` is a pipe
           nothing was committed
    hint: --skip-unreadable skips them; --exclude or a .pvignore skips files by name
    --- exit 1
    ");
    assert_eq!(env.json(["log"]).len(), 0);
}

#[test]
fn a_missing_source_is_not_found() {
    let env = test_env!();
    insta::assert_snapshot!(env.pv(["put", "images", "nothing.jpg"]), @r"
    --- stderr
    error: `nothing.jpg` not found on this machine; nothing was committed
    --- exit 3
    ");
}

#[test]
fn links_to_files_are_followed() {
    let env = test_env!();
    env.write("real", "bytes");
    std::fs::create_dir(env.work().join("d")).unwrap();
    symlink("../real", env.work().join("d/link")).unwrap();
    env.ok(["put", "images", "d"]);
    assert_eq!(env.ok(["cat", "images:/link"]), "bytes");
}

#[test]
fn odd_names_are_kept_and_illegal_ones_are_all_refused() {
    let env = test_env!();
    for name in ["-r", "a b", "ä€", "*?[]{}", "@main", ":", "~^"] {
        env.write(format!("odd/{name}"), name);
    }
    env.ok(["put", "images", "odd"]);
    assert_eq!(
        env.ok(["cat", "images:/-r", "images:/a b", "images:/ä€", "images:/*?[]{}", "images:/@main"]),
        "-ra bä€*?[]{}@main"
    );
    assert_eq!(env.ok(["cat", "images:/:", "images:/~^"]), ":~^");
    env.write("-dash", "by itself");
    env.ok(["put", "images", "--", "-dash"]);
    assert_eq!(env.ok(["cat", "images:/-dash"]), "by itself");
    env.write("bad/new\nline", "1");
    env.write("bad/tab\there", "2");
    insta::assert_snapshot!(env.pv(["put", "images", "bad"]), @r"
    --- stderr
    error: `/new\nline` is not a legal path: it has a control character
           `/tab\there` is not a legal path: it has a control character
           nothing was committed
    --- exit 2
    ");
}

#[test]
fn a_file_and_a_directory_of_one_path_clash() {
    let env = test_env!();
    env.write("one/x", "1");
    env.write("two/x/y", "2");
    env.ok(["put", "images", "one"]);
    insta::assert_snapshot!(env.pv(["put", "images", "two"]), @r"
    --- stderr
    error: `/x`: each would be both a file and a directory; nothing was committed
    --- exit 2
    ");
}

#[test]
fn standard_input_needs_a_name() {
    let env = test_env!();
    let put = env.with_stdin(["put", "images", "-", "--as", "/note.txt"], b"from a pipe");
    assert!(put.status.success(), "{}", env.shown(&put));
    assert_eq!(env.ok(["cat", "images:/note.txt"]), "from a pipe");
    insta::assert_snapshot!(env.shown(&env.with_stdin(["put", "images", "-"], b"lost")), @r"
    --- stderr
    error: standard input needs --as; nothing was committed
    hint: pv put images - --as /PATH
    --- exit 2
    ");
}

#[test]
fn excludes_and_lists_choose_files() {
    let env = test_env!();
    for path in ["d/a.jpg", "d/a.tmp", "d/cache/x", "d/sub/b.jpg"] {
        env.write(path, path);
    }
    env.ok(["put", "images:/one", "d", "--exclude", "*.tmp", "--exclude", "cache"]);
    assert_eq!(paths(&env, "images:/one"), ["/one/a.jpg", "/one/sub/b.jpg"]);
    env.write("list", "a.tmp\nsub/b.jpg\n");
    env.ok(["put", "images:/two", "d", "--files-from", "list"]);
    assert_eq!(paths(&env, "images:/two"), ["/two/a.tmp", "/two/sub/b.jpg"]);
    let put = env.with_stdin(["put", "images:/three", "d", "--files-from", "-"], b"cache/x\0a.jpg\0");
    assert!(put.status.success(), "{}", env.shown(&put));
    assert_eq!(paths(&env, "images:/three"), ["/three/a.jpg", "/three/cache/x"]);
}

fn paths(env: &tests::TestEnv, reference: &str) -> Vec<String> {
    let listed = env.json(["ls", "-r", reference]);
    listed.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_mirror_removes_what_the_source_lacks_and_asks_before_most_goes() {
    let env = test_env!();
    for path in ["d/a", "d/b", "d/c"] {
        env.write(path, path);
    }
    env.ok(["put", "images", "d"]);
    std::fs::remove_file(env.work().join("d/c")).unwrap();
    env.ok(["put", "images", "d", "--mirror"]);
    assert_eq!(paths(&env, "images"), ["/a", "/b"]);
    std::fs::create_dir(env.work().join("empty")).unwrap();
    insta::assert_snapshot!(env.pv(["put", "images", "empty", "--mirror"]), @r"
    --- stderr
    This removes 2 of 2 files in images@main:/.
    error: this would remove more than half of the files in images@main:/; nothing was committed
    hint: --yes answers yes to the prompt
    --- exit 7
    ");
    assert_eq!(paths(&env, "images"), ["/a", "/b"]);
    env.ok(["put", "images", "empty", "--mirror", "--yes"]);
    assert_eq!(paths(&env, "images"), Vec::<String>::new());
}

#[test]
fn expect_refuses_when_somebody_was_quicker() {
    let env = test_env!();
    env.write("a", "1");
    let first = env.json(["put", "images", "a"])[0]["commit"].as_str().unwrap().to_owned();
    env.write("a", "2");
    env.ok(["put", "images", "a", "--expect", &first]);
    env.write("a", "3");
    insta::assert_snapshot!(env.pv(["put", "images", "a", "--expect", &first]), @r"
    --- stderr
    error: `images@main` is at [id 1], not at [id 2]; nothing was committed
    hint: pv log images@main shows the commits in between
    --- exit 4
    ");
    assert_eq!(env.ok(["cat", "images:/a"]), "2");
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let env = test_env!();
    env.write("d/a", "1");
    env.ok(["put", "images", "d"]);
    env.write("d/a", "22");
    env.write("d/b", "3");
    insta::assert_snapshot!(env.pv(["put", "images", "d", "--dry-run"]), @r"
    --- stdout
    1 added, 1 modified, 0 removed, 0 unchanged · 3 B, 3 B new
    --- stderr
    dry run: nothing was committed
    ");
    let dry = env.json(["put", "images", "d", "--dry-run"]).remove(0);
    assert_eq!([&dry["added"], &dry["modified"], &dry["new_bytes"]], [&json!(1), &json!(1), &json!(3)]);
    assert_eq!(env.json(["log", "images"]).len(), 1);
}

#[test]
fn only_the_default_branch_is_made() {
    let env = test_env!();
    env.write("a", "1");
    insta::assert_snapshot!(env.pv(["put", "images@mian", "a"]), @r"
    --- stderr
    error: branch `mian` not found in repository `images`; nothing was committed
    hint: to create it: pv branch create images@mian
    --- exit 3
    ");
    env.ok(["put", "images", "a"]);
    insta::assert_snapshot!(env.pv(["put", "images@mian", "a"]), @r"
    --- stderr
    error: branch `mian` not found in repository `images`; nothing was committed
    hint: did you mean `images@main`? to create it: pv branch create images@mian
    --- exit 3
    ");
    insta::assert_snapshot!(env.pv(["put", "images@main^", "a"]), @r"
    --- stderr
    error: `images@main^` is not a branch; only a branch can get new commits
    hint: pv branch list images lists its branches
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["put", "image", "a"]), @r"
    --- stderr
    error: repository `image` not found
    hint: did you mean `images`?
    --- exit 3
    ");
    env.ok(["branch", "create", "images@mian"]);
    env.ok(["put", "images@mian", "a"]);
}

#[test]
fn the_executable_bit_alone_is_a_change() {
    let env = test_env!();
    let path = env.write("run.sh", "#!/bin/sh");
    env.ok(["put", "images", "run.sh"]);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    env.ok(["put", "images", "run.sh"]);
    insta::assert_snapshot!(env.pv(["diff", "images"]), @r"
    --- stdout
    images@[id 1] → images@[id 2]
    ~ /run.sh  executable bit
    0 added, 0 removed, 1 modified, 0 renamed · 9 B → 9 B
    ");
}

#[test]
fn the_author_is_who_is_named() {
    let env = test_env!();
    env.write("a", "1");
    env.ok(["put", "images", "a", "--author", "Bob"]);
    assert_eq!(env.json(["show", "images"])[0]["author"], "Bob");
    env.write("a", "2");
    let config = "[user]\n\tname = Carl\n\temail = carl@example.com\n";
    std::fs::write(env.dir().join(".gitconfig"), config).unwrap();
    let put = env.command(["put", "images", "a"]).env_remove("PV_AUTHOR").output().unwrap();
    assert!(put.status.success());
    assert_eq!(env.json(["show", "images"])[0]["author"], "Carl <carl@example.com>");
    std::fs::remove_file(env.dir().join(".gitconfig")).unwrap();
    env.write("a", "3");
    let mut put = env.command(["put", "images", "a"]);
    assert!(put.env_remove("PV_AUTHOR").env("USER", "dora").output().unwrap().status.success());
    assert!(env.json(["show", "images"])[0]["author"].as_str().unwrap().starts_with("dora@"));
}

#[test]
fn puts_at_the_same_time_all_land() {
    let env = test_env!();
    let puts: Vec<_> = (0..8)
        .map(|n| {
            env.write(format!("{n}.jpg"), format!("{n}"));
            let mut put = env.command(["put".to_owned(), "images".to_owned(), format!("{n}.jpg")]);
            put.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut put in puts {
        assert!(put.wait().unwrap().success());
    }
    assert_eq!(env.json(["log", "images"]).len(), 8);
    assert_eq!(paths(&env, "images").len(), 8);
}

#[test]
fn all_is_read_when_that_is_asked_for() {
    let env = test_env!();
    env.write("a.jpg", "one");
    env.ok(["put", "images", "a.jpg"]);
    let again = env.json(["put", "images", "a.jpg", "--checksum"]).remove(0);
    assert_eq!([&again["changed"], &again["unchanged"]], [&json!(false), &json!(1)]);
    env.write("lines", r#"{"put": "images", "from": "a.jpg", "checksum": true}"#);
    assert_eq!(env.json(["txn", "lines"])[0]["changed"], false);
}
