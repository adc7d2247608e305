//! `pv diff`: which paths differ, here; what is in them (`reckoned`); why outputs differ, and which decisions do (`outputs`).

mod outputs;
mod reckoned;

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

#[test]
fn what_is_in_files_is_compared_by_their_kind() {
    let env = test_env!();
    env.write("d/m.json", r#"{"auc": 0.76, "layers": [64, 32]}"#);
    env.write("d/notes.txt", "one\ntwo\n");
    env.write("d/broken.json", r#"{"a": 1}"#);
    env.ok(["put", "images", "d"]);
    env.write("d/m.json", r#"{"auc": 0.80, "layers": [64, 32, 8]}"#);
    env.write("d/notes.txt", "one\n2\n");
    env.write("d/broken.json", r#"{"a": }"#);
    env.ok(["put", "images", "d"]);
    insta::assert_snapshot!(env.pv(["diff", "images"]), @"");
    insta::assert_snapshot!(env.pv(["diff", "images", "--md"]), @"");
    insta::assert_snapshot!(env.pv(["diff", "images@main^:/m.json", "images:/notes.txt"]), @"");
    let details: Vec<_> = env.json(["diff", "images"]).iter().map(|entry| entry["detail"]["kind"].clone()).collect();
    assert_eq!(json!(details), json!(["bytes", "metrics", "text"]));
}

#[test]
fn very_many_paths_are_rolled_up_by_directory() {
    let env = test_env!();
    for number in 0..150 {
        env.write(format!("d/cam{}/{number}", number % 3), "x");
    }
    env.ok(["put", "images", "d"]);
    let shown = env.ok(["diff", "images"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with("+ ")).count(), 20);
    assert!(lines.contains(&"/cam2/      50"), "{shown}");
    assert_eq!(env.ok(["diff", "images", "--all"]).lines().count(), 152);
    assert_eq!(env.ok(["diff", "images", "--name-only"]).lines().count(), 150);
    assert_eq!(env.json(["diff", "images"]).len(), 150);
}

#[test]
fn pictures_of_where_images_differ_are_written_on_demand() {
    let env = test_env!();
    // The smallest sound images: binary PPM.
    env.write("d/cam/a.ppm", b"P6\n2 1\n255\n\x01\x02\x03\x04\x05\x06");
    env.ok(["put", "images", "d"]);
    env.write("d/cam/a.ppm", b"P6\n2 1\n255\n\x01\x02\x03\x04\x05\xff");
    env.ok(["put", "images", "d"]);
    let entry = env.json(["diff", "images", "--out", "pictures"]).remove(0);
    assert_eq!(
        [&entry["detail"]["pixels_changed"], &entry["picture"]],
        [&json!(0.5), &json!("pictures/cam/a.ppm.diff.png")]
    );
    assert!(std::fs::read(env.work().join("pictures/cam/a.ppm.diff.png")).unwrap().starts_with(b"\x89PNG"));
}
