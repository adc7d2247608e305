//! What Prometheus sees.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]
#![expect(
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "metrics are floats, and these are small whole numbers"
)]

#[path = "support/openmetrics.rs"]
mod openmetrics;
mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use engine::apply::{self, Data, Request};
use engine::run::Actor;
use openmetrics::Samples;
use repos::access::Role;
use reqwest::Method;
use serde_json::json;
use specs::PipelineName;
use support::Running;

/// The text of `/metrics`.
async fn scrape(server: &Running, token: &str) -> String {
    let response =
        reqwest::Client::new().get(format!("{}/metrics", server.url)).bearer_auth(token).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let media = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(media, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.text().await.unwrap()
}

async fn samples(server: &Running, token: &str) -> Samples {
    openmetrics::read(&scrape(server, token).await)
}

/// Applies a pipeline that reads all files of a repository.
async fn apply(server: &Running, pipeline: &str, repo: &str) {
    let spec = json!({
        "pipeline": { "name": pipeline },
        "input": { "pfs": { "repo": repo, "glob": "/*" } },
        "transform": { "image": "img", "cmd": ["true"] },
    });
    let set = specs::parse_specs(&[("p.json".to_owned(), spec.to_string())]);
    let sources = [("p.json".to_owned(), "/nonexistent".into())].into();
    let by = owner();
    let request = Request { set: &set, sources: &sources, by: &by, dry: false, on_pull: &|_| {}, announce: &|_| {} };
    apply::apply(server.engine.store(), &*server.engine.executor_handle(), request).await.unwrap();
}

fn owner() -> Actor {
    Actor { author: "owner".to_owned(), committer: "owner".to_owned() }
}

/// A server whose pipeline `copy` reads `notes` with three files; and a token for everything.
async fn with_pipeline() -> (Running, String) {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "notes" })).await;
    apply(&server, "copy", "notes").await;
    for file in ["a", "b", "c"] {
        server.put(&admin, &format!("/repos/notes/branches/main/files/{file}"), file).await;
    }
    (server, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_datums_are_counted_once_however_late_somebody_asks() {
    let (server, admin) = with_pipeline().await;
    let before = samples(&server, &admin).await;
    assert_eq!(before["pv_jobs_total{outcome=\"success\",pipeline=\"copy\"}"], 0.0, "it begins at zero");
    assert!(before["pv_jobs_open{state=\"waiting\"}"] >= 1.0);
    server.engine.run(engine::Selection::All).await.unwrap();
    for _ in 0..2 {
        let after = samples(&server, &admin).await;
        let jobs = after["pv_jobs_total{outcome=\"success\",pipeline=\"copy\"}"];
        assert!(jobs >= 1.0 && jobs == before["pv_jobs_open{state=\"waiting\"}"], "{jobs}");
        assert_eq!(after["pv_datums_total{outcome=\"processed\",pipeline=\"copy\"}"], 3.0);
        assert_eq!(after["pv_job_seconds_count{pipeline=\"copy\"}"], jobs);
        assert_eq!(after["pv_job_wait_seconds_count"], jobs);
        assert_eq!(after["pv_jobs_open{state=\"waiting\"}"], 0.0);
        assert_eq!(after["pv_datums_running"], 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pipeline_takes_its_counts_with_it() {
    let (server, admin) = with_pipeline().await;
    server.engine.run(engine::Selection::All).await.unwrap();
    assert!(scrape(&server, &admin).await.contains("pipeline=\"copy\""));
    let copy: PipelineName = "copy".parse().unwrap();
    apply::delete_pipeline(server.engine.store(), &copy, Data::Stays, &owner()).unwrap();
    assert!(!scrape(&server, &admin).await.contains("copy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_bytes_commits_and_the_state_of_the_store_are_seen() {
    let (server, admin) = with_pipeline().await;
    server.get("pv_wrong", "/repos").await;
    server.get(&admin, "/repos/none").await;
    let seen = samples(&server, &admin).await;
    assert_eq!(seen["pv_http_request_seconds_count{operation=\"putFile\",status=\"2xx\"}"], 3.0);
    assert_eq!(seen["pv_http_request_seconds_count{operation=\"showRepo\",status=\"4xx\"}"], 1.0);
    assert_eq!(seen["pv_http_request_seconds_count{operation=\"listRepos\",status=\"4xx\"}"], 1.0);
    assert_eq!(seen["pv_wrong_tokens_total"], 1.0);
    assert!(seen["pv_connections_open"] >= 1.0);
    assert!(seen["pv_received_bytes_total"] > 300.0 && seen["pv_sent_bytes_total"] > 300.0);
    assert!(seen["pv_new_bytes_total"] > 100.0 && seen["pv_disk_free_bytes"] > 0.0);
    let end = server.engine.store().position();
    assert_eq!((seen["pv_journal_records"], seen["pv_journal_bytes"]), (end.records as f64, end.bytes as f64));
    assert!(seen["pv_commit_seconds_count"] >= 5.0);
    assert_eq!((seen["pv_engine_phase{phase=\"running\"}"], seen["pv_engine_phase{phase=\"ended\"}"]), (1.0, 0.0));
    assert_eq!(seen[&format!("pv_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_never_name_a_run_job_datum_path_or_token() {
    let (server, admin) = with_pipeline().await;
    server.engine.run(engine::Selection::All).await.unwrap();
    server.get(&admin, "/repos/notes/commits/main/files/secret-name").await;
    let labels: BTreeSet<String> = samples(&server, &admin)
        .await
        .into_keys()
        .filter_map(|key| Some(key.split_once('{')?.1.trim_end_matches('}').to_owned()))
        .flat_map(|labels| labels.split(',').map(|pair| pair.split_once('=').unwrap().0.to_owned()).collect::<Vec<_>>())
        .collect();
    let known = ["le", "operation", "outcome", "phase", "pipeline", "state", "status", "version"];
    assert_eq!(labels, known.map(str::to_owned).into());
    let text = scrape(&server, &admin).await;
    assert!(!text.contains("secret-name") && !text.contains("anna") && !text.contains(&admin));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_need_a_token_that_sees_everything() {
    let server = Running::start().await;
    let get = async |token: &str| {
        let request = reqwest::Client::new().get(format!("{}/metrics", server.url));
        request.bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    assert_eq!(get("").await, 401);
    assert_eq!(get(&server.token("some", Role::Admin, &["images"])).await, 403);
    assert_eq!(get(&server.token("all", Role::Reader, &["*"])).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_is_cheap() {
    let (server, _) = with_pipeline().await;
    let admin = server.token("often", Role::Reader, &["*"]);
    scrape(&server, &admin).await;
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        scrape(&server, &admin).await;
        took.push(start.elapsed());
    }
    took.sort();
    // The bound is 10 ms of an optimised build on an idle machine; this one may be neither.
    assert!(took[10] < Duration::from_millis(100), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parser_of_prometheus_itself_reads_it() {
    let Some(python) = tests::tools::python_of("metrics-tools") else {
        return tests::tools::skip("no prometheus-client for Python: scripts/setup.sh metrics installs it");
    };
    let (server, admin) = with_pipeline().await;
    server.engine.run(engine::Selection::All).await.unwrap();
    let text = scrape(&server, &admin).await;
    let script = "import sys\n\
                  from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
                  for family in parse(sys.stdin.read()):\n\
                  \x20   for sample in family.samples: print(sample.name)";
    let mut parser = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success());
    let names: BTreeSet<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    let own: BTreeSet<String> =
        openmetrics::read(&text).into_keys().map(|key| key.split('{').next().unwrap().to_owned()).collect();
    assert_eq!(names, own);
}

/// The names that rules and dashboards may use.
#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_the_rules_and_the_dashboard_name_exists() {
    let (server, admin) = with_pipeline().await;
    server.engine.run(engine::Selection::All).await.unwrap();
    let names: BTreeSet<String> =
        samples(&server, &admin).await.into_keys().map(|key| key.split('{').next().unwrap().to_owned()).collect();
    let deploy = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    for file in ["prometheus-rules.yaml", "grafana-dashboard.json"] {
        let text = std::fs::read_to_string(deploy.join(file)).unwrap();
        let used: BTreeSet<String> = words(&text).filter(|word| word.starts_with("pv_")).map(str::to_owned).collect();
        assert!(used.len() >= 8, "{file} uses {used:?}");
        let unknown: Vec<_> = used.difference(&names).collect();
        assert_eq!(unknown, Vec::<&String>::new(), "{file}");
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
}
