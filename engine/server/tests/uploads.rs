//! Uploads in their three sizes, and changes that are sent twice.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use repos::access::Role;
use repos::hash::digest_of;
use reqwest::Method;
use serde_json::{Value, json};
use support::Running;

const COMMITS: &str = "/repos/images/branches/main/commits";

async fn with_images() -> (Running, String) {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    (server, admin)
}

/// Chunks as a body: digest, length, bytes.
fn body(chunks: &[&[u8]]) -> Vec<u8> {
    let one = |chunk: &&[u8]| {
        let length = u32::try_from(chunk.len()).unwrap().to_be_bytes();
        [digest_of(chunk).as_bytes().as_slice(), &length, chunk].concat()
    };
    chunks.iter().flat_map(one).collect()
}

async fn send_objects(server: &Running, token: &str, body: Vec<u8>) -> (u16, Value) {
    support::json(server.ask(token, Method::POST, "/objects").body(body).send().await.unwrap()).await
}

async fn missing(server: &Running, token: &str, contents: &[&[u8]]) -> usize {
    let digests: Vec<_> = contents.iter().map(|content| digest_of(content)).collect();
    let (status, answer) = server.send(token, Method::POST, "/objects/missing", json!({ "digests": digests })).await;
    assert_eq!(status, 200, "{answer}");
    answer["missing"].as_array().unwrap().len()
}

fn named(path: &str, content: &[u8]) -> Value {
    json!({ "files": [{ "path": path, "digest": digest_of(content), "size_bytes": content.len() }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_missing_is_sent_and_then_named() {
    let (server, admin) = with_images().await;
    let (one, other) = (vec![1_u8; 300_000], vec![2_u8; 300_000]);
    assert_eq!(missing(&server, &admin, &[&one, &other]).await, 2);
    assert_eq!(
        send_objects(&server, &admin, body(&[&one])).await,
        (200, json!({ "chunks": 1, "size_bytes": 300_000 }))
    );
    assert_eq!(missing(&server, &admin, &[&one, &other]).await, 1, "a cut upload goes on here");
    send_objects(&server, &admin, body(&[&other])).await;
    let whole = [one.clone(), other.clone()].concat();
    let chunks = json!([[digest_of(&one), one.len()], [digest_of(&other), other.len()]]);
    let request = json!({ "file": digest_of(&whole), "chunks": chunks });
    let (status, made) = server.send(&admin, Method::POST, "/objects/compose", request).await;
    assert_eq!((status, &made["size_bytes"]), (200, &json!(600_000)));
    let (status, put) = server.send(&admin, Method::POST, COMMITS, named("/a/whole", &whole)).await;
    assert_eq!((status, &put["added"]), (200, &json!(1)), "{put}");
    let read = server.ask(&admin, Method::GET, "/repos/images/commits/main/files/a/whole").send().await.unwrap();
    assert_eq!(read.bytes().await.unwrap(), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_chunks_and_files_are_refused_and_change_nothing() {
    let (server, admin) = with_images().await;
    let mut wrong = body(&[b"hello"]);
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(send_objects(&server, &admin, wrong).await.0, 400);
    for cut in [10, 36, 40] {
        assert_eq!(send_objects(&server, &admin, body(&[b"hello"])[..cut].to_vec()).await.0, 400, "cut at {cut}");
    }
    assert_eq!(missing(&server, &admin, &[b"hello"]).await, 1);
    let (status, problem) = server.send(&admin, Method::POST, COMMITS, named("/a", b"hello")).await;
    assert!((400..500).contains(&status), "{problem}");
    send_objects(&server, &admin, body(&[b"hello"])).await;
    for path in ["/../a", "a", "/a/../b", "/.", "/a\u{0}b"] {
        let (status, problem) = server.send(&admin, Method::POST, COMMITS, named(path, b"hello")).await;
        assert_eq!(status, 400, "{path}: {problem}");
    }
    let mut longer = named("/a", b"hello");
    longer["files"][0]["size_bytes"] = 6.into();
    assert_eq!(server.send(&admin, Method::POST, COMMITS, longer).await.0, 400);
    assert_eq!(server.get(&admin, "/repos/images/branches/main").await.0, 404, "no commit was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_no_ticket() {
    let (server, admin) = with_images().await;
    server.send(&admin, Method::POST, "/repos", json!({ "name": "mine" })).await;
    server.put(&admin, "/repos/images/branches/main/files/a", "secret").await;
    let ben = server.token("ben", Role::Writer, &["mine"]);
    assert_eq!(missing(&server, &ben, &[b"secret", b"nothing"]).await, 2, "hidden looks absent");
    let mine = "/repos/mine/branches/main/commits";
    let (hidden, absent) = (
        server.send(&ben, Method::POST, mine, named("/a", b"secret")).await,
        server.send(&ben, Method::POST, mine, named("/a", b"absent")).await,
    );
    assert_eq!(hidden.0, absent.0);
    assert!(hidden.0 >= 400);
    let (status, _) = server.get(&ben, &format!("/objects/{}/chunks", digest_of(b"secret"))).await;
    assert_eq!(status, 404);
    send_objects(&server, &ben, body(&[b"secret"])).await;
    assert_eq!(server.send(&ben, Method::POST, mine, named("/a", b"secret")).await.0, 200, "who has it may send it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_and_a_form_are_one_commit_each() {
    let (server, admin) = with_images().await;
    let mut archive = tar::Builder::new(Vec::new());
    for name in ["a.txt", "d/b.txt"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, b"hello".as_slice()).unwrap();
    }
    let request = server.ask(&admin, Method::POST, &format!("{COMMITS}?directory=/in&message=tar"));
    let request = request.header("content-type", "application/x-tar").body(archive.into_inner().unwrap());
    let (status, put) = support::json(request.send().await.unwrap()).await;
    assert_eq!((status, &put["added"]), (200, &json!(2)), "{put}");
    let form = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f/1\"\r\n\r\none\r\n\
        --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f/2\"\r\n\r\ntwo\r\n--x--\r\n";
    let request = server.ask(&admin, Method::POST, COMMITS).header("content-type", "multipart/form-data; boundary=x");
    let (status, put) = support::json(request.body(form).send().await.unwrap()).await;
    assert_eq!((status, &put["added"]), (200, &json!(2)), "{put}");
    let (_, page) = server.get(&admin, "/repos/images/commits/main/files?recursive=true").await;
    let paths: Vec<_> = page["items"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/f/1", "/f/2", "/in/a.txt", "/in/d/b.txt"]);
    let (status, _) = support::json(server.ask(&admin, Method::POST, COMMITS).body("x").send().await.unwrap()).await;
    assert_eq!(status, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_during_an_upload_commits_nothing() {
    let (server, admin) = with_images().await;
    let ben = server.token("ben", Role::Writer, &["images"]);
    let (send, mut pieces) = tokio::sync::mpsc::channel::<std::io::Result<Vec<u8>>>(1);
    let body = futures_util::stream::poll_fn(move |cx| pieces.poll_recv(cx));
    let request = server.ask(&ben, Method::PUT, "/repos/images/branches/main/files/a");
    let answer = tokio::spawn(request.body(reqwest::Body::wrap_stream(body)).send());
    for _ in 0..50 {
        // Far more than fits between the two sides, so the server has begun to read.
        send.send(Ok(vec![7; 1 << 20])).await.unwrap();
    }
    repos::tokens::Tokens::of(server.engine.store()).revoke(&"ben".parse().unwrap()).unwrap();
    drop(send);
    let (status, problem) = support::json(answer.await.unwrap().unwrap()).await;
    assert_eq!((status, &problem["exit_code"]), (401, &json!(7)));
    assert_eq!(server.get(&admin, "/repos/images/branches/main").await.0, 404, "no commit was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_sent_twice_is_made_once() {
    let (server, admin) = with_images().await;
    send_objects(&server, &admin, body(&[b"1", b"2"])).await;
    let send = async |content: &[u8], key: &str| {
        let request = server.ask(&admin, Method::POST, COMMITS).header("content-type", "application/json");
        let request = request.header("idempotency-key", key).body(named("/a", content).to_string());
        support::json(request.send().await.unwrap()).await.1
    };
    let first = send(b"1", "one").await;
    let second = send(b"2", "two").await;
    let again = send(b"1", "one").await;
    assert_eq!((&again["commit"], &again["run"], &again["changed"]), (&first["commit"], &first["run"], &json!(true)));
    let (_, branch) = server.get(&admin, "/repos/images/branches/main").await;
    assert_eq!(branch["commit"], second["commit"], "the repetition changed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_commit_to_one_branch_and_none_is_lost() {
    let (server, admin) = with_images().await;
    let server = std::sync::Arc::new(server);
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..32 {
        let (server, admin) = (server.clone(), admin.clone());
        clients.spawn(async move {
            let place = format!("/repos/images/branches/main/files/{number}");
            server.put(&admin, &place, "x").await.0
        });
    }
    assert!(clients.join_all().await.into_iter().all(|status| status == 200));
    let (_, commits) = server.get(&admin, "/repos/images/commits?limit=1000").await;
    let commits = commits["items"].as_array().unwrap();
    assert_eq!(commits.len(), 32);
    assert!(commits.iter().all(|commit| commit["parents"].as_array().unwrap().len() <= 1), "the history is linear");
}
