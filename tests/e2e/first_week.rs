//! The first week of an analyst, a model builder and an auditor, from the first command to the answer.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tests::TestEnv;

use crate::metrics::grid;
use crate::support::*;

/// A frame of 8 by 8 pixels, of which `white` are white; the stage below counts them.
fn frame(white: usize) -> Vec<u8> {
    let mut bytes = b"P6\n8 8\n255\n".to_vec();
    bytes.extend((0..64).flat_map(|point| if point < white { [255; 3] } else { [0; 3] }));
    bytes
}

/// Counts the white pixels of a frame and flags it from `least` of `/pfs/model/model.json` on.
const DETECT: &str = r#"
name=${1#/pfs/images}; least=$(sed -n 's/.*"least": *\([0-9]*\).*/\1/p' /pfs/model/model.json)
score=$(($(tr -dc '\377' < "$1" | wc -c) / 3))
mkdir -p "/pfs/out/$(dirname "$name")"
[ "$score" -ge "$least" ] && flagged=true || flagged=false
printf '{"score": %s, "flagged": %s}\n' "$score" "$flagged" > "/pfs/out/${name%.ppm}.json"
"#;
/// Raises an alarm for flagged frames without an exception in the rules; by link, so that the alarm is the finding itself.
const THREAT: &str = r#"
grep -q '"flagged": true' "$detect" || exit 0
camera=$(basename "$(dirname "$detect")"); grep -q "ignore: $camera" /pfs/rules/rules.yml && exit 0
mkdir -p "/pfs/out/$camera"; ln -s "$detect" "/pfs/out/$camera/"
"#;
/// The number of flagged frames, one line per camera.
const REPORT: &str = r#"
cd /pfs/detect; for camera in *; do echo "$camera,$(ls "$camera" | wc -l),$(cat "$camera"/* | grep -c '"flagged": true')"; done > /pfs/out/report.csv
"#;

/// Frames, a model, rules, and their stages; the first batch is committed and has run.
fn cameras() -> TestEnv {
    let env = TestEnv::with_store(env!("CARGO_BIN_EXE_pv"));
    env.ok(["config", "set", "executor", "process"]);
    env.ok(["config", "set", "network", "none"]);
    for repo in ["model", "rules"] {
        env.ok(["repo", "create", repo]);
    }
    env.write("model.json", "{\"name\": \"bright\", \"least\": 10}\n");
    env.ok(["put", "model", "model.json", "--author", "Carl", "-m", "first model"]);
    env.write("rules.yml", "ignore: cam9 # out of use\n");
    env.ok(["put", "rules", "rules.yml", "--author", "Dora", "-m", "rules of June"]);
    put_batch(&env, "day 1", &[("cam1/0800", 4), ("cam1/0900", 20), ("cam2/0800", 30), ("cam2/0900", 3)]);
    env.write("specs/detect.sh", DETECT);
    let cross = format!("{{\"cross\": [{}, {}]}}", pfs("images", "/*/*"), pfs("model", "/"));
    let detect = spec_with("detect", &cross, "sh /code/detect.sh \"$images\"", "\"code\": \".\",");
    let cross = format!("{{\"cross\": [{}, {}]}}", pfs("detect", "/*/*"), pfs("rules", "/"));
    let threat = spec_with("threat", &cross, THREAT, "");
    let report = spec_with("report", &pfs("detect", "/"), REPORT, "");
    env.write("specs/specs.yml", format!("{detect}---\n{threat}---\n{report}"));
    env.ok(["pipeline", "apply", "-f", "specs/specs.yml"]);
    env.ok(["run"]);
    env
}

/// Commits frames; returns the commit's id.
fn put_batch(env: &TestEnv, message: &str, frames: &[(&str, usize)]) -> String {
    let folder = message.replace(' ', "-");
    for (name, white) in frames {
        env.write(format!("{folder}/{name}.ppm"), frame(*white));
    }
    let put = env.json(["put", "images", &folder, "--author", "Anna", "-m", message]).remove(0);
    text(&put, "commit").to_owned()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}"))
}

fn tree_of(env: &TestEnv, reference: &str) -> Value {
    env.json(["show", reference])[0]["tree"].clone()
}

fn alarms(env: &TestEnv) -> Vec<String> {
    env.json(["ls", "-r", "threat"]).iter().map(|file| text(file, "path").to_owned()).collect()
}

#[test]
fn an_analyst_takes_in_three_days_mends_a_frame_drops_a_camera_and_rolls_back_a_wrong_change() {
    let env = cameras();
    assert_eq!((outcome(&env, "detect"), outcome(&env, "threat")), (success(4, 0), success(4, 0)));
    assert_eq!(alarms(&env), ["/cam1/0900.json", "/cam2/0800.json"]);

    // The second day: only the new frames run.
    put_batch(&env, "day 2", &[("cam1/1000", 2), ("cam2/1000", 40), ("cam3/1000", 5)]);
    env.ok(["run"]);
    assert_eq!(outcome(&env, "detect"), success(3, 4));
    assert_eq!(env.ok(["cat", "report:/report.csv"]), "cam1,3,1\ncam2,3,2\ncam3,1,0\n");

    // A frame was exported too dark: new bytes, and one datum runs.
    put_batch(&env, "day 2 corrected", &[("cam3/1000", 50)]);
    env.ok(["run"]);
    assert_eq!(outcome(&env, "detect"), success(1, 6));
    let why = env.ok(["diff", "detect@main~1", "detect", "--why"]);
    assert!(why.contains("images") && why.contains("/cam3/1000.ppm"), "{why}");
    let history = env.json(["log", "images:/cam3/1000.ppm"]);
    assert_eq!(history.iter().map(|one| text(one, "message")).collect::<Vec<_>>(), ["day 2 corrected", "day 2"]);

    // The third day: camera 2 showed a private garden. What did its frames cause, in all that time?
    let before = text(&env.json(["show", "images"])[0], "id").to_owned();
    let dropped = format!("images@{before}:/cam2");
    let forward = env.json(["trace", "--forward", "--all-runs", &dropped]).remove(0);
    assert_eq!((&forward["start"]["files"], &forward["digest"]), (&json!(3), &Value::Null));
    let made: Vec<&str> = forward["readers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|reader| reader["pipeline"] == "threat")
        .flat_map(|reader| reader["outputs"].as_array().unwrap())
        .map(|made| text(made, "path"))
        .collect();
    assert_eq!((made.len(), made.contains(&"/cam2/0800.json"), made.contains(&"/cam2/1000.json")), (2, true, true));
    env.ok(["rm", "-r", "images:/cam2", "-m", "not our ground"]);
    put_batch(&env, "day 3", &[("cam1/1100", 12), ("cam3/1100", 1)]);
    env.ok(["run"]);
    assert_eq!(alarms(&env), ["/cam1/0900.json", "/cam1/1100.json", "/cam3/1000.json"]);
    assert_eq!(env.ok(["cat", "report:/report.csv"]), "cam1,4,2\ncam3,2,1\n");

    // A wrong comparison is applied. It is noticed, understood and reverted, and nothing is computed twice.
    let good = (tree_of(&env, "detect"), tree_of(&env, "threat"));
    env.write("specs/detect.sh", DETECT.replace("-ge", "-le"));
    env.ok(["pipeline", "apply", "-f", "specs/specs.yml"]);
    env.ok(["run"]);
    let flips = env.json(["diff", "detect@main~1", "detect", "--flips", "flagged"]).remove(0);
    assert_eq!((&flips["lost"], &flips["gained"]), (&json!(3), &json!(3)), "{flips}");
    let why = env.ok(["diff", "detect@main~1", "detect", "--why"]);
    assert!(why.contains("code") && why.contains("-ge") && why.contains("-le"), "{why}");
    env.write("specs/detect.sh", DETECT);
    env.ok(["pipeline", "apply", "-f", "specs/specs.yml"]);
    env.ok(["run"]);
    assert_eq!((outcome(&env, "detect"), outcome(&env, "threat")), (success(0, 6), success(0, 6)));
    assert_eq!((tree_of(&env, "detect"), tree_of(&env, "threat")), good);
    assert_sound(&env);
}

#[test]
fn a_model_builder_reads_a_grid_tries_more_promotes_it_and_goes_back() {
    let env = grid();
    let best = |of: &str| text(&env.json(["metrics", of]).remove(0), "path").to_owned();
    assert_eq!(best("evaluate"), "/d.json");
    let before = env.json(["metrics", "evaluate"]);

    // One more set of parameters, on another branch.
    env.ok(["branch", "create", "parameters@candidate", "parameters"]);
    env.write("more/e.json", "{\"model\": {\"rounds\": 40, \"rate\": 0}, \"seed\": 7}\n");
    env.ok(["put", "parameters@candidate", "more", "-m", "no decay", "--author", "Max"]);
    let said = env.ok(["try", "--with", "parameters@candidate"]);
    assert!(said.contains("metrics of evaluate:/e.json"), "{said}");
    let rows = env.json(["metrics", "evaluate", "--tries", "--by", "accuracy"]);
    assert_eq!((text(&rows[0], "path"), &rows[0]["try"], rows.len()), ("/e.json", &json!(true), 5));
    assert_eq!(env.json(["metrics", "evaluate"]), before, "nothing has moved");
    let run = text(&rows[0], "run").to_owned();
    let report = env.ok(["metrics", "evaluate", &format!("evaluate@{run}:/e.json"), "--md"]);
    assert!(report.contains("| COMMIT |") || report.contains("COMMIT"), "{report}");

    // Promoted: nothing is trained again.
    env.ok(["tag", "create", "parameters@v2", "parameters@candidate", "-m", "one better"]);
    env.ok(["branch", "move", "parameters@main", "parameters@v2"]);
    env.ok(["run"]);
    assert_eq!((outcome(&env, "train"), outcome(&env, "evaluate")), (success(0, 5), success(0, 5)));
    assert_eq!(best("evaluate"), "/e.json");
    let forward = env.json(["trace", "--forward", "parameters@v2"]).remove(0);
    assert_eq!((&forward["start"]["brought"], &forward["start"]["files"]), (&json!(true), &json!(1)), "{forward}");
    assert!(forward["readers"].as_array().unwrap().iter().any(|reader| reader["pipeline"] == "evaluate"), "{forward}");

    // Moving back is as cheap.
    env.ok(["branch", "move", "parameters@main", "parameters@v2~1"]);
    env.ok(["run"]);
    assert_eq!((outcome(&env, "train"), outcome(&env, "evaluate")), (success(0, 4), success(0, 4)));
    assert_eq!(best("evaluate"), "/d.json");
    assert_eq!(env.json(["metrics", "evaluate", "--all-runs"]).len(), 5, "what was there for a while is on record");
    assert_sound(&env);
}

#[test]
fn an_auditor_goes_from_one_flag_file_by_its_bytes_to_a_page_with_the_frame_on_it() {
    let env = cameras();
    // The auditor only has a file from a mail.
    let flag = env.ok(["cat", "threat:/cam2/0800.json"]);
    env.write("evidence.json", &flag);
    let found = env.json(["find", "evidence.json"]);
    let at = found.iter().find(|one| one["repo"] == "threat").unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!(text(at, "path"), "/cam2/0800.json");
    let reference = format!("threat@{}:{}", text(at, "first"), text(at, "path"));

    let traced = env.json(["trace", &reference]).remove(0);
    assert_eq!((&traced["complete"], &traced["same_as"]["repo"]), (&json!(true), &json!("detect")));
    let told = env.ok(["trace", &reference]);
    for part in
        ["by reference: detect@", "/cam2/0800.ppm", "Anna", "Carl", "Dora", "day 1", "rules of June", "complete"]
    {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(env.ok(["verify", &reference]).contains("PROVEN"));
    assert!(env.ok(["verify", &reference, "--rerun"]).contains("identical"));

    let page = env.ok(["trace", &reference, "--format", "html"]);
    for part in [
        "&quot;flagged&quot;: true",
        "ignore: cam9",
        "&quot;least&quot;: 10",
        "8 × 8 pixels",
        "<b>Anna</b> committed <code>/cam2/0800.ppm</code>",
        "<q>day 1</q>",
        "which this store trusts",
        "<b class=\"good\">identical</b>",
        "has the same content as its input <code>detect@",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let picture = page.split("data:image/jpeg;base64,").nth(1).unwrap().split('"').next().unwrap();
    let picture = decoded(picture);
    assert!(picture.starts_with(&[0xff, 0xd8, 0xff]), "a JPEG");
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"), "nothing is loaded");
    // What was made from one commit.
    let commit = env.json(["log", "images"])[0]["id"].as_str().unwrap().to_owned();
    let forward = env.ok(["trace", "--forward", &format!("images@{commit}")]);
    assert!(forward.contains("4 files added or changed") && forward.contains("threat"), "{forward}");
}

fn decoded(base64: &str) -> Vec<u8> {
    let mut child = Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(base64.as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn a_stage_runs_again_from_a_saved_image_when_engine_and_registry_have_lost_it() {
    if !has_docker() {
        return;
    }
    let docker = |args: &[&str]| {
        let done = Command::new("docker").args(args).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(done.success(), "docker {args:?}");
    };
    let tag = format!("pv-test-lost-{}:1", std::process::id());
    let container = tag.replace(':', "-");
    docker(&["run", "--name", &container, IMAGE, "sh", "-c", "date +%s%N > /built"]);
    docker(&["commit", &container, &tag]);
    docker(&["rm", &container]);
    let env = env_with_notes_on("docker");
    let text = spec_with("kept", &pfs("notes", "/a"), "cat /built > /pfs/out/a", "\"network\": \"none\",");
    apply(&env, &text.replace(IMAGE, &tag));
    env.ok(["run"]);
    let listed = env.json(["image", "list"]).remove(0);
    assert_eq!(
        (&listed["reference"], &listed["in_engine"], &listed["saved"]),
        (&json!(tag), &json!(true), &Value::Null)
    );
    let made = env.ok(["cat", "kept:/a"]);

    // The image is lost before it was saved: the report shows the record, and the options.
    let archive = env.work().join("by-hand.tar");
    docker(&["save", "-o", archive.to_str().unwrap(), &tag]);
    docker(&["rmi", "-f", &tag]);
    let output = env.output(["verify", "kept:/a", "--rerun"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("is not available") && said.contains(listed["digest"].as_str().unwrap()), "{said}");
    assert_eq!(env.exit_code(["image", "save", "kept"]), 3);
    docker(&["load", "-i", archive.to_str().unwrap()]);

    // Once saved, it is restored automatically.
    let saved = env.json(["image", "save", "kept:/a"]).remove(0);
    let file = format!("{}.tar.zst", saved["saved"]["archive"].as_str().unwrap());
    let sum = Command::new("sha256sum").arg(env.dir().join(".pv/images").join(&file)).output().unwrap();
    assert!(String::from_utf8_lossy(&sum.stdout).starts_with(saved["saved"]["archive"].as_str().unwrap()));
    assert_eq!(env.json(["image", "save"])[0]["new"], false);
    docker(&["rmi", "-f", &tag]);
    docker_gone(&listed);
    assert_eq!(env.json(["image", "list"])[0]["in_engine"], false);
    let rerun = env.ok(["verify", "kept:/a", "--rerun"]);
    assert!(rerun.contains("identical"), "{rerun}");
    assert_eq!(env.ok(["cat", "kept:/a"]), made);
    assert_eq!(env.json(["image", "load", &tag])[0]["loaded"], false, "it is there again");
    docker(&["rmi", "-f", listed["id"].as_str().unwrap()]);
    assert_eq!(env.json(["image", "load"])[0]["loaded"], true);
    docker(&["rmi", "-f", listed["id"].as_str().unwrap()]);
}

/// The engine does not have the image, under any name.
fn docker_gone(image: &Value) {
    let id = image["id"].as_str().unwrap();
    Command::new("docker").args(["rmi", "-f", id]).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    let status = Command::new("docker").args(["inspect", id]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(!status.unwrap().success());
}
