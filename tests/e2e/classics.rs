//! The classic pipelines of `examples/classics`, each with its data, in every available executor.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tests::TestEnv;

use crate::support::{IMAGE, assert_sound, executors, newest_job};

fn classics() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/classics").canonicalize().unwrap()
}

/// The names in a directory, sorted.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every file below a directory, by path.
fn files(dir: &Path) -> BTreeMap<String, String> {
    let found = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let named = found.map(|entry| {
        let path = entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
        (path, fs::read_to_string(entry.path()).unwrap())
    });
    named.collect()
}

/// A store with an example's data, its pipelines applied and run.
fn started(name: &str, executor: &str) -> TestEnv {
    let example = classics().join(name);
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    env.ok(["init", ".."]);
    env.ok(["config", "set", "executor", executor]);
    env.ok(["config", "set", "default_image", IMAGE]);
    for repo in names(&example.join("data")) {
        env.ok(["repo", "create", &repo]);
        env.ok(["put", &format!("{repo}@main"), example.join("data").join(&repo).to_str().unwrap()]);
    }
    env.ok(["pipeline", "apply", "-f", example.join("pipelines.yml").to_str().unwrap()]);
    env.ok(["run"]);
    env
}

/// Checks the output of each pipeline that is named below `expected`.
#[track_caller]
fn assert_expected(env: &TestEnv, name: &str) {
    let expected = classics().join(name).join("expected");
    for pipeline in names(&expected) {
        let got = env.dir().join("got").join(&pipeline);
        env.ok(["get", &format!("{pipeline}@main"), got.to_str().unwrap(), "--force"]);
        assert_eq!(files(&got), files(&expected.join(&pipeline)), "{name}: {pipeline}");
    }
}

fn gives_what_it_says(name: &str) {
    for executor in executors() {
        let env = started(name, executor);
        assert_expected(&env, name);
        assert_sound(&env);
    }
}

macro_rules! classics {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            gives_what_it_says($name);
        })*

        #[test]
        fn every_classic_is_tested() {
            let tested = [$($name,)* "deferred", "err-cmd"].map(str::to_owned);
            let mut all = names(&classics());
            all.retain(|name| name != "README.md");
            assert_eq!(all.into_iter().collect::<std::collections::BTreeSet<_>>(), tested.into_iter().collect());
        }
    };
}

classics! {
    edges: "edges",
    word_count: "word-count",
    inner_join: "inner-join",
    outer_join: "outer-join",
    group: "group",
    hyperparameter: "hyperparameter",
    iris: "iris",
    shuffle: "shuffle",
}

#[test]
fn a_file_that_cannot_be_read_is_recovered() {
    for executor in executors() {
        let env = started("err-cmd", executor);
        assert_expected(&env, "err-cmd");
        let job = newest_job(&env, "lines");
        assert_eq!(
            (&job["state"], &job["datums_recovered"], &job["datums_failed"]),
            (&"success".into(), &1.into(), &0.into())
        );
    }
}

#[test]
fn work_is_released_by_hand() {
    for executor in executors() {
        let env = started("deferred", executor);
        env.ok(["branch", "create", "draft@main", "draft@dev"]);
        env.ok(["pipeline", "apply", "-f", classics().join("deferred/page.yml").to_str().unwrap()]);
        env.ok(["run"]);
        assert_expected(&env, "deferred");
        let note = env.write("3.txt", "third\n");
        env.ok(["put", "notes@main", note.to_str().unwrap()]);
        env.ok(["run"]);
        assert_expected(&env, "deferred");
        env.ok(["branch", "move", "draft@main", "draft@dev"]);
        env.ok(["run"]);
        assert_eq!(env.ok(["cat", "page@main:/page.txt"]), "FIRST\nSECOND\nTHIRD\n");
    }
}
