//! Queries over jobs that really ran.

use specs::{ErrorKind, PipelineName};

use super::setting::Setting;
use answers::datum::{DatumFilter, DatumState, DatumView, datums, find_datum, find_datums_of_input};
use answers::job::{JobState, job_view};
use answers::named::{find_job, find_jobs};
use answers::pipeline::{PipelineState, pipeline_details, pipeline_view};

const UPPER: &str = "
pipeline: {name: upper}
transform: {cmd: [upper], image: 'x:1'}
input: {pfs: {repo: images, glob: '/*'}}
";
const PAIRS: &str = "
pipeline: {name: pairs}
transform: {cmd: [pairs], image: 'x:1'}
input: {cross: [{pfs: {repo: upper, glob: '/*'}}, {pfs: {repo: model, glob: '/'}}]}
";

fn name(text: &str) -> PipelineName {
    text.parse().unwrap()
}

fn listed(s: &Setting, pipeline: &str, filter: DatumFilter) -> Vec<DatumView> {
    datums(&s.store, None, &s.job(pipeline), filter).unwrap().collect::<Result<_, _>>().unwrap()
}

fn states(views: &[DatumView]) -> Vec<(String, DatumState)> {
    views.iter().map(|view| (view.inputs[0].path.to_string(), view.state)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn datums_are_cached_when_another_job_executed_them() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    s.put("images", [("/a", Some("1")), ("/b", Some("2"))]);
    s.run().await;
    s.put("images", [("/c", Some("3"))]);
    s.run().await;
    let views = listed(&s, "upper", DatumFilter::default());
    let state = |path: &str, state| (path.to_owned(), state);
    let cached = DatumState::Cached;
    assert_eq!(states(&views), [state("/a", cached), state("/b", cached), state("/c", DatumState::Success)]);
    assert_eq!((views[2].tries, views[2].exit_code, views[2].outputs_count), (1, Some(0), 1));
    assert_eq!(views[2].inputs[0].digest, repos::hash::digest_of(b"3"));
    let only = DatumFilter { state: Some(DatumState::Success), ..DatumFilter::default() };
    assert_eq!(listed(&s, "upper", only).len(), 1);

    // The agent of these tests says 2, 1 and 3 ms; what the engine did for it meanwhile may take longer.
    let tried = views[2].try_details.last().unwrap();
    assert!(tried.pull_seconds.unwrap() >= 0.002 && tried.take_in_seconds.unwrap() >= 0.003, "{tried:?}");
    assert!((tried.process_seconds - 0.001).abs() < 1e-9, "{tried:?}");
    let after = s.job("upper").sealed_at.unwrap().seconds_since(tried.finished_at);
    assert!(after >= tried.take_in_seconds.unwrap(), "the command ends before its output is taken in: {tried:?}");

    let job = job_view(&s.store, &s.job("upper"), None).unwrap();
    assert_eq!(
        (job.state, job.cause.kind.word(), job.output_commit),
        (JobState::Success, "commit", s.job("upper").commit)
    );
    assert_eq!((job.datums_total, job.datums_processed, job.datums_cached), (3, 1, 2));
    let json = serde_json::to_value(&job).unwrap();
    let fields: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut contract: Vec<&str> =
        "id pipeline run state reason cause executor pipeline_version datums_total datums_processed \
        datums_cached datums_failed datums_recovered duration_seconds output_commit created_at started_at finished_at"
            .split_whitespace()
            .collect();
    contract.sort_unstable();
    assert_eq!(fields, contract);
    let datum = serde_json::to_value(&views[0]).unwrap();
    let fields: Vec<&str> = datum.as_object().unwrap().keys().map(String::as_str).collect();
    let mut contract: Vec<&str> =
        "id state reason tries try_details exit_code process_seconds started_at finished_at inputs outputs_count \
        result log network executed_by executed_on pipeline_version"
            .split_whitespace()
            .collect();
    contract.sort_unstable();
    assert_eq!(fields, contract);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datum_is_found_by_its_id_its_job_its_output_and_its_input() {
    let s = Setting::new();
    s.repo("images").repo("model").pipeline(UPPER).pipeline(PAIRS);
    s.put("model", [("/m", Some("m"))]);
    s.put("images", [("/a", Some("1")), ("/b", Some("2"))]);
    s.run_with(|call| {
        let mut reply = super::setting::copy(call);
        reply.files.retain(|path, _| path != "m");
        reply
    })
    .await;
    let wrote = find_datum(&s.store, None, &"pairs:/a".parse().unwrap()).unwrap();
    assert_eq!(wrote.job, s.job("pairs"));
    assert_eq!(wrote.view.inputs.len(), 2);
    let id = wrote.view.id;
    assert_eq!(find_datum(&s.store, None, &id.short(12).parse().unwrap()).unwrap().view.id, id);
    assert_eq!(
        find_datum(&s.store, None, &format!("pairs/{}", id.short(12)).parse().unwrap()).unwrap().view,
        wrote.view
    );
    let elsewhere = find_datum(&s.store, None, &format!("upper/{}", id.short(12)).parse().unwrap());
    assert_eq!(elsewhere.unwrap_err().kind(), ErrorKind::NotFound);

    let by_model = find_datums_of_input(&s.store, None, &s.job("pairs"), &"/m".parse().unwrap()).unwrap();
    assert_eq!(by_model.len(), 2, "each datum saw the directory that holds it");
    let by_image = find_datums_of_input(&s.store, None, &s.job("pairs"), &"/a".parse().unwrap()).unwrap();
    assert_eq!(by_image.iter().map(|found| found.view.id).collect::<Vec<_>>(), [id]);
    assert!(find_datums_of_input(&s.store, None, &s.job("pairs"), &"/z".parse().unwrap()).is_err());

    let of_a_person = find_datum(&s.store, None, &"images:/a".parse().unwrap()).unwrap_err();
    assert!(of_a_person.to_string().contains("anna committed it"), "{of_a_person}");
    assert_eq!(find_datum(&s.store, None, &"pairs:/zz".parse().unwrap()).unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_named_alone_in_its_run_or_with_the_whole_run() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    assert_eq!(find_job(&s.store, &"upper".parse().unwrap()).unwrap_err().kind(), ErrorKind::NotFound);
    s.put("images", [("/a", Some("1"))]);
    let first = s.job("upper");
    s.put("images", [("/b", Some("1"))]);
    assert_eq!(find_job(&s.store, &"upper".parse().unwrap()).unwrap(), s.job("upper"));
    let reference = format!("upper@{}", first.run.short(12));
    assert_eq!(find_job(&s.store, &reference.parse().unwrap()).unwrap(), first);
    let run = format!("@{}", first.run.short(12));
    assert_eq!(find_jobs(&s.store, &run.parse().unwrap()).unwrap(), std::slice::from_ref(&first));
    assert_eq!(find_job(&s.store, &run.parse().unwrap()).unwrap(), first);
    let wrong = format!("lower@{}", first.run.short(12));
    assert_eq!(find_job(&s.store, &wrong.parse().unwrap()).unwrap_err().kind(), ErrorKind::NotFound);

    let waiting = job_view(&s.store, &first, None).unwrap();
    assert_eq!((waiting.state, waiting.reason.as_deref()), (JobState::Waiting, Some("for pv run")));
    let behind = job_view(&s.store, &s.job("upper"), None).unwrap();
    assert_eq!(behind.reason.as_deref(), Some("for its earlier run"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_current_pending_or_failed() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    let view = || pipeline_view(&s.store, &name("upper"), None).unwrap();
    assert_eq!((view().state, view().last_job, view().behind_runs), (PipelineState::Current, None, 0));
    s.put("images", [("/a", Some("1"))]);
    s.put("images", [("/b", Some("bad"))]);
    assert_eq!((view().state, view().behind_runs), (PipelineState::Pending, 2));
    assert_eq!(view().reason.as_deref(), Some("for pv run"));
    s.run().await;
    assert_eq!((view().state, view().behind_runs), (PipelineState::Failed, 1));
    assert!(view().output_commit.is_some(), "the first run gave a good one");
    let failed = listed(&s, "upper", DatumFilter { state: Some(DatumState::Failed), ..DatumFilter::default() });
    assert_eq!((failed.len(), failed[0].tries, failed[0].exit_code), (1, 3, Some(1)));

    s.put("images", [("/b", Some("2"))]);
    s.run().await;
    assert_eq!((view().state, view().behind_runs), (PipelineState::Current, 0));
    let details = pipeline_details(&s.store, &name("upper"), None).unwrap();
    assert_eq!((details.inputs.join(" "), details.output.as_str()), ("images@main".to_owned(), "upper@main"));
    assert_eq!(details.transform.cmd, ["upper"]);
}
