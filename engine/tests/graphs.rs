//! The graph of repositories and pipelines, now and as it was.

use answers::branch::branches_as_of;
use answers::graph::{GraphView, What, graph};
use answers::moment::Moment;
use answers::pipeline::version_at;
use engine::apply::{Data, delete_pipeline};
use engine::changes;
use repos::OpenOptions;

use super::setting::{Setting, StandingClock};

const UPPER: &str = "
pipeline: {name: upper}
transform: {cmd: [upper], image: 'x:1'}
input: {pfs: {repo: images, glob: '/*'}}
";
const BOTH: &str = "
pipeline: {name: upper}
transform: {cmd: [both], image: 'x:1'}
input: {cross: [{pfs: {repo: images, glob: '/*'}}, {pfs: {repo: model, glob: '/'}}]}
";
const LOWER: &str = "
pipeline: {name: lower}
transform: {cmd: [lower], image: 'x:1'}
input: {pfs: {repo: upper, glob: '/*'}}
";

/// The nodes in words: name, version and state, and the names that they read.
fn words(graph: &GraphView) -> Vec<String> {
    let node = |node: &answers::graph::Node| {
        let read: Vec<&str> = node.inputs.iter().map(|at| graph.nodes[*at].name()).collect();
        match &node.what {
            What::Repo { name, .. } => name.to_string(),
            What::Pipeline { name, version, state, .. } => format!("{name} {version} {state} < {}", read.join(" ")),
        }
    };
    graph.nodes.iter().map(node).collect()
}

fn now(s: &Setting) -> Vec<String> {
    words(&graph(&s.store, None, None).unwrap())
}

fn then(s: &Setting, at: &str) -> Vec<String> {
    let moment = Moment::find(&s.store, at).unwrap();
    words(&graph(&s.store, None, Some(&moment)).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_graph_says_who_reads_what_and_how_each_is_doing() {
    let s = Setting::new();
    s.repo("images").repo("model").pipeline(UPPER).pipeline(LOWER);
    assert_eq!(now(&s), ["images", "model", "lower 1 current < upper", "upper 1 current < images"]);
    s.put("images", [("/a", Some("1"))]);
    assert_eq!(now(&s)[2..], ["lower 1 pending < upper", "upper 1 pending < images"]);
    s.run().await;
    assert_eq!(now(&s)[2..], ["lower 1 current < upper", "upper 1 current < images"]);
    s.put("images", [("/a", Some("bad"))]);
    s.run().await;
    assert_eq!(now(&s)[2..], ["lower 1 failed < upper", "upper 1 failed < images"]);
    for (at, state) in s.jobs("upper").iter().zip(["current", "failed"]) {
        assert_eq!(then(&s, &format!("@{}", at.run))[3], format!("upper 1 {state} < images"));
    }
    let states = graph(&s.store, None, None).unwrap().nodes.iter().filter_map(answers::graph::Node::state).count();
    assert_eq!(states, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_of_a_run_the_graph_has_the_versions_and_states_of_then() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    s.put("images", [("/a", Some("1"))]);
    s.run().await;
    let first = format!("@{}", s.job("upper").run);
    let seen = then(&s, &first);
    assert_eq!(seen, ["images", "upper 1 current < images"]);
    s.repo("model").pipeline(LOWER).pipeline(BOTH);
    s.put("model", [("/m", Some("1"))]);
    s.run().await;
    assert_eq!(now(&s), ["images", "model", "lower 1 current < upper", "upper 2 current < images model"]);
    assert_eq!(then(&s, &first), seen);
    let second = format!("@{}", s.job("upper").run);
    assert_eq!(then(&s, &second), now(&s));
    s.put("images", [("/a", Some("bad"))]);
    s.run().await;
    assert_eq!(then(&s, &first), seen);
    assert_eq!(then(&s, &second)[3], "upper 2 current < images model");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_of_a_time_what_had_not_ended_was_open() {
    let clock = StandingClock::at("2026-09-01T10:00:00Z");
    let s = Setting::of(&OpenOptions::default().clock(clock.clone()));
    s.repo("images");
    clock.set("2026-09-01T11:00:00Z");
    s.pipeline(UPPER);
    clock.set("2026-09-01T12:00:00Z");
    s.put("images", [("/a", Some("1"))]);
    clock.set("2026-09-01T13:00:00Z");
    s.run().await;
    clock.set("2026-09-01T14:00:00Z");
    s.repo("model").pipeline(BOTH);
    clock.set("2026-09-01T15:00:00Z");
    assert_eq!(then(&s, "2026-09-01 09:00"), Vec::<String>::new());
    assert_eq!(then(&s, "2026-09-01 10:30"), ["images"]);
    assert_eq!(then(&s, "2026-09-01 11:30"), ["images", "upper 1 current < images"]);
    assert_eq!(then(&s, "2026-09-01 12:30"), ["images", "upper 1 pending < images"]);
    assert_eq!(then(&s, "{2026-09-01 13:30}"), ["images", "upper 1 current < images"]);
    assert_eq!(then(&s, "now"), now(&s));
    for (wrong, why) in [
        ("tomorrow", "`tomorrow` is not a moment"),
        ("2026-09-02", "`2026-09-02` has not come yet"),
        ("@zz", "`zz` is not an id: expected 4 to 64 lower-case hex digits"),
    ] {
        assert_eq!(Moment::find(&s.store, wrong).unwrap_err().to_string(), why);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_of_a_moment_what_was_deleted_later_is_there() {
    let s = Setting::new();
    s.repo("images").repo("spare").pipeline(UPPER);
    s.put("images", [("/a", Some("1"))]);
    s.run().await;
    let newest = |s: &Setting| format!("@{}", s.store.run_at(s.store.runs_count().unwrap()).unwrap().unwrap().run);
    let upper = "upper".parse().unwrap();
    let version = |at: &str| version_at(&s.store, &upper, &Moment::find(&s.store, at).unwrap()).unwrap();
    let first = newest(&s);
    let seen = then(&s, &first);
    assert_eq!(seen, ["images", "spare", "upper 1 current < images"]);
    delete_pipeline(&s.store, &upper, Data::Stays, &s.by).unwrap();
    changes::delete_repo(&s.store, &"spare".parse().unwrap()).unwrap();
    s.put("images", [("/a", Some("2"))]);
    let second = newest(&s);
    assert_eq!(now(&s), ["images", "upper"]);
    s.pipeline(UPPER);
    s.run().await;
    assert_eq!(now(&s), ["images", "upper 2 current < images"]);
    assert_eq!(then(&s, &first), seen);
    assert_eq!(then(&s, &second), ["images", "upper"]);
    let versions = [&first, &second, &newest(&s)].map(|at| version(at).map(|version| version.version));
    assert_eq!(versions, [Some(1), None, Some(2)]);
}

#[test]
fn as_of_a_moment_a_repository_has_the_branches_of_then() {
    let clock = StandingClock::at("2026-09-01T10:00:00Z");
    let s = Setting::of(&OpenOptions::default().clock(clock.clone()));
    s.repo("images");
    let (images, draft) = ("images".parse().unwrap(), "draft".parse().unwrap());
    let first = s.put("images", [("/a", Some("1"))]);
    changes::create_branch(&s.store, &images, &draft, Some(first), &s.by).unwrap();
    clock.set("2026-09-01T11:00:00Z");
    s.put("images", [("/a", Some("2"))]);
    changes::delete_branch(&s.store, &images, &draft).unwrap();
    clock.set("2026-09-01T12:00:00Z");
    let at = |at: &str| {
        let views = branches_as_of(&s.store, &images, &Moment::find(&s.store, at).unwrap())?;
        Ok::<_, engine::EngineError>(
            views.into_iter().map(|view| (view.name.to_string(), view.commit)).collect::<Vec<_>>(),
        )
    };
    let both = vec![("draft".to_owned(), Some(first)), ("main".to_owned(), Some(first))];
    assert_eq!(at("2026-09-01 10:30").unwrap(), both);
    assert_eq!(at("2026-09-01 11:30").unwrap().len(), 1);
    changes::delete_repo(&s.store, &images).unwrap();
    clock.set("2026-09-01T13:00:00Z");
    assert_eq!(at("2026-09-01 10:30").unwrap(), both);
    assert_eq!(at("2026-09-01 12:30").unwrap_err().kind(), specs::ErrorKind::NotFound);
}
