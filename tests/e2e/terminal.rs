//! Untrusted text does not control the reader's terminal: no text command prints a control character, to a pipe or a terminal.

use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use tests::{TestEnv, test_env};

use crate::support::*;

/// Every control character that an argument can contain, terminal escape sequences, and characters that change the text direction.
fn hostile() -> String {
    let controls = (1_u32..0x20).chain(0x7f..0xa0).filter_map(char::from_u32).filter(|c| *c != '\n' && *c != '\t');
    let sequences =
        "\u{1b}[8mhidden\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}2Jx\rover\u{8}\u{8}\u{202e}gpj\u{2066}";
    controls.collect::<String>() + sequences
}

/// A store with hostile authors, messages, logs and output names, an earlier commit, and one failed and one successful pipeline.
fn env_with_hostile() -> TestEnv {
    let env = env_with_notes();
    let hostile = hostile();
    env.write("notes/a", format!("changed {hostile}\n"));
    env.ok([
        "put",
        "notes",
        "notes",
        "--author",
        &format!("Eve{hostile}"),
        "-m",
        &format!("said{hostile}\nmore{hostile}"),
    ]);
    env.ok(["tag", "create", "notes@old", "notes@main~1", "-m", &format!("tag{hostile}")]);
    env.write("payload", &hostile);
    let octal = hostile.bytes().map(|byte| format!("\\{byte:03o}")).collect::<Vec<_>>().concat();
    let print = format!("printf '{octal}\\n'; printf '{octal}' >&2");
    apply(&env, &spec("prints", "notes", &format!("{print}; {}", copy_of("notes"))));
    env.output(["run"]);
    apply(
        &env,
        &spec_with("names", &pfs("notes", "/a"), &format!("{print}; touch \"/pfs/out/x$(printf '{octal}')\""), ""),
    );
    env
}

/// Commands that print text, many of which fail.
fn commands(env: &TestEnv) -> Vec<Vec<String>> {
    let hostile = hostile();
    env.write("bad.jsonl", format!("{{\"rm\": \"notes:/{}\"}}\n{{\"x\": 1}}\n{hostile}\n", "a\\u001b[8m"));
    env.write(
        "bad.yml",
        "pipeline: {name: \"x\\e[8m\\x9b\"}\n\"key\\e[8m\\a\": 1\ninput: {pfs: {repo: \"\\e[8m\", glob: \"[\\e\"}}\n",
    );
    env.write("list", &hostile);
    let lines = "run
        status
        log
        log notes
        log notes:/a
        show notes
        show notes@old
        ls -r notes
        tag list notes
        branch list notes
        repo list
        repo show notes
        diff notes
        diff notes --why
        diff notes --md
        diff notes@old notes
        trace prints:/a
        trace prints:/a --format dot
        trace prints:/a --format mermaid
        trace prints:/a --format html
        trace notes:/a --forward --all-runs
        find payload
        explain prints
        explain names
        plan
        job list
        job show prints
        job show names
        datum list prints
        datum list names
        datum show names --input /a
        logs prints
        logs names --failed
        pipeline list
        pipeline show names
        pipeline check -f bad.yml
        pipeline apply -f bad.yml
        txn bad.jsonl
        put notes --files-from list
        verify notes:/a
        fsck
        gc --dry-run
        commit prune notes --keep 1 --dry-run
        try names
        run names";
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut commands: Vec<_> = lines.lines().map(words).collect();
    for args in [
        ["cat", "notes:/z"],
        ["put", "notes"],
        ["get", "notes:/a"],
        ["ls", "notes:/d"],
        ["wait", "x"],
        ["repo", "show"],
        ["", ""],
    ] {
        commands.push(vec![args[0].to_owned(), format!("{}{hostile}", args[1])]);
    }
    commands.push(vec![format!("unknown{hostile}")]);
    commands
}

/// What no terminal may receive, after pv's own colours and cursor movements are removed.
fn acts(shown: &str) -> Option<String> {
    let own = ["0", "1", "31", "32", "33", "36", "1;31"].map(|numbers| format!("\u{1b}[{numbers}m"));
    let mut left = shown.to_owned();
    for own in own {
        left = left.replace(&own, "");
    }
    let at = left.find(|c: char| c.is_control() && c != '\n' && c != '\t')?;
    Some(left[at..].chars().take(60).collect())
}

#[test]
fn no_text_command_lets_a_control_character_of_others_pass_to_a_pipe() {
    let env = env_with_hostile();
    for args in commands(&env) {
        let output = env.output(&args);
        for bytes in [&output.stdout, &output.stderr] {
            let text = std::str::from_utf8(bytes).unwrap_or_else(|_| panic!("{args:?} prints what is no text"));
            assert_eq!(acts(text), None, "{args:?}: {}", env.shown(&output));
        }
        let json = env.output(["--json".to_owned()].into_iter().chain(args.iter().cloned()));
        for bytes in [&json.stdout, &json.stderr] {
            assert_eq!(acts(&String::from_utf8_lossy(bytes)), None, "{args:?}: {}", env.shown(&json));
        }
    }
}

/// Calls `pv` on a terminal; returns what it shows, on both streams.
fn on_a_terminal(env: &TestEnv, args: &[String]) -> Option<String> {
    let mut shell = std::process::Command::new("script");
    let quoted: Vec<_> = args.iter().map(|arg| format!("'{arg}'")).collect();
    shell.args(["-qec", &format!("'{}' {}", env!("CARGO_BIN_EXE_pv"), quoted.join(" ")), "/dev/null"]);
    let plain = env.command::<&str>([]);
    shell.current_dir(env.work()).env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env("TERM", "xterm").env("PATH", "/usr/bin:/bin").env("PV_PAGER", "cat").stdin(Stdio::null());
    let output = shell.output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"))
}

#[test]
fn no_text_command_lets_a_control_character_of_others_pass_to_a_terminal() {
    if std::process::Command::new("script").arg("--version").output().is_err() {
        return skip("`script` is not there");
    }
    let env = env_with_hostile();
    let mut colors = 0;
    for args in commands(&env) {
        let shown = on_a_terminal(&env, &args).unwrap();
        // Redrawn blocks and bars: pv's own cursor movements, which no hostile text here contains.
        let still = ["\u{1b}[J", "\u{1b}[2K", "\r", "\u{1b}[1A", "\u{1b}[2A", "\u{1b}[3A"]
            .iter()
            .fold(shown.clone(), |text, own| text.replace(own, ""));
        assert_eq!(acts(&still), None, "{args:?}: {shown:?}");
        assert!(!still.contains(['\u{202e}', '\u{2066}']), "{args:?}: {shown:?}");
        assert!(!shown.contains("\u{1b}[8m") && !shown.contains("\rover"), "{args:?}: {shown:?}");
        colors += usize::from(shown.contains("\u{1b}[31m") || shown.contains("\u{1b}[1;31m"));
    }
    assert!(colors > 5, "pv's own colours are there: {colors}");
}

#[test]
fn logs_are_text_unless_their_bytes_are_asked_for() {
    let env = env_with_notes();
    apply(&env, &spec_with("prints", &pfs("notes", "/a"), r"printf '10%%\r20%%\r\n\033[8mx\377\n'", ""));
    env.ok(["run"]);
    assert_eq!(
        env.output(["logs", "prints", "--raw"]).stdout.split(|byte| *byte == b'\n').nth(1),
        Some(b"10%\r20%\r".as_slice())
    );
    let shown = env.ok(["logs", "prints"]);
    assert_eq!(shown.lines().skip(1).collect::<Vec<_>>(), ["10%", "20%", r"\u{1b}[8mx\xff"]);
    let id = env.json(["datum", "list", "prints"])[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(env.output(["logs", &id, "--raw"]).stdout, b"10%\r20%\r\n\x1b[8mx\xff\n");
}

#[test]
fn a_stage_cannot_make_lines_that_look_like_those_of_pv() {
    let env = env_with_notes();
    let script = r#"printf x > "$(printf '/pfs/out/x\nforged  success')""#;
    apply(&env, &spec_with("forges", &pfs("notes", "/a"), script, ""));
    let ran = env.output(["run"]);
    for output in
        [ran, env.output(["job", "show", "forges"]), env.output(["datum", "list", "forges"]), env.output(["status"])]
    {
        let shown = env.shown(&output);
        assert!(!shown.lines().any(|line| line.trim_start().starts_with("forged")), "{shown}");
    }
    assert!(env.json(["datum", "list", "forges"])[0]["reason"].as_str().unwrap().contains(r"`/x\nforged  success`"));
}

#[test]
fn a_folder_that_was_removed_is_no_reason_to_say_nothing() {
    let env = test_env!();
    let gone = env.work().join("gone");
    let call = |args: &[&str]| {
        std::fs::create_dir_all(&gone).unwrap();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "rmdir \"$PWD\"; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_pv")]).args(args).current_dir(&gone);
        shell.output().unwrap()
    };
    let named = call(&["--store", env.dir().to_str().unwrap(), "repo", "list"]);
    assert_eq!((named.status.code(), named.stderr.as_slice()), (Some(0), b"".as_slice()));
    let relative = call(&["--store", env.dir().to_str().unwrap(), "put", "images", "x"]);
    assert_eq!(relative.status.code(), Some(3), "{}", env.shown(&relative));
}

#[test]
fn a_variable_of_pv_that_is_no_text_is_not_passed_over() {
    let env = test_env!();
    let output =
        env.command(["repo", "list"]).env("PV_STORE", std::ffi::OsStr::from_bytes(b"/tmp/\xff")).output().unwrap();
    insta::assert_snapshot!(env.shown(&output), @r"
    --- stderr
    error: the environment variable `PV_STORE` is not valid UTF-8
    --- exit 2
    ");
}
