//! Events: complete, in order, across breaks.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use repos::access::Role;
use reqwest::Method;
use serde_json::{Value, json};
use support::Running;

/// The lines of a stream that ends by itself.
async fn lines(server: &Running, token: &str, query: &str) -> Vec<Value> {
    let request = server.ask(token, Method::GET, &format!("/events?{query}")).header("accept", "application/x-ndjson");
    let text = request.send().await.unwrap().text().await.unwrap();
    text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn with_repo(name: &str) -> (Running, String) {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": name })).await;
    (server, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_hears_of_a_commit_and_goes_on_where_it_was_cut_off() {
    let (server, admin) = with_repo("images").await;
    let request = server.ask(&admin, Method::GET, "/events").send().await.unwrap();
    assert_eq!(request.headers()["content-type"], "text/event-stream");
    assert_eq!(request.headers()["x-accel-buffering"], "no");
    let mut stream = request;
    assert_eq!(stream.chunk().await.unwrap().unwrap(), ":\n\n", "connected");
    let (_, put) = server.put(&admin, "/repos/images/branches/main/files/a", "1").await;
    let event = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    let fields: Vec<_> = event.lines().map(|line| line.split_once(": ").unwrap_or((line, ""))).collect();
    assert_eq!((fields[0].0, fields[1]), ("id", ("event", "change")));
    let data: Value = serde_json::from_str(fields[2].1).unwrap();
    assert_eq!(data["changes"][0]["moves"][0]["to"], put["commit"]);
    assert_eq!(data["changes"][0]["committer"], "anna");
    drop(stream);
    let (_, second) = server.put(&admin, "/repos/images/branches/main/files/a", "2").await;
    let again = server.ask(&admin, Method::GET, "/events?limit=1").header("last-event-id", fields[0].1);
    let again = again.send().await.unwrap().text().await.unwrap();
    assert!(again.contains(second["commit"].as_str().unwrap()), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_events_come_once_and_in_order_while_changes_go_on() {
    let (server, admin) = with_repo("images").await;
    let writes = async {
        for number in 0..40 {
            server.put(&admin, &format!("/repos/images/branches/main/files/{number}"), "x").await;
        }
    };
    let (heard, ()) = tokio::join!(lines(&server, &admin, "after=0&limit=42"), writes);
    let ids: Vec<u64> = heard.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    let moved: Vec<_> = heard.iter().filter_map(|event| event["changes"][0]["moves"][0]["to"].as_str()).collect();
    assert_eq!(moved.len(), heard.iter().filter(|event| event["changes"][0]["kind"] == "run").count());
    let all = lines(&server, &admin, &format!("after=0&limit={}", heard.len())).await;
    assert_eq!(all, heard, "from the journal they are the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_whose_token_is_revoked_hears_nothing_more() {
    let (server, admin) = with_repo("images").await;
    let ben = server.token("ben", Role::Reader, &["images"]);
    let mut stream = server.ask(&ben, Method::GET, "/events").send().await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap(), ":\n\n", "connected");
    repos::tokens::Tokens::of(server.engine.store()).revoke(&"ben".parse().unwrap()).unwrap();
    server.put(&admin, "/repos/images/branches/main/files/a", "1").await;
    assert!(stream.chunk().await.unwrap().is_none(), "the stream ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_at_once_when_the_server_stops() {
    let (mut server, admin) = with_repo("images").await;
    let mut stream = server.ask(&admin, Method::GET, "/events?logs=true").send().await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap(), ":\n\n", "connected");
    let begun = std::time::Instant::now();
    server.stop().await;
    assert!(stream.chunk().await.unwrap().is_none(), "the stream ends in order");
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_listener_hears_only_of_what_it_may_see() {
    let (server, admin) = with_repo("images").await;
    server.send(&admin, Method::POST, "/repos", json!({ "name": "secret" })).await;
    server.put(&admin, "/repos/secret/branches/main/files/a", "1").await;
    server.put(&admin, "/repos/images/branches/main/files/a", "1").await;
    let ben = server.token("ben", Role::Reader, &["images"]);
    let heard = lines(&server, &ben, "after=0&limit=3").await;
    let text = serde_json::to_string(&heard).unwrap();
    assert!(text.contains("images") && !text.contains("secret"), "{text}");
    let only = lines(&server, &admin, "after=0&limit=2&repo=secret").await;
    let kinds: Vec<_> = only.iter().map(|event| &event["changes"][0]["kind"]).collect();
    assert_eq!(kinds, ["repo_created", "run"]);
}
