//! Why outputs differ, and which decisions do.

use serde_json::{Value, json};
use tests::{TestEnv, test_env};

/// Reads a score and flags it if it reaches the threshold; `$1` is the additional output of the version.
fn spec(margin: &str) -> String {
    let program = r#"t=$(tr -dc 0-9. < /pfs/model/params.json); for f in /pfs/images/*; do
      awk -v t=$t -v m=$MARGIN '{printf "{\"flagged\": %s, \"score\": %s, \"near\": %s}", ($1 >= t) ? "true" : "false", $1, ($1 - t < m) ? 1 : 0}' $f > /pfs/out/${f##*/}.json; done"#;
    json!({
        "pipeline": {"name": "threat"},
        "transform": {"cmd": ["sh", "-c", program], "env": {"MARGIN": margin}},
        "input": {"cross": [{"pfs": {"repo": "images", "glob": "/*"}}, {"pfs": {"repo": "model", "glob": "/"}}]},
    })
    .to_string()
}

/// Ten images with scores from 0.0 to 0.9, a threshold of 0.5, and one run.
fn flagged() -> TestEnv {
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    env.ok(["repo", "create", "model"]);
    env.write("model/params.json", r#"{"threshold": 0.50}"#);
    for number in 0..10 {
        env.write(format!("images/i{number}"), format!("0.{number}\n"));
    }
    env.ok(["put", "images", "images", "-m", "ten"]);
    env.ok(["put", "model", "model", "-m", "first"]);
    env.write("threat.json", spec("0.1"));
    env.ok(["pipeline", "apply", "-f", "threat.json"]);
    env.ok(["run"]);
    env
}

fn with_threshold(threshold: &str) -> TestEnv {
    let env = flagged();
    env.write("model/params.json", format!(r#"{{"threshold": {threshold}}}"#));
    env.ok(["put", "model", "model", "-m", "other"]);
    env.ok(["run"]);
    env
}

#[test]
fn the_header_names_the_input_that_differs() {
    let env = with_threshold("0.75");
    insta::assert_snapshot!(env.pv(["diff", "threat", "--stat"]), @r#"
    --- stdout
    threat@[id 1] → threat@[id 2]
    why  model [id 3] → [id 4]  params.json threshold 0.5 → 0.75
    same  images; what threat does
    ran  threat 10 of 10 in threat@[id 5]

    0 added, 0 removed, 4 modified, 0 renamed · 168 B → 171 B
    "#);
    insta::assert_snapshot!(env.pv(["diff", "threat", "--why"]), @r#"
    --- stdout
    threat@[id 1] → threat@[id 2]

    model [id 3] → [id 4]  Anna <anna@example.com>  other
    ~ /params.json  19 B → 19 B
        VALUE  OLD  NEW  CHANGE
        threshold  0.5  0.75  +0.25 (+50.00%)
    0 added, 0 removed, 1 modified, 0 renamed · 19 B → 19 B

    otherwise
    same  images; what threat does
    ran  threat 10 of 10 in threat@[id 5]
    "#);
    let why = env.json(["diff", "threat", "--why"]).remove(0);
    assert_eq!([&why["sources"][0]["repo"], &why["same_sources"]], [&json!("model"), &json!(["images"])]);
    let ran = &why["ran"][0];
    assert_eq!([&ran["ran"], &ran["total"], &ran["jobs"][0][1]], [&json!(10), &json!(10), &json!(10)]);
}

#[test]
fn the_header_names_the_field_of_the_spec_that_differs() {
    let env = flagged();
    env.write("threat.json", spec("0.3"));
    env.ok(["pipeline", "apply", "-f", "threat.json"]);
    env.ok(["run"]);
    let shown = env.ok(["diff", "threat", "--stat"]);
    assert!(shown.contains("why   threat v1 → v2   env.MARGIN 0.1 → 0.3\n"), "{shown}");
    assert!(shown.contains("same  model; images; cmd code image of all stages\n"), "{shown}");
    let full = env.ok(["diff", "threat", "--why"]);
    assert!(full.contains("env.MARGIN  0.1  0.3"), "{full}");
}

#[test]
fn new_inputs_are_told_with_how_many_ran() {
    let env = flagged();
    env.write("more/i10", "0.95\n");
    env.ok(["put", "images", "more"]);
    env.ok(["run"]);
    let shown = env.ok(["diff", "threat"]);
    assert!(shown.contains("i10 added\n"), "{shown}");
    assert!(shown.contains("same  model; what threat does\nran   threat 1 of 11 in threat@"), "{shown}");
    assert!(shown.ends_with("1 added, 0 removed, 0 modified, 0 renamed · 0 B → 43 B\n"), "{shown}");
}

#[test]
fn flips_are_a_table_then_the_records() {
    let env = with_threshold("0.75");
    insta::assert_snapshot!(env.pv(["diff", "threat", "--flips", "flagged"]), @r#"
    --- stdout
    threat@[id 1] → threat@[id 2]
    why  model [id 3] → [id 4]  params.json threshold 0.5 → 0.75
    same  images; what threat does
    ran  threat 10 of 10 in threat@[id 5]

    flagged  10 records on both sides
    VALUE  RECORDS
    true → false  3  lost: no longer true
    unchanged  7  5 false, 2 true
          RECORD  VALUE  OTHER FIELDS
    lost  /i5.json  flagged true → false
    lost  /i6.json  flagged true → false
    lost  /i7.json  flagged true → false  near 0 → 1
    files: 0 added, 0 removed, 4 modified, 0 renamed · 168 B → 171 B
    "#);
    let found = env.json(["diff", "threat", "--flips", "flagged"]).remove(0);
    let counts = ["lost", "gained", "other", "unchanged"].map(|name| found[name].as_u64().unwrap());
    assert_eq!(counts, [3, 0, 0, 7]);
    assert_eq!(found["unchanged_by_value"], json!({"false": 5, "true": 2}));
    let paths: Vec<&Value> = found["records"].as_array().unwrap().iter().map(|record| &record["path"]).collect();
    assert_eq!(json!(paths), json!(["/i5.json", "/i6.json", "/i7.json"]));
    let back = env.json(["diff", "threat", "threat@main^", "--flips", "flagged=true"]).remove(0);
    assert_eq!([&back["lost"], &back["gained"]], [&json!(0), &json!(3)]);
    assert_eq!(env.exit_code(["diff", "threat", "--flips", "flagged", "--exit-code"]), 1);
    let misspelt = env.pv(["diff", "threat", "--flips", "flaged"]);
    insta::assert_snapshot!(misspelt, @r"
    --- stderr
    error: no record has the field `flaged`
    hint: did you mean `flagged`?
    --- exit 2
    ");
    assert_eq!(env.exit_code(["diff", "threat", "threat", "--flips", "flagged"]), 0);
    assert_eq!(env.exit_code(["diff", "threat", "threat", "--flips", "none"]), 2, "also when nothing differs");
}

#[test]
fn flips_of_rows_are_found_by_key() {
    let env = test_env!();
    env.write("d/p.csv", "id,label,score\n1,cat,0.9\n2,dog,0.6\n3,cat,0.7\n4,cat,0.5\n");
    env.write("d/q.csv", "id,label,score\n1,cat,0.9\n");
    env.write("d/notes.txt", "one\n");
    env.ok(["put", "images", "d"]);
    env.write("d/p.csv", "id,label,score\n3,dog,0.4\n2,cat,0.8\n1,cat,0.91\n5,dog,0.1\n");
    env.write("d/notes.txt", "two\n");
    env.ok(["put", "images", "d"]);
    let found = env.json(["diff", "images", "--flips", "label=cat", "--key", "id"]).remove(0);
    let counts = ["lost", "gained", "unchanged", "files_without"].map(|name| found[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 2, 1]);
    assert_eq!([&found["old_only"], &found["new_only"]], [&json!({"cat": 1}), &json!({"dog": 1})]);
    insta::assert_snapshot!(env.ok(["diff", "images", "--flips", "label=cat", "--csv"]), @r#"
    path,key,verdict,old,new,fields
    /p.csv,3,lost,cat,dog,"{""score"":[""0.7"",""0.4""]}"
    /p.csv,2,gained,dog,cat,"{""score"":[""0.6"",""0.8""]}"
    "#);
}

#[test]
fn records_of_lists_and_lines_are_found_by_key_or_number() {
    let env = test_env!();
    let record = |id: u32, ok: bool| json!({"id": id, "eval": {"ok": ok}, "n": id * 10});
    let lines = |records: &[Value]| records.iter().map(|record| format!("{record}\n")).collect::<Vec<_>>().concat();
    env.write("d/r.jsonl", lines(&[record(1, true), record(2, true), record(3, false)]));
    env.write("d/r.json", json!([record(1, true), record(2, false)]).to_string());
    env.ok(["put", "images", "d"]);
    env.write("d/r.jsonl", lines(&[record(3, true), record(1, true), record(2, false)]));
    env.write("d/r.json", json!([record(1, false), record(2, false)]).to_string());
    env.ok(["put", "images", "d"]);
    let found = env.json(["diff", "images", "--flips", "eval.ok", "--key", "id"]).remove(0);
    assert_eq!([&found["lost"], &found["gained"], &found["unchanged"]], [&json!(2), &json!(1), &json!(2)]);
    let by_number = env.json(["diff", "images:/r.json", "--flips", "eval.ok"]).remove(0);
    assert_eq!(by_number["records"][0]["key"], json!(["1"]));
}

#[test]
fn two_runs_are_a_line_a_repository() {
    let env = with_threshold("0.75");
    let runs = env.json(["log"]);
    let id = |at: usize| format!("@{}", runs[at]["id"].as_str().unwrap());
    // Newest first: the model, the pipeline, the first model, the images.
    insta::assert_snapshot!(env.pv(["diff", &id(1), &id(0)]), @r#"
    --- stdout
    run [id 1] → run [id 2]
    REPOSITORY  COMMIT  ADDED  REMOVED  MODIFIED  RENAMED
    model  [id 3] → [id 4]  0  0  1  0
    threat  [id 5] → [id 6]  0  0  4  0
    --- stderr
    pv diff model@[id 3] model@[id 4]
    pv diff threat@[id 5] threat@[id 6]
    "#);
    let found = env.json(["diff", &id(1), &id(0)]);
    let repos: Vec<&Value> = found.iter().map(|line| &line["repo"]).collect();
    assert_eq!(json!(repos), json!(["model", "threat"]));
    assert_eq!(env.exit_code(["diff", &id(0), &id(0), "--exit-code"]), 0);
    assert_eq!(env.exit_code(["diff", &id(0)]), 2);
    assert_eq!(env.exit_code(["diff", &id(0), "threat"]), 2);
}

#[test]
fn outputs_that_are_identical_are_said_to_be() {
    let env = with_threshold("0.500");
    let shown = env.ok(["diff", "threat", "--why"]);
    assert!(shown.contains("the same values, formatted differently\n"), "{shown}");
    assert!(shown.ends_with("\noutputs are identical\n"), "{shown}");
    assert_eq!(env.json(["diff", "threat", "--why"])[0]["identical"], json!(true));
    let shown = env.ok(["diff", "threat", "threat", "--why"]);
    assert!(shown.contains("both have the same inputs and the same recipe\n"), "{shown}");
    assert!(shown.ends_with("\noutputs are identical\n"), "{shown}");
    assert_eq!(env.exit_code(["diff", "images", "images", "--why"]), 2, "these are no outputs");
}

#[test]
fn flips_show_the_reasons_and_do_not_count_them() {
    let env = flagged();
    let record = |flagged: bool, n: u32| {
        let mut record = json!({"flagged": flagged, "reason": format!("rule {n}"), "score": f64::from(n) / 10.0});
        for field in "abcdefghij".chars() {
            record[field.to_string()] = json!(n);
        }
        record.to_string()
    };
    env.ok(["repo", "create", "out"]);
    env.write("out/x.json", record(true, 1));
    env.ok(["put", "out", "out"]);
    env.write("out/x.json", record(false, 2));
    env.ok(["put", "out", "out"]);
    let shown = env.ok(["diff", "out", "--flips", "flagged"]);
    assert!(shown.contains("reason rule 1 → rule 2, score 0.1 → 0.2, a 1 → 2, "), "{shown}");
    assert!(shown.contains(", also g h i j") && !shown.contains(" more"), "{shown}");
    let params =
        |n: u32| json!({"a": n, "b": n, "c": n, "d": n, "threshold": if n == 1 { 0.5 } else { 0.75 }}).to_string();
    for n in [1, 2] {
        env.write("model/params.json", params(n));
        env.ok(["put", "model", "model"]);
        env.ok(["run"]);
    }
    let shown = env.ok(["diff", "threat", "--flips", "flagged"]);
    assert!(shown.contains("d 1 → 2, threshold 0.5 → 0.75\n"), "{shown}");
    assert!(env.ok(["diff", "threat", "--stat"]).contains("b 1 → 2, 3 more\n"), "the header of the listing is short");
}

#[test]
fn digests_of_images_and_code_are_short() {
    let env = flagged();
    let spec = spec("0.1").replace("\"transform\":{", "\"transform\":{\"code\":\"code\",");
    env.write("code/a.txt", "1");
    env.write("threat.json", spec);
    env.ok(["pipeline", "apply", "-f", "threat.json"]);
    env.ok(["run"]);
    env.write("code/a.txt", "2");
    env.ok(["pipeline", "apply", "-f", "threat.json"]);
    env.ok(["run"]);
    let shown = env.ok(["diff", "threat", "--why"]);
    let is_long = |word: &str| word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(shown.contains("code ") && !shown.split(|c: char| !c.is_ascii_alphanumeric()).any(is_long), "{shown}");
}
