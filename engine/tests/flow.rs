use repos::journal::SealedState;

use super::setting::{Setting, copy};
use sandbox::scripted::Reply;

pub(super) const UPPER: &str = "
pipeline: {name: upper}
transform: {cmd: [upper], image: 'x:1'}
input: {pfs: {repo: images, glob: '/*'}}
";
const LOWER: &str = "
pipeline: {name: lower}
transform: {cmd: [lower], image: 'x:1'}
input: {pfs: {repo: upper, glob: '/*'}}
";

#[tokio::test(flavor = "multi_thread")]
async fn only_new_and_changed_datums_run_through_a_chain() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER).pipeline(LOWER);
    s.put("images", [("/a", Some("1")), ("/b", Some("2"))]);
    s.run().await;
    assert_eq!(s.seen("upper"), ["images/a", "images/b"]);
    assert_eq!(s.seen("lower"), ["upper/a", "upper/b"]);
    assert_eq!(s.files("lower"), [("/a".into(), "1|upper|lower".into()), ("/b".into(), "2|upper|lower".into())].into());

    s.put("images", [("/c", Some("3")), ("/a", Some("1'")), ("/b", None)]);
    s.run().await;
    assert_eq!(s.seen("upper"), ["images/a", "images/c"]);
    assert_eq!(s.seen("lower"), ["upper/a", "upper/c"]);
    assert_eq!(
        s.files("lower"),
        [("/a".into(), "1'|upper|lower".into()), ("/c".into(), "3|upper|lower".into())].into()
    );

    // Back to the earlier content: everything is a cache hit.
    s.put("images", [("/c", None), ("/a", Some("1")), ("/b", Some("2"))]);
    s.run().await;
    assert!(s.seen("upper").is_empty() && s.seen("lower").is_empty());
    assert_eq!(s.files("upper").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_is_no_base_and_its_successes_are_kept() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER).pipeline(LOWER);
    s.put("images", [("/a", Some("1"))]);
    s.run().await;
    s.put("images", [("/b", Some("bad")), ("/c", Some("3"))]);
    s.run().await;
    assert_eq!((s.state("upper"), s.state("lower")), (SealedState::Failure, SealedState::Unrunnable));
    assert!(s.job("lower").commit.is_none());
    let failed = s.store.commit(&s.job("upper").commit.unwrap()).unwrap();
    assert!(failed.error.is_some());
    assert_eq!(s.files("upper").len(), 1, "the branch stays where it was");
    assert_eq!(s.seen("upper"), ["images/a", "images/b", "images/b", "images/b", "images/c"], "three tries");

    s.put("images", [("/b", Some("2"))]);
    s.run().await;
    assert_eq!(s.seen("upper"), ["images/b"], "what succeeded in the failed job is not run again");
    assert_eq!((s.state("upper"), s.state("lower")), (SealedState::Success, SealedState::Success));
    assert_eq!(s.files("lower").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cross_runs_what_either_side_changes() {
    let s = Setting::new();
    s.repo("images").repo("model").pipeline(
        "
pipeline: {name: detect}
transform: {cmd: [detect], image: 'x:1'}
input: {cross: [{pfs: {repo: images, glob: '/*'}}, {pfs: {repo: model, glob: /}}]}
",
    );
    let name = |call: sandbox::scripted::Call| {
        let mut reply = Reply::default();
        let path = call.env["images"].strip_prefix("/pfs/images/").unwrap().to_owned();
        reply.files.insert(path, format!("{:?}", call.inputs.keys().collect::<Vec<_>>()).into_bytes());
        reply
    };
    s.put("images", [("/a", Some("1")), ("/b", Some("2"))]);
    s.run_with(name).await;
    assert_eq!(s.state("detect"), SealedState::Success);
    assert!(s.seen("detect").is_empty(), "a cross with an empty side has no datums");
    s.put("model", [("/w", Some("m"))]);
    s.run_with(name).await;
    assert_eq!(s.seen("detect"), ["images/a+model/w", "images/b+model/w"]);
    s.put("images", [("/c", Some("3"))]);
    s.run_with(name).await;
    assert_eq!(s.seen("detect"), ["images/c+model/w"]);
    s.put("model", [("/w", Some("m2"))]);
    s.put("images", [("/a", None)]);
    s.run_with(name).await;
    // The model's run comes first; its inputs still have `/a`.
    assert_eq!(s.seen("detect"), ["images/a+model/w", "images/b+model/w", "images/c+model/w"]);
    assert_eq!(s.files("detect").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_datums_that_write_one_path_fail_the_job_with_both_named() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    s.put("images", [("/a", Some("1")), ("/b", Some("2"))]);
    s.run_with(|call| Reply {
        files: [("same".to_owned(), call.inputs.values().next().unwrap().clone())].into(),
        ..Reply::default()
    })
    .await;
    let job = s.job("upper");
    assert_eq!(job.sealed, Some(SealedState::Failure));
    let document: repos::documents::JobDocument = s.store.document(&job.document.unwrap()).unwrap();
    let reason = document.reason.unwrap();
    for part in ["`/same`", "images:/a", "images:/b"] {
        assert!(reason.contains(part), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_of_a_diamond_mixes_generations() {
    let s = Setting::new();
    s.repo("left").repo("right");
    let pipeline = |name: &str, input: &str| {
        format!("{{pipeline: {{name: {name}}}, transform: {{cmd: [{name}], image: 'x:1'}}, input: {input}}}")
    };
    let both = "{cross: [{pfs: {repo: left, glob: /}}, {pfs: {repo: right, glob: /}}]}";
    s.pipeline(&pipeline("b", both)).pipeline(&pipeline("c", both));
    s.pipeline(&pipeline("d", "{cross: [{pfs: {repo: b, glob: /}}, {pfs: {repo: c, glob: /}}]}"));
    for round in 0..5 {
        let content = format!("{round}");
        s.put("left", [("/l", Some(content.as_str()))]);
        s.put("right", [("/r", Some(content.as_str()))]);
    }
    let tag = |call: sandbox::scripted::Call| {
        let all: Vec<String> =
            call.inputs.iter().map(|(path, bytes)| format!("{path}={}", String::from_utf8_lossy(bytes))).collect();
        Reply { files: [(call.cmd[0].clone(), all.join(",").into_bytes())].into(), ..Reply::default() }
    };
    s.run_with(tag).await;
    let mut id = s.store.head(&"d".parse().unwrap(), &"main".parse().unwrap()).unwrap();
    let mut seen = 0;
    loop {
        let commit = s.store.commit(&id).unwrap();
        let origins = |id| s.store.commit(&id).unwrap().provenance;
        let inputs: Vec<_> = commit.provenance.iter().map(|origin| origins(origin.commit)).collect();
        assert_eq!(inputs[0], inputs[1], "both arms rest on the same commits");
        seen += 1;
        let Some(parent) = commit.parents.first() else { break };
        id = *parent;
    }
    assert_eq!(seen, 10, "one commit a run, in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_engine_goes_on_without_running_a_finished_datum_again() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    let files: Vec<(String, String)> = (0..20).map(|n| (format!("/{n:02}"), n.to_string())).collect();
    s.put("images", files.iter().map(|(path, content)| (path.as_str(), Some(content.as_str()))));
    let (reached, done) = std::sync::mpsc::channel();
    let engine = s
        .engine(move |call| {
            if call.inputs.contains_key("images/10") {
                reached.send(()).ok();
                std::thread::park(); // never ends: the engine is dropped meanwhile
            }
            copy(call)
        })
        .await;
    let running = tokio::spawn(async move { engine.run(engine::Selection::All).await });
    tokio::task::spawn_blocking(move || done.recv().unwrap()).await.unwrap();
    running.abort();
    running.await.ok();
    let before = s.seen("upper");
    assert!(before.len() >= 10);
    s.run().await;
    let again: Vec<String> = s.seen("upper");
    assert!(again.contains(&"images/10".to_owned()));
    // For each of the two workers only the running datum and the one whose result was being stored may run again.
    assert!(before.iter().filter(|seen| again.contains(seen)).count() <= 4, "{before:?} {again:?}");
    assert_eq!(s.files("upper").len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_behind_a_datum_that_takes_long() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    let names: Vec<String> = (0..9).map(|number| format!("/{number}")).collect();
    s.put("images", names.iter().map(|name| (name.as_str(), Some("x"))));
    let others = std::sync::Arc::new((std::sync::Mutex::new(0), std::sync::Condvar::new()));
    s.run_with(move |call| {
        let (ended, all_ended) = &*others;
        let mut ended = ended.lock().unwrap();
        if call.inputs.contains_key("images/0") {
            // Meanwhile the other worker must take all datums that were prepared for this worker's next turn.
            let patience = std::time::Duration::from_mins(1);
            let waited = all_ended.wait_timeout_while(ended, patience, |ended| *ended < 8).unwrap();
            assert!(!waited.1.timed_out(), "a datum waits for the one that waits for it");
        } else {
            *ended += 1;
            all_ended.notify_all();
        }
        copy(call)
    })
    .await;
    assert_eq!((s.state("upper"), s.files("upper").len()), (SealedState::Success, 9));
}
