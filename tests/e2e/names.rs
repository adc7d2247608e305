//! Odd names are returned exactly, or are refused with the path named and nothing done.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;
use specs::FilePath;
use tests::{TestEnv, test_env};

use crate::support::*;

/// Valid names that shells, globs, terminals, references and other systems interpret differently.
const ODD: [&str; 44] = [
    "-",
    "-r",
    "--help",
    "--",
    "*",
    "?",
    "[a]",
    "{a,b}",
    "(x)",
    "!(x)",
    "@(a|b)",
    "+(a)",
    "@main",
    "a@b",
    "@",
    "^",
    "a^1",
    "~",
    "~2",
    ":",
    "a:b",
    ":a",
    "...",
    ".hidden",
    "a..b",
    " ",
    " lead",
    "trail ",
    "'q'",
    "\"dq\"",
    "back\\slash",
    "\\n",
    "$HOME",
    "`x`",
    "%s",
    "#",
    ";",
    "&",
    "<>",
    "\u{e9}",
    "e\u{301}",
    "\u{65e5}\u{672c}",
    "\u{1f600}",
    "\u{202e}gpj.exe",
];

fn file(env: &TestEnv, folder: &str, name: Vec<u8>) -> PathBuf {
    let folder = env.work().join(folder);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(OsString::from_vec(name));
    fs::write(&path, path.as_os_str().as_encoded_bytes()).unwrap();
    path
}

fn records(env: &TestEnv) -> usize {
    fs::read_to_string(env.dir().join(".pv/journal")).unwrap().lines().count()
}

fn paths(env: &TestEnv, reference: &str) -> Vec<String> {
    env.json(["ls", "-r", reference]).iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
}

/// The names in a folder, as bytes, sorted.
fn names_in(folder: PathBuf) -> Vec<Vec<u8>> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_vec()).collect();
    names.sort();
    names
}

#[test]
fn every_byte_comes_back_or_is_refused_with_its_path() {
    let env = test_env!();
    let name = |byte: u8| vec![b'a', byte, b'z'];
    let legal = |byte: u8| (0x20..0x7f).contains(&byte);
    for byte in (0x01..=0xff).filter(|byte| *byte != b'/') {
        if legal(byte) {
            file(&env, "in", name(byte));
            continue;
        }
        let before = records(&env);
        let bad = file(&env, &format!("bad{byte}"), name(byte));
        let (error, code) = env.json_error(["put", "images", &format!("bad{byte}")]);
        assert_eq!((code, error["done"].as_str().unwrap()), (2, "nothing was committed"), "{byte:#x}");
        let shown = String::from_utf8_lossy(&name(byte)).escape_debug().to_string();
        assert!(error["message"].as_str().unwrap().contains(&shown), "{byte:#x}: {error}");
        assert_eq!(records(&env), before, "{byte:#x}");
        fs::remove_file(bad).unwrap();
    }
    env.ok(["put", "images", "in"]);
    env.ok(["get", "images", "out"]);
    assert_eq!(names_in(env.work().join("out")), names_in(env.work().join("in")));
    let listed: Vec<Vec<u8>> = paths(&env, "images").into_iter().map(|path| path.into_bytes()[1..].to_vec()).collect();
    assert_eq!(listed, names_in(env.work().join("in")));
    assert_eq!(env.ok(["diff", "--name-only", "images"]).lines().count(), listed.len());
    // Names that no file can have are possible in a transaction line and in a list.
    for text in ["/a\u{0}b", "/a//b", "/a/", "/../a", "a", "/a\nb", "/a\u{85}b"] {
        env.write("steps", json!({"put": "images", "from": "steps", "as": text}).to_string());
        let (error, code) = env.json_error(["txn", "steps"]);
        assert_eq!(code, 2, "{text:?}");
        assert!(error["causes"][0].as_str().unwrap().contains(&text.escape_debug().to_string()), "{error}");
    }
    assert_sound(&env);
}

#[test]
fn odd_names_go_through_every_command() {
    let env = test_env!();
    env.ok(["repo", "create", "other"]);
    for name in ODD {
        file(&env, "in", name.as_bytes().to_vec());
    }
    env.ok(["put", "images", "in"]);
    let mut expected: Vec<String> = ODD.iter().map(|name| format!("/{name}")).collect();
    expected.sort();
    assert_eq!(paths(&env, "images"), expected);
    let printed = env.ok(["ls", "-r", "images"]);
    assert!(expected.iter().all(|path| printed.lines().any(|line| line.ends_with(path))), "as they are in a pipe");
    for name in ODD {
        let content = fs::read_to_string(env.work().join("in").join(name)).unwrap();
        let here = format!("images:/{name}");
        assert_eq!(env.ok(["cat", &here]), content, "{name}");
        env.ok(["cp", &here, &format!("other:/copy/{name}")]);
        env.ok(["mv", &here, &format!("images:/moved/{name}")]);
        env.ok(["get", &format!("images:/moved/{name}"), "one"]);
        assert_eq!(fs::read_to_string(env.work().join("one").join(name)).unwrap(), content, "{name}");
        env.ok(["put", "other:/put", &format!("in/{name}")]);
        let steps = [
            json!({"put": "other:/txn", "from": format!("in/{name}")}),
            json!({"mv": format!("other:/txn/{name}"), "to": format!("other:/again/{name}")}),
            json!({"rm": format!("images:/moved/{name}")}),
        ];
        env.write("steps", steps.map(|step| step.to_string() + "\n").concat());
        env.ok(["txn", "steps"]);
    }
    assert!(paths(&env, "images").is_empty());
    for folder in ["copy", "put", "again"] {
        let mut expected: Vec<String> = ODD.iter().map(|name| format!("/{folder}/{name}")).collect();
        expected.sort();
        assert_eq!(paths(&env, &format!("other:/{folder}")), expected);
    }
    assert_sound(&env);
}

#[test]
fn long_names_come_back_or_are_refused() {
    let env = test_env!();
    let put = |path: &str| env.with_stdin(["put", "images", "-", "--as", path], b"long");
    let part = format!("/{}", "n".repeat(255));
    let too_long = format!("/{}", "n".repeat(256));
    let deep = format!("/{}{}", "d".repeat(240), format!("/{}", "p".repeat(240)).repeat(15));
    let deep = format!("{deep}/{}", "f".repeat(4096 - deep.len() - 1));
    assert_eq!(deep.len(), 4096);
    for path in [&part, &deep] {
        assert!(put(path).status.success());
        assert_eq!(env.ok(["cat", &format!("images:{path}")]), "long");
    }
    let before = records(&env);
    for (path, why) in [(format!("{deep}x"), "longer than 4,096 bytes"), (too_long, "longer than 255 bytes")] {
        let refused = put(&path);
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains(why), "{}", env.shown(&refused));
    }
    assert_eq!(records(&env), before);
    env.ok(["get", "images", "all"]);
    assert_eq!(env.read(format!("all{part}")), "long");
    // Longer than the system accepts at once, but it can exist.
    env.ok(["get", "images", "all"]);
    env.ok(["rm", &format!("images:{deep}")]);
    assert_eq!(env.json(["ls", "-r", "images"]).len(), 1);
    assert_sound(&env);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_name_comes_back_or_is_refused(name in any::<String>()) {
        let bytes = name.clone().into_bytes();
        prop_assume!(!name.is_empty() && name != "." && name != ".." && bytes.len() < 256);
        prop_assume!(!bytes.contains(&0) && !bytes.contains(&b'/'));
        let env = test_env!();
        file(&env, "in", bytes);
        let before = records(&env);
        if format!("/{name}").parse::<FilePath>().is_ok() {
            env.ok(["put", "images", "in"]);
            env.ok(["get", "images", "out"]);
            prop_assert_eq!(names_in(env.work().join("out")), names_in(env.work().join("in")));
            prop_assert_eq!(paths(&env, "images"), [format!("/{name}")]);
        } else {
            prop_assert_eq!(env.exit_code(["put", "images", "in"]), 2);
            prop_assert_eq!(records(&env), before);
        }
    }
}

#[test]
fn names_of_repositories_branches_and_tags_have_bounds() {
    let env = test_env!();
    env.write("a", "one");
    let longest = "n".repeat(63);
    for repo in ["r", "R-2_x", "2", &longest] {
        env.ok(["repo", "create", repo]);
        env.ok(["put", repo, "a"]);
        for inner in ["b", "a.b/c", &longest] {
            env.ok(["branch", "create", &format!("{repo}@{inner}"), repo]);
            assert_eq!(env.ok(["cat", &format!("{repo}@{inner}:/a")]), "one");
        }
        env.ok(["tag", "create", &format!("{repo}@t{}", &longest[1..]), repo]);
    }
    let before = records(&env);
    let long = "n".repeat(64);
    for bad in [&long, "", "-a", "a-", "_a", "a_", ".a", "a b", "a:b", "\u{e9}", "a\nb"] {
        assert_eq!(env.exit_code(["repo", "create", "--", bad]), 2, "{bad:?}");
        assert_eq!(env.exit_code(["branch", "create", "--", &format!("images@{bad}")]), 2, "{bad:?}");
        assert_eq!(env.exit_code(["tag", "create", "--", &format!("images@{bad}"), "r"]), 2, "{bad:?}");
    }
    assert_eq!(env.exit_code(["repo", "create", "a.b"]), 2);
    assert_eq!(records(&env), before);
    assert_sound(&env);
}

#[test]
fn a_name_that_no_file_system_can_hold_is_refused_at_every_door() {
    let env = env_with_notes();
    let long = "w".repeat(256);
    let fits = &long[1..];
    env.write("x", "1");
    env.write("lines", format!("{{\"put\": \"notes\", \"from\": \"x\", \"as\": \"/{long}\"}}\n"));
    env.write("moves", format!("{{\"mv\": \"notes:/a\", \"to\": \"notes:/{long}\"}}\n"));
    let to = format!("notes:/{long}/x");
    let into = format!("notes:/{long}");
    let path = format!("/{long}");
    let refused: [&[&str]; 7] = [
        &["put", "notes", "x", "--as", &path],
        &["put", "notes", "x", "--as", &path, "--dry-run"],
        &["put", &into, "x"],
        &["mv", "notes:/a", &to],
        &["cp", "notes:/a", &to],
        &["txn", "lines"],
        &["txn", "moves", "--dry-run"],
    ];
    for args in refused {
        let (error, exit_code) = env.json_error(args);
        let said = error.to_string();
        assert!(exit_code == 2 && said.contains("a part of it is longer than 255 bytes"), "{args:?}: {error}");
    }
    assert_eq!(env.with_stdin(["put", "notes", "-", "--as", &path], b"1").status.code(), Some(2));
    assert_eq!(env.json(["log", "notes"]).len(), 1, "nothing was committed");
    env.ok(["put", "notes", "x", "--as", &format!("/{fits}")]);
    env.ok(["get", "notes", "got"]);
    assert_eq!(env.read(format!("got/{fits}")), "1");
    // The names of outputs are limited by the file system, except for links, whose names are those of the input.
    apply(&env, &spec_with("copy", &pfs("notes", "/w*"), &copy_of("notes"), ""));
    env.ok(["run"]);
    assert_eq!(env.ok(["cat", &format!("copy:/{fits}")]), "1");
}

#[test]
fn text_that_is_not_utf_8_is_wrong_usage_whoever_reads_it() {
    let env = env_with_notes();
    env.write("bad", b"{\"rm\": \"notes:/a\"}\n\xff\n");
    let calls: [&[&str]; 5] = [
        &["txn", "bad"],
        &["pipeline", "check", "-f", "bad"],
        &["pipeline", "apply", "-f", "bad"],
        &["plan", "-f", "bad"],
        &["verify", "--bundle", "bad", "--key", "bad"],
    ];
    for args in calls {
        let (error, exit_code) = env.json_error(args);
        assert_eq!(exit_code, 2, "{args:?}: {error}");
        assert!(
            error["message"].as_str().unwrap().contains("is not valid UTF-8: invalid byte at 19"),
            "{args:?}: {error}"
        );
    }
    assert_eq!(env.with_stdin(["txn", "-"], b"\xff").status.code(), Some(2));
    let listed = env.with_stdin(["put", "notes", "notes", "--files-from", "-"], b"\xff\n");
    assert_ne!(listed.status.code(), Some(0), "{}", env.shown(&listed));
    assert_eq!(env.json(["log", "notes"]).len(), 1, "nothing was committed");
}

#[test]
fn specs_that_are_too_large_are_refused_in_words() {
    let env = env_with_notes();
    let arms = vec!["{pfs: {repo: notes, glob: /}}"; 1_001].join(", ");
    env.write(
        "arms.yml",
        format!("{{pipeline: {{name: p}}, transform: {{image: 'd:1', cmd: [sh]}}, input: {{union: [{arms}]}}}}"),
    );
    env.write("long.yml", format!("# {}", "x".repeat(5 << 20)));
    for (file, said) in [
        ("arms.yml", "a pipeline has at most 1,000"),
        ("long.yml", "is longer than 4.2 MB"),
        ("/dev/zero", "is longer than 4.2 MB"),
    ] {
        for command in ["check", "apply"] {
            let output = env.output(["pipeline", command, "-f", file]);
            let shown = env.shown(&output);
            assert!(output.status.code() == Some(2) && shown.contains(said), "{shown}");
        }
    }
}
