//! Cron inputs and triggers, with a clock that the test sets.

use std::sync::Arc;

use repos::documents::CommitKind;
use repos::journal::{CauseKind, RepoKind};
use repos::{OpenOptions, Timestamp, settings};
use specs::{ErrorKind, RunId};

use super::setting::{Setting, StandingClock};
use engine::apply::{Data, delete_pipeline, start_pipeline, stop_pipeline};
use engine::graph::Pipeline;
use engine::time::{due, next_due, next_tick, tick};
use engine::{EngineError, changes};

fn setting(now: &str) -> (Setting, Arc<StandingClock>) {
    let clock = StandingClock::at(now);
    let options = OpenOptions::default().clock(clock.clone());
    (Setting::of(&options), clock)
}

/// A pipeline `name` with a `cron` input and `more` fields in it.
fn clock_of(name: &str, spec: &str, more: &str) -> String {
    format!(
        "pipeline: {{name: {name}}}\ntransform: {{cmd: [{name}], image: 'x:1'}}\ninput: {{cron: {{name: tick, spec: '{spec}'{more}}}}}\n"
    )
}

/// Checks for due ticks as an engine does that has been running since the epoch.
fn look(s: &Setting) -> Vec<RunId> {
    due(&s.store, s.store.clock().now(), Timestamp::from_micros(0), &s.by).unwrap()
}

/// Checks for due ticks as an engine does that starts now.
fn begin(s: &Setting) -> Vec<RunId> {
    let now = s.store.clock().now();
    due(&s.store, now, now, &s.by).unwrap()
}

fn ticks(s: &Setting, repo: &str) -> Vec<String> {
    s.files(repo).into_keys().collect()
}

fn next(s: &Setting) -> Option<String> {
    next_due(&s.store, s.store.clock().now()).unwrap().map(|time| time.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_ticks_once_at_each_of_its_times() {
    let (s, clock) = setting("2026-11-20T12:00:30Z");
    s.apply(&clock_of("report", "*/5 * * * *", "")).await.unwrap();
    let repo = "report_tick".parse().unwrap();
    assert_eq!(s.store.repo(&repo).unwrap().kind, RepoKind::Cron);
    assert_eq!((look(&s), s.head("report_tick", "main")), (Vec::new(), None), "nothing before the apply counts");
    assert_eq!(next(&s).as_deref(), Some("2026-11-20T12:05:00.000000Z"));

    clock.set("2026-11-20T12:05:00Z");
    let [run] = look(&s).try_into().unwrap();
    assert_eq!((look(&s), begin(&s)), (Vec::new(), Vec::new()), "it ticked already");
    assert_eq!(s.store.run(&run).unwrap().cause.kind, CauseKind::Cron);
    let commit = s.store.commit(&s.head("report_tick", "main").unwrap()).unwrap();
    assert_eq!((commit.kind, commit.run), (CommitKind::Cron, run));
    s.run().await;
    assert_eq!(s.seen("report"), ["tick/2026-11-20T12:05:00Z"]);

    clock.set("2026-11-20T12:10:07Z");
    look(&s);
    s.run().await;
    assert_eq!(s.seen("report"), ["tick/2026-11-20T12:10:00Z"], "the tick before is known");
    assert_eq!(ticks(&s, "report_tick"), ["/2026-11-20T12:05:00Z", "/2026-11-20T12:10:00Z"]);
    let row = s.store.pipeline(&"report".parse().unwrap()).unwrap();
    let next = next_tick(&row, &Pipeline::load(&s.store, &row).unwrap(), s.store.clock().now());
    assert_eq!(next, "2026-11-20T12:15:00Z".parse().ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setting_says_what_becomes_of_missed_ticks() {
    for (policy, expected) in [
        (None, vec!["/2026-11-20T12:20:00Z"]),
        (Some("one"), vec!["/2026-11-20T12:20:00Z"]),
        (
            Some("all"),
            vec!["/2026-11-20T12:05:00Z", "/2026-11-20T12:10:00Z", "/2026-11-20T12:15:00Z", "/2026-11-20T12:20:00Z"],
        ),
        (Some("none"), vec![]),
    ] {
        let (s, clock) = setting("2026-11-20T12:00:30Z");
        s.store.set_setting(&settings::MISSED_TICKS, policy).unwrap();
        s.apply(&clock_of("report", "*/5 * * * *", "")).await.unwrap();
        clock.set("2026-11-20T12:22:00Z");
        assert_eq!(begin(&s).len(), expected.len(), "{policy:?}");
        assert_eq!(s.head("report_tick", "main").map_or(Vec::new(), |_| ticks(&s, "report_tick")), expected);
        clock.set("2026-11-20T12:25:00Z");
        let now = s.store.clock().now();
        due(&s.store, now, "2026-11-20T12:22:00Z".parse().unwrap(), &s.by).unwrap();
        assert_eq!(ticks(&s, "report_tick").last().unwrap(), "/2026-11-20T12:25:00Z", "this one is not missed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_in_the_past_is_missed_ticks_from_then_and_overwrite_keeps_one() {
    let (s, clock) = setting("2026-11-20T12:00:30Z");
    s.store.set_setting(&settings::MISSED_TICKS, Some("all")).unwrap();
    s.apply(&clock_of("report", "@hourly", ", start: '2026-11-20T10:00:00Z', overwrite: true")).await.unwrap();
    assert_eq!(begin(&s).len(), 3, "10, 11 and 12 o'clock");
    assert_eq!(ticks(&s, "report_tick"), ["/2026-11-20T12:00:00Z"]);
    s.run().await;
    assert_eq!(s.files("report").len(), 1);
    clock.set("2026-11-20T12:59:59Z");
    assert_eq!(look(&s), []);

    let (s, clock) = setting("2026-11-20T12:00:30Z");
    s.apply(&clock_of("report", "@hourly", ", start: '2026-11-21T10:00:00Z'")).await.unwrap();
    clock.set("2026-11-21T09:30:00Z");
    assert_eq!((look(&s), next(&s).as_deref()), (Vec::new(), Some("2026-11-21T10:00:00.000000Z")));
    clock.set("2026-11-21T10:00:00Z");
    assert_eq!(look(&s).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_schedule_counts_from_its_apply_and_clocks_of_one_time_share_a_run() {
    let (s, clock) = setting("2026-11-20T12:00:30Z");
    s.store.set_setting(&settings::MISSED_TICKS, Some("all")).unwrap();
    s.apply(&clock_of("report", "@daily", "")).await.unwrap();
    clock.set("2026-11-20T14:00:00Z");
    s.apply(&clock_of("report", "@every 1h", "")).await.unwrap();
    s.apply(&clock_of("other", "@hourly", "")).await.unwrap();
    clock.set("2026-11-20T15:00:00Z");
    let [run] = look(&s).try_into().unwrap();
    assert_eq!(s.store.run(&run).unwrap().cause.refs, ["other_tick@main", "report_tick@main"]);
    assert_eq!(s.store.run(&run).unwrap().jobs.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_clock_writes_a_tick_repository() {
    let (s, clock) = setting("2026-11-20T12:00:30Z");
    s.repo("report_tick");
    let taken = s.apply(&clock_of("report", "@hourly", "")).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Conflict);
    assert!(taken.to_string().contains("`report_tick`"), "{taken}");
    let both = clock_of("report", "@hourly", ", repo: ours") + "---\n" + &clock_of("other", "@hourly", ", repo: ours");
    assert!(matches!(s.apply(&both).await, Err(EngineError::Specs { .. })));

    s.apply(&clock_of("report", "@hourly", ", repo: ours")).await.unwrap();
    assert!(matches!(s.apply(&clock_of("other", "@hourly", ", repo: ours")).await, Err(EngineError::Specs { .. })));
    let ours = "ours".parse().unwrap();
    assert_eq!(changes::ensure_not_output(&s.store, &ours).unwrap_err().kind(), ErrorKind::Conflict);
    clock.set("2026-11-20T13:00:00Z");
    look(&s);
    let head = s.head("ours", "main").unwrap();
    let moved = changes::move_branch(&s.store, &ours, &"main".parse().unwrap(), head, &s.by);
    assert_eq!(moved.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(changes::delete_repo(&s.store, &ours).unwrap_err().kind(), ErrorKind::Conflict);
    delete_pipeline(&s.store, &"report".parse().unwrap(), Data::Goes, &s.by).unwrap();
    assert!(!s.store.has_repo(&ours).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_clock_does_not_tick_and_anybody_may_tick_one() {
    let (s, clock) = setting("2026-11-20T12:00:30Z");
    let report = "report".parse().unwrap();
    s.apply(&clock_of("report", "@hourly", "")).await.unwrap();
    tick(&s.store, &report, &s.by).unwrap();
    tick(&s.store, &report, &s.by).unwrap_err();
    clock.set("2026-11-20T12:00:30.5Z");
    tick(&s.store, &report, &s.by).unwrap();
    assert_eq!(ticks(&s, "report_tick"), ["/2026-11-20T12:00:30.5Z", "/2026-11-20T12:00:30Z"]);
    stop_pipeline(&s.store, &report, &s.by).unwrap();
    clock.set("2026-11-20T15:00:00Z");
    assert_eq!((look(&s), next(&s)), (Vec::new(), None));
    assert_eq!(tick(&s.store, &report, &s.by).unwrap_err().kind(), ErrorKind::Conflict);
    start_pipeline(&s.store, &report, &s.by).unwrap();
    assert_eq!(look(&s).len(), 1, "the newest of those missed");
    s.repo("images").pipeline(super::flow::UPPER);
    assert_eq!(tick(&s.store, &"upper".parse().unwrap(), &s.by).unwrap_err().kind(), ErrorKind::Usage);
}

/// A pipeline `name` that reads `images` by a trigger.
fn triggered(name: &str, trigger: &str) -> String {
    format!(
        "pipeline: {{name: {name}}}\ntransform: {{cmd: [{name}], image: 'x:1'}}\ninput: {{pfs: {{repo: images, glob: '/*', trigger: {trigger}}}}}\n"
    )
}

fn put(s: &Setting, paths: &[&str]) {
    for path in paths {
        s.put("images", [(*path, Some("0123456789"))]);
    }
}

/// How many jobs a pipeline had, and how many files the head of its trigger branch has.
fn taken(s: &Setting, name: &str) -> (usize, usize) {
    let head = s.head("images", &format!("{name}-trigger-1"));
    (s.jobs(name).len(), head.map_or(0, |head| s.files_in(head).len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_take_commits_when_their_conditions_hold() {
    let (s, _) = setting("2026-11-20T12:00:30Z");
    s.repo("images");
    s.apply(&triggered("three", "{commits: 3}")).await.unwrap();
    s.apply(&triggered("bytes", "{size: '15'}")).await.unwrap();
    s.apply(&triggered("both", "{all: true, commits: 2, size: '35'}")).await.unwrap();
    let all = |s: &Setting| ["three", "bytes", "both"].map(|name| taken(s, name));
    put(&s, &["/a"]);
    assert_eq!(all(&s), [(0, 0), (0, 0), (0, 0)]);
    put(&s, &["/b"]);
    assert_eq!(all(&s), [(0, 0), (1, 2), (0, 0)]);
    put(&s, &["/c"]);
    assert_eq!(all(&s), [(1, 3), (1, 2), (0, 0)]);
    put(&s, &["/d"]);
    assert_eq!(all(&s), [(1, 3), (2, 4), (1, 4)]);
    let newest = s.store.run(&s.job("both").run).unwrap();
    assert_eq!((newest.cause.kind, newest.jobs.len()), (CauseKind::Trigger, 2), "what fires together is one run");
    s.run().await;
    assert_eq!(s.files("both").len(), 4);

    // Moving a branch back brings nothing new.
    let parent = s.store.commit(&s.head("images", "main").unwrap()).unwrap().parents[0];
    changes::move_branch(&s.store, &"images".parse().unwrap(), &"main".parse().unwrap(), parent, &s.by).unwrap();
    assert_eq!(all(&s), [(1, 3), (2, 4), (1, 4)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn scheduled_triggers_take_what_is_new_when_they_come_due() {
    let (s, clock) = setting("2026-11-20T12:00:30Z");
    s.repo("images");
    s.apply(&triggered("hourly", "{cron_spec: '@hourly'}")).await.unwrap();
    s.apply(&triggered("limited", "{rate_limit_spec: '@every 10m'}")).await.unwrap();
    let all = |s: &Setting| ["hourly", "limited"].map(|name| taken(s, name));
    assert_eq!(next(&s), None, "nothing waits");
    put(&s, &["/a"]);
    assert_eq!(all(&s), [(0, 0), (0, 0)]);
    assert_eq!(next(&s).as_deref(), Some("2026-11-20T12:10:00.000000Z"));
    clock.set("2026-11-20T12:10:00Z");
    look(&s);
    assert_eq!((look(&s), all(&s)), (Vec::new(), [(0, 0), (1, 1)]));
    clock.set("2026-11-20T12:30:00Z");
    put(&s, &["/b"]);
    assert_eq!(all(&s), [(0, 0), (2, 2)], "there was time enough since the last");
    put(&s, &["/c"]);
    assert_eq!(all(&s), [(0, 0), (2, 2)]);

    // No check ran at one o'clock; the next commit comes after it.
    clock.set("2026-11-20T13:00:05Z");
    put(&s, &["/d"]);
    assert_eq!(all(&s), [(1, 4), (3, 4)]);
    clock.set("2026-11-20T16:30:00Z");
    put(&s, &["/e"]);
    assert_eq!((begin(&s), all(&s)), (Vec::new(), [(1, 4), (4, 5)]), "no hour has struck since this commit");
    assert_eq!(next(&s).as_deref(), Some("2026-11-20T17:00:00.000000Z"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_follows_a_pipeline_and_another_trigger() {
    let (s, _) = setting("2026-11-20T12:00:30Z");
    s.repo("images");
    s.apply(super::flow::UPPER).await.unwrap();
    s.apply(&triggered("pair", "{commits: 2}").replace("repo: images", "repo: upper")).await.unwrap();
    s.apply(&triggered("last", "{commits: 1, branch: pair-trigger-1}").replace("repo: images", "repo: upper"))
        .await
        .unwrap();
    for path in ["/a", "/b", "/c"] {
        put(&s, &[path]);
    }
    s.run().await;
    assert_eq!((s.jobs("upper").len(), s.jobs("pair").len(), s.jobs("last").len()), (3, 1, 1));
    assert_eq!((s.files("pair").len(), s.files("last").len()), (2, 2));
    let of_last = s.store.run(&s.job("last").run).unwrap();
    assert_eq!((of_last.cause.kind, of_last.cause.refs), (CauseKind::Trigger, vec!["upper@last-trigger-1".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_branch_of_a_trigger_comes_and_goes_with_its_pipeline() {
    let (s, _) = setting("2026-11-20T12:00:30Z");
    s.repo("images");
    put(&s, &["/a", "/b"]);
    let (images, branch) = ("images".parse().unwrap(), "two-trigger-1".parse().unwrap());
    changes::create_branch(&s.store, &images, &branch, None, &s.by).unwrap();
    assert_eq!(s.apply(&triggered("two", "{commits: 2}")).await.unwrap_err().kind(), ErrorKind::Conflict);
    changes::delete_branch(&s.store, &images, &branch).unwrap();

    let applied = s.apply(&triggered("two", "{commits: 2}")).await.unwrap();
    assert_eq!((applied.jobs.len(), taken(&s, "two")), (1, (1, 2)), "the conditions hold for what is there");
    let head = s.head("images", "main").unwrap();
    let moved = changes::move_branch(&s.store, &images, &branch, head, &s.by).unwrap_err();
    assert_eq!(moved.kind(), ErrorKind::Conflict);
    let put = changes::head_to_commit_to(&s.store, &images, &branch).unwrap_err();
    assert_eq!(put.kind(), ErrorKind::Conflict);
    let watched = changes::delete_branch(&s.store, &images, &"main".parse().unwrap()).unwrap_err();
    assert_eq!(watched.kind(), ErrorKind::Conflict);

    let direct = triggered("two", "{commits: 2}").replace(", trigger: {commits: 2}", "");
    s.apply(&direct).await.unwrap();
    assert!(s.store.find_branch(&images, &branch).unwrap().is_none());
    s.apply(&triggered("two", "{commits: 2}")).await.unwrap();
    delete_pipeline(&s.store, &"two".parse().unwrap(), Data::Stays, &s.by).unwrap();
    assert!(s.store.find_branch(&images, &branch).unwrap().is_none());
}

/// What a refused apply says, without its warnings.
fn errors_of(applied: engine::Result<engine::apply::Applied>) -> Vec<String> {
    let Err(engine::EngineError::Specs { diagnostics, .. }) = applied else { panic!("it is refused") };
    diagnostics.iter().filter(|one| one.is_error()).map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn loops_over_triggers_are_refused() {
    let (s, _) = setting("2026-11-20T12:00:30Z");
    s.repo("images");
    let around = triggered("one", "{commits: 1}").replace("repo: images", "repo: two")
        + "---\n"
        + &triggered("two", "{commits: 1}").replace("repo: images", "repo: one").replace(", trigger: {commits: 1}", "");
    let errors = errors_of(s.apply(&around).await);
    assert_eq!(errors, ["p.yml:3:21: pipelines start each other forever through a trigger: `one` → `two` → `one`"]);
    // With `propagation_spec: {never: true}` it starts nothing and is accepted.
    let quiet = around.replacen("trigger:", "propagation_spec: {never: true}, trigger:", 1);
    s.apply(&quiet).await.unwrap();
    let pair = triggered("left", "{commits: 1, branch: right-trigger-1}")
        + "---\n"
        + &triggered("right", "{commits: 1, branch: left-trigger-1}");
    let never = errors_of(s.apply(&pair).await);
    assert!(never.len() == 2 && never.iter().all(|error| error.contains("never fires")), "{never:?}");
    let own = triggered("own", "{commits: 1, branch: own-trigger-1}");
    assert_eq!(errors_of(s.apply(&own).await).len(), 1);
    let long = "n".repeat(60);
    let error = s.apply(&triggered(&long, "{commits: 1}")).await.unwrap_err();
    assert!(error.to_string().contains('1'), "{error}");
}
