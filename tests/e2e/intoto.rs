//! `pv trace --format intoto`, checked with other tools.

use std::path::Path;
use std::process::{Command, Output};

use tests::TestEnv;
use tests::tools::python_of;

use crate::support::*;

/// The verdict of the other tools on these envelopes with this key.
fn checked(python: &Path, env: &TestEnv, envelopes: &str, key: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/check_intoto.py");
    Command::new(python).arg(script).arg(env.work().join(envelopes)).arg(env.work().join(key)).output().unwrap()
}

#[test]
fn outside_tools_accept_statements_of_all_commits_on_the_way() {
    let Some(python) = python_of("proof-tools") else {
        skip("in-toto-attestation and securesystemslib are not there: scripts/setup.sh proof");
        return;
    };
    let env = env_with_notes();
    apply(&env, &spec("copy", "notes", &copy_of("notes")));
    apply(&env, &spec("last", "copy", &copy_of("copy")));
    env.ok(["run"]);
    env.write("envelopes", env.ok(["trace", "last:/a", "--format", "intoto"]));
    env.write("key.pem", env.ok(["key", "show"]));
    let output = checked(&python, &env, "envelopes", "key.pem");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let told: Vec<Vec<&str>> = said.lines().map(|line| line.split(' ').collect()).collect();
    let expected = ["last", "copy", "notes"].map(|repo| {
        let id = env.json(["show", repo])[0]["id"].as_str().unwrap().to_owned();
        let kind = if repo == "notes" { "pv:predicate/commit/v1" } else { "https://slsa.dev/provenance/v1" };
        [format!("{repo}@{id}"), id, kind.to_owned()]
    });
    assert_eq!(told, expected);

    // Fails with another key, and after a changed letter.
    let other = env_with_notes();
    env.write("other.pem", other.ok(["key", "show"]));
    assert!(!checked(&python, &env, "envelopes", "other.pem").status.success());
    let text = env.read("envelopes");
    let at = text.find("payload\":\"").unwrap() + 40;
    let other_letter = if &text[at..=at] == "A" { "B" } else { "A" };
    env.write("changed", format!("{}{other_letter}{}", &text[..at], &text[at + 1..]));
    assert!(!checked(&python, &env, "changed", "key.pem").status.success());
}
