//! `pv datum`.

use serde_json::json;

use crate::flow::{self, fields, steady};

#[test]
fn datums_are_listed_with_what_they_read() {
    let env = flow::failed();
    insta::assert_snapshot!(env.pv(["datum", "list", "upper"]), @r"
    --- stdout
    DATUM  STATE  TRIES  EXIT  TOOK  READ  MADE  REASON
    [id 1]  cached  1  0  [took]  images:/a  1
    [id 2]  cached  1  0  [took]  images:/b  1
    [id 3]  failed  3  7  [took]  images:/c  0
    ");
    let failed = env.json(["datum", "list", "upper", "--state", "failed"]);
    assert_eq!(failed.len(), 1);
    let expected = [
        "executed_by",
        "executed_on",
        "exit_code",
        "finished_at",
        "id",
        "inputs",
        "log",
        "network",
        "outputs_count",
        "pipeline_version",
        "process_seconds",
        "reason",
        "result",
        "started_at",
        "state",
        "tries",
        "try_details",
    ];
    assert_eq!(fields(&failed[0]), expected);
    assert_eq!(fields(&failed[0]["inputs"][0]), ["digest", "input", "path"]);
    assert_eq!([&failed[0]["tries"], &failed[0]["exit_code"]], [&json!(3), &json!(7)]);
    assert_eq!(env.json(["datum", "list", "upper", "-n", "2"]).len(), 2);
    assert_eq!(env.exit_code(["datum", "list", "upper", "--state", "lost"]), 2);
}

#[test]
fn a_datum_is_found_by_id_by_file_and_by_input() {
    let env = flow::failed();
    let wrote = env.json(["datum", "show", "upper:/a"]).remove(0);
    assert_eq!([&wrote["state"], &wrote["inputs"][0]["path"]], [&json!("success"), &json!("/a")]);
    let id = wrote["id"].as_str().unwrap();
    assert_eq!(env.json(["datum", "show", &id[..12]])[0]["id"], wrote["id"]);
    let in_job = env.json(["datum", "show", &format!("upper/{}", &id[..12])]).remove(0);
    assert_eq!([&in_job["id"], &in_job["state"]], [&wrote["id"], &json!("cached")]);
    let read = env.json(["datum", "show", "upper", "--input", "/c"]).remove(0);
    assert_eq!(read["state"], "failed");
    assert_eq!(env.exit_code(["datum", "show", "upper", "--input", "/none"]), 3);
    assert_eq!(env.exit_code(["datum", "show", "00000000"]), 3);
    assert_eq!(env.exit_code(["datum", "show", "images:/a"]), 3);
}

#[test]
fn show_tells_every_try() {
    let env = flow::failed();
    insta::assert_snapshot!(steady(&env.pv(["datum", "show", "upper", "--input", "/c"])), @r"
    --- stdout
    datum  [id 1]
    state  failed
    job  upper@[id 2]
    pipeline  upper v1
    executor  process [host]  network default
    read  images:/c  4 B  [id 3]
    try  1 of 3  exit 7  pull [took], execute [took], take-in [took]  [time] [utc]
    try  2 of 3  exit 7  pull [took], execute [took], take-in [took]  [time] [utc]
    try  3 of 3  exit 7  pull [took], execute [took], take-in [took]  [time] [utc]
    made  no files
        | what is bad
    --- stderr
    its output: pv logs upper@[id 2]/[id 1]
    ");
    insta::assert_snapshot!(steady(&env.pv(["datum", "show", "upper", "--input", "/a"])), @r"
    --- stdout
    datum  [id 4]
    state  cached
    job  upper@[id 2]
    made by  upper@[id 5]
    pipeline  upper v1
    executor  process [host]  network default
    read  images:/a  4 B  [id 6]
    try  1 of 1  exit 0  pull [took], execute [took], take-in [took]  [time] [utc]
    made  /a  4 B  [id 7]
    ");
}

#[test]
fn programs_are_told_all_that_people_are() {
    let env = flow::failed();
    let failed = env.json(["datum", "show", "upper", "--input", "/c"]).remove(0);
    let tries = failed["try_details"].as_array().unwrap();
    assert_eq!((tries.len(), &tries[0]["exit_code"], &failed["last_words"]), (3, &json!(7), &json!(["what is bad"])));
    assert_eq!(tries[2]["log"], failed["log"]);
    assert!(tries.iter().all(|one| one["started_at"].is_string() && one["process_seconds"].is_number()), "{failed}");
    let parts = ["pull_seconds", "process_seconds", "take_in_seconds"];
    let took = |one: &serde_json::Value| parts.map(|part| one[part].as_f64().expect(part));
    assert!(tries.iter().all(|one| took(one).iter().all(|seconds| (0.0..60.0).contains(seconds))), "{failed}");
    assert_eq!(
        (&failed["inputs"][0]["size_bytes"], &failed["outputs"], &failed["executed_on"]["kind"], &failed["network"]),
        (&json!(4), &json!([]), &json!("process"), &json!("default"))
    );
    let cached = env.json(["datum", "show", "upper", "--input", "/a"]).remove(0);
    assert_eq!((&cached["outputs"][0]["path"], &cached["outputs"][0]["size_bytes"]), (&json!("/a"), &json!(4)));
    assert_ne!(cached["job"], cached["executed_by"], "{cached}");
    assert!(cached["job"].as_str().unwrap().starts_with("upper@"));
    // Lists have it too, except for fields that need a lookup each.
    let listed = env.json(["datum", "list", "upper", "--state", "failed"]).remove(0);
    assert_eq!((&listed["try_details"], &listed["result"]), (&failed["try_details"], &failed["result"]));
}
