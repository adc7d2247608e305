//! `pv metrics`, and the metrics at the end of `pv try`.

use serde_json::{Value, json};
use tests::TestEnv;

use crate::support::*;

/// Training that depends only on its parameters: accuracy grows with `rounds` up to 40 and falls with `rate`; the loss is the rest.
const TRAIN: &str = r#"
    name=$(basename "$parameters" .json)
    rounds=$(sed -n 's/.*"rounds": \([0-9]*\).*/\1/p' "$parameters"); rate=$(sed -n 's/.*"rate": \([0-9]*\).*/\1/p' "$parameters")
    [ "$rounds" -gt "$MOST" ] && rounds=$MOST
    echo "$((rounds - rate))" > "/pfs/out/$name.weights""#;
const EVALUATE: &str = r#"
    name=$(basename "$train" .weights); value=$(cat "$train")
    printf '{"accuracy": 0.%s, "loss": %s, "matrix": [[1]], "note": "%s"}\n' "$value" "$((100 - value))" "$name" > "/pfs/out/$name.json""#;

/// A grid of four sets of parameters, trained and evaluated.
pub(crate) fn grid() -> TestEnv {
    let env = test_env();
    for (name, rounds, rate) in [("a", 20, 1), ("b", 30, 1), ("c", 30, 2), ("d", 50, 2)] {
        let text = format!("{{\"model\": {{\"rounds\": {rounds}, \"rate\": {rate}}}, \"seed\": 7}}\n");
        env.write(format!("grid/{name}.json"), text);
    }
    env.ok(["put", "parameters", "grid", "-m", "grid of four", "--author", "Max"]);
    env.write("specs.yml", specs(40));
    env.ok(["pipeline", "apply", "-f", "specs.yml"]);
    env.ok(["run"]);
    env
}

fn test_env() -> TestEnv {
    let env = TestEnv::with_store(env!("CARGO_BIN_EXE_pv"));
    env.ok(["config", "set", "executor", "process"]);
    env.ok(["repo", "create", "parameters"]);
    env
}

fn specs(most: u32) -> String {
    let train = spec_with("train", &pfs("parameters", "/*"), TRAIN, &format!("\"env\": {{\"MOST\": \"{most}\"}},"));
    format!("{train}---\n{}", spec("evaluate", "train", EVALUATE))
}

fn paths(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["path"].as_str().unwrap()).collect()
}

#[test]
fn a_row_a_file_has_its_parameters_beside_its_metrics_and_the_best_is_first_and_marked() {
    let env = grid();
    insta::assert_snapshot!(env.pv(["metrics", "evaluate"]), @r"
    --- stdout
    FILE  model.rate  model.rounds  accuracy  loss  note
    /d.json  2  50  0.38 *  62 *  d
    /b.json  1  30  0.29  71  b
    /c.json  2  30  0.28  72  c
    /a.json  1  20  0.19  81  a
    same in all rows: MOST 40, seed 7
    * best: highest accuracy, lowest loss
    ");
    let rows = env.json(["metrics", "evaluate"]);
    assert_eq!(paths(&rows), ["/d.json", "/b.json", "/c.json", "/a.json"]);
    let best = &rows[0];
    assert_eq!(
        (&best["parameters"]["model.rounds"], &best["parameters"]["seed"], &best["metrics"]["accuracy"]),
        (&json!(50), &json!(7), &json!(0.38))
    );
    assert_eq!((&best["best"], &rows[1]["best"]), (&json!(["accuracy", "loss"]), &json!([])));
    assert_eq!(best["metrics"].get("matrix"), None, "lists are no metrics");
    assert_eq!(best["by"], json!(["model.rate", "model.rounds"]));
}

#[test]
fn rows_are_sorted_by_what_is_asked_for_and_a_misspelt_name_is_refused() {
    let env = grid();
    let rows = env.json(["metrics", "evaluate", "--by", "rounds", "--by", "rate"]);
    assert_eq!(paths(&rows), ["/a.json", "/b.json", "/c.json", "/d.json"]);
    assert_eq!(rows[0]["by"], json!(["model.rounds", "model.rate"]));
    let rows = env.json(["metrics", "evaluate", "--by", "loss"]);
    assert_eq!(paths(&rows)[0], "/d.json");
    assert_eq!(env.json(["metrics", "evaluate", "--max", "loss", "--only", "loss"])[0]["best"], json!(["loss"]));
    assert_eq!(env.json(["metrics", "evaluate", "--max", "loss", "--only", "loss"])[0]["path"], "/a.json");
    insta::assert_snapshot!(env.pv(["metrics", "evaluate", "--by", "ronds"]), @r"
    --- stderr
    error: no row has a parameter or metric `ronds`
    hint: did you mean `rounds`?
    --- exit 2
    ");
    assert_eq!(env.exit_code(["metrics", "evaluate", "--only", "acuracy"]), 2);
    assert_eq!(env.exit_code(["metrics", "train:/none"]), 3);
    assert_eq!(env.exit_code(["metrics", "evaluate", "--all-runs", "--tries"]), 2);
}

#[test]
fn other_programs_take_it_as_csv_and_pull_requests_as_markdown() {
    let env = grid();
    let csv = env.ok(["metrics", "evaluate", "--csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "repo,path,commit,run,try,created_at,model.rate,model.rounds,accuracy,loss,note,best");
    assert!(lines[1].starts_with("evaluate,/d.json,") && lines[1].ends_with(",2,50,0.38,62,d,accuracy loss"), "{csv}");
    assert_eq!(lines.len(), 5);
    let md = env.ok(["metrics", "evaluate", "--md"]);
    assert!(md.starts_with("| FILE | model.rate | model.rounds | accuracy | loss | note |\n| --- |"), "{md}");
    assert!(
        md.contains("| /d.json | 2 | 50 | 0.38 \\* | 62 \\* | d |") || md.contains("| /d.json | 2 | 50 | 0.38 * |"),
        "{md}"
    );
}

#[test]
fn all_runs_have_a_row_a_version_and_a_rollback_adds_none() {
    let env = grid();
    env.write("specs.yml", specs(60));
    env.ok(["pipeline", "apply", "-f", "specs.yml"]);
    env.ok(["run"]);
    let rows = env.json(["metrics", "evaluate:/d.json", "--all-runs"]);
    let found: Vec<_> = rows.iter().map(|row| (&row["parameters"]["MOST"], &row["metrics"]["accuracy"])).collect();
    assert_eq!(found, [(&json!("60"), &json!(0.48)), (&json!("40"), &json!(0.38))]);
    assert_eq!(rows[0]["parameters"]["train.version"], "v2");
    // The other runs have other parameters, and the same metrics.
    assert_eq!(
        env.json(["metrics", "evaluate", "--all-runs"]).len(),
        4 + 1,
        "what is the same bytes is not evaluated again"
    );
    env.write("specs.yml", specs(40));
    env.ok(["pipeline", "apply", "-f", "specs.yml"]);
    env.ok(["run"]);
    assert_eq!(env.json(["metrics", "evaluate:/d.json", "--all-runs"]), rows, "the runs that brought them count");
    assert_eq!(env.json(["metrics", "evaluate:/d.json", "--since", "30d"]).len(), 2);
    assert_eq!(env.exit_code(["metrics", "evaluate:/d.json", "--since", "2100-01-01"]), 3);
    let shown = env.ok(["metrics", "evaluate:/d.json", "--all-runs"]);
    assert!(shown.contains("RUN") && shown.contains("WHEN") && shown.contains("0.48 *"), "{shown}");
}

#[test]
fn tries_stand_beside_what_is_now_and_a_try_ends_with_the_metrics_of_both_sides() {
    let env = grid();
    env.write("more.yml", specs(60));
    let said = env.ok(["try", "evaluate", "--with", "more.yml"]);
    assert!(said.contains("metrics of evaluate:/d.json"), "{said}");
    let line = |metric: &str| {
        let line = said.lines().find(|line| line.starts_with(metric)).unwrap_or_else(|| panic!("{said}"));
        line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("accuracy"), ["accuracy", "0.38", "0.48", "+0.1", "better"]);
    assert_eq!(line("loss"), ["loss", "62", "52", "-10", "better"]);
    let tried = env.json(["try", "evaluate", "--with", "more.yml"]).remove(0);
    let figures = &tried["jobs"][1]["metrics"]["figures"];
    assert_eq!((&figures[0]["old"], &figures[0]["new"]), (&json!(0.38), &json!(0.48)), "{tried}");

    let rows = env.json(["metrics", "evaluate:/d.json", "--tries"]);
    let found: Vec<_> = rows.iter().map(|row| (&row["try"], &row["metrics"]["accuracy"])).collect();
    assert_eq!(found, [(&json!(true), &json!(0.48)), (&json!(false), &json!(0.38))], "the same try twice is one row");
    assert!(env.ok(["metrics", "evaluate:/d.json", "--tries"]).contains("try @"));
    // A sample makes no commit, and its metrics are still shown.
    env.write("less.yml", specs(10));
    let sample = env.json(["try", "train", "--with", "less.yml", "--input", "/a.json"]).remove(0);
    assert_eq!(sample["jobs"][0]["metrics"]["figures"][0]["new"], 9, "{sample}");
}

#[test]
fn parameters_of_one_word_have_the_names_of_inputs_and_equal_names_get_their_place() {
    let env = test_env();
    for (path, value) in [("slope/s1", "1"), ("slope/s2", "2"), ("offset/o1", "5"), ("names.yml", "slope: fixed\n")] {
        env.write(format!("grid/{path}"), value);
    }
    env.ok(["put", "parameters", "grid"]);
    let leaf = |name: &str, glob: &str| {
        format!("{{\"pfs\": {{\"repo\": \"parameters\", \"name\": \"{name}\", \"glob\": \"{glob}\"}}}}")
    };
    let input = format!("{{\"cross\": [{}, {}]}}", leaf("slope", "/slope/*"), leaf("offset", "/offset/*"));
    let script = r#"echo $(($(cat $slope) + $(cat $offset))) > "/pfs/out/$(basename $slope).error""#;
    apply(&env, &spec_with("score", &input, script, ""));
    env.ok(["run"]);
    let rows = env.json(["metrics", "score"]);
    assert_eq!(
        (&rows[0]["parameters"]["slope"], &rows[0]["parameters"]["offset"], &rows[0]["metrics"]["error"]),
        (&json!(1), &json!(5), &json!(6)),
        "{rows:?}"
    );
    assert_eq!(paths(&rows), ["/s1.error", "/s2.error"], "less error is better");
    // With a second file of that name, the place is shown too.
    let both = format!("{{\"cross\": [{}, {}]}}", leaf("slope", "/slope/*"), leaf("names", "/names.yml"));
    apply(&env, &spec_with("score", &both, &script.replace("$offset", "$slope"), ""));
    env.ok(["run"]);
    let row = env.json(["metrics", "score"]).remove(0);
    assert_eq!(row["parameters"]["slope.slope"], 1, "{row}");
    assert_eq!(row["parameters"]["names.slope"], "fixed");
}

#[test]
fn a_chosen_model_has_its_own_parameters_and_its_trace_shows_the_one_that_was_chosen() {
    let env = grid();
    let choose = "ln -s /pfs/evaluate/d.json /pfs/out/best.json";
    apply(&env, &spec_with("select", &pfs("evaluate", "/"), choose, ""));
    env.ok(["run"]);
    let row = env.json(["metrics", "select"]).remove(0);
    assert_eq!(
        (&row["parameters"]["model.rounds"], &row["parameters"]["select.version"], &row["metrics"]["accuracy"]),
        (&json!(50), &json!("v1"), &json!(0.38)),
        "of all four it is this one: {row}"
    );
    assert!(env.ok(["metrics", "select"]).contains("model.rounds"), "of one row nothing differs, and all is shown");

    let told = env.ok(["trace", "select:/best.json"]);
    for part in [
        "by reference: evaluate@",
        "3 more files by 3 datums of evaluate v1 like this one, with train:/a.weights /b.weights /c.weights: --files",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let own = told.lines().filter(|line| line.contains("parameters@")).collect::<Vec<_>>();
    assert!(own.len() == 1 && own[0].contains(":/d.json"), "{told}");
    assert_eq!(told.matches("● evaluate v1").count(), 1, "{told}");
    assert!(told.ends_with("complete: 9 datums, 4 source files, 0 gaps\n"), "{told}");
    let in_full = env.ok(["trace", "select:/best.json", "--files"]);
    assert_eq!((in_full.matches("● evaluate v1").count(), in_full.contains("like this one")), (4, false), "{in_full}");
}
