//! Known stores: a store that was restored from a backup, or replaced by another one, is reported.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tests::{TestEnv, test_env};

use crate::support::serve;

/// A call of `pv` that records known stores.
fn command(env: &TestEnv, args: &[&str]) -> Command {
    let mut command = env.command(args);
    command.env("PV_KNOWN_STORES", env.dir().join("known"));
    command
}

fn pv(env: &TestEnv, args: &[&str]) -> Output {
    command(env, args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn put(env: &TestEnv, content: &str) -> Output {
    env.write("a", content);
    pv(env, &["put", "images", "a"])
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Replaces the store by a backup.
fn put_back(env: &TestEnv, backup: &str) {
    std::fs::remove_dir_all(env.dir().join(".pv")).unwrap();
    copy(&env.dir().join(backup), &env.dir().join(".pv"));
}

const WARNING: &str = "WARNING: THIS STORE HAS CHANGED UNEXPECTEDLY";

#[test]
fn a_backup_that_was_put_back_is_said_once_and_is_not_proven_until_it_is_accepted() {
    let env = test_env!();
    put(&env, "1");
    copy(&env.dir().join(".pv"), &env.dir().join("backup"));
    put(&env, "2");
    let fine = pv(&env, &["verify"]);
    assert!(String::from_utf8_lossy(&fine.stdout).contains("on this machine"), "{fine:?}");
    put_back(&env, "backup");
    insta::assert_snapshot!(env.shown(&pv(&env, &["ls", "images"])), @r#"
    --- stdout
        1 B  [id 1]  /a
    --- stderr
    WARNING: THIS STORE HAS CHANGED UNEXPECTEDLY: [dir]: the journal was truncated to 3 records
      seen [time]  store [id 2], 4 records, root [id 3], key [id 4]
      now  store [id 2], 3 records, root [id 5], key [id 4]
      Possible causes: a restored backup, a disk that lost confirmed writes, or tampering.
    hint: pv verify --checkpoint FILE compares it with a checkpoint
          pv checkpoint --accept accepts it as it is
    "#);
    assert!(!stderr(&pv(&env, &["ls", "images"])).contains(WARNING), "once");
    let verified = pv(&env, &["verify"]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(stderr(&verified).contains("the journal was truncated to 3 records"), "{verified:?}");
    // Continuing from there does not make it right, and nothing is signed beside the earlier signatures.
    assert!(put(&env, "3").status.success());
    let verified = pv(&env, &["verify"]);
    assert!(stderr(&verified).contains("the journal differs at record"), "{verified:?}");
    assert_eq!(pv(&env, &["checkpoint"]).status.code(), Some(4));
    let accepted = pv(&env, &["checkpoint", "--accept"]);
    assert!(stderr(&accepted).starts_with("accepted as it is: store "), "{accepted:?}");
    for args in [&["verify"][..], &["checkpoint"], &["ls"]] {
        let output = pv(&env, args);
        assert!(output.status.success() && !stderr(&output).contains(WARNING), "{output:?}");
    }
    // Where it has not been seen before, there is nothing to report.
    env.ok(["verify"]);
}

#[test]
fn a_store_that_is_right_again_is_said_again_when_it_is_not() {
    let env = test_env!();
    put(&env, "1");
    copy(&env.dir().join(".pv"), &env.dir().join("backup"));
    put(&env, "2");
    copy(&env.dir().join(".pv"), &env.dir().join("whole"));
    for _ in 0..2 {
        put_back(&env, "backup");
        assert!(stderr(&pv(&env, &["status"])).contains(WARNING));
        put_back(&env, "whole");
        let output = pv(&env, &["verify"]);
        assert!(output.status.success() && !stderr(&output).contains(WARNING), "{output:?}");
    }
}

#[test]
fn another_store_at_the_same_place_is_said() {
    let env = test_env!();
    put(&env, "1");
    copy(&env.dir().join(".pv"), &env.dir().join("first"));
    let other = test_env!();
    copy(&other.dir().join(".pv"), &env.dir().join("other"));
    put_back(&env, "other");
    let output = pv(&env, &["status"]);
    assert!(stderr(&output).contains("another store is at this place"), "{output:?}");
    assert_eq!(pv(&env, &["verify"]).status.code(), Some(1));
    assert!(pv(&env, &["checkpoint", "--accept"]).status.success());
    assert!(pv(&env, &["verify"]).status.success());
    // Creating a new store there is deliberate.
    std::fs::remove_dir_all(env.dir().join(".pv")).unwrap();
    assert!(pv(&env, &["init", ".."]).status.success());
    assert!(!stderr(&pv(&env, &["status"])).contains(WARNING));
    // The first one is recognised at any place.
    let moved = env.dir().join("moved");
    std::fs::create_dir(&moved).unwrap();
    copy(&env.dir().join("first"), &moved.join(".pv"));
    let output = pv(&env, &["--store", moved.to_str().unwrap(), "verify"]);
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("on this machine"),
        "{output:?}"
    );
}

#[test]
fn commands_beside_an_owner_note_what_they_see_for_their_own_user() {
    let env = test_env!();
    let server = serve(&env);
    put(&env, "1");
    copy(&env.dir().join(".pv"), &env.dir().join("backup"));
    put(&env, "2");
    drop(server);
    std::fs::remove_file(env.dir().join("backup/socket")).ok();
    put_back(&env, "backup");
    let server = serve(&env);
    let output = pv(&env, &["ls", "images"]);
    assert!(stderr(&output).contains(WARNING), "{output:?}");
    assert_eq!(pv(&env, &["verify"]).status.code(), Some(1));
    assert!(pv(&env, &["checkpoint", "--accept"]).status.success());
    assert!(pv(&env, &["verify"]).status.success());
    drop(server);
}

#[test]
fn without_a_home_or_with_one_that_cannot_be_written_all_works() {
    let env = test_env!();
    let locked = env.dir().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o500)).unwrap();
    std::fs::write(env.dir().join("file"), "").unwrap();
    let file = env.dir().join("file");
    for known in
        [Some(locked.join("a/b")), Some(file.join("below")), Some("/proc/none".into()), Some("none".into()), None]
    {
        let mut put = env.command(["put", "images", "a"]);
        env.write("a", format!("{known:?}"));
        put.env_remove("PV_KNOWN_STORES").env_remove("HOME");
        if let Some(known) = &known {
            put.env("PV_KNOWN_STORES", known);
        }
        let output = put.output().unwrap();
        assert!(output.status.success() && !stderr(&output).contains("known"), "{output:?}");
    }
    let accepted = env.output(["checkpoint", "--accept"]);
    assert_eq!(accepted.status.code(), Some(4), "nothing is noted in tests unless they ask: {accepted:?}");
    // By default the record is below the user's state folder.
    let status = env.command(["status"]).env_remove("PV_KNOWN_STORES").output().unwrap();
    assert!(status.status.success());
    assert!(env.dir().join(".local/state/pv/known_stores/places").is_dir());
    let elsewhere = env.dir().join("state");
    let mut status = env.command(["status"]);
    assert!(status.env_remove("PV_KNOWN_STORES").env("XDG_STATE_HOME", &elsewhere).output().unwrap().status.success());
    assert!(elsewhere.join("pv/known_stores/places").is_dir());
}

#[test]
fn no_more_than_a_thousand_stores_are_remembered() {
    let env = test_env!();
    let known = env.dir().join("known");
    std::fs::create_dir(&known).unwrap();
    for number in 0..1000 {
        std::fs::write(known.join(format!("{number:032x}")), "{}").unwrap();
    }
    put(&env, "1");
    let left = std::fs::read_dir(&known).unwrap().count();
    assert_eq!(left, 900 + 2, "with this store and the folder of places");
    assert!(String::from_utf8_lossy(&pv(&env, &["verify"]).stdout).contains("on this machine"));
}

#[test]
fn files_that_are_not_whole_are_not_known() {
    let env = test_env!();
    put(&env, "1");
    for entry in std::fs::read_dir(env.dir().join("known")).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            std::fs::write(entry.path(), "{\"store\": ").unwrap();
        }
    }
    assert!(pv(&env, &["verify"]).status.success());
    assert!(put(&env, "2").status.success());
    assert!(String::from_utf8_lossy(&pv(&env, &["verify"]).stdout).contains("on this machine"));
}
