//! `pv diff`: which paths differ, here; differences in content (`reckoned`); why outputs differ, and which decisions do (`outputs`).

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
    insta::assert_snapshot!(env.pv(["diff", "images"]), @r#"
    --- stdout
    images@[id 1] → images@[id 2]
    ~ /changed  2 B → 3 B
        @@ -1,1 +1,1 @@
        -22
        \ no line end at the end of the file
        +333
        \ no line end at the end of the file
    - /gone  1 B
    + /new  5 B
    > /old-name → /sub-name
    1 added, 1 removed, 1 modified, 1 renamed · 14 B → 19 B
    "#);
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
    insta::assert_snapshot!(env.pv(["diff", "images"]), @r#"
    --- stdout
    images@[id 1] → images@[id 2]
    ~ /broken.json  8 B → 7 B
        compared as text: the new side is malformed JSON: expected value at line 1 column 7
        @@ -1,1 +1,1 @@
        -{"a": 1}
        \ no line end at the end of the file
        +{"a": }
        \ no line end at the end of the file
    ~ /m.json  33 B → 36 B
        VALUE  OLD  NEW  CHANGE
        auc  0.76  0.8  +0.04 (+5.26%)
        layers.2  8  added
    ~ /notes.txt  8 B → 6 B
        @@ -1,2 +1,2 @@
         one
        -two
        +2
    0 added, 0 removed, 3 modified, 0 renamed · 49 B → 49 B
    "#);
    insta::assert_snapshot!(env.pv(["diff", "images", "--md"]), @r#"
    --- stdout
    ### images@[id 1] → images@[id 2]

    - **modified** /broken.json  8 B → 7 B

      compared as text: the new side is malformed JSON: expected value at line 1 column 7

      ```diff
      @@ -1,1 +1,1 @@
      -{"a": 1}
      \ no line end at the end of the file
      +{"a": }
      \ no line end at the end of the file
      ```

    - **modified** /m.json  33 B → 36 B

      | VALUE | OLD | NEW | CHANGE |
      | --- | --- | --- | --- |
      | auc | 0.76 | 0.8 | +0.04 (+5.26%) |
      | layers.2 |  | 8 | added |

    - **modified** /notes.txt  8 B → 6 B

      ```diff
      @@ -1,2 +1,2 @@
       one
      -two
      +2
      ```


    0 added, 0 removed, 3 modified, 0 renamed · 49 B → 49 B
    "#);
    insta::assert_snapshot!(env.pv(["diff", "images@main^:/m.json", "images:/notes.txt"]), @r#"
    --- stdout
    images@[id 1] → images@[id 2]
    ~ /m.json → /notes.txt  33 B → 6 B
        @@ -1,1 +1,2 @@
        -{"auc": 0.76, "layers": [64, 32]}
        \ no line end at the end of the file
        +one
        +2
    0 added, 0 removed, 1 modified, 0 renamed · 33 B → 6 B
    "#);
    let details: Vec<_> = env.json(["diff", "images"]).iter().map(|entry| entry["detail"]["kind"].clone()).collect();
    assert_eq!(json!(details), json!(["text", "metrics", "text"]));
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
    assert!(lines.contains(&"/cam2/     50"), "{shown}");
    assert_eq!(env.ok(["diff", "images", "--all"]).lines().count(), 152);
    assert_eq!(env.ok(["diff", "images", "--name-only"]).lines().count(), 150);
    assert_eq!(env.json(["diff", "images"]).len(), 150);
}

#[test]
fn pictures_of_where_images_differ_are_written_on_demand() {
    let env = test_env!();
    // The smallest valid images: binary PPM.
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

#[test]
fn what_is_not_compared_is_said() {
    let env = test_env!();
    for side in ["1", "2"] {
        for number in 0..25 {
            env.write(format!("d/{number:02}.txt"), side);
        }
        env.ok(["put", "images", "d"]);
    }
    let shown = env.ok(["diff", "images"]);
    let words = "the contents of 5 modified files were not compared: use --all, or name a path\n";
    assert!(shown.contains(words), "{shown}");
    assert!(!env.ok(["diff", "images", "--all"]).contains("was not compared"));
    env.write("d/00.txt", "1\n".repeat(200));
    env.ok(["put", "images", "d"]);
    let shown = env.ok(["diff", "images"]);
    assert!(shown.contains("… 143 more lines: --all shows more\n"), "{shown}");
}

#[test]
fn how_rows_and_records_were_paired_is_said() {
    let env = test_env!();
    env.write("d/list.json", r#"[{"id": "a", "s": 1}, {"id": "b", "s": 2}]"#);
    env.write("d/log.csv", "level,n\nINFO,1\nWARN,1\nINFO,1\n");
    env.write("d/twice.json", r#"{"a": 1, "a": 2}"#);
    env.write("d/written.json", r#"{"a": 1}"#);
    env.ok(["put", "images", "d"]);
    env.write("d/list.json", r#"[{"id": "c", "s": 9}, {"id": "b", "s": 2}, {"id": "a", "s": 1.5}]"#);
    env.write("d/log.csv", "level,n\nNEW,7\nINFO,1\nWARN,1\nINFO,1\n");
    env.write("d/twice.json", r#"{"a": 3, "a": 2}"#);
    env.write("d/written.json", r#"{"a": 1.0}"#);
    env.ok(["put", "images", "d"]);
    insta::assert_snapshot!(env.pv(["diff", "images"]), @r#"
    --- stdout
    images@[id 1] → images@[id 2]
    ~ /list.json  42 B → 65 B
        records by id: 2 → 3, in another order
        VALUE  OLD  NEW  CHANGE
        [id=c]  {"id":"c","s":9}  added
        [id=a].s  1  1.5  +0.5 (+50.00%)
    ~ /log.csv  29 B → 35 B
        rows by level: 1 added, 0 removed, 0 changed (0 cells) of 3 → 4
        added: NEW
    ~ /twice.json  16 B → 16 B
        key `a` appears more than once in one mapping: each is compared, but most readers use the last
        VALUE  OLD  NEW  CHANGE
        a  1  3  +2 (+200.00%)
    ~ /written.json  8 B → 10 B
        the same values, formatted differently
    0 added, 0 removed, 4 modified, 0 renamed · 95 B → 126 B
    "#);
}

#[test]
fn a_misspelt_key_is_an_error_with_the_nearest_name() {
    let env = test_env!();
    env.write("d/p.csv", "id,label\n1,cat\n2,dog\n");
    env.ok(["put", "images", "d"]);
    env.write("d/p.csv", "id,label\n1,cat\n2,owl\n");
    env.ok(["put", "images", "d"]);
    let refused = env.pv(["diff", "images", "--key", "lable"]);
    insta::assert_snapshot!(refused, @r"
    --- stdout
    images@[id 1] → images@[id 2]
    ~ /p.csv  21 B → 21 B
        rows by id: 0 added, 0 removed, 1 changed (1 cell) of 2 → 2
        the key is ignored: column `lable` is not on both sides
        ROW  COLUMN  OLD  NEW
        2  label  dog  owl
    0 added, 0 removed, 1 modified, 0 renamed · 21 B → 21 B
    --- stderr
    error: no file has the key `lable` on both sides
    hint: did you mean `label`?
    --- exit 2
    ");
    assert_eq!(env.exit_code(["diff", "images", "--key", "id"]), 0);
    // One file with the field is enough.
    env.write("d/q.csv", "lable,n\n1,1\n");
    env.ok(["put", "images", "d"]);
    env.write("d/q.csv", "lable,n\n1,2\n");
    env.write("d/p.csv", "id,label\n1,cat\n2,cow\n");
    env.ok(["put", "images", "d"]);
    assert_eq!(env.exit_code(["diff", "images", "--key", "lable"]), 0);
}
