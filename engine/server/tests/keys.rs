//! Changes that are sent again with their `Idempotency-Key`.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use repos::access::Role;
use repos::tokens::Tokens;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use support::Running;

const COMMITS: &str = "/repos/images/branches/main/commits";

async fn with_images() -> (Running, String) {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    (server, admin)
}

/// Sends a change with a key.
async fn send(server: &Running, token: &str, request: &str, key: &str, body: &Value) -> Response {
    let (method, path) = request.split_once(' ').unwrap();
    let request = server.ask(token, method.parse().unwrap(), path).header("idempotency-key", key);
    let request = match body {
        Value::Null => request,
        Value::String(text) => request.body(text.clone()),
        body => request.header("content-type", "application/json").body(body.to_string()),
    };
    request.send().await.unwrap()
}

/// Status, whether it was answered before, and the answer.
async fn answer(response: Response) -> (u16, bool, Value) {
    let is_replayed = response.headers().get("idempotency-replayed").is_some_and(|value| value == "true");
    let (status, answer) = support::json(response).await;
    (status, is_replayed, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_every_kind_is_made_once_and_answered_like_the_first_time() {
    let (server, admin) = with_images().await;
    server.put(&admin, "/repos/images/branches/main/files/a", "1").await;
    for (number, (request, body)) in [
        ("POST /repos", json!({ "name": "other" })),
        ("POST /repos/images/tags", json!({ "name": "first" })),
        ("PUT /repos/images/branches/main/files/b", json!("content")),
        ("DELETE /repos/images/branches/main/files/b", Value::Null),
        ("POST /repos/images/branches/main/commits", json!({ "remove": ["/a"] })),
        ("PUT /repos/images/branches/side", json!({ "commit": "main" })),
        ("DELETE /repos/images/branches/side", Value::Null),
        ("DELETE /repos/images/tags/first", Value::Null),
        ("PUT /settings/jobs", json!({ "value": "2" })),
        ("DELETE /settings/jobs", Value::Null),
        ("PUT /secrets/s", json!({ "values": { "key": "value" } })),
        ("DELETE /secrets/s", Value::Null),
        ("POST /tokens", json!({ "name": "ben", "role": "reader", "repos": ["*"] })),
        ("DELETE /tokens/ben", Value::Null),
        ("POST /gc", json!({ "dry_run": true })),
        ("POST /objects/missing", json!({ "digests": [] })),
        ("DELETE /repos/other", Value::Null),
        ("POST /repos", json!({ "name": "images" })),
        ("DELETE /tokens/nobody", Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("key-{number}");
        let first = answer(send(&server, &admin, request, &key, &body).await).await;
        let is_refused = number >= 17;
        assert_eq!((first.0 >= 400, first.1), (is_refused, false), "{request}: {}", first.2);
        let records = server.engine.store().position().records;
        let again = answer(send(&server, &admin, request, &key, &body).await).await;
        assert_eq!(again, (first.0, true, first.2), "{request}");
        assert_eq!(server.engine.store().position().records, records, "{request} was made again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_request_of_one_token() {
    let (server, admin) = with_images().await;
    let ben = server.token("ben", Role::Admin, &["*"]);
    let file = "PUT /repos/images/branches/main/files/a";
    let (status, _, first) = answer(send(&server, &admin, file, "k", &json!("1")).await).await;
    assert_eq!(status, 200, "{first}");
    for (request, body) in [
        (file, json!("2")),
        (file, json!("")),
        (file, json!("11")),
        ("PUT /repos/images/branches/main/files/b", json!("1")),
        ("PUT /repos/images/branches/main/files/a?message=x", json!("1")),
        ("POST /repos", json!({ "name": "other" })),
        ("DELETE /repos/images/branches/main/files/a", Value::Null),
    ] {
        let (status, _, problem) = answer(send(&server, &admin, request, "k", &body).await).await;
        assert_eq!((status, &problem["exit_code"]), (422, &json!(1)), "{request}: {problem}");
    }
    let (status, is_replayed, of_ben) = answer(send(&server, &ben, file, "k", &json!("2")).await).await;
    assert_eq!((status, is_replayed), (200, false), "the key of another token is another key");
    assert_ne!(of_ben["commit"], first["commit"]);
    for key in ["", &"x".repeat(201)] {
        assert_eq!(send(&server, &admin, file, key, &json!("1")).await.status(), 400);
    }
    Tokens::of(server.engine.store()).revoke(&"ben".parse().unwrap()).unwrap();
    let ben = server.token("ben", Role::Admin, &["*"]);
    let (_, is_replayed, _) = answer(send(&server, &ben, file, "k", &json!("2")).await).await;
    assert!(!is_replayed, "a new token with an old name is another token");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_is_made_and_the_others_get_its_answer() {
    let (server, admin) = with_images().await;
    let request = "POST /repos/images/branches/main/commits";
    let mut keys = Vec::new();
    for _ in 0..8 {
        let form = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\none\r\n--x--\r\n";
        let (method, path) = request.split_once(' ').unwrap();
        let request = server.ask(&admin, method.parse().unwrap(), path).header("idempotency-key", "k");
        let request = request.header("content-type", "multipart/form-data; boundary=x").body(form);
        keys.push(async move { answer(request.send().await.unwrap()).await });
    }
    let answers = futures_util::future::join_all(keys).await;
    assert!(answers.iter().all(|(status, _, put)| *status == 200 && *put == answers[0].2), "{answers:?}");
    assert_eq!(answers.iter().filter(|(_, is_replayed, _)| !is_replayed).count(), 1);
    let (_, commits) = server.get(&admin, "/repos/images/commits").await;
    assert_eq!(commits["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_for_now_is_made_when_it_is_sent_again() {
    let (server, admin) = with_images().await;
    let store = server.engine.store().clone();
    let full = |bytes: Option<&str>| store.set_setting(&repos::settings::MIN_FREE, bytes).unwrap();
    full(Some("9000000000000000000"));
    let file = "PUT /repos/images/branches/main/files/a";
    let (status, _, problem) = answer(send(&server, &admin, file, "k", &json!("1")).await).await;
    assert_eq!(status, 507, "{problem}");
    full(None);
    let (status, is_replayed, _) = answer(send(&server, &admin, file, "k", &json!("1")).await).await;
    assert_eq!((status, is_replayed), (200, false));
    // A request whose body is cut off is not recorded.
    let chunks = [&[0; 32][..], &9_u32.to_be_bytes(), b"123"].concat();
    let request = server.ask(&admin, Method::POST, "/objects").header("idempotency-key", "cut").body(chunks);
    assert_eq!(request.send().await.unwrap().status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_there_after_a_restart_but_the_text_of_a_token_is_on_no_disk() {
    let (server, admin) = with_images().await;
    let created = json!({ "name": "ben", "role": "reader", "repos": ["*"] });
    let requests = [("POST /repos", json!({ "name": "other" })), ("POST /repos/images/tags", json!({ "name": "t" }))];
    let mut first = Vec::new();
    for (request, body) in &requests {
        first.push(answer(send(&server, &admin, request, request, body).await).await);
    }
    let (status, _, token) = answer(send(&server, &admin, "POST /tokens", "token", &created).await).await;
    assert_eq!(status, 201);
    let server = server.restart().await;
    for ((request, body), (status, _, first)) in requests.iter().zip(first) {
        let again = answer(send(&server, &admin, request, request, body).await).await;
        assert_eq!(again, (status, true, first), "{request}");
    }
    let (status, _, problem) = answer(send(&server, &admin, "POST /tokens", "token", &created).await).await;
    assert_eq!((status, &problem["kind"]), (409, &json!("conflict")), "{problem}");
    let text = token["token"].as_str().unwrap();
    let files = walk(&server.folder().join(".pv"));
    assert!(files.len() > 5);
    for file in files {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let is_in = bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!is_in, "{} holds the text of a token", file.display());
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_client_has_gone_is_recorded_and_answered_when_it_is_sent_again() {
    let (server, admin) = with_images().await;
    let address = server.url.strip_prefix("http://").unwrap();
    {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let body = json!({ "name": "other" }).to_string();
        let head = format!(
            "POST /api/v1/repos HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {admin}\r\nidempotency-key: gone\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
    }
    // Sent again: whatever became of the first one, it is made once, and one line tells of each.
    let mut last = (0, false, Value::Null);
    for _ in 0..2 {
        let body = json!({ "name": "other" });
        last = answer(send(&server, &admin, "POST /repos", "gone", &body).await).await;
        assert_eq!(last.0, 201, "{}", last.2);
    }
    assert!(last.1);
    let (_, audit) = server.get(&admin, "/audit").await;
    let lines = audit["items"].as_array().unwrap().iter().filter(|line| line["operation"] == "createRepo");
    assert!(lines.count() >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_with_a_key_needs_its_content_only_once() {
    let (server, admin) = with_images().await;
    let named = json!({ "files": [{ "path": "/a", "digest": repos::hash::digest_of(b""), "size_bytes": 0 }] });
    server.put(&admin, "/repos/images/branches/main/files/e", "").await;
    let first = answer(send(&server, &admin, &format!("POST {COMMITS}"), "k", &named).await).await;
    assert_eq!(first.0, 200, "{}", first.2);
    let again = answer(send(&server, &admin, &format!("POST {COMMITS}"), "k", &named).await).await;
    assert_eq!((again.0, again.1, again.2), (first.0, true, first.2));
}
