//! `pv diff`

use serde_json::json;
use tests::{TestEnv, test_env};

fn env_with_changes() -> TestEnv {
    let env = test_env!();
    for (path, bytes) in [("d/gone", "1"), ("d/changed", "22"), ("d/old-name", "moved bytes"), ("d/same", "4")] {
        env.write(path, bytes);
    }
    env.ok(["put", "images", "d"]);
    std::fs::remove_file(env.work().join("d/gone")).unwrap();
    std::fs::rename(env.work().join("d/old-name"), env.work().join("d/sub-name")).unwrap();
    env.write("d/changed", "333");
    env.write("d/new", "55555");
    env.ok(["put", "images", "d", "--mirror"]);
    env
}

#[test]
fn a_commit_is_compared_with_the_one_before() {
    let env = env_with_changes();
    insta::assert_snapshot!(env.pv(["diff", "images"]), @r"
    --- stdout
    images@[id 1] → images@[id 2]
    ~ /changed  2 B → 3 B
    - /gone  1 B
    + /new  5 B
    > /old-name → /sub-name
    1 added, 1 removed, 1 modified, 1 renamed · 14 B → 19 B
    ");
    insta::assert_snapshot!(env.pv(["diff", "images@main^"]), @r"
    --- stdout
    nothing → images@[id 1]
    + /changed  2 B
    + /gone  1 B
    + /old-name  11 B
    + /same  1 B
    4 added, 0 removed, 0 modified, 0 renamed · 0 B → 15 B
    ");
    insta::assert_snapshot!(env.pv(["diff", "images", "images@main^", "--stat"]), @r"
    --- stdout
    images@[id 2] → images@[id 1]
    1 added, 1 removed, 1 modified, 1 renamed · 19 B → 14 B
    ");
    insta::assert_snapshot!(env.pv(["diff", "images", "--name-only"]), @r"
    --- stdout
    /changed
    /gone
    /new
    /sub-name
    ");
    insta::assert_snapshot!(env.pv(["diff", "images:/new"]), @r"
    --- stdout
    images@[id 1] → images@[id 2]
    + /new  5 B
    1 added, 0 removed, 0 modified, 0 renamed · 0 B → 5 B
    ");
}

#[test]
fn json_has_one_object_a_path() {
    let env = env_with_changes();
    let diff = env.json(["diff", "images@main^", "images"]);
    let short: Vec<_> = diff.iter().map(|entry| json!([entry["path"], entry["change"]])).collect();
    let expected = json!([["/changed", "modified"], ["/gone", "removed"], ["/new", "added"], ["/sub-name", "renamed"]]);
    assert_eq!(json!(short), expected);
    assert_eq!(diff[3]["old"]["path"], "/old-name");
    assert_eq!([&diff[1]["new"], &diff[2]["old"]], [&json!(null), &json!(null)]);
    assert_eq!(diff[0]["new"]["size_bytes"], 3);
    assert_eq!(env.json(["diff", "images", "--stat"])[0]["added"], 1);
}

#[test]
fn the_exit_code_tells_whether_something_differs() {
    let env = env_with_changes();
    assert_eq!(env.exit_code(["diff", "images"]), 0);
    assert_eq!(env.exit_code(["diff", "images", "--exit-code"]), 1);
    assert_eq!(env.exit_code(["diff", "images", "images", "--exit-code"]), 0);
    assert_eq!(env.exit_code(["diff", "images:/same", "--exit-code"]), 0);
    assert_eq!(env.exit_code(["diff", "images:/a", "images:/b"]), 2);
}
