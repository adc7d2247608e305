//! Ten pipelines including diamonds, rapid commits to several inputs, failures in the middle, and engines that are killed: every
//! run has its output commits in order, their content is right, and no commit depends on a mix of generations.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tests::{TestEnv, test_env};

use crate::support::*;

const INPUTS: [&str; 3] = ["a", "b", "c"];
/// Each pipeline with its inputs: one file of each, joined.
const GRAPH: [(&str, &[&str]); 10] = [
    ("p0", &["a", "b"]),
    ("p1", &["a"]),
    ("p2", &["p0", "p1"]),
    ("p3", &["p2"]),
    ("p4", &["p2", "c"]),
    ("p5", &["p3", "p4"]),
    ("p6", &["p5"]),
    ("p7", &["p5", "p1"]),
    ("p8", &["p6", "p7"]),
    ("p9", &["p8"]),
];
/// This pipeline fails on content with this word.
const FAILS: (&str, &str) = ("p3", "bad");

fn spec_of(pipeline: &str, inputs: &[&str]) -> String {
    let read: Vec<String> = inputs.iter().map(|input| format!("cat /pfs/{input}/x")).collect();
    let mut script = format!("{{ printf '{pipeline}('; {}; printf ')'; }} > /pfs/out/x", read.join("; printf ,; "));
    if pipeline == FAILS.0 {
        script += &format!("; ! grep -q {} /pfs/out/x", FAILS.1);
    }
    let pfs: Vec<String> = inputs.iter().map(|input| pfs(input, "/")).collect();
    let input = if let [one] = pfs.as_slice() { one.clone() } else { format!("{{\"cross\": [{}]}}", pfs.join(", ")) };
    let spec = spec_with(pipeline, &input, &script, "");
    spec.replacen('{', "{\"datum_tries\": 1, ", 1)
}

/// The content of a branch after a run, and everything it depends on: branch and number of the run that made it.
#[derive(Debug, Clone)]
struct Held {
    text: String,
    rests_on: BTreeMap<&'static str, usize>,
}

/// The expected results of jobs, computed without the engine.
#[derive(Debug, Default)]
struct Model {
    heads: BTreeMap<&'static str, Held>,
    /// The jobs of each run: state, and content of the output commit.
    runs: Vec<BTreeMap<&'static str, (&'static str, Option<String>)>>,
}

impl Model {
    fn commit(&mut self, input: &'static str, text: &str, run: usize) {
        self.heads.insert(input, Held { text: text.to_owned(), rests_on: [(input, run)].into() });
    }

    /// A run after these branches changed.
    fn run(&mut self, changed: &[&'static str]) {
        let run = self.runs.len();
        let mut jobs: BTreeMap<&'static str, (&'static str, Option<String>)> = BTreeMap::new();
        for (pipeline, inputs) in GRAPH {
            if !inputs.iter().any(|input| changed.contains(input) || jobs.contains_key(input)) {
                continue;
            }
            let is_lost = |input: &&str| jobs.get(*input).is_some_and(|(state, _)| *state != "success");
            let ended = match self.joined(inputs).filter(|_| !inputs.iter().any(is_lost)) {
                None => ("unrunnable", None),
                Some(mut held) => {
                    held.text = format!("{pipeline}({})", held.text);
                    if pipeline == FAILS.0 && held.text.contains(FAILS.1) {
                        ("failure", None)
                    } else {
                        held.rests_on.insert(pipeline, run);
                        let text = held.text.clone();
                        self.heads.insert(pipeline, held);
                        ("success", Some(text))
                    }
                }
            };
            jobs.insert(pipeline, ended);
        }
        self.runs.push(jobs);
    }

    /// Joins inputs; `None` if they depend on different commits of one branch.
    fn joined(&self, inputs: &[&str]) -> Option<Held> {
        let mut rests_on = BTreeMap::new();
        let mut texts = Vec::new();
        for input in inputs {
            let held = self.heads.get(input)?;
            texts.push(held.text.clone());
            for (branch, run) in &held.rests_on {
                if rests_on.insert(*branch, *run).is_some_and(|other| other != *run) {
                    return None;
                }
            }
        }
        Some(Held { text: texts.join(","), rests_on })
    }
}

/// Puts until success is known, since the engine may be killed meanwhile. Returns the run.
fn put(env: &TestEnv, repo: &str, text: &str) -> String {
    env.write("x", text);
    until("a put that is answered", || {
        let output = env.output(["put", repo, "x"]);
        assert!([0, 6].contains(&output.status.code().unwrap()), "{}", env.shown(&output));
        output.status.success().then_some(())
    });
    until("a show that is answered", || {
        let output = env.output(["--json", "show", repo]);
        let shown: Value = serde_json::from_slice(&output.stdout).ok()?;
        shown["run"].as_str().map(ToOwned::to_owned)
    })
}

/// Starts engines and kills them at random moments, this many times and until `is_over`.
fn kill_engines(env: &TestEnv, kills: u64, is_over: &AtomicBool) {
    let mut random = Random(number("PV_SEED", 7));
    for killed in 0.. {
        if killed >= kills && is_over.load(Ordering::Relaxed) {
            break;
        }
        let args = if random.below(2) == 0 { ["serve", "-j2"] } else { ["run", "-j2"] };
        let engine = Background::start(env, args);
        std::thread::sleep(Duration::from_millis(50 + random.below(1_000)));
        engine.kill_9();
    }
}

/// A store with all pipelines applied to a first commit of each input, and the model of it.
fn prepared() -> (TestEnv, Model, Vec<String>) {
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    let mut model = Model::default();
    for input in INPUTS {
        env.ok(["repo", "create", input]);
        put(&env, input, input);
        model.commit(input, input, 0);
    }
    let specs: Vec<String> = GRAPH.iter().map(|(pipeline, inputs)| spec_of(pipeline, inputs)).collect();
    apply(&env, &specs.join("---\n"));
    model.run(&INPUTS);
    let applied = newest_job(&env, "p9")["run"].as_str().unwrap().to_owned();
    (env, model, vec![applied])
}

/// Commits to one input after another; some commits make a pipeline in the middle fail. Returns the runs.
fn commit_rapidly(env: &TestEnv, model: &mut Model, runs: &mut Vec<String>, count: u64) {
    let mut random = Random(number("PV_SEED", 7) + 1);
    for commit in 1..=count {
        // The last ones are good, one per input.
        let last = count - commit;
        let input = INPUTS[if last < 3 { last } else { random.below(3) } as usize];
        let word = if last >= 3 && random.below(4) == 0 { FAILS.1 } else { "" };
        let text = format!("{input}{commit}{word}");
        runs.push(put(env, input, &text));
        model.commit(input, &text, runs.len() - 1);
        model.run(&[input]);
    }
}

/// Checks that every job ended as the model predicts.
fn assert_states(env: &TestEnv, model: &Model, runs: &[String]) {
    let jobs = env.json(["job", "list"]);
    let mut states: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for job in &jobs {
        let text = |field: &str| job[field].as_str().unwrap();
        let twice = states.insert((text("run"), text("pipeline")), text("state"));
        assert!(twice.is_none(), "{job}");
    }
    let mut expected = 0;
    for (number, (run, jobs)) in runs.iter().zip(&model.runs).enumerate() {
        for (pipeline, (state, _)) in jobs {
            assert_eq!(states.get(&(run.as_str(), *pipeline)), Some(state), "{pipeline} in run {number}");
            expected += 1;
        }
    }
    assert_eq!(states.len(), expected, "no other job");
}

/// Checks that every branch has one commit per good job, in the order of runs, with the right content. Returns all commits by id.
fn assert_commits(env: &TestEnv, model: &Model, runs: &[String]) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (pipeline, _) in GRAPH {
        let mut commits = env.json(["log", pipeline]);
        commits.reverse();
        let good = runs.iter().zip(&model.runs);
        let good: Vec<(&str, &str)> =
            good.filter_map(|(run, jobs)| Some((run.as_str(), jobs.get(pipeline)?.1.as_deref()?))).collect();
        let made: Vec<&str> = commits.iter().map(|commit| commit["run"].as_str().unwrap()).collect();
        assert_eq!(made, good.iter().map(|(run, _)| *run).collect::<Vec<_>>(), "{pipeline}: runs of its commits");
        let ids: Vec<&str> = commits.iter().map(|commit| commit["id"].as_str().unwrap()).collect();
        for (before, after) in ids.iter().zip(&commits[1..]) {
            assert_eq!(after["parents"], serde_json::json!([before]), "{pipeline}: one line");
        }
        let files: Vec<String> = ids.iter().map(|id| format!("{pipeline}@{id}:/x")).collect();
        let texts = env.ok([&["cat".to_owned()], files.as_slice()].concat());
        assert_eq!(texts, good.iter().map(|(_, text)| *text).collect::<String>(), "{pipeline}");
        all.extend(commits.iter().map(|commit| (commit["id"].as_str().unwrap().to_owned(), commit.clone())));
    }
    all
}

/// Checks that no commit depends on two commits of one branch.
fn assert_one_generation(commits: &BTreeMap<String, Value>) {
    for id in commits.keys() {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        let mut open = vec![id.as_str()];
        while let Some(next) = open.pop() {
            // Commits by users depend on nothing.
            let Some(commit) = commits.get(next) else { continue };
            for origin in commit["provenance"].as_array().into_iter().flatten() {
                let [repo, branch, commit] = ["repo", "branch", "commit"].map(|field| origin[field].as_str().unwrap());
                let known = seen.insert(format!("{repo}@{branch}"), commit);
                assert!(known.is_none_or(|known| known == commit), "{id} rests on two commits of {repo}@{branch}");
                open.push(commit);
            }
        }
    }
}

/// Signals the end, also if the test fails.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn rapid_commits_random_kills_and_failures_leave_every_run_whole_and_in_order() {
    let (env, mut model, mut runs) = prepared();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| kill_engines(&env, number("PV_KILLS", 6), &is_over));
        let _ended = AtEnd(&is_over);
        commit_rapidly(&env, &mut model, &mut runs, number("PV_COMMITS", 50));
    });
    env.ok(["run", "-j", "2"]);
    assert_states(&env, &model, &runs);
    let commits = assert_commits(&env, &model, &runs);
    assert_one_generation(&commits);
    let failed =
        model.runs.iter().filter(|jobs| jobs.get(FAILS.0).is_some_and(|(state, _)| *state == "failure")).count();
    assert!(failed > 0, "some failed in the middle");
    assert_sound(&env);
    assert_nothing_is_left(&env);
}
