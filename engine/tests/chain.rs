//! Many pipelines and commits, with failures in between: checks the result of every run.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use repos::documents::Commit;
use repos::journal::SealedState;
use specs::{BranchName, CommitId, RepoName, RunId};

use super::setting::Setting;
use sandbox::scripted::{Call, Reply};

/// Ten pipelines, each with its inputs; `p3` `p4` `p5` and `p7` `p8` `p9` are diamonds, and `p9` also reads a source.
const GRAPH: [(&str, &[&str]); 10] = [
    ("p0", &["left"]),
    ("p1", &["p0", "right"]),
    ("p2", &["p1"]),
    ("p3", &["p2"]),
    ("p4", &["p2", "third"]),
    ("p5", &["p3", "p4"]),
    ("p6", &["p5", "p1"]),
    ("p7", &["p6"]),
    ("p8", &["p6", "right"]),
    ("p9", &["p7", "p8", "left"]),
];
const SOURCES: [&str; 3] = ["left", "right", "third"];

fn spec(name: &str, inputs: &[&str]) -> String {
    let inputs: Vec<String> = inputs.iter().map(|repo| format!("{{pfs: {{repo: {repo}, glob: /}}}}")).collect();
    format!(
        "{{pipeline: {{name: {name}}}, transform: {{cmd: [{name}], image: 'x:1'}}, input: {{cross: [{}]}}}}",
        inputs.join(", ")
    )
}

/// Writes its name and everything it reads; fails at `p4` when a source asks for it.
fn join(call: Call) -> Reply {
    let all: Vec<String> = call.inputs.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    let name = call.cmd.into_iter().next().unwrap();
    let code = i32::from(name == "p4" && all.iter().any(|text| text.contains("bad")));
    let text = format!("{name}({})", all.join(","));
    Reply { files: [("out".to_owned(), text.into_bytes())].into(), code, ..Reply::default() }
}

/// The expected content of `/out` or `/in` of a commit, computed from the sources it depends on.
fn expected(name: &str, sources: &BTreeMap<&str, String>) -> String {
    let Some((_, inputs)) = GRAPH.iter().find(|(pipeline, _)| *pipeline == name) else { return sources[name].clone() };
    // Commands see their inputs sorted by name.
    let inputs: BTreeSet<&&str> = inputs.iter().collect();
    let read: Vec<String> = inputs.into_iter().map(|input| expected(input, sources)).collect();
    format!("{name}({})", read.join(","))
}

/// Every commit of a branch that a commit depends on, at any depth.
fn ancestry(s: &Setting, commit: &Commit) -> BTreeMap<(RepoName, BranchName), BTreeSet<CommitId>> {
    let mut found: BTreeMap<_, BTreeSet<CommitId>> = BTreeMap::new();
    let mut open = commit.provenance.clone();
    while let Some(origin) = open.pop() {
        if found.entry((origin.repo, origin.branch)).or_default().insert(origin.commit) {
            open.extend(s.store.commit(&origin.commit).unwrap().provenance);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_commits_through_ten_pipelines_never_mix() {
    let s = Setting::new();
    let mut sources: BTreeMap<&str, String> = BTreeMap::new();
    for source in SOURCES {
        s.repo(source);
        sources.insert(source, format!("{source}0"));
        s.put(source, [("/in", Some(sources[source].as_str()))]);
    }
    for (name, inputs) in GRAPH {
        s.pipeline(&spec(name, inputs));
    }
    s.run_with(join).await;

    // Fifty commits, in batches that are pending at once; every seventh makes `p4` fail.
    let mut runs: Vec<(RunId, BTreeMap<&str, String>)> = Vec::new();
    for number in 1..=50 {
        let source = SOURCES[(number * number + number / 3) % 3];
        let bad = if number % 7 == 0 { "bad" } else { "" };
        sources.insert(source, format!("{source}{number}{bad}"));
        let commit = s.put(source, [("/in", Some(sources[source].as_str()))]);
        runs.push((s.store.commit(&commit).unwrap().run, sources.clone()));
        if number % 20 == 0 {
            s.run_with(join).await;
        }
    }
    s.run_with(join).await;
    assert_eq!(s.store.open_jobs().unwrap(), []);

    let mut ended = HashMap::new();
    for (run, sources) in &runs {
        let order = s.store.run_order(run).unwrap().unwrap();
        let is_bad = sources.values().any(|text| text.contains("bad"));
        for job in s.store.jobs_of_run(order).unwrap() {
            let name = job.pipeline.as_str();
            let state = job.sealed.unwrap();
            *ended.entry(state).or_insert(0) += 1;
            let is_good = !is_bad || !expected(name, sources).contains("p4(");
            assert_eq!(state == SealedState::Success, is_good, "{name} in run {order}: {}", s.reason(&job));
            let Some(commit) = job.commit.filter(|_| is_good) else { continue };
            assert_eq!(s.files_in(commit)["/out"], expected(name, sources), "{name} in run {order}");
            for ((repo, branch), commits) in ancestry(&s, &s.store.commit(&commit).unwrap()) {
                assert_eq!(commits.len(), 1, "{name} in run {order} mixes generations of {repo}@{branch}");
            }
        }
    }
    assert!(ended[&SealedState::Failure] > 5 && ended[&SealedState::Success] > 100, "{ended:?}");

    // Every branch is a sequence of good commits, one per run, in the order of runs.
    for (name, _) in GRAPH {
        let good: Vec<CommitId> = s
            .jobs(name)
            .into_iter()
            .filter(|job| job.sealed == Some(SealedState::Success))
            .filter_map(|job| job.commit)
            .collect();
        let mut at = s.head(name, "main");
        for commit in good.iter().rev() {
            assert_eq!(at, Some(*commit), "{name}");
            at = s.store.commit(commit).unwrap().parents.first().copied();
        }
        assert_eq!(at, None, "{name}");
    }
}
