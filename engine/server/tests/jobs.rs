//! Runs and jobs: lists in pages, and what jobs print, as events.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use std::collections::BTreeSet;

use engine::Selection;
use repos::access::Role;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use support::Running;

async fn with_pipelines() -> (Running, String) {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    for repo in ["mine", "other"] {
        server.send(&admin, Method::POST, "/repos", json!({ "name": repo })).await;
    }
    server.pipeline("mine-out", "mine", &["one", "two"]).await;
    server.pipeline("mine-too", "mine", &[]).await;
    server.pipeline("hush-out", "other", &["secret"]).await;
    (server, admin)
}

async fn commit(server: &Running, token: &str, repo: &str, content: &str) {
    let (status, put) = server.put(token, &format!("/repos/{repo}/branches/main/files/a"), content).await;
    assert_eq!(status, 200, "{put}");
}

/// All items of a list, page by page.
async fn pages(server: &Running, token: &str, path: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = server.get(token, &format!("{path}limit={limit}{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_runs_and_jobs_go_on_where_the_last_one_ended() {
    let (server, admin) = with_pipelines().await;
    for number in 0..66 {
        server.put(&admin, "/repos/mine/branches/main/files/a", &number.to_string()).await;
    }
    commit(&server, &admin, "other", "x").await;
    for path in ["/runs?", "/jobs?", "/jobs?of=mine-out&"] {
        let all = pages(&server, &admin, path, 1000).await;
        assert!(all.len() >= 66, "{path}: {}", all.len());
        assert_eq!(ids(&all).iter().collect::<BTreeSet<_>>().len(), all.len());
        for limit in [7, 64] {
            assert_eq!(ids(&pages(&server, &admin, path, limit).await), ids(&all), "{path} by {limit}");
        }
    }
    // What happens meanwhile comes before the first page, so it neither shows nor shifts anything.
    let (_, first) = server.get(&admin, "/jobs?limit=3").await;
    commit(&server, &admin, "mine", "new").await;
    let next = first["next"].as_str().unwrap();
    let (_, second) = server.get(&admin, &format!("/jobs?limit=3&cursor={next}")).await;
    let seen = [ids(first["items"].as_array().unwrap()), ids(second["items"].as_array().unwrap())].concat();
    let all = pages(&server, &admin, "/jobs?", 1000).await;
    assert_eq!(seen, ids(&all)[2..8]);
    let limited = server.token("ben", Role::Reader, &["mine*"]);
    let few = pages(&server, &limited, "/jobs?", 5).await;
    assert!(!few.is_empty() && few.iter().all(|job| job["pipeline"].as_str().unwrap().starts_with("mine")));
    for wrong in ["/runs?cursor=eyJhZnRlciI6IngifQ", "/jobs?cursor=eyJhZnRlciI6IngifQ"] {
        assert_eq!(server.get(&admin, wrong).await.0, 400, "{wrong}");
    }
    assert_eq!(server.get(&admin, "/jobs?of=nothing").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_directory_begin_at_their_cursor() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    let mut form = String::new();
    // Names around `/`, which sorts after `-` and `.`.
    for name in ["a", "a-b/c", "b/x", "b/y", "b-", "b.txt", "c/d/e", "c/d-e"] {
        form += &format!("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n1\r\n");
    }
    let request = server.ask(&admin, Method::POST, "/repos/images/branches/main/commits");
    let request = request.header("content-type", "multipart/form-data; boundary=x").body(form + "--x--\r\n");
    assert_eq!(request.send().await.unwrap().status(), 200);
    for query in ["", "recursive=true&", "directory=/c&recursive=true&", "directory=/b&", "match=**&"] {
        let path = format!("/repos/images/commits/main/files?{query}");
        let all = pages(&server, &admin, &path, 1000).await;
        let names = |items: &[Value]| items.iter().map(|item| item["path"].clone()).collect::<Vec<_>>();
        assert!(all.len() >= 2);
        for limit in 1..4 {
            assert_eq!(names(&pages(&server, &admin, &path, limit).await), names(&all), "{path} by {limit}");
        }
    }
}

/// The events without an id of a stream, until one of this kind fits.
async fn until(stream: &mut Response, is_last: impl Fn(&str, &Value) -> bool) -> Vec<(String, Value)> {
    let (mut text, mut events) = (String::new(), Vec::new());
    let begun = std::time::Instant::now();
    loop {
        assert!(begun.elapsed() < std::time::Duration::from_mins(1), "it does not come: {events:?} {text}");
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            if let (None, Some(kind), Some(data)) = (field("id: "), field("event: "), field("data: ")) {
                let data: Value = serde_json::from_str(data).unwrap();
                let is_over = is_last(kind, &data);
                events.push((kind.to_owned(), data));
                if is_over {
                    return events;
                }
            }
            text = rest.to_owned();
        }
        text += std::str::from_utf8(&stream.chunk().await.unwrap().expect("the stream goes on")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_jobs_print_is_told_to_those_who_may_see_it() {
    let (server, admin) = with_pipelines().await;
    let ben = server.token("ben", Role::Reader, &["mine*"]);
    let listen = async |token: &str, query: &str| {
        let mut stream = server.ask(token, Method::GET, &format!("/events?logs=true{query}")).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        assert_eq!(stream.chunk().await.unwrap().unwrap(), ":\n\n", "connected");
        stream
    };
    let mut of_ben = listen(&ben, "").await;
    let mut of_pipeline = listen(&admin, "&pipeline=mine-out&progress=true").await;
    let mut of_all = listen(&admin, "").await;
    commit(&server, &admin, "other", "1").await;
    commit(&server, &admin, "mine", "1").await;
    server.engine.run(Selection::All).await.unwrap();
    let log = |data: &Value| data["log"].as_str().unwrap_or_default().to_owned();
    let is_of = |data: &Value, pipeline: &str| data["job"].as_str().is_some_and(|job| job.starts_with(pipeline));
    let heard =
        until(&mut of_ben, |kind, data| kind == "log" && is_of(data, "mine-too") && data["ended"] == true).await;
    assert!(heard.iter().all(|(kind, data)| kind == "log" && !data.to_string().contains("secret")), "{heard:?}");
    let heard = until(&mut of_pipeline, |kind, data| kind == "log" && data["ended"] == true).await;
    let texts: String = heard.iter().filter(|(kind, _)| kind == "log").map(|(_, data)| log(data)).collect();
    assert_eq!(texts, "mine-out\none\ntwo\n", "each line once, of this pipeline alone");
    let heard = until(&mut of_all, |_, data| log(data).contains("secret")).await;
    let job = heard.last().unwrap().1["job"].as_str().unwrap().to_owned();
    assert!(job.starts_with("hush-out@"));
    assert_eq!(server.get(&ben, &format!("/events?logs=true&job={job}")).await.0, 404, "it is hidden");
    let of_job = server
        .ask(&admin, Method::GET, &format!("/events?after=0&limit=2&job={job}"))
        .header("accept", "application/x-ndjson");
    let lines = of_job.send().await.unwrap().text().await.unwrap();
    let kinds: Vec<Value> = lines
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["changes"][0]["kind"].clone())
        .collect();
    assert_eq!(kinds, ["run", "job_ended"]);
}
