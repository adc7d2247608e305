//! The API as tools of others see it: a validator of OpenAPI, schemathesis with tokens of each role, and a client that is made from the
//! document.
//!
//! `schemathesis.toml` says which answers are right besides those that every API gives, and why; `hooks.py` knows the forms of pv's texts.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sys::signal::Signal;
use tests::TestEnv;
use tests::tools::python_of;

use crate::server_page;
use crate::support::*;

/// Test cases for each operation. `PV_API_EXAMPLES` makes it more.
const EXAMPLES: &str = "4";

/// The folder with the tools; `None` if they are not installed.
fn tools() -> Option<PathBuf> {
    let python = python_of("api-tools");
    if python.is_none() {
        skip("the tools that call the API are not installed: scripts/setup.sh api");
    }
    python.and_then(|python| Some(python.parent()?.to_owned()))
}

/// A store with two repositories, a tag, and a pipeline that has run three times; a server, and its URL.
fn served() -> (TestEnv, Background, String) {
    let env = env_with_notes();
    env.ok(["repo", "create", "other"]);
    env.write("d/e", "e\n");
    env.ok(["put", "notes", "d", "-m", "second"]);
    env.ok(["put", "other", "notes/a"]);
    env.ok(["tag", "create", "notes@first"]);
    apply(&env, &spec("copy", "notes", &format!("echo done; {}", copy_of("notes"))));
    env.ok(["run"]);
    put_note(&env, "f", "f\n");
    apply(&env, &spec("fail", "notes", "grep a $notes && false"));
    env.output(["run"]);
    let args = ["serve", "-j", "2", "--listen", "127.0.0.1:0", "--rate", "0", "--trust-proxy", "127.0.0.1"];
    let serve = serve_with(&env, env.command(args));
    let stderr = serve.stderr();
    let url = stderr.lines().find_map(|line| line.strip_prefix("listening at ")).unwrap().to_owned();
    (env, serve, url)
}

fn token(env: &TestEnv, name: &str, role: &str, repos: &[&str]) -> String {
    let mut args = vec!["--json", "token", "create", name, "--role", role];
    for glob in repos {
        args.extend(["--repo", glob]);
    }
    let made = env.output(args);
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    made["token"].as_str().unwrap().to_owned()
}

fn done(output: &Output) -> String {
    let text = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}

/// Copies a file beside this one to the folder where commands run.
fn bring(env: &TestEnv, name: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/e2e/api");
    std::fs::copy(here.join(name), env.work().join(name)).unwrap();
}

/// Phases of schemathesis: each border of each schema, one at a time; then anything; then what follows from answers.
const ALL: &str = "coverage,fuzzing,stateful";
/// Borders are the same for everybody, and the most requests by far.
const WITHOUT_BORDERS: &str = "fuzzing,stateful";

/// Has schemathesis call everything with a token.
fn schemathesis(role: &str, repos: &[&str], phases: &str) {
    let Some(tools) = tools() else { return };
    let (env, serve, url) = served();
    let name = if repos.is_empty() { role } else { "limited" };
    let token = token(&env, name, role, repos);
    bring(&env, "hooks.py");
    bring(&env, "schemathesis.toml");
    let examples = std::env::var("PV_API_EXAMPLES").unwrap_or(EXAMPLES.to_owned());
    let mut command = Command::new(tools.join("schemathesis"));
    command.args(["--no-color", "--config-file", "schemathesis.toml", "run", "--checks", "all", "--seed", "1"]);
    command.args([
        "--phases",
        phases,
        "--max-examples",
        &examples,
        "--header",
        &format!("Authorization: Bearer {token}"),
    ]);
    command.arg(format!("{url}/api/v1/openapi.json"));
    command.env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONPATH", env.work()).current_dir(env.work());
    let output = command.output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{report}\n{}\n{}", String::from_utf8_lossy(&output.stderr), serve.stderr());
    // It did call it.
    assert!(report.contains("Test cases:"), "{report}");
    serve.send(Signal::SIGTERM);
    serve.end().assert_code(0);
    assert_sound(&env);
}

#[test]
fn schemathesis_finds_nothing_with_the_token_of_an_admin() {
    schemathesis("admin", &[], ALL);
}

#[test]
fn schemathesis_finds_nothing_with_the_token_of_a_writer() {
    schemathesis("writer", &[], WITHOUT_BORDERS);
}

#[test]
fn schemathesis_finds_nothing_with_the_token_of_a_reader() {
    schemathesis("reader", &[], WITHOUT_BORDERS);
}

#[test]
fn schemathesis_finds_nothing_with_a_token_for_some_repositories() {
    schemathesis("admin", &["note*"], WITHOUT_BORDERS);
}

#[test]
fn a_validator_accepts_the_document() {
    let Some(tools) = tools() else { return };
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/server/openapi.json");
    let output = Command::new(tools.join("openapi-spec-validator")).arg(&document).output().unwrap();
    done(&output);
    // It does refuse others.
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.json");
    let text =
        std::fs::read_to_string(&document).unwrap().replace("\"operationId\": \"showRepo\"", "\"operationId\": 1");
    std::fs::write(&wrong, text).unwrap();
    assert!(!Command::new(tools.join("openapi-spec-validator")).arg(&wrong).output().unwrap().status.success());
}

/// The box of the page with the client's lines.
fn client_box() -> String {
    let page = server_page::page();
    let boxes = server_page::boxes(&page).into_iter();
    boxes.filter(|(language, _)| *language == "python client").map(|(_, text)| text.to_owned()).next().unwrap()
}

#[test]
fn a_generated_client_puts_waits_and_traces_in_the_lines_of_the_page() {
    let Some(tools) = tools() else { return };
    let lines = client_box();
    let count = lines.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(count <= 10, "{count} lines");
    let (env, serve, url) = served();
    let token = token(&env, "anna", "writer", &[]);
    let page = server_page::page();
    let make = page.lines().find(|line| line.starts_with("openapi-python-client generate")).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/server/openapi.json");
    std::fs::copy(document, env.work().join("openapi.json")).unwrap();
    let mut bash = Command::new("bash");
    done(&bash.args(["-euo", "pipefail", "-c", make]).env("PATH", &path).current_dir(env.work()).output().unwrap());
    let mut python = Command::new(tools.join("python"));
    python
        .args(["-c", &lines])
        .env("URL", &url)
        .env("PV_TOKEN", &token)
        .env("PYTHONPATH", env.work().join("pv-client"));
    let printed = done(&python.current_dir(env.work()).output().unwrap());
    assert!(printed.contains("True") && printed.contains("'repo': 'notes'"), "{printed}");
    assert_eq!(env.ok(["cat", "copy:/from-a-program.txt"]), "hello\n");
    serve.send(Signal::SIGTERM);
    serve.end().assert_code(0);
}
