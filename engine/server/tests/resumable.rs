//! Uploads in parts: they go on after a cut and after a restart, belong to one token, and leave nothing behind.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use std::io::{Read, Write};

use repos::access::Role;
use reqwest::Method;
use serde_json::{Value, json};
use support::Running;

const BEGIN: &str = "/repos/images/branches/main/uploads";
const PART: usize = 8 << 20;

async fn with_images() -> (Running, String) {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    (server, admin)
}

/// Bytes that do not repeat.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

async fn begin(server: &Running, token: &str, files: &Value) -> Value {
    let (status, upload) = server.send(token, Method::POST, BEGIN, json!({ "files": files })).await;
    assert_eq!(status, 201, "{upload}");
    upload
}

async fn part(server: &Running, token: &str, id: &str, at: usize, bytes: &[u8]) -> (u16, Value) {
    let request = server.ask(token, Method::PUT, &format!("/uploads/{id}/parts/{at}")).body(bytes.to_vec());
    support::json(request.send().await.unwrap()).await
}

async fn commit(server: &Running, token: &str, id: &str) -> (u16, Value) {
    server.send(token, Method::POST, &format!("/uploads/{id}/commit"), json!({ "message": "in parts" })).await
}

async fn read(server: &Running, token: &str, path: &str) -> Vec<u8> {
    let file = server.ask(token, Method::GET, &format!("/repos/images/commits/main/files{path}")).send().await.unwrap();
    assert_eq!(file.status(), 200, "{path}");
    file.bytes().await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_cut_goes_on_after_a_restart_and_is_the_file_that_a_put_makes() {
    let (server, admin) = with_images().await;
    let (large, small) = (noise(2 * PART + 1_000_003), b"small".to_vec());
    let whole = [small.as_slice(), &large, b"", b"end"].concat();
    let files = json!([
        { "path": "/d/small", "size_bytes": 5, "executable": true },
        { "path": "/large", "size_bytes": large.len() },
        { "path": "/empty", "size_bytes": 0 },
        { "path": "/end", "size_bytes": 3 },
    ]);
    let upload = begin(&server, &admin, &files).await;
    let id = upload["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (&upload["offset"], &upload["part_bytes"], &upload["size_bytes"]),
        (&json!(0), &json!(PART), &json!(whole.len()))
    );
    let (status, view) = part(&server, &admin, &id, 0, &whole[..PART]).await;
    assert_eq!((status, &view["offset"]), (200, &json!(PART)), "{view}");
    // The second part is cut off: nothing of it counts.
    let (send, mut pieces) = tokio::sync::mpsc::channel::<std::io::Result<Vec<u8>>>(1);
    let body = futures_util::stream::poll_fn(move |cx| pieces.poll_recv(cx));
    let request = server.ask(&admin, Method::PUT, &format!("/uploads/{id}/parts/{PART}"));
    let cut = tokio::spawn(request.body(reqwest::Body::wrap_stream(body)).send());
    send.send(Ok(whole[PART..PART + 3_000_000].to_vec())).await.unwrap();
    send.send(Err(std::io::Error::other("cut"))).await.unwrap();
    assert!(cut.await.unwrap().is_err());
    let server = server.restart().await;
    let head = server.ask(&admin, Method::HEAD, &format!("/uploads/{id}")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["upload-offset"]), (200, &PART.to_string().parse().unwrap()));
    // One part is sent twice, at most.
    for at in [PART, 2 * PART] {
        let end = whole.len().min(at + PART);
        assert_eq!(part(&server, &admin, &id, at, &whole[at..end]).await.1["offset"], json!(end));
    }
    // So may one whose answer was lost.
    assert_eq!(part(&server, &admin, &id, PART, &whole[PART..2 * PART]).await.1["offset"], json!(whole.len()));
    let (status, put) = commit(&server, &admin, &id).await;
    assert_eq!((status, &put["added"]), (200, &json!(4)), "{put}");
    assert_eq!(read(&server, &admin, "/large").await, large);
    assert_eq!(read(&server, &admin, "/d/small").await, small);
    assert_eq!((read(&server, &admin, "/end").await, read(&server, &admin, "/empty").await), (b"end".to_vec(), vec![]));
    let (_, shown) = server.get(&admin, "/repos/images/commits/main").await;
    assert_eq!((&shown["message"], &shown["committer"]), (&json!("in parts"), &json!("anna")));
    // Its chunks are those of a put: the same file again is nothing new.
    let before = server.engine.store().new_bytes();
    let request = server.ask(&admin, Method::PUT, "/repos/images/branches/main/files/again").body(large.clone());
    let (_, again) = support::json(request.send().await.unwrap()).await;
    assert_eq!(again["added"], json!(1));
    assert!(server.engine.store().new_bytes() - before < 200_000, "the file was cut in another way");
    assert_eq!(server.get(&admin, &format!("/uploads/{id}")).await.0, 404, "it is over");
    assert_eq!(server.get(&admin, "/uploads").await.1, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_parts_change_nothing_and_say_where_to_go_on() {
    let (server, admin) = with_images().await;
    let bytes = noise(PART + 10);
    let upload = begin(&server, &admin, &json!([{ "path": "/a", "size_bytes": bytes.len() }])).await;
    let id = upload["id"].as_str().unwrap();
    for (at, length, expected) in [(PART, 10, 409), (1, PART, 409), (0, PART - 1, 400), (0, PART + 1, 400), (0, 0, 400)]
    {
        let (status, problem) = part(&server, &admin, id, at, &bytes[..length]).await;
        assert_eq!(status, expected, "{length} at {at}: {problem}");
    }
    let (status, problem) = commit(&server, &admin, id).await;
    assert_eq!((status, problem["detail"].as_str().unwrap()), (409, "0 of 8388618 bytes are there"));
    part(&server, &admin, id, 0, &bytes[..PART]).await;
    for length in [9, 11] {
        assert_eq!(part(&server, &admin, id, PART, &bytes[..length]).await.0, 400);
    }
    assert_eq!(part(&server, &admin, id, PART, &bytes[PART..]).await.0, 200);
    assert_eq!(commit(&server, &admin, id).await.0, 200);
    assert_eq!(read(&server, &admin, "/a").await, bytes);
    for files in [
        json!([]),
        json!([{ "path": "/../a", "size_bytes": 1 }]),
        json!([{ "path": "/a", "size_bytes": 1 }, { "path": "/a", "size_bytes": 1 }]),
    ] {
        let (status, problem) = server.send(&admin, Method::POST, BEGIN, json!({ "files": files })).await;
        assert!((400..500).contains(&status), "{files}: {problem}");
    }
    let (status, _) = server
        .send(
            &admin,
            Method::POST,
            "/repos/none/branches/main/uploads",
            json!({ "files": [{ "path": "/a", "size_bytes": 1 }] }),
        )
        .await;
    assert_eq!(status, 404);
}

/// What a client gets that looks at the answer only when it has sent all of its body.
fn answer_after_all(server: &Running, head: &str, token: &str, body: &[u8]) -> String {
    let mut stream = std::net::TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nhost: pv\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n")
        .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_is_read_out_so_that_the_answer_arrives() {
    let (server, admin) = with_images().await;
    let upload = begin(&server, &admin, &json!([{ "path": "/a", "size_bytes": 2 * PART }])).await;
    let part = format!("PUT /api/v1/uploads/{}/parts", upload["id"].as_str().unwrap());
    let body = noise(PART);
    let of_nobody = "pv_0000000000000000000000000000000000000000000000000000000000000000";
    for (head, token, expected) in [
        (format!("{part}/{PART}"), admin.as_str(), "409"),
        ("PUT /api/v1/repos/none/branches/main/files/a".to_owned(), &admin, "404"),
        ("PUT /api/v1/nowhere".to_owned(), &admin, "404"),
        (format!("{part}/0"), of_nobody, "401"),
    ] {
        let answer = answer_after_all(&server, &head, token, &body);
        assert_eq!(answer, format!("HTTP/1.1 {expected}"), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_the_tokens_own() {
    let (server, admin) = with_images().await;
    let ben = server.token("ben", Role::Writer, &["images"]);
    let upload = begin(&server, &ben, &json!([{ "path": "/a", "size_bytes": 4 }])).await;
    let id = upload["id"].as_str().unwrap().to_owned();
    repos::tokens::Tokens::of(server.engine.store()).revoke(&"ben".parse().unwrap()).unwrap();
    let namesake = server.token("ben", Role::Writer, &["images"]);
    for token in [&admin, &namesake] {
        assert_eq!(server.get(token, &format!("/uploads/{id}")).await.0, 404);
        assert_eq!(part(&server, token, &id, 0, b"1234").await.0, 404);
        assert_eq!(commit(&server, token, &id).await.0, 404);
        assert_eq!(server.ask(token, Method::DELETE, &format!("/uploads/{id}")).send().await.unwrap().status(), 404);
        assert_eq!(server.get(token, "/uploads").await.1, json!([]));
    }
    for id in ["x", "..%2F..", &"0".repeat(32)] {
        assert_eq!(server.get(&admin, &format!("/uploads/{id}")).await.0, 404, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_bounded_refused_on_a_full_disk_and_can_be_given_up() {
    let (server, admin) = with_images().await;
    let one = json!([{ "path": "/a", "size_bytes": 1 }]);
    let mut ids = Vec::new();
    for _ in 0..64 {
        ids.push(begin(&server, &admin, &one).await["id"].as_str().unwrap().to_owned());
    }
    let more = server.send(&admin, Method::POST, BEGIN, json!({ "files": one })).await;
    assert_eq!(more.0, 409, "{}", more.1);
    for id in &ids[1..] {
        assert_eq!(server.ask(&admin, Method::DELETE, &format!("/uploads/{id}")).send().await.unwrap().status(), 204);
    }
    let huge = json!([{ "path": "/a", "size_bytes": 9_000_000_000_000_000_u64 }]);
    assert!(matches!(server.send(&admin, Method::POST, BEGIN, json!({ "files": huge })).await.0, 409 | 507));
    let store = server.engine.store();
    store.set_setting(&repos::settings::MIN_FREE, Some("9000000000000000000")).unwrap();
    assert_eq!(part(&server, &admin, &ids[0], 0, b"x").await.0, 507);
    assert_eq!(server.send(&admin, Method::POST, BEGIN, json!({ "files": one })).await.0, 507);
    store.set_setting(&repos::settings::MIN_FREE, None).unwrap();
    assert_eq!(part(&server, &admin, &ids[0], 0, b"x").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_collection_keeps_what_an_upload_has_and_frees_what_was_given_up() {
    let (server, admin) = with_images().await;
    let store = server.engine.store();
    store.set_setting(&repos::settings::GC_GRACE, Some("0s")).unwrap();
    let bytes = noise(PART + 500_000);
    let files = json!([{ "path": "/a", "size_bytes": bytes.len() }]);
    let (kept, given_up) = (begin(&server, &admin, &files).await, begin(&server, &admin, &files).await);
    let (kept, given_up) = (kept["id"].as_str().unwrap(), given_up["id"].as_str().unwrap());
    part(&server, &admin, kept, 0, &bytes[..PART]).await;
    let collect = || repos::gc::collect(store, "tests", false, &|_, _, _| {}).unwrap();
    collect();
    part(&server, &admin, kept, PART, &bytes[PART..]).await;
    collect();
    assert_eq!(commit(&server, &admin, kept).await.0, 200);
    collect();
    assert_eq!(read(&server, &admin, "/a").await, bytes);
    let other: Vec<u8> = bytes.iter().map(|byte| byte ^ 0x55).collect();
    part(&server, &admin, given_up, 0, &other[..PART]).await;
    let path = format!("/uploads/{given_up}");
    assert_eq!(server.ask(&admin, Method::DELETE, &path).send().await.unwrap().status(), 204);
    let first = repos::hash::digest_of(&other[..repos::store::chunk_lengths(&other[..PART], false)[0]]);
    assert!(store.has_content(&first).unwrap());
    // A commit finishes the pack that it is in.
    server.put(&admin, "/repos/images/branches/main/files/b", "x").await;
    collect();
    assert!(!store.has_content(&first).unwrap(), "it was given up");
}
