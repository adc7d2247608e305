//! Error messages and exit codes of commands.

use tests::test_env;

#[test]
fn json_errors_are_the_last_line_of_stderr() {
    let env = test_env!();
    env.write("a", "1");
    env.ok(["put", "images", "a"]);
    insta::assert_snapshot!(env.pv(["--json", "cat", "images@mian:/x.jpg"]), @r#"
    --- stderr
    {"error":{"kind":"not_found","exit_code":3,"message":"branch `mian` not found in repository `images`","causes":[],"hint":"did you mean `images@main`?","done":"nothing"}}
    --- exit 3
    "#);
    let (error, exit_code) = env.json_error(["cat", "imags:/a"]);
    assert_eq!((exit_code, error["exit_code"].as_i64(), error["kind"].as_str()), (3, Some(3), Some("not_found")));
    assert_eq!(error["hint"], "did you mean `images`?");
}

#[test]
fn wrong_usage_is_json_too() {
    let env = test_env!();
    insta::assert_snapshot!(env.pv(["cat", "--json"]), @r#"
    --- stderr
    {"error":{"kind":"usage","exit_code":2,"message":"the following required arguments were not provided: <REF:/PATH|ID>...","causes":[],"hint":"Usage: pv cat --json <REF:/PATH|ID>...","done":"nothing"}}
    --- exit 2
    "#);
    insta::assert_snapshot!(env.pv(["cat", "--jsn"]), @r"
    --- stderr
    error: unexpected argument '--jsn' found
    hint: a similar argument exists: '--json'
          Usage: pv cat --json <REF:/PATH|ID>...
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["putt"]), @r"
    --- stderr
    error: unrecognized subcommand 'putt'
    hint: a similar subcommand exists: 'put'
          Usage: pv [OPTIONS] [COMMAND]
    --- exit 2
    ");
    let (error, exit_code) = env.json_error(["repo", "create", "images_"]);
    assert_eq!((exit_code, error["kind"].as_str()), (2, Some("usage")));
}

#[test]
fn each_kind_of_error_has_its_exit_code() {
    let env = test_env!();
    env.write("a", "1");
    let fifo = env.work().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    env.ok(["put", "images", "a"]);
    let cases: [(&[&str], i32); 7] = [
        (&["put", "images", "fifo"], 1),
        (&["put", "images:/a", "a"], 2),
        (&["cat", "images:/b"], 3),
        (&["branch", "create", "images@main"], 4),
        (&["repo", "delete", "images"], 7),
        (&["rm", "images:/"], 2),
        (&["ls", "images"], 0),
    ];
    for (args, expected) in cases {
        let output = env.output(args);
        assert_eq!(output.status.code(), Some(expected), "{}", env.shown(&output));
    }
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let env = test_env!();
    let plain = env.output(["cat", "images:/b"]).stderr;
    assert!(!plain.contains(&0x1b));
    let coloured = env.output(["cat", "images:/b", "--color", "always"]).stderr;
    assert!(coloured.starts_with(b"\x1b[1;31merror:\x1b[0m "));
}
