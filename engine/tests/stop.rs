//! Stopped pipelines, inputs that start no job, and reruns and retries of some datums.

use repos::journal::{CauseKind, SealedState};
use specs::{ErrorKind, Glob};

use super::flow::UPPER;
use super::setting::Setting;
use answers::pipeline::{PipelineState, pipeline_view};
use answers::trace::{Origin, Reach, trace};
use engine::apply::{Data, delete_pipeline, rerun, retry, start_pipeline, stop_pipeline};

const LOWER: &str = "
pipeline: {name: lower}
transform: {cmd: [lower], image: 'x:1'}
input: {pfs: {repo: upper, glob: '/*'}}
";
/// Reads the output of `upper` beside the images themselves.
const BOTH: &str = "
pipeline: {name: both}
transform: {cmd: [both], image: 'x:1'}
input: {cross: [{pfs: {repo: images, glob: /}}, {pfs: {repo: upper, glob: /}}]}
";

/// Lists the inputs under their own names, so that equal paths do not clash.
fn list(call: sandbox::scripted::Call) -> sandbox::scripted::Reply {
    let all: Vec<String> =
        call.inputs.iter().map(|(path, bytes)| format!("{path}={}", String::from_utf8_lossy(bytes))).collect();
    let name = call.cmd.into_iter().next().unwrap();
    sandbox::scripted::Reply { files: [(name, all.join(",").into_bytes())].into(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_pipeline_gets_no_job_and_its_start_catches_up_in_one_run() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER).pipeline(LOWER);
    s.put("images", [("/a", Some("1"))]);
    s.run().await;
    let upper = "upper".parse().unwrap();
    let before = (s.jobs("upper").len(), s.jobs("lower").len());
    assert_eq!(stop_pipeline(&s.store, &upper, &s.by).unwrap(), Some(0));
    assert_eq!(stop_pipeline(&s.store, &upper, &s.by).unwrap(), None, "it is already stopped");
    assert_eq!(pipeline_view(&s.store, &upper, None).unwrap().state, PipelineState::Stopped);
    for path in ["/b", "/c", "/d"] {
        s.put("images", [(path, Some("1"))]);
    }
    assert_eq!((s.jobs("upper").len(), s.jobs("lower").len()), before);
    assert_eq!(rerun(&s.store, &upper, None, &s.by).unwrap_err().kind(), ErrorKind::Conflict);

    let run = start_pipeline(&s.store, &upper, &s.by).unwrap().unwrap();
    assert_eq!(start_pipeline(&s.store, &upper, &s.by).unwrap(), None, "it is started already");
    let run = s.store.run(&run).unwrap();
    assert_eq!((run.cause.kind, run.jobs.len()), (CauseKind::Start, 2));
    s.run().await;
    assert_eq!((s.jobs("upper").len(), s.jobs("lower").len()), (before.0 + 1, before.1 + 1));
    assert_eq!(s.files("lower").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_kills_what_has_not_ended_and_an_update_leaves_it_stopped() {
    let s = Setting::new();
    s.repo("images");
    s.apply(UPPER).await.unwrap();
    s.put("images", [("/a", Some("1"))]);
    let upper = "upper".parse().unwrap();
    assert_eq!(stop_pipeline(&s.store, &upper, &s.by).unwrap(), Some(1), "what it killed");
    let job = s.job("upper");
    assert_eq!(job.sealed, Some(SealedState::Killed));
    assert_eq!((s.reason(&job).as_str(), job.commit), ("pipeline was stopped by anna", None));

    let applied = s.apply(&UPPER.replace("[upper]", "[upper, again]")).await.unwrap();
    assert!(applied.run.is_some() && applied.jobs.is_empty());
    assert!(s.store.pipeline(&upper).unwrap().is_stopped());
    start_pipeline(&s.store, &upper, &s.by).unwrap();
    s.run().await;
    assert_eq!((s.job("upper").version, s.state("upper")), (2, SealedState::Success));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_spec_kills_the_jobs_of_the_version_before() {
    let s = Setting::new();
    s.repo("images");
    s.apply(UPPER).await.unwrap();
    s.put("images", [("/a", Some("1"))]);
    let old = s.job("upper");
    let applied = s.apply(&UPPER.replace("[upper]", "[upper, again]")).await.unwrap();
    assert_eq!(applied.kills, [format!("upper@{}", old.run)]);
    let old = s.store.job(old.order, &old.pipeline).unwrap().unwrap();
    assert_eq!((old.sealed, s.reason(&old).as_str()), (Some(SealedState::Killed), "replaced by version 2"));
    s.run().await;
    assert_eq!(s.state("upper"), SealedState::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_stopped_pipeline_an_older_generation_is_taken_and_told() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER).pipeline(BOTH);
    s.put("images", [("/a", Some("1"))]);
    s.run_with(list).await;
    stop_pipeline(&s.store, &"upper".parse().unwrap(), &s.by).unwrap();
    s.put("images", [("/a", Some("2"))]);
    s.run_with(list).await;
    assert_eq!(s.state("both"), SealedState::Success);
    assert_eq!(s.files("both")["/both"], "images/a=2,upper/upper=images/a=1");
    let older = |path: &str| {
        let at = s.store.resolve(&path.parse().unwrap()).unwrap();
        let Origin::Datum(datum) = trace(&s.store, &at, Reach::default()).unwrap().file.origin else { panic!() };
        let below = datum.inputs.iter().flat_map(|input| &input.files).filter_map(|file| match &file.origin {
            Origin::Datum(datum) => Some(datum.inputs.iter().any(|input| input.older)),
            _ => None,
        });
        (datum.inputs.iter().any(|input| input.older), below.collect::<Vec<_>>())
    };
    assert_eq!(older("both:/both"), (false, vec![true]), "what upper read is older, what upper gave is not");
    let images = s.store.resolve(&format!("images@{}", s.job("both").run).parse().unwrap()).unwrap();
    assert_eq!(Some(images.id), s.head("images", "main"), "of the two generations the newer is the run's");

    start_pipeline(&s.store, &"upper".parse().unwrap(), &s.by).unwrap();
    s.run_with(list).await;
    assert_eq!(s.files("both")["/both"], "images/a=2,upper/upper=images/a=2");
    assert_eq!(older("both:/both"), (false, vec![false]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_while_a_pipeline_was_stopped_stays_good_after_its_start_fails() {
    let s = Setting::new();
    s.repo("images").repo("rules").pipeline(UPPER).pipeline(BOTH);
    s.pipeline(
        "
pipeline: {name: last}
transform: {cmd: [last], image: 'x:1'}
input: {cross: [{pfs: {repo: both, glob: /}}, {pfs: {repo: rules, glob: /}}]}
",
    );
    s.put("rules", [("/r", Some("1"))]);
    s.put("images", [("/a", Some("1"))]);
    s.run_with(list).await;
    stop_pipeline(&s.store, &"upper".parse().unwrap(), &s.by).unwrap();
    s.put("images", [("/a", Some("2"))]);
    s.run_with(list).await;
    start_pipeline(&s.store, &"upper".parse().unwrap(), &s.by).unwrap();
    s.run_with(|call| {
        let code = i32::from(call.cmd[0] == "upper");
        sandbox::scripted::Reply { code, ..list(call) }
    })
    .await;
    assert_eq!((s.state("upper"), s.state("last")), (SealedState::Failure, SealedState::Unrunnable));
    s.put("rules", [("/r", Some("2"))]);
    s.run_with(list).await;
    assert_eq!(s.state("last"), SealedState::Success, "{}", s.reason(&s.job("last")));
    assert_eq!(s.files("last")["/last"], "both/both=images/a=2,upper/upper=images/a=1,rules/r=2");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_never_propagates_starts_no_job_and_may_be_older() {
    let s = Setting::new();
    s.repo("images").repo("model");
    s.pipeline(
        "
pipeline: {name: upper}
transform: {cmd: [upper], image: 'x:1'}
input: {cross: [{pfs: {repo: images, glob: /}}, {pfs: {repo: model, glob: /, propagation_spec: {never: true}}}]}
",
    );
    s.pipeline(&BOTH.replace("repo: images", "repo: model"));
    s.put("model", [("/m", Some("1"))]);
    assert!(s.jobs("upper").is_empty());
    s.put("images", [("/a", Some("1"))]);
    s.run_with(list).await;
    s.put("model", [("/m", Some("2"))]);
    s.run_with(list).await;
    assert_eq!((s.jobs("upper").len(), s.state("both")), (1, SealedState::Success));
    assert_eq!(s.files("both")["/both"], "model/m=2,upper/upper=images/a=1,model/m=1");
    s.put("images", [("/a", Some("2"))]);
    s.run_with(list).await;
    assert_eq!(s.files("both")["/both"], "model/m=2,upper/upper=images/a=2,model/m=2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rerun_of_some_paths_keeps_all_else() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    s.put("images", [("/a1", Some("1")), ("/a2", Some("2")), ("/b", Some("3"))]);
    s.run().await;
    s.seen("upper");
    let upper = "upper".parse().unwrap();
    let nothing = rerun(&s.store, &upper, Some(&Glob::parse("/x*").unwrap()), &s.by).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::NotFound);
    rerun(&s.store, &upper, Some(&Glob::parse("/a*").unwrap()), &s.by).unwrap();
    s.put("images", [("/b", None)]);
    s.run_with(|call| {
        let files = call.inputs.into_keys().map(|path| (path.replace("images/", ""), b"anew".to_vec()));
        sandbox::scripted::Reply { files: files.collect(), ..Default::default() }
    })
    .await;
    assert_eq!(s.seen("upper"), ["images/a1", "images/a2"]);
    let first = s.jobs("upper")[1].commit.unwrap();
    let kept = [("/a1", "anew"), ("/a2", "anew"), ("/b", "3|upper")];
    assert_eq!(s.files_in(first), kept.map(|(path, text)| (path.to_owned(), text.to_owned())).into());
    assert_eq!(s.files("upper").len(), 2, "the new results are the newest, also for the job after");
    assert_eq!(s.files("upper")["/a1"], "anew");
}

/// Copies every input as `anew`, whatever it is.
fn anew(call: sandbox::scripted::Call) -> sandbox::scripted::Reply {
    let files = call.inputs.into_keys().map(|path| (path.replace("images/", ""), b"anew".to_vec()));
    sandbox::scripted::Reply { files: files.collect(), ..Default::default() }
}

fn glob(text: &str) -> Glob {
    Glob::parse(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_some_paths_leaves_other_failures_as_they_are() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    s.put("images", [("/a1", Some("bad")), ("/a2", Some("bad")), ("/b", Some("1"))]);
    s.run().await;
    s.seen("upper");
    let failed = s.job("upper");
    let nothing = retry(&s.store, &failed, Some(&glob("/b")), &s.by, None).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::NotFound, "it did not fail");
    let run = retry(&s.store, &failed, Some(&glob("/*1")), &s.by, None).unwrap();
    assert_eq!(s.store.run(&run).unwrap().cause.refs, ["upper:/*1".to_owned(), format!("@{}", failed.run)]);
    s.run_with(anew).await;
    let job = s.job("upper");
    assert_eq!((s.seen("upper"), s.state("upper")), (vec!["images/a1".to_owned()], SealedState::Failure));
    assert_eq!(s.reason(&job), "1 of 3 datums failed");

    // What stayed failed is a failure of the new job as well.
    retry(&s.store, &job, Some(&glob("/a*")), &s.by, Some("torn")).unwrap();
    s.run_with(anew).await;
    assert_eq!((s.seen("upper"), s.state("upper")), (Vec::new(), SealedState::Success));
    assert_eq!(s.files("upper").into_keys().collect::<Vec<_>>(), ["/a1", "/b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_skips_some_paths_executes_other_failures_again() {
    let s = Setting::new();
    s.repo("images").pipeline(&UPPER.replace("glob: '/*'", "glob: /"));
    s.pipeline(&UPPER.replace("upper", "each"));
    s.put("images", [("/d/a", Some("bad")), ("/e", Some("bad"))]);
    s.run().await;
    s.seen("upper");
    s.seen("each");
    // A datum that sees a directory reads what is in it.
    retry(&s.store, &s.job("upper"), Some(&glob("/d/*")), &s.by, Some("torn")).unwrap();
    retry(&s.store, &s.job("each"), Some(&glob("/d/*")), &s.by, Some("torn")).unwrap();
    s.run_with(anew).await;
    assert_eq!((s.seen("upper"), s.state("upper")), (Vec::new(), SealedState::Success));
    assert_eq!((s.seen("each"), s.state("each")), (vec!["images/e".to_owned()], SealedState::Success));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_out_stays_left_out_in_the_next_retry() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    s.put("images", [("/a", Some("bad")), ("/b", Some("bad")), ("/c", Some("good"))]);
    s.run().await;
    retry(&s.store, &s.job("upper"), Some(&glob("/a")), &s.by, Some("torn")).unwrap();
    s.run().await;
    assert_eq!((s.state("upper"), s.reason(&s.job("upper")).as_str()), (SealedState::Failure, "1 of 3 datums failed"));
    s.seen("upper");
    retry(&s.store, &s.job("upper"), Some(&glob("/b")), &s.by, Some("torn as well")).unwrap();
    s.run().await;
    assert_eq!((s.seen("upper"), s.state("upper")), (Vec::new(), SealedState::Success));
    assert_eq!(s.files("upper").into_keys().collect::<Vec<_>>(), ["/c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_an_earlier_job_do_not_stop_a_retry_early() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    let paths: Vec<String> = (0..120).map(|number| format!("/{number:03}")).collect();
    s.put("images", paths.iter().map(|path| (path.as_str(), Some("bad"))));
    s.run().await;
    assert_eq!(s.reason(&s.job("upper")), "its first 100 datums all failed, so it was stopped");
    retry(&s.store, &s.job("upper"), Some(&glob("/000")), &s.by, None).unwrap();
    s.run().await;
    assert_eq!(s.reason(&s.job("upper")), "120 of 120 datums failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_deleted_with_its_data_unless_somebody_reads_it() {
    let s = Setting::new();
    s.repo("images");
    let both = format!("{UPPER}---{LOWER}");
    s.apply(&both).await.unwrap();
    s.put("images", [("/a", Some("1"))]);
    s.run().await;
    let (upper, lower) = ("upper".parse().unwrap(), "lower".parse().unwrap());
    stop_pipeline(&s.store, &lower, &s.by).unwrap();
    let error = delete_pipeline(&s.store, &upper, Data::Goes, &s.by).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "a stopped pipeline reads it too");
    delete_pipeline(&s.store, &lower, Data::Goes, &s.by).unwrap();
    assert!(!s.store.has_repo(&"lower".parse().unwrap()).unwrap());
    delete_pipeline(&s.store, &upper, Data::Stays, &s.by).unwrap();
    assert_eq!(s.files("upper").len(), 1);

    // Its earlier results are in the cache.
    s.calls.lock().unwrap().clear();
    engine::changes::delete_repo(&s.store, &"upper".parse().unwrap()).unwrap();
    s.apply(&both).await.unwrap();
    s.run().await;
    assert_eq!(s.state("lower"), SealedState::Success);
    assert!(s.seen("upper").is_empty() && s.seen("lower").is_empty());
}
