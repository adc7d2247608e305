//! Memory limits that grow: a datum that was killed at its limit is tried again with a higher one.

use repos::journal::SealedState;

use super::failures::{setting, spec};
use super::setting::{Setting, copy};
use answers::datum::{DatumFilter, DatumState, DatumView, datums, growth_in_words};
use sandbox::scripted::{Call, Reply};

/// A limit that is doubled.
fn growing(start: &str, max: &str) -> String {
    format!(", resource_limits: {{memory: {{start: {start}, factor: 2, max: {max}}}}}")
}

fn killed() -> Reply {
    Reply { code: 137, is_out_of_memory: true, ..Reply::default() }
}

/// Needs as many MiB as its input says, else it is killed.
fn needs(call: Call) -> Reply {
    let numbers = call.inputs.values().map(|bytes| String::from_utf8_lossy(bytes).parse::<u64>().unwrap());
    let bytes = numbers.max().unwrap() << 20;
    if call.memory_bytes.is_some_and(|limit| limit < bytes) { killed() } else { copy(call) }
}

fn views(s: &Setting) -> Vec<DatumView> {
    let found = datums(&s.store, None, &s.job("upper"), DatumFilter::default()).unwrap();
    found.collect::<engine::Result<_>>().unwrap()
}

/// The recorded limits of the tries of each datum, in MiB.
fn limits(s: &Setting) -> Vec<Vec<u64>> {
    let of = |view: &DatumView| view.try_details.iter().map(|one| one.memory_bytes.unwrap() >> 20).collect::<Vec<_>>();
    views(s).iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datum_gets_more_memory_until_it_succeeds_and_others_begin_as_before() {
    let more = format!(", datum_tries: 1, parallelism_spec: {{constant: 1}}{}", growing("1Mi", "32Mi"));
    let s = setting("", &more);
    let contents = [("/a", "1"), ("/b", "4"), ("/c", "1"), ("/d", "3"), ("/e", "20")];
    s.put("images", contents.map(|(path, content)| (path, Some(content))));
    s.run_with(needs).await;
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Success, [5, 5, 0, 0, 0]));
    assert_eq!(s.files("upper").len(), 5);
    assert_eq!(limits(&s), [vec![1], vec![1, 2, 4], vec![1], vec![1, 2, 4], vec![1, 2, 4, 8, 16, 32]]);

    let views = views(&s);
    let tried = &views[1].try_details;
    assert_eq!((tried[0].exit_code, tried[0].reason.as_deref()), (Some(137), Some("out of memory: limit 1 MiB")));
    assert_eq!((tried[2].exit_code, &tried[2].reason), (Some(0), &None));
    let growth = "killed at 1 MiB, again with 2 MiB; killed at 2 MiB, again with 4 MiB";
    assert_eq!(growth_in_words(tried).as_deref(), Some(growth));
    assert_eq!(growth_in_words(&views[0].try_details), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_its_maximum_a_datum_fails_as_often_as_it_may() {
    let s = setting("", &format!(", datum_tries: 2{}", growing("1Mi", "3Mi")));
    s.put("images", [("/a", Some("9"))]);
    s.run_with(needs).await;
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Failure, [1, 0, 0, 1, 0]));
    assert_eq!(limits(&s), [[1, 2, 3, 3]]);
    let reason = "out of memory: limit 3 MiB, the most that `resource_limits.memory` allows; raise its `max`";
    assert_eq!(s.datum(DatumState::Failed).reason.as_deref(), Some(reason));

    s.pipeline(&spec("", &growing("1Mi", "16Mi")));
    s.run_with(needs).await;
    assert_eq!((s.state("upper"), limits(&s)), (SealedState::Success, vec![vec![1, 2, 4, 8, 16]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_failures_count_as_tries_and_keep_the_memory() {
    let s = setting("", &format!(", datum_tries: 2{}", growing("1Mi", "8Mi")));
    s.put("images", [("/a", Some("1"))]);
    let fails = |call: Call| {
        if call.memory_bytes < Some(2 << 20) { killed() } else { Reply { code: 1, ..Reply::default() } }
    };
    s.run_with(fails).await;
    assert_eq!(limits(&s), [[1, 2, 2]]);
    let failed = s.datum(DatumState::Failed);
    assert_eq!((failed.exit_code, failed.reason), (Some(1), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_copes_with_a_killed_child_has_succeeded() {
    let s = setting("", &growing("1Mi", "8Mi"));
    s.put("images", [("/a", Some("1"))]);
    s.run_with(|call| Reply { is_out_of_memory: true, ..copy(call) }).await;
    assert_eq!((s.state("upper"), limits(&s)), (SealedState::Success, vec![vec![1]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_command_has_the_memory_of_the_last_try() {
    let s = setting(", err_cmd: [fix]", &format!(", datum_tries: 1{}", growing("1Mi", "3Mi")));
    s.put("images", [("/a", Some("9"))]);
    let fix = |call: Call| if call.memory_bytes == Some(3 << 20) { Reply::default() } else { killed() };
    s.run_with(move |call| if call.cmd[0] == "fix" { fix(call) } else { needs(call) }).await;
    assert_eq!((s.state("upper"), s.counts()), (SealedState::Success, [1, 0, 0, 0, 1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_limit_stays_and_is_not_recorded() {
    let s = setting("", ", datum_tries: 2, resource_limits: {memory: 1Mi}");
    s.put("images", [("/a", Some("9"))]);
    s.run_with(needs).await;
    let failed = s.datum(DatumState::Failed);
    assert_eq!((failed.tries, failed.reason.as_deref()), (2, Some("out of memory: limit 1 MiB")));
    assert!(failed.try_details.iter().all(|one| one.memory_bytes.is_none()), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_numbers_execute_nothing_again() {
    let s = Setting::new();
    s.repo("images");
    s.apply(&spec("", &growing("1Mi", "4Mi"))).await.unwrap();
    s.put("images", [("/a", Some("4"))]);
    s.run_with(needs).await;
    assert_eq!((s.counts(), s.seen("upper").len()), ([1, 1, 0, 0, 0], 3));
    let others = [growing("2Mi", "64Mi"), ", resource_limits: {memory: 8Mi}".to_owned(), String::new()];
    for (more, version) in others.iter().zip(2..) {
        s.apply(&spec("", more)).await.unwrap();
        s.run_with(needs).await;
        assert_eq!((s.job("upper").version, s.counts()), (version, [1, 0, 1, 0, 0]), "{more}");
        assert!(s.seen("upper").is_empty(), "{more}");
    }
}
