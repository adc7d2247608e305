//! The API as its clients see it: over TCP, with tokens.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use repos::access::Role;
use reqwest::Method;
use serde_json::json;
use support::Running;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_in_and_comes_out() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    let (status, repo) = server.send(&admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    assert_eq!((status, &repo["name"]), (201, &json!("images")));
    let (status, put) =
        server.put(&admin, "/repos/images/branches/main/files/a/b%20c.txt?message=first", "hello").await;
    assert_eq!((status, &put["added"], &put["changed"]), (200, &json!(1), &json!(true)), "{put}");
    let commit = put["commit"].as_str().unwrap();
    let file = server.ask(&admin, Method::GET, &format!("/repos/images/commits/{commit}/files/a/b%20c.txt"));
    let file = file.send().await.unwrap();
    assert_eq!(file.status(), 200);
    let header = |name: &str| file.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("cache-control"), "private, max-age=31536000, immutable");
    assert_eq!(header("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("repr-digest"), "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:");
    assert_eq!(file.bytes().await.unwrap(), "hello");
    let (_, shown) = server.get(&admin, &format!("/repos/images/commits/{commit}")).await;
    assert_eq!((&shown["message"], &shown["committer"]), (&json!("first"), &json!("anna")));
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_file_and_files_that_the_client_has() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    let large = (0..400_000).map(|number| format!("{number:07}")).collect::<Vec<_>>().join("\n") + "\n";
    server.put(&admin, "/repos/images/branches/main/files/large", &large).await;
    let place = "/repos/images/commits/main/files/large";
    let part = server.ask(&admin, Method::GET, place).header("range", "bytes=8-15").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], format!("bytes 8-15/{}", large.len()));
    let tag = part.headers()["etag"].clone();
    assert_eq!(part.headers()["cache-control"], "private, no-cache", "a branch may move");
    assert_eq!(part.bytes().await.unwrap(), "0000001\n");
    let whole = server.ask(&admin, Method::GET, place).send().await.unwrap();
    assert_eq!(whole.bytes().await.unwrap(), large);
    let same = server.ask(&admin, Method::GET, place).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(same.status(), 304);
    let beyond = server.ask(&admin, Method::GET, place).header("range", "bytes=9999999-").send().await.unwrap();
    assert_eq!(beyond.status(), 416);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_moves_only_from_the_head_that_the_client_knows() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    let ben = server.token("ben", Role::Writer, &["images"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    let (_, first) = server.put(&admin, "/repos/images/branches/main/files/a", "1").await;
    let (_, second) = server.put(&ben, "/repos/images/branches/main/files/a", "2").await;
    let tag = |put: &serde_json::Value| format!("{}", put["commit"]);
    let late = server.ask(&admin, Method::PUT, "/repos/images/branches/main/files/a").header("if-match", tag(&first));
    let (status, problem) = support::json(late.body("3").send().await.unwrap()).await;
    assert_eq!((status, &problem["exit_code"], &problem["kind"]), (412, &json!(4), &json!("conflict")));
    assert_eq!((&problem["current"]["commit"], &problem["current"]["author"]), (&second["commit"], &json!("ben")));
    let timely =
        server.ask(&admin, Method::PUT, "/repos/images/branches/main/files/a").header("if-match", tag(&second));
    assert_eq!(timely.body("3").send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_list_show_one_state_and_a_stream_shows_all() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    for number in 0..5 {
        server.put(&admin, &format!("/repos/images/branches/main/files/{number}"), "x").await;
    }
    let (_, page) = server.get(&admin, "/repos/images/commits/main/files?limit=2").await;
    let names = |page: &serde_json::Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&page), ["/0", "/1"]);
    server.put(&admin, "/repos/images/branches/main/files/10", "x").await;
    let next = page["next"].as_str().unwrap();
    let (_, page) = server.get(&admin, &format!("/repos/images/commits/main/files?limit=2&cursor={next}")).await;
    assert_eq!(names(&page), ["/2", "/3"], "the new file belongs to another commit");
    let (_, commits) = server.get(&admin, "/repos/images/commits?limit=4").await;
    let rest = commits["next"].as_str().unwrap();
    let (_, older) = server.get(&admin, &format!("/repos/images/commits?limit=4&cursor={rest}")).await;
    assert_eq!((commits["items"].as_array().unwrap().len(), older["items"].as_array().unwrap().len()), (4, 2));
    assert!(older.get("next").is_none());
    let all =
        server.ask(&admin, Method::GET, "/repos/images/commits/main/files").header("accept", "application/x-ndjson");
    let all = all.send().await.unwrap();
    assert_eq!(all.headers()["content-type"], "application/x-ndjson");
    assert_eq!(all.text().await.unwrap().lines().count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_token_that_is_valid() {
    let server = Running::start().await;
    let anna = server.token("anna", Role::Admin, &["*"]);
    let wrong = anna.replace(&anna[3..6], "aaa");
    let none = reqwest::get(format!("{}/api/v1/repos", server.url)).await.unwrap();
    assert_eq!((none.status().as_u16(), &none.headers()["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
    for token in ["", "x", "pv_", wrong.as_str()] {
        let (status, problem) = server.get(token, "/repos").await;
        assert_eq!((status, &problem["exit_code"]), (401, &json!(7)), "{token}");
    }
    repos::tokens::Tokens::of(server.engine.store()).revoke(&"anna".parse().unwrap()).unwrap();
    assert_eq!(server.get(&anna, "/repos").await.0, 401, "revoked");
    assert_eq!(reqwest::get(format!("{}/healthz", server.url)).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_slowed_down() {
    let server = Running::start().await;
    let mut last = 0;
    for _ in 0..30 {
        last = server.get("pv_wrong", "/repos").await.0;
    }
    assert_eq!(last, 429);
    let anna = server.token("anna", Role::Reader, &["*"]);
    assert_eq!(server.get(&anna, "/repos").await.0, 200, "a right token from the same address still works");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused_with_a_problem_document() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("PATCH", "/repos", 405),
        ("GET", "/repos/no.such.name!", 400),
        ("GET", "/repos/imags", 404),
        ("GET", "/repos?limit=0", 400),
        ("GET", "/repos?cursor=x", 400),
        ("GET", "/repos/images/commits/main/files/a%00b", 400),
        ("GET", "/repos/images/commits/main/files/..%2F..%2Fetc%2Fpasswd", 400),
        ("PUT", "/repos/images/branches/main/files/a%2F..%2Fb", 400),
        ("PUT", "/repos/images/branches/main/files//etc/passwd", 400),
        ("POST", "/repos", 400),
    ] {
        let request = server.ask(&admin, method.parse().unwrap(), path).header("content-type", "application/json");
        let response = request.body("{").send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{method} {path}");
        let (got, problem) = support::json(response).await;
        assert_eq!((got, &problem["status"]), (status, &json!(status)), "{method} {path}: {problem}");
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
}
