//! Pipelines as published by others, unedited: old field names, numbers in quotes, images without a tag, code in `/code` of the image.
//!
//! The images are built here, with shell scripts instead of the published Python ones; `python` runs them.

use std::path::Path;
use std::process::Command;

use tests::{TestEnv, test_env};

use crate::support::*;

/// Shell scripts for the programs that the specs name.
const PROGRAMS: &str = "mkdir -p usr/bin code; mkdir -m 1777 tmp
for name in bash python python3; do printf '#!/bin/ash\\nexec /bin/ash \"$@\"\\n' > bin/$name; chmod 755 bin/$name; done";

/// Builds an image with these files.
fn image(name: &str, files: &[(&str, &str)]) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images");
    let mut script = PROGRAMS.to_owned();
    for (path, content) in files {
        let folder = path.rsplit_once('/').unwrap().0;
        script += &format!("\nmkdir -p {folder}; cat > {path} <<'END'\n{content}\nEND");
    }
    assert!(Command::new("sh").arg(scripts.join("odd.sh")).args([name, &script]).status().unwrap().success(), "{name}");
}

/// A store with the Docker executor and these repositories and files; `None` without Docker.
fn env_with(repos: &[(&str, &[(&str, &str)])]) -> Option<TestEnv> {
    if !has_docker() {
        return None;
    }
    let env = test_env!();
    env.ok(["config", "set", "executor", "docker"]);
    for (repo, files) in repos {
        for (path, content) in *files {
            env.write(format!("data/{repo}/{path}"), content);
        }
        if *repo != "images" {
            env.ok(["repo", "create", repo]);
        }
        env.ok(["put", repo, &format!("data/{repo}")]);
    }
    Some(env)
}

/// Applies each spec from a separate file, in this order, and runs.
fn run(env: &TestEnv, specs: &[&str]) {
    for spec in specs {
        apply(env, spec);
    }
    env.ok(["run"]);
}

/// The paths in a repository.
fn paths(env: &TestEnv, repo: &str) -> Vec<String> {
    env.json(["ls", "-r", repo]).iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
}

const VALIDATE: &str = r#"{
  "pipeline": { "name": "validate" },
  "transform": {
    "image": "dwhitena/mgmt-validate",
    "cmd": [ "/bin/ash" ],
    "stdin": [ "python /code/validate.py $images /pfs/out/valid /pfs/out/invalid" ]
  },
  "parallelism_spec": { "constant": "1" },
  "input": { "atom": { "repo": "images", "glob": "/*" } }
}"#;
const DETECT: &str = r#"{
  "pipeline": { "name": "object-detect" },
  "input": { "cross": [
    { "atom": { "glob": "/valid/*", "repo": "validate" } },
    { "atom": { "glob": "/", "repo": "model" } }
  ] },
  "transform": {
    "image": "dwhitena/mgmt-object-detect",
    "cmd": [ "/bin/bash" ],
    "stdin": [
      "cd /tensorflow/models/object_detection/",
      "python infer.py /pfs/model/frozen_inference_graph.pb /pfs/validate/valid/ /pfs/out/ 0.50"
    ]
  },
  "parallelism_spec": { "constant": "1" }
}"#;
const THREAT: &str = r#"{
  "pipeline": { "name": "threat-detect" },
  "transform": {
    "image": "dwhitena/mgmt-threat-detect",
    "cmd": [ "/bin/ash" ],
    "stdin": [ "python /code/threatdetect.py $object /pfs/rules /pfs/out" ]
  },
  "parallelism_spec": { "constant": "1" },
  "input": { "cross": [
    { "atom": { "name": "object", "repo": "object-detect", "glob": "/*/*" } },
    { "atom": { "repo": "rules", "glob": "/" } }
  ] }
}"#;
const PLOT: &str = r#"{
  "pipeline": { "name": "plot" },
  "transform": {
    "image": "dwhitena/mgmt-plot:fix2",
    "cmd": [ "/bin/bash" ],
    "stdin": [ "python /code/plot.py /pfs/threat-detect /pfs/out" ]
  },
  "parallelism_spec": { "constant": "1" },
  "input": { "atom": { "repo": "threat-detect", "glob": "/*" } }
}"#;

/// Sorts a picture by its name: `<device>_<unix time>.jpg` is valid. Leaves a file beside `/code/validate.py`, as Python does.
const VALIDATE_CODE: &str = r#"name=$(basename "$1")
[ -e /code/__pycache__ ] && exit 9
mkdir /code/__pycache__ && echo x > /code/__pycache__/names.pyc
to=$3; echo "$name" | grep -qE '^[a-z0-9]+_[0-9]{10,}\.jpg$' && to=$2
mkdir -p "$to" && ln -s "$1" "$to/$name""#;
/// Finds people and cars in a file that stands in for a picture.
const INFER_CODE: &str = r#"[ -s "$1" ] || exit 8
for picture in "$2"*; do
    name=$(basename "$picture" .jpg); found=
    grep -q person "$picture" && found='{"score":0.9,"class":1}'
    grep -q car "$picture" && found="$found${found:+,}{\"score\":0.8,\"class\":3}"
    [ -z "$found" ] && continue
    mkdir -p "$3${name%_*}" && echo "{\"objects\":[$found]}" > "$3${name%_*}/${name#*_}.json"
done"#;
/// Passes on results with a class of the rule.
const THREAT_CODE: &str = r#"classes=$(sed 's/.*\[\(.*\)\].*/\1/; s/,/ /g' "$2/rule.json")
for class in $classes; do
    if grep -q "\"class\":$class}" "$1"; then
        device=$(basename "$(dirname "$1")"); mkdir -p "$3/$device"; ln -s "$1" "$3/$device/$(basename "$1")"; exit 0
    fi
done"#;
const PLOT_CODE: &str =
    r#"for device in "$1"/*; do echo "$(basename "$device") $(ls "$device" | wc -l)"; done > "$2/threats.png""#;

#[test]
fn threats_on_camera_images() {
    let images = [
        ("dev1_1511891098.jpg", "a person"),
        ("dev1_1511891155.jpg", "nothing"),
        ("dev2_1511891326.jpg", "a car"),
        ("blah.jpg", "a person"),
    ];
    let repos: [(&str, &[_]); 3] = [
        ("images", &images),
        ("model", &[("frozen_inference_graph.pb", "weights")]),
        ("rules", &[("rule.json", r#"{"from_email":"a@example.com","threat_classes":[1,4,8]}"#)]),
    ];
    let Some(env) = env_with(&repos) else { return };
    image("dwhitena/mgmt-validate", &[("code/validate.py", VALIDATE_CODE)]);
    image("dwhitena/mgmt-object-detect", &[("tensorflow/models/object_detection/infer.py", INFER_CODE)]);
    image("dwhitena/mgmt-threat-detect", &[("code/threatdetect.py", THREAT_CODE)]);
    image("dwhitena/mgmt-plot:fix2", &[("code/plot.py", PLOT_CODE)]);
    run(&env, &[VALIDATE, DETECT, THREAT, PLOT]);
    let valid = ["dev1_1511891098", "dev1_1511891155", "dev2_1511891326"].map(|name| format!("/valid/{name}.jpg"));
    assert_eq!(paths(&env, "validate"), [&["/invalid/blah.jpg".to_owned()], valid.as_slice()].concat());
    assert_eq!(paths(&env, "object-detect"), ["/dev1/1511891098.json", "/dev2/1511891326.json"]);
    assert_eq!(paths(&env, "threat-detect"), ["/dev1/1511891098.json"]);
    assert_eq!(env.ok(["cat", "plot:/threats.png"]), "dev1 1\n");
    env.ok(["verify", "plot:/threats.png"]);
    // Only the next picture runs, and only its flag is new.
    run(&env, &[&PLOT.replace("\"/*\"", "\"/\"")]);
    env.write("more/dev3_1511891999.jpg", "a person");
    env.ok(["put", "images", "more"]);
    env.ok(["run"]);
    assert_eq!(outcome(&env, "validate"), success(1, 4));
    assert_eq!(env.ok(["cat", "plot:/threats.png"]), "dev1 1\ndev3 1\n");
}

const IRIS_MODEL: &str = r#"{
  "pipeline": { "name": "model" },
  "transform": {
    "image": "pachyderm/iris-train:python-svm",
    "cmd": [ "python3", "/code/pytrain.py", "/pfs/training/", "/pfs/out/" ]
  },
  "parallelism_spec": { "constant": "1" },
  "input": { "pfs": { "repo": "training", "glob": "/" } }
}"#;
const IRIS_INFERENCE: &str = r#"{
  "pipeline": { "name": "inference" },
  "transform": {
    "image": "pachyderm/iris-infer:python",
    "cmd": [ "python3", "/code/pyinfer.py", "/pfs/model/", "/pfs/attributes/", "/pfs/out/" ]
  },
  "parallelism_spec": { "constant": "1" },
  "input": { "cross": [
    { "pfs": { "repo": "attributes", "glob": "/*" } },
    { "pfs": { "repo": "model", "glob": "/" } }
  ] }
}"#;

#[test]
fn iris_is_trained_and_inferred() {
    let repos: [(&str, &[_]); 2] = [
        ("training", &[("iris.csv", "5.1,setosa\n7.0,virginica\n")]),
        ("attributes", &[("1.csv", "5.0\n6.9\n"), ("2.csv", "7.2\n")]),
    ];
    let Some(env) = env_with(&repos) else { return };
    let train = r#"cut -d, -f1,2 "$1iris.csv" | sort -n > "$2model.pkl"; sed -n 1p "$2model.pkl" > "$2model.txt""#;
    let infer = r#"[ -s "$1model.pkl" ] || exit 8
for file in "$2"*; do
    while read -r length; do [ ${length%.*} -ge 6 ] && echo virginica || echo setosa; done < "$file" > "$3$(basename "$file" .csv)"
done"#;
    image("pachyderm/iris-train:python-svm", &[("code/pytrain.py", train)]);
    image("pachyderm/iris-infer:python", &[("code/pyinfer.py", infer)]);
    run(&env, &[IRIS_MODEL, IRIS_INFERENCE]);
    assert_eq!(paths(&env, "model"), ["/model.pkl", "/model.txt"]);
    assert_eq!(env.ok(["cat", "inference:/1"]), "setosa\nvirginica\n");
    assert_eq!(env.ok(["cat", "inference:/2"]), "virginica\n");
    assert_eq!(outcome(&env, "inference"), success(2, 0));
}

const SPLIT: &str = r#"{
  "pipeline": { "name": "split" },
  "transform": {
    "cmd": [ "/bin/bash" ],
    "stdin": [
      "shuf /pfs/raw_data/iris.csv > /tmp/iris_shuffled.csv",
      "head -n80 /tmp/iris_shuffled.csv > /pfs/out/train.csv",
      "tail -n20 /tmp/iris_shuffled.csv > /pfs/out/test.csv"
    ]
  },
  "parallelism_spec": { "constant": "1" },
  "input": { "atom": { "repo": "raw_data", "glob": "/" } }
}"#;
const HYPER_MODEL: &str = r#"{
  "pipeline": { "name": "model" },
  "transform": {
    "image": "pachyderm/iris-train:python-svm-adj-c-gamma",
    "cmd": [ "/bin/ash" ],
    "stdin": [
      "cp /pfs/split/train.csv /tmp/iris.csv",
      "for cf in /pfs/c-parameters/c_parameters.txt/*",
      "do",
      "for gf in /pfs/gamma-parameters/gamma_parameters.txt/*",
      "do",
      "cparam=`cat $cf`",
      "gammaparam=`cat $gf`",
      "python /code/pytrain.py /tmp/ /pfs/out/ $cparam $gammaparam",
      "done",
      "done"
    ]
  },
  "parallelism_spec": { "constant": "1" },
  "input": { "cross": [
    { "pfs": { "repo": "split", "glob": "/train.csv" } },
    { "pfs": { "name": "c-parameters", "repo": "parameters", "glob": "/c_parameters.txt/*" } },
    { "pfs": { "name": "gamma-parameters", "repo": "parameters", "glob": "/gamma_parameters.txt/*" } }
  ] }
}"#;
const TEST: &str = r#"{
  "pipeline": { "name": "test" },
  "description": "A pipeline that generates evaluation metrics by using each of the train models.",
  "transform": {
    "image": "pachyderm/iris-evaluate",
    "cmd": [ "/bin/ash" ],
    "stdin": [
      "for f in /pfs/model/*",
      "do",
      "filename=$(basename \"$f\")",
      "extension=`echo $filename | tail -c 4`",
      "if [ \"$extension\" == \"pkl\" ]",
      "then",
      "python3 /code/evaluate.py $f /pfs/split/test.csv /pfs/out/",
      "fi",
      "done"
    ]
  },
  "parallelism_spec": { "constant": "1" },
  "input": { "cross": [
    { "pfs": { "repo": "split", "glob": "/test.csv" } },
    { "pfs": { "repo": "model", "glob": "/*" } }
  ] }
}"#;
const SELECT: &str = r#"{
  "pipeline": { "name": "select" },
  "transform": {
    "image": "dianoga/docker-ubuntu-jq-curl-bc",
    "cmd": [ "/bin/bash" ],
    "stdin": [
      "bestmetric=0.0",
      "for f in /pfs/test/*",
      "do",
      "metric=`cat $f`",
      "if [ `echo $metric'>='$bestmetric | bc -l` -eq 1 ]",
      "then",
      "bestmetric=$metric",
      "fi",
      "done",
      "for model in /pfs/model/*",
      "do",
      "modelfile=$(basename \"$model\")",
      "modelfile=${modelfile::-4}",
      "metricfile=\"_metric.txt\"",
      "metricfile=$modelfile$metricfile",
      "metric=`cat /pfs/test/$metricfile`",
      "if [ $metric == $bestmetric ]",
      "then",
      "ln -s $model /pfs/out/$modelfile.pkl",
      "fi",
      "done"
    ]
  },
  "parallelism_spec": { "constant": "1" },
  "input": { "cross": [
    { "atom": { "repo": "test", "glob": "/" } },
    { "atom": { "repo": "model", "glob": "/" } }
  ] }
}"#;

#[test]
fn the_best_of_many_parameters_is_selected() {
    let rows = (0..100).map(|row| format!("{row},setosa\n")).collect::<Vec<_>>().concat();
    let repos: [(&str, &[_]); 2] = [
        ("raw_data", &[("iris.csv", rows.as_str())]),
        (
            "parameters",
            &[
                ("c_parameters.txt/0000000000000000", "0.031"),
                ("c_parameters.txt/0000000000000001", "8.0"),
                ("gamma_parameters.txt/0000000000000000", "0.001"),
                ("gamma_parameters.txt/0000000000000001", "4.0"),
            ],
        ),
    ];
    let Some(env) = env_with(&repos) else { return };
    let train = r#"[ $(wc -l < "$1iris.csv") = 80 ] || exit 7; echo "0.$(echo "$3 + $4" | bc | tr -d .)" > "$2model_C$3_G$4.pkl""#;
    let evaluate = r#"[ $(wc -l < "$2") = 20 ] || exit 7; cp "$1" "$3$(basename "$1" .pkl)_metric.txt""#;
    image("pv-test-published-bash:1", &[("code/none", "")]);
    image("pachyderm/iris-train:python-svm-adj-c-gamma", &[("code/pytrain.py", train)]);
    image("pachyderm/iris-evaluate", &[("code/evaluate.py", evaluate)]);
    image("dianoga/docker-ubuntu-jq-curl-bc", &[("code/none", "")]);
    env.ok(["config", "set", "default_image", "pv-test-published-bash:1"]);
    run(&env, &[SPLIT, HYPER_MODEL, TEST, SELECT]);
    assert_eq!(paths(&env, "model").len(), 4);
    assert_eq!(outcome(&env, "test"), success(4, 0));
    assert_eq!(paths(&env, "select"), ["/model_C8.0_G0.001.pkl"]);
}

#[test]
fn code_that_would_hide_files_of_the_image_is_refused_and_has_another_place() {
    let Some(env) = env_with(&[("notes", &[("a", "a\n")])]) else { return };
    image("pv-test-published-code:1", &[("code/own", "of the image")]);
    env.write("code/new", "of the spec");
    let spec = |path: &str| {
        let transform = format!("\"code\": \"code\", {path}");
        spec_with("both", &pfs("notes", "/"), "cat /code/* /app/code/* > /pfs/out/seen 2>/dev/null; true", &transform)
            .replace(IMAGE, "pv-test-published-code:1")
    };
    env.write("spec.json", spec(""));
    let (error, code) = env.json_error(["pipeline", "apply", "-f", "spec.json"]);
    let said = error.to_string();
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("`code` would hide files of image `pv-test-published-code:1` at `/code`"), "{said}");
    assert!(said.contains("code_path: /app"), "{said}");
    apply(&env, &spec("\"code_path\": \"/app/code\","));
    env.ok(["run"]);
    assert_eq!(env.ok(["cat", "both:/seen"]), "of the image\nof the spec");
}
