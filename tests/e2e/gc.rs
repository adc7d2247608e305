//! `pv gc`, `pv commit prune`, `pv commit delete`

use serde_json::Value;
use tests::{TestEnv, test_env};

use crate::support::*;

fn json<const N: usize>(env: &TestEnv, args: [&str; N]) -> Value {
    serde_json::from_str(env.ok(args).trim()).unwrap()
}

fn freed(view: &Value) -> u64 {
    view["freed_bytes"].as_u64().unwrap()
}

fn packed(env: &TestEnv) -> u64 {
    let packs = std::fs::read_dir(env.dir().join(".pv/packs")).unwrap();
    packs.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// Checks that a collection removes exactly what a dry run announces, also in the sum over reasons.
fn collect(env: &TestEnv) -> Value {
    let said = json(env, ["gc", "--dry-run", "--json"]);
    let by_reason: u64 = said["gone"].as_array().unwrap().iter().map(|gone| gone["size_bytes"].as_u64().unwrap()).sum();
    assert_eq!(by_reason, freed(&said), "{said}");
    // Records of dropped commits are in the journal, not in packs.
    let before = packed(env);
    let done = json(env, ["gc", "--json"]);
    assert_eq!(freed(&said), freed(&done), "{said}\n{done}");
    assert_eq!(said["gone"], done["gone"]);
    assert_eq!(before - packed(env), freed(&done));
    env.ok(["fsck"]);
    done
}

fn bytes_for(view: &Value, reason: &str, repo: &str) -> u64 {
    let gone = view["gone"].as_array().unwrap().iter();
    gone.filter(|gone| gone["reason"] == reason && gone["repo"] == repo)
        .map(|gone| gone["size_bytes"].as_u64().unwrap())
        .sum()
}

#[test]
fn a_deleted_branch_frees_its_files_after_the_grace() {
    let env = test_env!();
    env.write("keep", noise(10_000, 1));
    env.ok(["put", "images", "keep"]);
    env.ok(["branch", "create", "images@candidate"]);
    env.write("big", noise(1_000_000, 2));
    env.ok(["put", "images@candidate", "big"]);
    let said = json(&env, ["gc", "--dry-run", "--json"]);
    assert_eq!(said["largest"][0]["path"], "/big");
    assert_eq!(said["largest"][0]["held_by"], "branch images@candidate");
    assert_eq!(said["only"][0]["held_by"], "branch images@candidate");
    assert!(said["only"][0]["size_bytes"].as_u64().unwrap() > 1_000_000);
    let id = json(&env, ["show", "images@candidate", "--json"])["id"].as_str().unwrap().to_owned();
    env.ok(["branch", "delete", "images@candidate", "--yes"]);
    assert_eq!(bytes_for(&collect(&env), "expired", "images"), 0);
    assert_eq!(env.ok(["branch", "create", "images@again", &format!("images@{id}")]).trim(), "images@again");
    env.ok(["branch", "delete", "images@again", "--yes"]);
    env.ok(["config", "set", "gc_grace", "0s"]);
    assert!(bytes_for(&collect(&env), "expired", "images") > 1_000_000);
    assert_eq!(freed(&collect(&env)), 0);
    // The document still exists, and lists the files.
    assert!(env.ok(["ls", &format!("images@{id}")]).contains("/big"));
    let said = env.pv(["cat", &format!("images@{id}:/big")]);
    assert!(said.contains("--- exit 3") && said.contains("is no longer stored: dropped on"), "{said}");
    assert_eq!(env.exit_code(["get", &format!("images@{id}"), "out"]), 3);
    assert_eq!(env.exit_code(["branch", "create", "images@back", &format!("images@{id}")]), 4);
    assert_eq!(env.exit_code(["tag", "create", "images@v1", &format!("images@{id}")]), 4);
    // Files that main also has are still readable there.
    assert_eq!(env.ok(["cat", &format!("images@{id}:/keep")]), env.ok(["cat", "images:/keep"]));
    env.ok(["put", "images", "big"]);
    assert_eq!(env.exit_code(["cat", &format!("images@{id}:/big")]), 0);
}

#[test]
fn pruned_commits_keep_all_but_their_files() {
    let env = test_env!();
    for version in ["first", "second", "third", "fourth"] {
        env.write("a", noise(5_000, version.len() as u64 + u64::from(version.as_bytes()[1])));
        env.write("same", "same");
        env.ok(["put", "images", "a", "same", "-m", version]);
    }
    env.ok(["tag", "create", "images@release", "images@main~2"]);
    assert_eq!(env.exit_code(["commit", "prune", "images"]), 2);
    let said = json(&env, ["commit", "prune", "images", "--keep", "1", "--dry-run", "--json"]);
    assert_eq!(said["commits"].as_array().unwrap().len(), 2, "{said}");
    assert!(said["size_bytes"].as_u64().unwrap() > 10_000);
    assert_eq!(env.exit_code(["commit", "prune", "images", "--keep", "1"]), 7);
    let done = json(&env, ["commit", "prune", "images", "--keep", "1", "--yes", "--json"]);
    assert_eq!(done["size_bytes"], said["size_bytes"]);
    // Until garbage collection the bytes are readable.
    assert_eq!(env.exit_code(["cat", "images@main~1:/a"]), 0);
    assert_eq!(Some(bytes_for(&collect(&env), "pruned", "images")), said["size_bytes"].as_u64());
    for (reference, code) in
        [("images:/a", 0), ("images@main~1:/a", 3), ("images@release:/a", 0), ("images@main~3:/a", 3)]
    {
        assert_eq!(env.exit_code(["cat", reference]), code, "{reference}");
    }
    assert_eq!(env.ok(["cat", "images@main~3:/same"]), "same");
    assert_eq!(env.ok(["log", "images", "--json"]).lines().count(), 4);
    assert!(env.ok(["ls", "images@main~3"]).contains("/a"));
    assert_eq!(env.exit_code(["branch", "move", "images@main", "images@main~1"]), 4);
    assert_eq!(env.exit_code(["cp", "images@main~1:/a", "images:/b"]), 3);
    assert_eq!(env.exit_code(["revert", "images"]), 3);
    assert_eq!(env.exit_code(["cp", "images@main~1:/same", "images:/b"]), 0);
}

#[test]
fn retention_prunes_what_is_old() {
    let env = test_env!();
    for content in ["1", "2", "3"] {
        env.write("a", content);
        env.ok(["put", "images", "a"]);
    }
    assert_eq!(env.exit_code(["config", "set", "retention", "soon"]), 2);
    env.ok(["config", "set", "retention", "0s"]);
    assert!(bytes_for(&collect(&env), "retention", "images") > 0);
    assert_eq!(env.exit_code(["cat", "images@main^:/a"]), 3);
    assert_eq!(env.ok(["cat", "images:/a"]), "3");
}

#[test]
fn only_a_head_that_nothing_names_is_deleted() {
    let env = test_env!();
    env.write("a", "1");
    env.ok(["put", "images", "a"]);
    env.write("a", noise(20_000, 7));
    env.ok(["put", "images", "a"]);
    let id = json(&env, ["show", "images", "--json"])["id"].as_str().unwrap().to_owned();
    assert_eq!(env.exit_code(["commit", "delete", "images@main^", "--yes"]), 4);
    env.ok(["tag", "create", "images@v1"]);
    let said = env.pv(["commit", "delete", "images", "--yes"]);
    assert!(said.contains("--- exit 4") && said.contains("tag images@v1"), "{said}");
    env.ok(["tag", "delete", "images@v1", "--yes"]);
    assert_eq!(env.exit_code(["commit", "delete", "images"]), 7);
    env.ok(["commit", "delete", "images", "--yes"]);
    assert_eq!(env.ok(["cat", "images:/a"]), "1");
    let said = env.pv(["show", &format!("images@{id}")]);
    assert!(said.contains("--- exit 3") && said.contains("deleted on"), "{said}");
    assert!(bytes_for(&collect(&env), "deleted", "images") > 20_000);
    env.ok(["log"]);
    env.ok(["commit", "delete", "images", "--yes"]);
    assert_eq!(env.exit_code(["cat", "images:/a"]), 3);
}
