//! A plan states what the next run does: exactly, or as an upper bound.

use std::collections::BTreeMap;

use proptest::prelude::*;
use repos::documents::JobDocument;
use repos::journal::SealedState;
use specs::{Glob, PipelineName, RunId};

use super::setting::Setting;
use answers::preview::{Preview, pending};
use engine::apply::rerun;
use sandbox::scripted::{Call, Reply};

/// Inputs of pipelines; A and B stand for two repositories.
const INPUTS: [&str; 8] = [
    "{pfs: {repo: A, glob: '/*'}}",
    "{pfs: {repo: A, glob: /}}",
    "{pfs: {repo: A, glob: '/d/*'}}",
    "{cross: [{pfs: {repo: A, glob: '/*', name: a}}, {pfs: {repo: B, glob: '/*', name: b}}]}",
    "{cross: [{pfs: {repo: A, glob: '/*', name: a}}, {pfs: {repo: B, glob: /, name: b, propagation_spec: {never: true}}}]}",
    "{union: [{pfs: {repo: A, glob: '/*', name: a}}, {pfs: {repo: B, glob: '/d/*', name: a}}]}",
    "{join: [{pfs: {repo: A, glob: '/(*)', join_on: $1, outer_join: true, name: a}}, \
     {pfs: {repo: B, glob: '/(*)', join_on: $1, outer_join: true, name: b}}]}",
    "{group: [{pfs: {repo: A, glob: '/(?)*', group_by: $1, name: a}}, {pfs: {repo: B, glob: '/*', group_by: x, name: b}}]}",
];
/// The repositories A and B of each pipeline.
const READS: [(&str, &str); 3] = [("in0", "in1"), ("p0", "in1"), ("p1", "in0")];
const PATHS: [&str; 5] = ["/a", "/b", "/c", "/d/a", "/d/b"];

#[derive(Debug, Clone)]
enum Step {
    /// Sets or deletes files of an input.
    Put(usize, BTreeMap<usize, Option<bool>>),
    /// Creates or updates a pipeline: its input, its command, its salt, whether each job executes everything.
    Apply(usize, usize, bool, u8, bool),
    Rerun(usize, bool),
}

fn any_step() -> impl Strategy<Value = Step> {
    let edits = proptest::collection::btree_map(0..PATHS.len(), proptest::option::weighted(0.8, any::<bool>()), 1..4);
    prop_oneof![
        6 => (0..2_usize, edits).prop_map(|(repo, edits)| Step::Put(repo, edits)),
        1 => (0..3_usize, 0..INPUTS.len(), any::<bool>(), 0..2_u8, prop::bool::weighted(0.1))
            .prop_map(|(at, input, own, salt, every)| Step::Apply(at, input, own, salt, every)),
        1 => (0..3_usize, any::<bool>()).prop_map(|(at, all)| Step::Rerun(at, all)),
    ]
}

fn spec(at: usize, input: usize, own: bool, salt: u8, every: bool) -> String {
    let (a, b) = READS[at];
    let input = INPUTS[input].replace("repo: A", &format!("repo: {a}")).replace("repo: B", &format!("repo: {b}"));
    let command = if own { format!("p{at}") } else { "same".to_owned() };
    let every = if every { "reprocess_spec: every_job\n" } else { "" };
    format!("pipeline: {{name: p{at}}}\ntransform: {{cmd: [{command}, v{salt}]}}\n{every}input: {input}\n")
}

/// Writes two files that no other datum writes, so the output has more files than the input.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a command")]
fn fan_out(call: Call) -> Reply {
    let read: Vec<String> = call.inputs.iter().map(|(path, bytes)| format!("{path} {bytes:?}")).collect();
    let name = repos::hash::digest_of(call.inputs.keys().cloned().collect::<Vec<_>>().join(" ").as_bytes()).short(8);
    let content = repos::hash::digest_of(read.join(" ").as_bytes()).to_string().into_bytes();
    let files = [(name.clone(), content.clone()), (format!("d/{name}"), content)].into();
    Reply { files, ..Reply::default() }
}

struct World {
    s: Setting,
    files: [BTreeMap<usize, bool>; 2],
}

impl World {
    fn new() -> Self {
        let s = Setting::new();
        s.repo("in0").repo("in1");
        let mut world = Self { s, files: Default::default() };
        for repo in 0..2 {
            world.step(&Step::Put(repo, [(0, Some(true)), (3, Some(false))].into()));
        }
        for at in 0..3 {
            world.step(&Step::Apply(at, at, true, 0, false));
        }
        world
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Put(repo, edits) => {
                let files = &mut self.files[*repo];
                let differs = |(path, content): &(&usize, &Option<bool>)| files.get(path) != content.as_ref();
                let edits: Vec<_> = edits.iter().filter(differs).map(|(path, content)| (*path, *content)).collect();
                if edits.is_empty() {
                    return;
                }
                let text = |content| if content { "x" } else { "y" };
                self.s.put(&format!("in{repo}"), edits.iter().map(|(path, content)| (PATHS[*path], content.map(text))));
                for (path, content) in edits {
                    match content {
                        Some(content) => files.insert(path, content),
                        None => files.remove(&path),
                    };
                }
            }
            Step::Apply(at, input, own, salt, every) => {
                self.s.pipeline(&spec(*at, *input, *own, *salt, *every));
            }
            Step::Rerun(at, all) => {
                let glob = Glob::parse("/a*").unwrap();
                // There may be no data, or no such path.
                rerun(&self.s.store, &format!("p{at}").parse().unwrap(), (!all).then_some(&glob), &self.s.by).ok();
            }
        }
    }

    /// How many datums each job executed, and whether it did not fail.
    fn executed(&self) -> BTreeMap<(PipelineName, RunId), (u64, bool)> {
        let mut executed = BTreeMap::new();
        for at in 0..3 {
            for job in self.s.jobs(&format!("p{at}")) {
                let document: Option<JobDocument> = job.document.map(|digest| self.s.store.document(&digest).unwrap());
                let count = document.map_or(0, |job| job.datums_processed + job.datums_failed + job.datums_recovered);
                executed.insert((job.pipeline, job.run), (count, job.sealed != Some(SealedState::Failure)));
            }
        }
        executed
    }

    /// Plans, runs, and compares.
    async fn run_as_planned(&self) -> Vec<Preview> {
        let planned = pending(&self.s.store, &[].into(), true, 2).unwrap();
        assert_eq!(planned.len(), self.s.store.open_jobs().unwrap().len(), "each job is told");
        self.s.run_with(fan_out).await;
        let executed = self.executed();
        for plan in &planned {
            let job = (plan.pipeline.clone(), plan.run.expect("it is pending"));
            let (ran, succeeded) = executed[&job];
            // A job that fails may stop early.
            if plan.at_most || !succeeded {
                assert!(ran <= plan.executes, "{ran} of at most {}: {plan:?}", plan.executes);
            } else {
                assert_eq!(ran, plan.executes, "{plan:?}");
            }
            assert!(!plan.unbounded || plan.at_most);
            let listed = plan.datums.iter().filter(|datum| datum.executes).count() as u64;
            assert!(plan.datums.is_empty() || listed == plan.executes, "{plan:?}");
        }
        planned
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn a_plan_holds_for_the_run_that_follows(
        first in proptest::collection::vec(any_step(), 0..4),
        second in proptest::collection::vec(any_step(), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for steps in [&first, &second] {
                for step in steps {
world.step(step);
}
                world.run_as_planned().await;
            }
            assert!(pending(&world.s.store, &[].into(), false, 2).unwrap().is_empty());
        });
    }
}

/// `PV_CASES` for long tests.
fn cases() -> u32 {
    std::env::var("PV_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_below_another_is_never_said_to_run_nothing_when_it_may() {
    let world = World::new();
    let planned = world.run_as_planned().await;
    let of = |name: &str| planned.iter().filter(|plan| plan.pipeline.as_str() == name).collect::<Vec<_>>();
    // `p0` reads each file of an input: an exact count. `p1` reads all output of `p0` as one datum: an upper bound. `p2` reads each file
    // below a directory of `p1`: no bound.
    assert!(of("p0").iter().any(|plan| !plan.at_most && plan.executes == 2), "{planned:?}");
    assert!(of("p1").iter().all(|plan| plan.at_most && !plan.unbounded && plan.executes == 1), "{planned:?}");
    assert!(of("p2").iter().all(|plan| plan.unbounded && plan.executes > 1_000_000), "{planned:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_several_runs_are_told_one_by_one() {
    let s = Setting::new();
    s.repo("in0").pipeline(&spec(0, 0, true, 0, false));
    let world = World { s, files: Default::default() };
    world.s.put("in0", [("/a", Some("1"))]);
    world.s.put("in0", [("/a", Some("2")), ("/b", Some("1"))]);
    world.s.put("in0", [("/a", Some("1"))]);
    let planned = world.run_as_planned().await;
    let told: Vec<(u64, bool)> = planned.iter().map(|plan| (plan.executes, plan.at_most)).collect();
    assert_eq!(told, [(1, false), (2, true), (2, true)], "{planned:?}");
    let runs: std::collections::BTreeSet<_> = planned.iter().map(|plan| plan.run).collect();
    assert_eq!(runs.len(), 3);
    assert_eq!(planned[1].why, "commit in0@main, after its earlier run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rerun_is_planned_with_all_that_it_executes() {
    let s = Setting::new();
    s.repo("in0").put("in0", [("/a", Some("1")), ("/b", Some("1"))]);
    s.pipeline(&spec(0, 0, true, 0, false));
    let world = World { s, files: Default::default() };
    world.run_as_planned().await;
    rerun(&world.s.store, &"p0".parse().unwrap(), None, &world.s.by).unwrap();
    assert_eq!(world.run_as_planned().await[0].executes, 2);
    rerun(&world.s.store, &"p0".parse().unwrap(), Some(&Glob::parse("/a*").unwrap()), &world.s.by).unwrap();
    assert_eq!(world.run_as_planned().await[0].executes, 1);
}
