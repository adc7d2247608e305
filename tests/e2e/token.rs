//! `pv token` and `pv audit`: tokens are shown once, kept as digests, and end; what was done with them is listed.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tests::{TestEnv, test_env};

/// What a command prints to stdout and stderr.
fn both<const N: usize>(env: &TestEnv, args: [&str; N]) -> (String, String) {
    let output = env.output(args);
    assert!(output.status.success());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn a_token_is_shown_once_and_kept_as_its_digest() {
    let env = test_env!();
    let limits = ["--role", "writer", "--repo", "images", "--repo", "cam*", "--expires", "90d"];
    let output = env.output(["token", "create", "ci"].iter().chain(&limits));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (token, said) = (text(output.stdout).trim().to_owned(), text(output.stderr));
    assert!(token.starts_with("pv_") && token.len() == 52, "{token}");
    assert!(said.contains("token `ci`: writer of `images cam*`; it ends 20"), "{said}");
    assert!(said.contains("keep it now: it is not shown again"), "{said}");
    let file = env.dir().join(".pv/tokens");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&token) && !text.contains(&token[3..20]));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let listed = &env.json(["token", "list"])[0];
    assert_eq!(listed["name"], "ci");
    assert_eq!(listed["role"], "writer");
    assert_eq!(listed["repos"], json!(["images", "cam*"]));
    assert_eq!(listed["state"], "valid");
    assert_eq!(listed["used_at"], json!(null));
    assert!(!listed.to_string().contains(&token[3..20]));
    let made = &env.json(["token", "create", "anna", "--role", "reader"])[0];
    assert_eq!((made["repos"].clone(), made["expires_at"].clone()), (json!(["*"]), json!(null)));
    assert_eq!(made["token"].as_str().unwrap().len(), 52);
    let (_, said) = both(&env, ["token", "create", "edge", "--role", "worker"]);
    assert!(said.starts_with("token `edge`: worker; it does not end\n"), "{said}");
    assert!(env.ok(["token", "list"]).lines().any(|line| line.starts_with("edge") && line.contains(" none ")));
}

#[test]
fn names_are_unique_among_tokens_that_work_and_revoked_ones_are_gone() {
    let env = test_env!();
    env.ok(["token", "create", "ci", "--role", "reader"]);
    insta::assert_snapshot!(env.pv(["token", "create", "ci", "--role", "admin"]), @r"
    --- stderr
    error: token `ci` already exists
    hint: pv token revoke ci, or use another name
    --- exit 4
    ");
    insta::assert_snapshot!(env.pv(["token", "revoke", "cl"]), @r"
    --- stderr
    error: token `cl` not found
    hint: did you mean `ci`?
    --- exit 3
    ");
    insta::assert_snapshot!(env.pv(["token", "revoke", "ci"]), @r"
    --- stderr
    token `ci` is revoked; requests with it are refused from now on
    ");
    assert_eq!(env.json(["token", "list"]), Vec::<serde_json::Value>::new());
    assert_eq!(env.json(["token", "list", "--all"])[0]["state"], "revoked");
    assert_eq!(env.exit_code(["token", "revoke", "ci"]), 3);
    env.ok(["token", "create", "ci", "--role", "reader"]);
}

#[test]
fn what_is_not_a_role_a_glob_or_a_time_is_refused() {
    let env = test_env!();
    insta::assert_snapshot!(env.pv(["token", "create", "ci", "--role", "owner"]), @r"
    --- stderr
    error: `owner` is not a role: use `reader`, `writer`, `admin` or `worker`
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["token", "create", "ci", "--role", "reader", "--repo", "a/b"]), @r"
    --- stderr
    error: `a/b` does not describe names of repositories: no name of a repository contains `/`
    hint: --repo images, or --repo 'cam*'
    --- exit 2
    ");
    insta::assert_snapshot!(env.pv(["token", "create", "edge", "--role", "worker", "--repo", "images"]), @r"
    --- stderr
    error: token `edge` is for a worker, which cannot be limited to some repositories
    hint: leave out --repo
    --- exit 2
    ");
    assert_eq!(env.exit_code(["token", "create", "ci", "--role", "reader", "--expires", "0s"]), 2);
    assert_eq!(env.exit_code(["token", "create", "ci"]), 2);
    assert_eq!(env.json(["token", "list", "--all"]), Vec::<serde_json::Value>::new());
}

#[test]
fn a_token_that_ends_within_a_week_is_announced() {
    let env = test_env!();
    env.ok(["token", "create", "short", "--role", "reader", "--expires", "6d"]);
    env.ok(["token", "create", "long", "--role", "reader", "--expires", "8d"]);
    let (listed, said) = both(&env, ["token", "list"]);
    assert!(listed.contains("ends soon") && listed.contains("valid"), "{listed}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("token `short` expires "), "{said}");
}

#[test]
fn the_audit_log_is_listed_newest_first() {
    let env = test_env!();
    assert_eq!(env.json(["audit"]), Vec::<serde_json::Value>::new());
    let line = |second: u32, who: &str, outcome: u32| {
        json!({"at": format!("2026-07-01T00:00:{second:02}.000000Z"), "who": who, "from": "192.0.2.1", "operation": "commits.create",
               "on": "images", "outcome": outcome})
    };
    let lines = [line(1, "ci", 201), line(2, "anna", 403), line(3, "ci", 412)];
    let text = lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n";
    std::fs::write(env.dir().join(".pv/audit"), text + "{\"at\": \"cut off").unwrap();
    assert_eq!(env.json(["audit"]), [lines[2].clone(), lines[1].clone(), lines[0].clone()]);
    assert_eq!(env.json(["audit", "--who", "ci", "-n", "1"]), [lines[2].clone()]);
    assert_eq!(env.json(["audit", "--since", "2026-07-01T00:00:02Z"]).len(), 2);
    let table = env.ok(["audit", "--who", "anna"]);
    assert!(table.contains("commits.create") && table.contains("403"), "{table}");
}
