//! What a put and a code folder leave out.

use std::os::unix::fs::symlink;

use tests::{TestEnv, test_env};

use crate::flow;

fn paths(env: &TestEnv, reference: &str) -> Vec<String> {
    let listed = env.json(["ls", "-r", reference]);
    listed.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
}

fn write_all<'a>(env: &TestEnv, files: impl IntoIterator<Item = &'a str>) {
    files.into_iter().for_each(|path| drop(env.write(path, path)));
}

#[test]
fn patterns_mean_what_they_mean_in_a_gitignore() {
    let env = test_env!();
    write_all(&env, ["s/a.tmp", "s/sub/b.tmp", "s/keep.tmp", "s/cache/z", "s/sub/cache", "s/x", "s/sub/x"]);
    env.ok([
        "put",
        "images",
        "s",
        "--exclude",
        "*.tmp",
        "--exclude",
        "!keep.tmp",
        "--exclude",
        "cache/",
        "--exclude",
        "/x",
    ]);
    assert_eq!(paths(&env, "images"), ["/keep.tmp", "/sub/cache", "/sub/x"]);
}

#[test]
fn a_pattern_that_leaves_nothing_out_is_said() {
    let env = test_env!();
    write_all(&env, ["s/a", "s/b.tmp"]);
    let shown = env.pv(["put", "images", "s", "--exclude", "*.tmp", "--exclude", "none*", "--exclude", "{a,b}"]);
    assert!(shown.contains("--exclude `none*` matched nothing\n"), "{shown}");
    assert!(shown.contains("--exclude `{a,b}` matched nothing; braces are literal"), "{shown}");
    assert!(!shown.contains("`*.tmp` left"), "{shown}");
    assert_eq!(env.exit_code(["put", "images", "s", "--exclude", "[z-a]"]), 2);
}

#[test]
fn a_pvignore_in_a_source_says_what_is_no_data() {
    let env = test_env!();
    env.write("s/.pvignore", "\u{feff}*.log\r\n!keep.log\r\n# a comment\r\n/tmp/\r\n");
    env.write("s/sub/.pvignore", "!own.log\nlocal\n");
    write_all(
        &env,
        ["s/a", "s/x.log", "s/keep.log", "s/tmp/y", "s/sub/own.log", "s/sub/other.log", "s/sub/local", "s/local"],
    );
    let shown = env.pv(["put", "images", "s"]);
    assert!(shown.contains("excluded by .pvignore: sub/local, sub/other.log, tmp/, x.log\n"), "{shown}");
    assert_eq!(paths(&env, "images"), ["/a", "/keep.log", "/local", "/sub/own.log"]);
    // Command-line patterns come first.
    env.ok(["repo", "create", "other"]);
    env.ok(["put", "other", "s", "--exclude", "!x.log", "--exclude", "a"]);
    assert_eq!(paths(&env, "other"), ["/keep.log", "/local", "/sub/own.log", "/x.log"]);
    // The same paths from a list.
    env.ok(["repo", "create", "listed"]);
    env.write("list", "a\r\nx.log\r\nsub\r\ntmp/y\r\n.pvignore\r\n");
    env.ok(["put", "listed", "s", "--files-from", "list"]);
    assert_eq!(paths(&env, "listed"), ["/a", "/sub/own.log"]);
}

#[test]
fn a_mirror_keeps_what_was_left_out() {
    let env = test_env!();
    write_all(&env, ["s/a", "s/b", "s/x.log", "s/sub/y.log", "s/gone"]);
    env.ok(["put", "images", "s"]);
    env.write("s/.pvignore", "*.log\n");
    std::fs::remove_file(env.work().join("s/gone")).unwrap();
    std::fs::remove_file(env.work().join("s/sub/y.log")).unwrap();
    std::fs::remove_file(env.work().join("s/b")).unwrap();
    symlink("nowhere", env.work().join("s/b")).unwrap();
    env.ok(["put", "images", "s", "--mirror", "--skip-unreadable"]);
    assert_eq!(paths(&env, "images"), ["/a", "/b", "/sub/y.log", "/x.log"]);
    env.write(
        "lines",
        "\u{feff}{\"put\": \"images\", \"from\": \"s\", \"mirror\": true, \"skip_unreadable\": true}\r\n",
    );
    env.ok(["txn", "lines"]);
    assert_eq!(paths(&env, "images"), ["/a", "/b", "/sub/y.log", "/x.log"]);
}

#[test]
fn what_cannot_be_read_stops_nothing_but_itself() {
    let env = test_env!();
    write_all(&env, ["s/a"]);
    symlink("user@host.123:456", env.work().join("s/.#a")).unwrap();
    insta::assert_snapshot!(env.pv(["put", "images", "s"]), @r"
    --- stderr
    error: `s/.#a` is a link to nothing; nothing was committed
    hint: --skip-unreadable skips them; --exclude or a .pvignore skips files by name
    --- exit 1
    ");
    let put = env.output(["put", "images", "s", "--skip-unreadable", "--json"]);
    assert!(put.status.success(), "{}", env.shown(&put));
    let view: serde_json::Value = serde_json::from_slice(&put.stdout).unwrap();
    assert_eq!(view["skipped"], serde_json::json!([{"path": "s/.#a", "why": "is a link to nothing"}]));
    let shown = env.pv(["put", "images", "s", "--skip-unreadable"]);
    assert!(shown.contains("skipped: `s/.#a` is a link to nothing\n"), "{shown}");
    assert_eq!(paths(&env, "images"), ["/a"]);
}

#[test]
fn what_tools_leave_in_a_code_folder_makes_no_version() {
    let env = flow::with_images();
    env.write("code/run.sh", "cp /pfs/images/* /pfs/out/; ls -AR /code > /pfs/out/list\n");
    env.write("code/.gitignore", "*.log\n");
    env.write("up.yml", "pipeline: {name: up}\ninput: {pfs: {repo: images, glob: '/'}}\ntransform: {code: code, cmd: [sh, /code/run.sh]}\n");
    env.write("same.yml", "pipeline: {name: same}\ninput: {pfs: {repo: images, glob: '/'}}\ntransform: {code: code, cmd: [sh, /code/run.sh]}\n");
    env.ok(["pipeline", "apply", "-f", "up.yml", "-f", "same.yml"]);
    write_all(
        &env,
        [
            "code/__pycache__/m.pyc",
            "code/lib/x.pyc",
            "code/.run.sh.swp",
            "code/run.sh~",
            "code/.DS_Store",
            "code/x.log",
        ],
    );
    symlink("user@host.123:456", env.work().join("code/.#run.sh")).unwrap();
    let shown = env.pv(["pipeline", "apply", "-f", "up.yml", "-f", "same.yml"]);
    assert!(shown.contains("nothing differs"), "{shown}");
    assert_eq!(shown.matches("excluded from the code").count(), 1, "{shown}");
    assert!(shown.contains(".#run.sh, .DS_Store, .run.sh.swp, __pycache__/"), "{shown}");
    env.ok(["run"]);
    assert_eq!(env.ok(["cat", "up:/list"]), "/code:\n.gitignore\nrun.sh\n");
    // A file that is included again is code.
    env.write("code/.pvignore", "!x.log\n");
    env.ok(["pipeline", "apply", "-f", "up.yml"]);
    env.ok(["run"]);
    assert!(env.ok(["cat", "up:/list"]).contains("x.log"));
    // Any other dangling link is an error with a hint.
    symlink("nowhere", env.work().join("code/data")).unwrap();
    let shown = env.pv(["pipeline", "apply", "-f", "up.yml"]);
    assert!(shown.contains("is a link to nothing") && shown.contains("code/.pvignore"), "{shown}");
    env.write("code/.pvignore", "!x.log\ndata\n");
    env.ok(["pipeline", "apply", "-f", "up.yml"]);
}
