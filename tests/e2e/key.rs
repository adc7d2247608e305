//! `pv key`

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tests::{TestEnv, test_env};

use crate::support::{env_with_notes, put_note, serve};

fn mode(env: &TestEnv, file: &str, mode: u32) {
    std::fs::set_permissions(env.dir().join(file), std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The key that signed the newest commit of a repository with its only, valid signature.
fn signer(env: &TestEnv, repo: &str) -> String {
    let commit = env.json(["show", repo]).remove(0);
    let signatures = commit["signatures"].as_array().unwrap();
    assert_eq!((signatures.len(), &signatures[0]["state"]), (1, &"good".into()));
    signatures[0]["key"].as_str().unwrap().to_owned()
}

fn sh(env: &TestEnv, script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).current_dir(env.work()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_key_is_made_with_the_store_and_openssl_reads_it() {
    let env = test_env!();
    env.write("a", "1");
    env.ok(["put", "images", "a"]);
    env.write("key.pem", env.ok(["key", "show"]));
    let keys = env.json(["key", "show"]);
    let fingerprint = keys[0]["fingerprint"].as_str().unwrap();
    let said = sh(&env, "openssl pkey -pubin -in key.pem -outform DER | sha256sum");
    assert_eq!(said.split(' ').next(), Some(fingerprint));
    assert_eq!(sh(&env, "openssl pkey -in ../.pv/key -pubout"), env.read("key.pem"), "the private half is its own");
    assert_eq!(signer(&env, "images"), fingerprint);
    let private = std::fs::read_to_string(env.dir().join(".pv/key")).unwrap();
    let secret = private.lines().nth(1).unwrap();
    let found = sh(&env, &format!("grep -rlF '{secret}' .. | sort"));
    assert_eq!(found, "../.pv/key\n", "it is nowhere else");
}

#[test]
fn a_key_is_replaced_and_both_stay_on_record() {
    let env = test_env!();
    env.write("a", "1");
    env.ok(["put", "images", "a"]);
    let old = signer(&env, "images");
    insta::assert_snapshot!(env.pv(["key", "rotate"]), @r#"
    --- stdout
    [id 1]
    --- stderr
    replaces [id 2], which signed it; next: pv key show
    "#);
    env.write("a", "2");
    env.ok(["put", "images", "a"]);
    let keys = env.json(["key", "show"]);
    assert_eq!((keys[0]["fingerprint"].as_str(), &keys[0]["own"]), (Some(old.as_str()), &false.into()));
    assert_eq!((&keys[1]["previous"], &keys[1]["own"]), (&old.as_str().into(), &true.into()));
    assert_eq!(keys[1]["fingerprint"].as_str(), Some(signer(&env, "images").as_str()));
    insta::assert_snapshot!(env.pv(["key", "show"]).lines().rev().take(2).collect::<Vec<_>>().join("\n"), @r#"
    key [id 1]  since [time]  on this machine
    key [id 2]  since [time]  replaced [time]
    "#);
    env.ok(["verify", "images@main^"]);
    env.ok(["verify"]);
    env.ok(["fsck"]);
}

#[test]
fn a_key_that_others_may_read_is_refused_and_reading_needs_none() {
    let env = test_env!();
    env.write("a", "1");
    mode(&env, ".pv/key", 0o640);
    insta::assert_snapshot!(env.pv(["put", "images", "a"]), @r#"
    --- stderr
    error: the key `[dir]/.pv/key` can be read or changed by other users (its mode is 640); nothing was committed
    hint: chmod 600 [dir]/.pv/key; if others could read it, also: pv key rotate
    --- exit 4
    "#);
    assert_eq!(env.exit_code(["repo", "create", "more"]), 4, "each change is signed");
    mode(&env, ".pv/key", 0o600);
    env.ok(["put", "images", "a"]);
    mode(&env, ".pv/key", 0o644);
    assert_eq!(env.ok(["cat", "images:/a"]), "1");
    env.ok(["verify", "images:/a"]);
}

#[test]
fn the_key_can_be_elsewhere() {
    let env = test_env!();
    env.write("a", "1");
    let mut put = env.command(["put", "images", "a"]);
    let output = put.env("PV_KEY", "mine.key").output().unwrap();
    assert!(output.status.success());
    assert!(env.work().join("mine.key").exists());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("a new key was created") && stderr.contains("NOT PROVEN until"), "{stderr}");
    let keys = env.json(["key", "show"]);
    assert_eq!((keys.len(), &keys[0]["vouched"], &keys[1]["vouched"]), (2, &true.into(), &false.into()));
    let (error, code) = env.json_error(["verify", "images:/a"]);
    assert!(code == 1 && error["message"].as_str().unwrap().contains("is not trusted"), "{error}");
    let shown = env.ok(["fsck"]);
    assert!(shown.contains("is not proven"), "{shown}");
    // On the machine with the store's key a user vouches for it.
    env.ok(["key", "trust", &keys[1]["fingerprint"].as_str().unwrap()[..12]]);
    env.ok(["verify", "images:/a"]);
    assert_eq!(env.exit_code(["key", "trust", "00000000"]), 3);
    assert_eq!(env.exit_code(["key", "trust", "00"]), 2);
}

#[test]
fn a_key_is_replaced_beside_an_engine_that_runs() {
    let env = env_with_notes();
    let server = serve(&env);
    let new = env.ok(["key", "rotate"]);
    put_note(&env, "d", "4");
    assert_eq!(signer(&env, "notes"), new.trim());
    drop(server);
    env.ok(["verify"]);
}
