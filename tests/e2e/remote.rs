//! Commands through a server on another machine: `--server`, `PV_SERVER`, `pv login`, `pv logout`, `pv whoami`.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use tests::served::Server;
use tests::{TestEnv, test_env};

/// A store with two commits, and a server for it.
fn served() -> (TestEnv, Server) {
    let env = world();
    let server = env.serve();
    (env, server)
}

/// A store with two commits.
fn world() -> TestEnv {
    let env = test_env!();
    env.write("photos/a.jpg", "a");
    env.write("photos/cam/b.jpg", "b");
    env.ok(["put", "images", "photos", "-m", "first"]);
    env.write("photos/a.jpg", "another a");
    env.ok(["put", "images", "photos", "-m", "second"]);
    env
}

/// A machine without a store.
fn elsewhere() -> TestEnv {
    TestEnv::without_store(env!("CARGO_BIN_EXE_pv"))
}

fn through<'a>(env: &TestEnv, server: &Server, args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = env.command(args);
    command.env("PV_SERVER", server.url()).env("PV_TOKEN", server.token());
    command
}

fn text(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn a_command_prints_and_exits_as_without_a_server() {
    let env = world();
    let client = elsewhere();
    let lines = [
        &["ls", "images"][..],
        &["ls", "-r", "images"],
        &["ls", "none"],
        &["ls", "images:/none"],
        &["--json", "ls", "none"],
        &["cat", "images:/a.jpg"],
        &["cat", "images:/cam"],
        &["log", "images"],
        &["--json", "log", "images"],
        &["show", "images"],
        &["diff", "images"],
        &["diff", "images", "--exit-code"],
        &["trace", "images:/a.jpg"],
        &["repo", "list"],
        &["repo", "delete", "images"],
        &["branch", "list", "images"],
        &["branch", "create", "images@main"],
        &["tag", "list"],
        &["config", "list"],
        &["job", "list"],
        &["find", "none.txt"],
        &["put", "images", "none.txt"],
        &["put", "none", "none.txt"],
        &["txn", "none.jsonl"],
        &["secret", "create", "s", "key=none.txt"],
        &["pipeline", "apply", "-f", "none.yml"],
        &["verify", "--key", "none.pem"],
        &["get", "images:/none"],
        &["pipeline", "list"],
        &["wait", "none"],
        &["logs", "none"],
        &["key", "show"],
    ];
    let now = ("PV_NOW", "2030-01-01T00:00:00Z");
    let here = lines.map(|args| env.command(args.iter().copied()).envs([now]).output().unwrap());
    let server = env.serve();
    for (args, here) in lines.iter().zip(&here) {
        let there = through(&client, &server, args.iter().copied()).envs([now]).output().unwrap();
        assert_eq!(text(&there), text(here), "{args:?}");
    }
}

#[test]
fn files_travel_both_ways_and_only_what_is_missing() {
    let (env, server) = served();
    let client = elsewhere();
    let run = |args: &[&str]| {
        let done = through(&client, &server, args.iter().copied()).output().unwrap();
        assert!(done.status.success(), "{args:?}: {:?}", text(&done));
        text(&done)
    };
    client.write("new/c.jpg", "c");
    client.write("new/.pvignore", "*.tmp\n");
    client.write("new/x.tmp", "x");
    let (_, stderr, _) = run(&["put", "images:/new", "new", "-m", "from elsewhere"]);
    assert!(stderr.contains("1 added") && stderr.contains("excluded by .pvignore: "), "{stderr}");
    let large: Vec<u8> =
        (0..3_000_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    client.write("large.bin", &large);
    run(&["put", "images", "large.bin"]);
    let (again, stderr, _) = run(&["put", "images:/copy", "large.bin"]);
    assert!(stderr.contains(", 0 B new"), "{again}{stderr}");
    run(&["get", "images", "back"]);
    assert_eq!(std::fs::read(client.work().join("back/large.bin")).unwrap(), large);
    assert_eq!(client.read("back/new/c.jpg"), "c");
    let (_, stderr, _) = run(&["get", "images", "back"]);
    assert!(stderr.contains("unchanged"), "{stderr}");
    client.write("back/a.jpg", "mine");
    let refused = through(&client, &server, ["get", "images", "back"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(4), "{:?}", text(&refused));
    client.write("lines.jsonl", "{\"put\": \"images\", \"from\": \"new\"}\n");
    run(&["txn", "lines.jsonl"]);
    run(&["bundle", "images:/a.jpg", "-o", "case.zip"]);
    assert!(client.work().join("case.zip").exists());
    let (found, _, _) = run(&["find", "new/c.jpg"]);
    assert!(found.contains("images:/new/c.jpg"), "{found}");
    assert_eq!(env.ok(["cat", "images:/new/c.jpg"]), "c");
}

#[test]
fn standard_input_is_read_only_by_commands_that_read_it() {
    let (_env, server) = served();
    let client = elsewhere();
    let mut put = through(&client, &server, ["put", "images", "-", "--as", "/in"]);
    let mut put = put.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    put.stdin.take().unwrap().write_all(b"from stdin").unwrap();
    let done = put.wait_with_output().unwrap();
    assert!(done.status.success(), "{:?}", text(&done));
    // The rest of the input is for the next command.
    let line = format!("{0} ls images > /dev/null; {0} cat images:/in; cat", client.binary().display());
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).env("PV_SERVER", server.url()).env("PV_TOKEN", server.token()).env("PV_AUTHOR", "Anna");
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(b" rest").unwrap();
    assert_eq!(String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap(), "from stdin rest");
}

#[test]
fn login_keeps_a_token_that_works_and_logout_removes_it() {
    let (_env, server) = served();
    let client = elsewhere();
    let login = |token: &str| client.with_stdin(["login", server.url()], token.as_bytes());
    assert_eq!(login("pv_wrong").status.code(), Some(7));
    assert_eq!(login("").status.code(), Some(2));
    let done = login(&format!("{}\n", server.token()));
    assert!(done.status.success(), "{:?}", text(&done));
    let kept = client.dir().join(".config/pv/servers");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let listed = client.output(["--server", server.url(), "repo", "list"]);
    assert!(listed.status.success(), "{:?}", text(&listed));
    let who = client.output(["--server", server.url(), "--json", "whoami"]);
    let who: serde_json::Value = serde_json::from_slice(&who.stdout).unwrap();
    assert_eq!([&who["role"], &who["repos"][0], &who["author"]], ["admin", "*", "Anna <anna@example.com>"]);
    assert!(client.output(["logout"]).status.success());
    let refused = client.output(["--server", server.url(), "repo", "list"]);
    assert_eq!(refused.status.code(), Some(7), "{:?}", text(&refused));
    assert!(text(&refused).1.contains("hint: pv login "), "{:?}", text(&refused));
    assert_eq!(client.exit_code(["logout"]), 3);
    assert!(client.ok(["whoami"]).contains("Anna"));
}

#[test]
fn what_cannot_be_reached_or_done_is_an_error_with_a_hint() {
    let (_env, server) = served();
    let client = elsewhere();
    for (args, exit_code) in [
        (&["--server", "http://127.0.0.1:1", "repo", "list"][..], 6),
        (&["--server", "http://pv.example", "repo", "list"], 2),
        (&["--server", "nonsense", "repo", "list"], 2),
        (&["--server", server.url(), "--store", ".", "repo", "list"], 2),
        (&["--server", server.url(), "init"], 2),
        (&["--server", server.url(), "serve"], 2),
        (&["--server", server.url(), "fsck", "--repair"], 2),
    ] {
        let done = client.command(args).output().unwrap();
        assert_eq!(done.status.code(), Some(exit_code), "{args:?}: {:?}", text(&done));
        assert!(text(&done).1.contains("hint: "), "{args:?}: {:?}", text(&done));
    }
    assert_eq!(through(&client, &server, ["mirror", "--to", "x"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn a_prompt_is_asked_on_the_callers_terminal() {
    let (env, server) = served();
    if !tests::pty::has_script() {
        return;
    }
    let mut on_terminal = env.on_a_terminal("pv repo delete images", (80, 24));
    on_terminal.env("PV_SERVER", server.url()).env("PV_TOKEN", server.token());
    let mut child = on_terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"n\n").unwrap();
    let done = child.wait_with_output().unwrap();
    drop(stdin);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("Continue? [y/N]"), "{said}");
    assert_eq!(done.status.code(), Some(7), "{said}");
    assert!(env.ok(["repo", "list"]).contains("images"));
}

#[test]
fn who_sees_a_part_is_not_told_that_there_is_nothing() {
    let env = world();
    let made = env.json(["token", "create", "cy", "--role", "reader", "--repo", "zzz*"]).remove(0);
    let server = env.serve();
    let client = elsewhere();
    for (args, said) in [
        (&["repo", "list"][..], "no repositories are visible to you"),
        (&["pipeline", "list"], "no pipelines are visible to you"),
        (&["status"], "no repositories are visible to you"),
        (&["plan"], "no pending jobs are visible to you"),
        (&["find", "a.jpg"], "no commit that is visible to you contains a file that matches `a.jpg`"),
    ] {
        let mut command = through(&client, &server, args.iter().copied());
        let (printed, noted, _) = text(&command.env("PV_TOKEN", made["token"].as_str().unwrap()).output().unwrap());
        assert!((printed.clone() + &noted).contains(said), "{args:?}: {printed}{noted}");
    }
}
