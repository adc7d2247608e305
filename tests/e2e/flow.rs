//! Two small pipelines used by several tests: `upper` converts each file of `images` to upper case and fails on the content
//! `bad`; `count` counts the output of `upper`.

use tests::{TestEnv, test_env};

pub(crate) const UPPER: &str = r#"
pipeline: {name: upper}
transform:
  cmd: [sh, -c, "for f in /pfs/images/*; do if grep -q bad $f; then echo what is bad; exit 7; fi; tr a-z A-Z < $f > /pfs/out/${f##*/}; done"]
input: {pfs: {repo: images, glob: "/*"}}
"#;
const COUNT: &str = r#"
pipeline: {name: count}
transform: {cmd: [sh, -c, "ls /pfs/upper | wc -l > /pfs/out/count"]}
input: {pfs: {repo: upper, glob: "/"}}
"#;

/// A store with the process executor; `images` has the files `a` and `b`.
pub(crate) fn with_images() -> TestEnv {
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    env.write("a", "one\n");
    env.write("b", "two\n");
    env.ok(["put", "images", "a", "b", "-m", "first"]);
    env
}

/// With both pipelines applied; their first jobs are waiting.
pub(crate) fn applied() -> TestEnv {
    let env = with_images();
    apply(&env);
    env
}

/// Applies both pipelines.
pub(crate) fn apply(env: &TestEnv) {
    env.write("specs/upper.yml", UPPER);
    env.write("specs/count.yml", COUNT);
    env.ok(["pipeline", "apply", "-f", "specs"]);
}

/// With both pipelines applied, and run.
pub(crate) fn run() -> TestEnv {
    let env = applied();
    env.ok(["run"]);
    env
}

/// After a second run with a bad file.
pub(crate) fn failed() -> TestEnv {
    let env = run();
    env.write("c", "bad\n");
    env.ok(["put", "images", "c", "-m", "third"]);
    assert_eq!(env.exit_code(["run"]), 1);
    env
}

/// Replaces what differs between machines and days with words.
pub(crate) fn steady(text: &str) -> String {
    let mut shown = String::new();
    for line in text.split_inclusive('\n') {
        let mut line = line.to_owned();
        if let (Some(from), Some(on)) = (line.find("process linux "), line.find(" on ")) {
            let end = on + 4 + line[on + 4..].find([' ', '\n']).unwrap_or(line.len() - on - 4);
            line.replace_range(from..end, "process [host]");
        }
        for word in line.clone().split_whitespace() {
            let day = word.trim_end_matches(')');
            if word.starts_with('(') && word.ends_with("Z)") {
                line = line.replace(word, "[utc]");
            } else if day.len() == 10 && day.starts_with("20") && day.matches('-').count() == 2 {
                line = line.replace(day, "[date]");
            }
        }
        shown += &line;
    }
    shown
}

/// The fields of a JSON object, by name.
pub(crate) fn fields(object: &serde_json::Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}
