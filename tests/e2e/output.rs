//! Where output goes, and readers that stop reading it.

use std::io::Read;
use std::process::Stdio;

use tests::test_env;

#[test]
fn a_closed_pipe_is_no_error() {
    let env = test_env!();
    for n in 0..300 {
        env.write(format!("d/file-with-a-rather-long-name-so-that-the-pipe-is-full-before-all-is-written-{n:04}"), "x");
    }
    env.ok(["put", "images", "d"]);
    let listing = env.output(["ls", "-r", "images"]).stdout;
    assert!(listing.len() > 20_000);
    env.write("large", vec![b'x'; 3_000_000]);
    env.ok(["put", "images", "large"]);
    let mut child =
        env.command(["cat", "images:/large"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap(); // and then it is closed
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[test]
fn quiet_prints_results_only() {
    let env = test_env!();
    env.write("a", "1");
    let output = env.output(["put", "images", "a", "-q"]);
    assert!(output.stdout.starts_with(b"images@"));
    assert_eq!(output.stderr, b"");
}

#[test]
fn version_schema_and_completions_need_no_store() {
    let env = tests::TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    assert!(env.ok(["version"]).starts_with("pv "));
    assert_eq!(env.json(["version"])[0]["os"], "linux");
    let schema: serde_json::Value = serde_json::from_str(&env.ok(["schema"])).unwrap();
    assert!(schema.is_object());
    assert!(env.ok(["completions", "bash"]).contains("complete -F _pv"));
    assert!(env.ok(["help"]).contains("put"));
    assert!(env.ok(["--help"]).contains("--store"));
}

#[test]
fn ctrl_c_ends_with_130() {
    let env = test_env!();
    let fifo = env.work().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // It waits for its standard input, to which nothing is written.
    let mut put = env.command(["put", "images", "-", "--as", "/x"]);
    let child = put.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id().to_string();
    // The signal is handled once its watcher runs: until then the default action ends the child, with the same code.
    while !std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap().contains("SigBlk:\t0000000000004002") {
        std::thread::yield_now();
    }
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    assert_eq!(env.json(["log"]).len(), 0);
}

#[test]
fn names_and_messages_cannot_drive_the_terminal() {
    let env = test_env!();
    env.write("a", "1");
    env.ok(["put", "images", "a", "--author", "Eve\n\u{1b}]0;x\u{7}", "-m", "red \u{1b}[31m and bell \u{7}\nline"]);
    for args in [&["log", "images"][..], &["show", "images"], &["log"]] {
        let shown = String::from_utf8(env.output(args).stdout).unwrap();
        assert!(!shown.contains('\u{7}') && !shown.contains("\u{1b}]"), "{shown:?}");
    }
    assert_eq!(env.ok(["log", "images"]).lines().count(), 2, "a head and one commit");
}
