//! The complete example, with few frames: its script checks its claims; then each flag is traced, and the trace is checked
//! against the files that were put in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tests::TestEnv;

use crate::support::{has_docker, skip};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/threat-detection").canonicalize().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a script of the example; its output is the error.
fn script(name: &str, args: &[&Path]) -> Result<String, String> {
    let output = Command::new(example().join(name)).args(args).output().map_err(|error| error.to_string())?;
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(printed) } else { Err(said(&output)) }
}

/// Python with `OpenCV`, and the video with the frames; returns the path of the packages.
fn prepare(env: &TestEnv) -> Result<String, String> {
    let packages = script("image/host.sh", &[])?;
    script("data/prepare.sh", &[&env.dir().join("data"), Path::new("--frames"), Path::new("12")])?;
    Ok(packages)
}

#[expect(clippy::print_stderr, reason = "the summary is for whoever runs the tests")]
#[test]
fn the_threat_detection_example_keeps_its_promises() {
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    let packages = match prepare(&env) {
        Ok(packages) => packages,
        Err(why) => return skip(&format!("Python, OpenCV or the video cannot be had: {why}")),
    };
    let executor = if has_docker() { "docker" } else { "process" };
    let mut command = Command::new(example().join("demo.sh"));
    command.env("PV", env!("CARGO_BIN_EXE_pv")).env("DEMO_DIR", env.dir().join("demo"));
    let output = command.env("DEMO_FRAMES", "12").env("DEMO_EXECUTOR", executor).output().unwrap();
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    for claim in ["exactly the frames of batch 2", "datums that detect ran: 0", "and has no gaps: complete"] {
        assert!(said.contains(claim), "{claim}\n{said}");
    }
    assert!(!env.dir().join("demo/store/.pv/socket").exists(), "the demo left a server running");
    let summary = said.lines().skip_while(|line| !line.contains("Summary")).take(7);
    summary.for_each(|line| eprintln!("{line}"));

    let demo = Demo { env: &env, executor };
    demo.every_decision_rests_on_what_was_put_in();
    demo.a_frame_leads_to_what_was_made_of_it();
    demo.a_frame_without_people_says_so(&packages);
}

/// The state after the demo, and facts about it that do not come from `pv trace`.
struct Demo<'e> {
    env: &'e TestEnv,
    executor: &'static str,
}

/// Which folder came into which repository, in this order, by whom and with which message; the last by a watch.
const PUT: [(&str, &str, &str, &str); 7] = [
    ("images", "batch1", "anna", "first camera batch"),
    ("model", "model-v1", "carl", "people detector v1"),
    ("rules", "rules-v1", "dora", "closed areas, 22-05"),
    ("images", "batch2", "anna", "second camera batch"),
    ("rules", "rules-v2", "dora", "night is 20-04, clearer sight asked"),
    ("model", "model-v2", "carl", "people detector v2, faster search"),
    ("images", "../incoming", "camera", "from the watched folder"),
];

/// A source file as a trace must report it: repository, path, digest, commit, author, message.
type Source = [String; 6];

impl Demo<'_> {
    fn json(&self, args: &[&str]) -> Vec<Value> {
        let store = self.env.dir().join("demo/store");
        let all = ["--store", store.to_str().unwrap()].into_iter().chain(args.iter().copied());
        self.env.json(all)
    }

    fn text(&self, args: &[&str]) -> String {
        let store = self.env.dir().join("demo/store");
        let all = ["--store", store.to_str().unwrap()].into_iter().chain(args.iter().copied());
        self.env.ok(all)
    }

    fn data(&self, folder: &str) -> PathBuf {
        self.env.dir().join("demo/data").join(folder)
    }

    fn paths(&self, reference: &str) -> BTreeSet<String> {
        let store = self.env.dir().join("demo/store");
        let listed = self.env.output(["--store", store.to_str().unwrap(), "--json", "ls", "-r", reference]);
        let lines = String::from_utf8_lossy(&listed.stdout).into_owned();
        let path = |line: &str| serde_json::from_str::<Value>(line).unwrap()["path"].as_str().unwrap().to_owned();
        lines.lines().map(path).collect()
    }

    /// The id of the commit with this message.
    fn commit(&self, repo: &str, message: &str) -> String {
        let log = self.json(&["log", repo]);
        let commit = log.iter().find(|commit| commit["message"] == message).unwrap_or_else(|| panic!("{message}"));
        commit["id"].as_str().unwrap().to_owned()
    }

    /// The newest put of a repository with these bytes under this name, according to the files on disk.
    fn truth(&self, repo: &str, name: &str) -> Source {
        let (mut bytes, mut found) = (None, None);
        for (_, folder, author, message) in PUT.iter().filter(|put| put.0 == repo) {
            let here = std::fs::read(self.data(folder).join(name)).ok();
            if here.is_some() && here != bytes {
                let sum = Command::new("sha256sum").arg(self.data(folder).join(name)).output().unwrap();
                let digest = String::from_utf8_lossy(&sum.stdout)[..64].to_owned();
                let commit = self.commit(repo, message);
                let texts = [repo, &format!("/{name}"), &digest, &commit, author, message];
                (bytes, found) = (here, Some(texts.map(str::to_owned)));
            }
        }
        found.unwrap_or_else(|| panic!("nobody put {name} into {repo}"))
    }

    fn every_decision_rests_on_what_was_put_in(&self) {
        let decisions = self.paths("threat");
        assert!(decisions.len() > 3, "{decisions:?}");
        for path in &decisions {
            let frame = format!("{}.jpg", path.trim_start_matches('/').trim_end_matches(".json").replace('/', "_"));
            let truth: BTreeSet<Source> =
                [("images", &*frame), ("model", "params.json"), ("model", "svm.npy"), ("rules", "rules.json")]
                    .map(|(repo, name)| self.truth(repo, name))
                    .into();
            let reference = format!("threat:{path}");
            let trace = self.json(&["trace", &reference]).remove(0);
            assert_eq!(
                (&trace["complete"], &trace["datums"], &trace["source_files"]),
                (&json!(true), &json!(3), &json!(4))
            );
            assert_eq!(sources_of(&trace), truth, "{path}");
            self.executions_are_true(&trace);
            let shown = self.text(&["trace", &reference]);
            for [repo, path, digest, commit, author, message] in &truth {
                let file = shown.find(&format!("{repo}@{}:{path}   ", &commit[..8]));
                let file = &shown[file.unwrap_or_else(|| panic!("{repo}:{path}\n{shown}"))..];
                assert!(file.lines().next().unwrap().ends_with(&digest[..8]), "{shown}");
                assert!(file.contains(&format!("{author} (")) && file.contains(message.as_str()), "{author}\n{shown}");
            }
        }
    }

    /// Checks that stages, commands, code, image and network match the specs and this checkout.
    fn executions_are_true(&self, trace: &Value) {
        let git = Command::new("git").arg("-C").arg(example()).args(["rev-parse", "HEAD"]).output();
        let head = git.ok().filter(|git| git.status.success());
        let head = head.map(|git| String::from_utf8_lossy(&git.stdout).trim().to_owned());
        let datums = datums_of(trace);
        assert_eq!(datums.keys().collect::<Vec<_>>(), ["detect", "threat", "validate"]);
        for (name, datum) in datums {
            assert_eq!(datum["cmd"], json!(["/usr/bin/python3", format!("/code/{name}.py")]));
            assert_eq!(
                (&datum["network"], &datum["version"], &datum["exit_code"]),
                (&json!("none"), &json!(1), &json!(0))
            );
            assert_eq!(datum["code"]["git_commit"], json!(head), "{name}");
            assert_eq!(datum["executor"]["kind"], self.executor);
            if self.executor == "docker" {
                let inspect = ["image", "inspect", "--format", "{{.Id}}", "pv-threat:1"];
                let id = Command::new("docker").args(inspect).output().unwrap().stdout;
                let id = String::from_utf8_lossy(&id).trim().to_owned();
                assert_eq!((&datum["image"]["reference"], &datum["image"]["id"]), (&json!("pv-threat:1"), &json!(id)));
            } else {
                assert_eq!(datum["image"], Value::Null);
            }
            let log = datum["log"].as_str();
            assert!(log.is_none_or(|log| log.len() == 64), "{log:?}");
        }
    }

    /// The files that each pipeline made from a frame; a pipeline that did not read it is absent.
    fn made_of(&self, reference: &str, flags: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
        let args: Vec<&str> = ["trace", "--forward", reference].iter().chain(flags).copied().collect();
        let found = self.json(&args).remove(0);
        let mut made: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for reader in found["readers"].as_array().unwrap() {
            let path = |output: &Value| output["path"].as_str().or(output.as_str()).unwrap().to_owned();
            let outputs = reader["outputs"].as_array().unwrap().iter().map(path);
            made.entry(reader["pipeline"].as_str().unwrap().to_owned()).or_default().extend(outputs);
        }
        made
    }

    fn a_frame_leads_to_what_was_made_of_it(&self) {
        let images = self.commit("images", "second camera batch");
        let [detected, decided, report] =
            ["detect", "threat", "report"].map(|repo| self.paths(&format!("{repo}@{images}")));
        let frames = std::fs::read_dir(self.data("batch2")).unwrap().map(|entry| entry.unwrap().file_name());
        let frames: Vec<String> = frames.map(|name| name.into_string().unwrap()).collect();
        for frame in &frames {
            let is_good =
                frame.starts_with("cam") && frame.find('_') == Some(4) && frame.len() == "cam7_1782943200.jpg".len();
            let decision = format!("/{}.json", frame.trim_end_matches(".jpg").replace('_', "/"));
            let sorted = if is_good { "valid" } else { "invalid" };
            let mut truth = BTreeMap::from([("validate".to_owned(), BTreeSet::from([format!("/{sorted}/{frame}")]))]);
            if is_good {
                truth.insert("detect".to_owned(), BTreeSet::new());
            }
            if detected.contains(&decision) {
                truth.insert("detect".to_owned(), BTreeSet::from([decision.clone()]));
                assert!(decided.contains(&decision));
                truth.insert("threat".to_owned(), BTreeSet::from([decision]));
                truth.insert("report".to_owned(), report.clone());
            }
            assert_eq!(self.made_of(&format!("images@{images}:/{frame}"), &[]), truth, "{frame}");
        }
    }

    /// An all-black frame, put in by the test itself.
    fn a_frame_without_people_says_so(&self, packages: &str) {
        let frame = self.env.write("black/cam1_1782940000.jpg", "");
        let draw = "import sys, cv2, numpy; cv2.imwrite(sys.argv[1], numpy.zeros((360, 640, 3), numpy.uint8))";
        let mut python = Command::new("/usr/bin/python3");
        let drawn = python.env("PYTHONPATH", packages).args(["-c", draw]).arg(&frame).status().unwrap();
        assert!(drawn.success());
        self.text(&["put", "images", "black"]);
        self.text(&["run"]);
        let reference = "images:/cam1_1782940000.jpg";
        let nothing: BTreeMap<String, BTreeSet<String>> = BTreeMap::from([
            ("validate".to_owned(), BTreeSet::from(["/valid/cam1_1782940000.jpg".to_owned()])),
            ("detect".to_owned(), BTreeSet::new()),
        ]);
        assert_eq!(self.made_of(reference, &[]), nothing);
        assert_eq!(self.made_of(reference, &["--all-runs"]), nothing);
        let shown = self.text(&["trace", "--forward", reference]);
        let detect = shown.lines().find(|line| line.starts_with("detect")).unwrap_or_else(|| panic!("{shown}"));
        assert!(detect.contains("1 datum") && detect.contains("0 files; 1 wrote none"), "{shown}");
    }
}

/// All files committed by users, below any node of a trace.
fn sources_of(node: &Value) -> BTreeSet<Source> {
    let mut found = BTreeSet::new();
    visit(node, &mut |node| {
        if let Some(source) = node["origin"].get("source") {
            let texts = [
                &node["repo"],
                &node["path"],
                &node["digest"],
                &source["commit"],
                &source["author"],
                &source["message"],
            ];
            found.insert(texts.map(|text| text.as_str().unwrap().to_owned()));
        }
    });
    found
}

/// The datums of a trace by pipeline.
fn datums_of(node: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    visit(node, &mut |node| {
        if let Some(datum) = node["origin"].get("datum") {
            found.insert(datum["pipeline"].as_str().unwrap().to_owned(), datum.clone());
        }
    });
    found
}

fn visit(node: &Value, look: &mut impl FnMut(&Value)) {
    match node {
        Value::Object(fields) => {
            look(node);
            fields.values().for_each(|value| visit(value, look));
        }
        Value::Array(items) => items.iter().for_each(|item| visit(item, look)),
        _ => {}
    }
}
