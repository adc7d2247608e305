//! What is hidden is counted, not silently left out; and a handle that sees everything gets the same answers as one without limits.

use std::collections::{BTreeMap, BTreeSet};

use answers::trace::{ForwardOptions, Reach};
use repos::Store;
use repos::access::{Access, Role};

use super::answers::reference;
use super::{World, access};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_is_a_named_gap_not_silence() {
    let world = World::new().await;
    let store = &world.seen;
    let at = |text: &str| store.resolve(&reference(text)).unwrap();
    // Back: the inputs that are not visible are counted, and the trace is not complete.
    let trace = answers::trace::trace(store, &at("mine-mixed:/a.json"), Reach::everything()).unwrap();
    assert!(!trace.complete);
    assert!(trace.gaps.iter().any(|gap| gap.ends_with("1 input is not visible to you")), "{:?}", trace.gaps);
    let copy = answers::trace::trace(store, &at("mine-in:/copy.json"), Reach::everything()).unwrap();
    assert!(
        copy.gaps.iter().any(|gap| gap.contains("it is a copy of a file that is not visible to you")),
        "{:?}",
        copy.gaps
    );
    // Forward: those who read it are counted.
    let forward =
        answers::trace::forward(store, &at("mine-in:/a.json"), ForwardOptions { all_runs: true, ..Default::default() });
    let forward = forward.unwrap();
    assert!(forward.not_visible >= 1 && !forward.readers.is_empty(), "{forward:?}");
    // Jobs, datums, commits, pipelines.
    let job = store.newest_job(&"mine-fails".parse().unwrap()).unwrap();
    let jobs = world.s.jobs("mine-fails");
    let ended = jobs.iter().rev().find(|job| job.sealed.is_some()).unwrap();
    assert!(job.is_some());
    let details = answers::job::job_details(store, ended, None).unwrap();
    assert_eq!((details.inputs.len(), details.inputs_not_visible), (0, 1));
    assert_eq!(details.failed_datums[0].view.not_visible, 1);
    assert!(details.failed_datums[0].view.inputs.is_empty());
    let mixed = at("mine-mixed");
    let view = answers::commit::commit_view(store, mixed.id, mixed.commit.clone()).unwrap();
    assert_eq!(view.not_visible, 1);
    let pipeline = answers::pipeline::pipeline_details(store, &"mine-mixed".parse().unwrap(), None).unwrap();
    assert_eq!((pipeline.inputs.len(), pipeline.inputs_not_visible), (1, 1));
    assert!(pipeline.spec.to_string().contains("not-visible-1"), "{}", pipeline.spec);
    // What a hidden commit changed is told as that.
    let parent = mixed.commit.parents[0];
    let why = answers::diff::why(store, &parent, &mixed.id).unwrap().unwrap();
    assert!(!why.is_empty() && why.not_visible + why.sources.len() as u64 >= 1, "{why:?}");
    let after = world.s.jobs("mine-after");
    let unrunnable = after.iter().find(|job| job.sealed == Some(repos::journal::SealedState::Unrunnable)).unwrap();
    let view = answers::job::job_view(store, unrunnable, None).unwrap();
    assert_eq!(view.reason.as_deref(), Some("… failed"));
    // A proof with a gap is none: it is refused, with the number of commits.
    let refused =
        answers::proof::gather(store, &mixed, answers::proof::Contents { data: false, code: false }).unwrap_err();
    assert_eq!(refused.kind(), specs::ErrorKind::Refused);
    assert!(refused.to_string().contains("that it depends on are not visible to you"), "{refused}");
    let own = at("mine-in@main^");
    answers::proof::gather(store, &own, answers::proof::Contents { data: true, code: true }).unwrap();
    let report = answers::proof::verify(store, Some(&mixed), &[]).unwrap();
    let whole = answers::proof::verify(&world.s.store, Some(&mixed), &[]).unwrap();
    assert_eq!((report.verdict(), &report.counts), (whole.verdict(), &whole.counts), "everything was checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_that_sees_everything_gets_every_answer_unchanged() {
    let world = World::new().await;
    let all = world.s.store.seen_by(Access::full("admin"));
    let limited = world.s.store.seen_by(access(Role::Reader));
    let ask = |store: &Store| -> BTreeMap<&str, String> {
        let at = store.resolve(&reference("mine-end:/end")).unwrap();
        let trace = answers::trace::trace(store, &at, Reach::everything()).unwrap();
        let job = answers::named::find_job(store, &"mine-mixed".parse().unwrap()).unwrap();
        let pending = answers::preview::pending(store, &BTreeSet::new(), true, 2).unwrap();
        BTreeMap::from([
            ("trace", serde_json::to_string(&trace).unwrap()),
            ("job", serde_json::to_string(&answers::job::job_details(store, &job, None).unwrap()).unwrap()),
            ("explain", serde_json::to_string(&answers::explain::explain_job(store, &job, None).unwrap()).unwrap()),
            ("pending", serde_json::to_string(&pending).unwrap()),
        ])
    };
    let whole = ask(&world.s.store);
    assert_eq!(ask(&all), whole);
    assert!(whole.values().all(|text| !text.contains("not_visible")), "without a limit nothing is said of it");
    assert_ne!(ask(&limited), whole);
}
