//! Traces of runs, as a collector gets them.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::apply::{self, Request};
use engine::run::Actor;
use engine::{Engine, Selection};
use repos::Store;
use repos::access::{RepoGlobs, Role};
use repos::tokens::{NewToken, Tokens};
use sandbox::scripted::{Reply, ScriptedExecutor};
use serde_json::{Value, json};
use server::{Options, Server, Traces};
use specs::BranchName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A collector: each body that it gets, as JSON. It answers with `status`.
async fn collector(status: &'static str) -> (String, mpsc::UnboundedReceiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (send, bodies) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let body = loop {
                if stream.read_buf(&mut bytes).await.unwrap() == 0 {
                    break None;
                }
                let text = String::from_utf8_lossy(&bytes);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
                assert!(head.contains("content-type: application/json") && head.contains("x-key: 7"), "{head}");
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if body.len() == length.parse::<usize>().unwrap() {
                    break Some(serde_json::from_str(body).unwrap());
                }
            };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            if body.is_none_or(|body| send.send(body).is_err()) {
                return;
            }
        }
    });
    (url, bodies)
}

fn traces(url: &str) -> Option<Traces> {
    Traces::from_variables(|name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(url),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("x-key=7"),
        "OTEL_SERVICE_NAME" => Some("of-a-test"),
        _ => None,
    })
}

fn owner() -> Actor {
    Actor { author: "owner".to_owned(), committer: "owner".to_owned() }
}

/// An engine with two pipelines that read `notes`: `copy`, and `fail`, which fails.
async fn with_pipelines(folder: &std::path::Path) -> Arc<Engine> {
    let store = Store::init(folder, BranchName::main()).unwrap();
    store.own().unwrap();
    let executor = Arc::new(ScriptedExecutor::new(|call| match call.cmd[0].as_str() {
        "fail" => Reply { code: 3, ..Reply::default() },
        _ => Reply::default(),
    }));
    let engine = Arc::new(Engine::new(store.clone(), owner(), executor.clone(), 1).await.unwrap());
    engine::changes::create_repo(&store, &"notes".parse().unwrap()).unwrap();
    for (name, repo) in [("copy", "notes"), ("fail", "notes")] {
        let spec = json!({
            "pipeline": { "name": name },
            "input": { "pfs": { "repo": repo, "glob": "/" } },
            "transform": { "image": "img", "cmd": [name] },
        });
        let set = specs::parse_specs(&[("p.json".to_owned(), spec.to_string())]);
        let sources = [("p.json".to_owned(), "/nonexistent".into())].into();
        let by = owner();
        let request =
            Request { set: &set, sources: &sources, by: &by, dry: false, on_pull: &|_| {}, announce: &|_| {} };
        apply::apply(&store, &*executor, request).await.unwrap();
    }
    engine
}

/// Commits a file, which causes a run.
fn commit(store: &Store, content: &str) {
    use engine::put::{self, Caller, PutFiles, PutRequest, PutSource};
    struct Text(Vec<u8>);
    impl Caller for Text {
        fn input(&self) -> Box<dyn std::io::Read + '_> {
            Box::new(&self.0[..])
        }
    }
    let at = "notes@main".parse().unwrap();
    let target = engine::target::TargetBranch::of(store, &at).unwrap();
    let files =
        PutFiles { sources: vec![PutSource::Input], as_path: Some("/a".parse().unwrap()), ..PutFiles::default() };
    let request = PutRequest { target, files, expect: None, by: owner(), message: String::new() };
    put::prepare(store, &request, &Text(content.into())).and_then(put::PreparedPut::commit).unwrap();
}

fn attributes(span: &Value) -> BTreeMap<&str, &Value> {
    let pairs = span["attributes"].as_array().unwrap().iter();
    pairs
        .map(|pair| (pair["key"].as_str().unwrap(), pair["value"].as_object().unwrap().values().next().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_a_trace_of_its_jobs_and_their_datums() {
    let folder = tempfile::tempdir().unwrap();
    let engine = with_pipelines(folder.path()).await;
    let (url, mut bodies) = collector("200 OK").await;
    let exporting = tokio::spawn(traces(&url).unwrap().export(engine.clone(), std::future::pending()));
    commit(engine.store(), "1");
    engine.look_again();
    engine.run(Selection::All).await.unwrap();
    let store = engine.store();
    let run = store.run_at(store.runs_count().unwrap()).unwrap().unwrap().run.to_string();
    let mut spans = Vec::new();
    // A run may be sent before the last of its jobs.
    let has =
        |spans: &[Value], name: &str| spans.iter().any(|span| span["name"] == name && span["traceId"] == run.as_str());
    while !["run", "job copy", "job fail"].iter().all(|name| has(&spans, name)) {
        let body = bodies.recv().await.unwrap();
        let resource = &body["resourceSpans"][0];
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "of-a-test");
        spans.extend(resource["scopeSpans"][0]["spans"].as_array().unwrap().clone());
    }
    exporting.abort();
    let named = |name: &str| spans.iter().find(|span| span["name"] == name && span["traceId"] == run.as_str()).unwrap();
    let (whole, copy, fail) = (named("run"), named("job copy"), named("job fail"));
    for span in [copy, fail] {
        assert_eq!(span["parentSpanId"], whole["spanId"]);
        assert!(span["startTimeUnixNano"].as_str().unwrap() <= span["endTimeUnixNano"].as_str().unwrap());
    }
    assert!(whole.get("parentSpanId").is_none());
    assert_eq!(
        (&copy["status"]["code"], &fail["status"]["code"], &whole["status"]["code"]),
        (&json!(1), &json!(2), &json!(2))
    );
    assert_eq!(attributes(copy)["pv.datums.processed"], "1");
    let datums: Vec<_> = spans.iter().filter(|span| span["name"] == "datum").collect();
    assert!(datums.iter().any(|datum| datum["parentSpanId"] == copy["spanId"] && datum["status"]["code"] == 1));
    assert!(datums.iter().any(|datum| datum["parentSpanId"] == fail["spanId"] && datum["status"]["code"] == 2));
    for span in &spans {
        assert_eq!((span["traceId"].as_str().unwrap().len(), span["spanId"].as_str().unwrap().len()), (32, 16));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_or_is_away_stops_nothing() {
    let away = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (refuses, _bodies) = collector("503 Busy").await;
    for url in [away, refuses] {
        let folder = tempfile::tempdir().unwrap();
        let engine = with_pipelines(folder.path()).await;
        let traces = traces(&url).unwrap();
        let options = Options { traces: Some(traces.clone()), ..Options::default() };
        let server = Server::bind(engine.clone(), "127.0.0.1:0".parse().unwrap(), None, options).await.unwrap();
        let metrics = format!("{}/metrics", server.url().unwrap());
        let answering = tokio::spawn(server.serve(std::future::pending()));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let exporting = tokio::spawn(traces.export(engine.clone(), async {
            stopped.await.ok();
        }));
        commit(engine.store(), "1");
        engine.look_again();
        engine.run(Selection::All).await.unwrap();
        stop.send(()).unwrap();
        exporting.await.unwrap();
        let new = NewToken {
            name: "prometheus".parse().unwrap(),
            role: Role::Reader,
            repos: RepoGlobs::all(),
            expires: None,
            by: "tests".to_owned(),
        };
        let token = Tokens::of(engine.store()).create(new).unwrap().0;
        let request = reqwest::Client::new().get(metrics).bearer_auth(token.text());
        let text = request.send().await.unwrap().text().await.unwrap();
        // A run, two jobs and two datums.
        assert!(text.contains("\npv_spans_dropped_total 5\n"), "{text}");
        answering.abort();
    }
}

#[test]
fn traces_are_sent_only_where_the_environment_says() {
    let of = |pairs: &[(&str, &'static str)]| {
        let pairs: BTreeMap<String, &'static str> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Traces::from_variables(|name| pairs.get(name).copied()).map(|traces| format!("{traces:?}"))
    };
    assert!(of(&[]).is_none());
    assert!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_SDK_DISABLED", "true")]).is_none());
    assert!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_TRACES_EXPORTER", "none")]).is_none());
    assert!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/")]).unwrap().contains("\"http://c:4318/v1/traces\""));
    let own = of(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/x"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://d")]);
    assert!(own.unwrap().contains("\"http://c/x\""));
}
