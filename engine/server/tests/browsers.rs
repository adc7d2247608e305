//! Browsers, proxies, and the log of what is read: who a request is from.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use repos::access::Role;
use repos::tokens::{Audit, AuditFilter, AuditLine, Tokens};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use server::Options;
use support::Running;

async fn link(server: &Running, token: &str) -> String {
    let (status, link) = server.send(token, Method::POST, "/login-links", Value::Null).await;
    assert_eq!(status, 201, "{link}");
    format!("{}/{}", server.url, link["path"].as_str().unwrap())
}

async fn open(link: &str) -> Response {
    Client::new().get(link).send().await.unwrap()
}

/// The cookie that an answer sets, as a browser sends it.
fn cookie(response: &Response) -> String {
    response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

fn by_cookie(server: &Running, cookie: &str, method: Method, path: &str) -> RequestBuilder {
    Client::new().request(method, format!("{}/api/v1{path}", server.url)).header("cookie", cookie)
}

fn origin(server: &Running) -> String {
    server.url.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_logs_one_browser_in_once_and_the_session_ends_with_its_token() {
    let server = Running::start().await;
    let ben = server.token("ben", Role::Writer, &["mine*"]);
    let place = link(&server, &ben).await;
    assert_eq!(Client::new().head(&place).send().await.unwrap().status(), 200, "to look at it uses nothing up");
    let first = open(&place).await;
    assert_eq!((first.status().as_u16(), &first.headers()["cache-control"]), (200, &"no-store".parse().unwrap()));
    let set = first.headers()["set-cookie"].to_str().unwrap();
    for part in ["__Host-pv=", "; Path=/;", "; Secure;", "; HttpOnly;", "; SameSite=Strict"] {
        assert!(set.contains(part), "{set}");
    }
    let cookie = cookie(&first);
    let again = open(&place).await;
    assert_eq!((again.status().as_u16(), again.headers().contains_key("set-cookie")), (401, false));
    assert_eq!(open(&format!("{}/login/x", server.url)).await.status(), 401);
    let (status, who) = support::json(by_cookie(&server, &cookie, Method::GET, "/whoami").send().await.unwrap()).await;
    assert_eq!((status, &who["name"], &who["repos"]), (200, &json!("ben"), &json!(["mine*"])));
    let server = server.restart().await;
    assert_eq!(by_cookie(&server, &cookie, Method::GET, "/whoami").send().await.unwrap().status(), 200, "kept");
    let tokens = Tokens::of(server.engine.store());
    tokens.revoke(&"ben".parse().unwrap()).unwrap();
    server.token("ben", Role::Admin, &["*"]);
    assert_eq!(by_cookie(&server, &cookie, Method::GET, "/whoami").send().await.unwrap().status(), 401);
    let other = link(&server, &server.token("carl", Role::Reader, &["*"])).await;
    tokens.revoke(&"carl".parse().unwrap()).unwrap();
    assert_eq!(open(&other).await.status(), 401, "a link ends with its token too");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_cookie_come_from_the_servers_own_pages_alone() {
    let server = Running::start().await;
    let anna = server.token("anna", Role::Admin, &["*"]);
    let cookie = cookie(&open(&link(&server, &anna).await).await);
    let create = |name: &str, headers: &[(&'static str, String)]| {
        let request = by_cookie(&server, &cookie, Method::POST, "/repos").header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let request = request.body(json!({ "name": name }).to_string());
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let evil = "https://evil.example".to_owned();
    assert_eq!(create("a", &[]).await, 403);
    assert_eq!(create("a", &[("origin", evil.clone())]).await, 403);
    assert_eq!(create("a", &[("origin", "null".to_owned())]).await, 403);
    assert_eq!(create("a", &[("sec-fetch-site", "cross-site".to_owned())]).await, 403);
    assert_eq!(create("a", &[("sec-fetch-site", "same-origin".to_owned()), ("origin", evil)]).await, 403);
    assert_eq!(create("a", &[("origin", origin(&server))]).await, 201);
    assert_eq!(create("b", &[("sec-fetch-site", "same-origin".to_owned())]).await, 201);
    let commands = by_cookie(&server, &cookie, Method::GET, "/commands").header("connection", "upgrade");
    let commands = commands.header("upgrade", "websocket").header("origin", "https://evil.example");
    assert_eq!(commands.send().await.unwrap().status(), 403);
    // The wrong cookie is like a wrong token, and a token counts more than a cookie.
    assert_eq!(by_cookie(&server, "__Host-pv=x", Method::GET, "/repos").send().await.unwrap().status(), 401);
    let both = server.ask(&anna, Method::POST, "/repos").header("cookie", &cookie);
    let both = both.header("content-type", "application/json").body(json!({ "name": "c" }).to_string());
    assert_eq!(both.send().await.unwrap().status(), 201);
    let out = by_cookie(&server, &cookie, Method::DELETE, "/session").header("origin", origin(&server));
    let out = out.send().await.unwrap();
    assert_eq!((out.status().as_u16(), self::cookie(&out).as_str()), (204, "__Host-pv="));
    assert_eq!(by_cookie(&server, &cookie, Method::GET, "/repos").send().await.unwrap().status(), 401, "logged out");
}

fn lines(server: &Running, reads: bool) -> Vec<AuditLine> {
    let log = if reads { Audit::of_reads(server.engine.store()) } else { Audit::of(server.engine.store()) };
    log.read(AuditFilter::default()).unwrap().map(|line| line.unwrap()).collect()
}

fn behind(proxies: &[&str]) -> Options {
    let trusted_proxies = proxies.iter().map(|address| address.parse().unwrap()).collect();
    Options { trusted_proxies, user_header: Some("x-forwarded-user".to_owned()), ..Options::default() }
}

/// The addresses in the audit log of a request with these headers.
async fn logged(server: &Running, token: &str, forwarded: &[&str]) -> String {
    let request = server.ask(token, Method::DELETE, "/repos/none");
    let request = forwarded.iter().fold(request, |request, list| request.header("x-forwarded-for", *list));
    assert_eq!(request.send().await.unwrap().status(), 404);
    lines(server, false)[0].from.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_address_is_the_one_that_a_trusted_proxy_saw() {
    let alone = Running::start().await;
    let anna = alone.token("anna", Role::Admin, &["*"]);
    assert_eq!(logged(&alone, &anna, &["203.0.113.9"]).await, "127.0.0.1", "nobody is trusted");
    let server = Running::with(behind(&["127.0.0.1", "10.0.0.1"])).await;
    let anna = server.token("anna", Role::Admin, &["*"]);
    for (forwarded, expected) in [
        (&["203.0.113.9"][..], "203.0.113.9"),
        (&["1.2.3.4, 203.0.113.9"], "203.0.113.9"),
        (&["1.2.3.4", "203.0.113.9"], "203.0.113.9"),
        (&["203.0.113.9, 10.0.0.1"], "203.0.113.9"),
        (&["1.2.3.4, 203.0.113.9", "10.0.0.1"], "203.0.113.9"),
        (&["203.0.113.9:1234"], "203.0.113.9"),
        (&["[2001:db8::1]:1234"], "2001:db8::1"),
        (&["::ffff:203.0.113.9"], "203.0.113.9"),
        (&["nonsense"], "127.0.0.1"),
        (&[], "127.0.0.1"),
    ] {
        assert_eq!(logged(&server, &anna, forwarded).await, expected, "{forwarded:?}");
    }
    let wrong = async |from: &str| {
        let request = server.ask("pv_wrong", Method::GET, "/repos").header("x-forwarded-for", from);
        request.send().await.unwrap().status().as_u16()
    };
    for _ in 0..20 {
        wrong("203.0.113.9").await;
    }
    assert_eq!((wrong("203.0.113.9").await, wrong("203.0.113.10").await), (429, 401), "each client for itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_believed_from_a_trusted_proxy_alone_and_only_one() {
    let as_user = async |server: &Running, users: &[&str]| {
        let request = Client::new().get(format!("{}/api/v1/whoami", server.url));
        let request = users.iter().fold(request, |request, user| request.header("x-forwarded-user", *user));
        support::json(request.send().await.unwrap()).await
    };
    let server = Running::with(behind(&["127.0.0.1"])).await;
    server.token("ben", Role::Reader, &["mine*"]);
    server.token("anna", Role::Admin, &["*"]);
    let (status, who) = as_user(&server, &["ben"]).await;
    assert_eq!((status, &who["name"]), (200, &json!("ben")));
    for users in [&["ben", "anna"][..], &["nobody"], &[""], &[]] {
        assert_eq!(as_user(&server, users).await.0, 401, "{users:?}");
    }
    for (site, expected) in [("cross-site", 403), ("same-origin", 404)] {
        let change =
            Client::new().delete(format!("{}/api/v1/repos/none", server.url)).header("x-forwarded-user", "anna");
        assert_eq!(change.header("sec-fetch-site", site).send().await.unwrap().status(), expected, "{site}");
    }
    let elsewhere = Running::with(behind(&["192.0.2.1"])).await;
    elsewhere.token("ben", Role::Reader, &["*"]);
    assert_eq!(as_user(&elsewhere, &["ben"]).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_kept_who_read_which_content_unless_the_server_says_otherwise() {
    for keeps_reads in [true, false] {
        let mut server = Running::with(Options { keeps_reads, ..Options::default() }).await;
        let anna = server.token("anna", Role::Admin, &["*"]);
        let ben = server.token("ben", Role::Reader, &["*"]);
        server.send(&anna, Method::POST, "/repos", json!({ "name": "images" })).await;
        server.put(&anna, "/repos/images/branches/main/files/a", "x").await;
        let of_file = "/repos/images/commits/main/files/a";
        server.ask(&ben, Method::GET, of_file).send().await.unwrap();
        server.get(&ben, "/repos/images/commits/main/files?archive=tar").await;
        server.get(&ben, "/repos/images/commits/main/files/none").await;
        server.get(&ben, "/repos").await;
        let changes = lines(&server, false).len();
        server.stop().await;
        let reads = lines(&server, true);
        let shown: Vec<_> =
            reads.iter().rev().map(|line| (line.who.as_str(), line.operation.as_str(), line.outcome)).collect();
        let expected = [("ben", "readFile", 200), ("ben", "listFiles", 200), ("ben", "readFile", 404)];
        assert_eq!(shown, if keeps_reads { &expected[..] } else { &[] });
        if keeps_reads {
            let line = reads.last().unwrap();
            assert!(line.on.as_ref().unwrap().ends_with(of_file), "{line:?}");
            assert_eq!((line.from.as_deref(), line.request.as_ref().unwrap().len()), (Some("127.0.0.1"), 32));
        }
        assert_eq!(changes, 2, "changes are in the audit log alone");
    }
}
