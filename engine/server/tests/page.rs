//! The page: who sees what, forms as calls of the API, what others cannot make a browser do.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use repos::access::Role;
use repos::tokens::{Audit, AuditFilter};
use reqwest::{Client, Method, RequestBuilder, Response, redirect};
use server::Options;
use support::Running;

const ORIGIN: &str = "origin";

/// A browser, which does not follow redirects by itself.
struct Browser<'s> {
    server: &'s Running,
    client: Client,
    cookie: String,
}

impl<'s> Browser<'s> {
    fn new(server: &'s Running) -> Self {
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { server, client, cookie: String::new() }
    }

    /// One that is logged in by the page.
    async fn of(server: &'s Running, token: &str) -> Self {
        let mut browser = Self::new(server);
        let answer = browser.log_in(token, "/runs?x=1").await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (303, "/runs?x=1"));
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().clone_into(&mut browser.cookie);
        browser
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.server.url)).header("accept", "text/html");
        if self.cookie.is_empty() { request } else { request.header("cookie", &self.cookie) }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.ask(Method::GET, path).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn post(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let form = fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
        let request = self.ask(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
        request.body(form.collect::<Vec<_>>().join("&"))
    }

    async fn log_in(&self, token: &str, next: &str) -> Response {
        let request = self.post("/login", &[("token", token), ("next", next)]);
        request.header(ORIGIN, origin(self.server)).send().await.unwrap()
    }

    /// Posts a form of the page.
    async fn act(&self, fields: &[(&str, &str)]) -> Response {
        self.post("/act", fields).header(ORIGIN, origin(self.server)).send().await.unwrap()
    }
}

fn escaped(text: &str) -> String {
    text.bytes().flat_map(|byte| [format!("%{byte:02X}")]).collect()
}

fn origin(server: &Running) -> String {
    let (scheme, rest) = server.url.split_once("://").unwrap();
    format!("{scheme}://{}", rest.split('/').next().unwrap())
}

fn location(answer: &Response) -> &str {
    answer.headers()["location"].to_str().unwrap()
}

fn create_repo(name: &str) -> [(&str, &str); 4] {
    [("-method", "POST"), ("-operation", "/api/v1/repos"), ("-next", "/repos"), ("name", name)]
}

const VIEWS: [&str; 10] = [
    "/",
    "/keys",
    "/watches",
    "/notifications",
    "/operations",
    "/storage",
    "/settings",
    "/settings/secrets",
    "/tokens",
    "/audit",
];

#[tokio::test(flavor = "multi_thread")]
async fn each_role_sees_what_it_may_and_is_told_which_role_the_rest_needs() {
    let server = Running::start().await;
    let all = server.token("anna", Role::Admin, &["*"]);
    let reader = server.token("rita", Role::Reader, &["*"]);
    let limited = server.token("ben", Role::Admin, &["mine*"]);
    let writer = server.token("will", Role::Writer, &["*"]);
    let refused = async |token: &str| {
        let browser = Browser::of(&server, token).await;
        let mut refused = Vec::new();
        for path in VIEWS {
            let (status, text) = browser.get(path).await;
            match status {
                200 => {
                    assert_eq!(text.matches("<h1").count(), 1, "{path}: {text}");
                    assert!(!text.contains(" style=") && !text.contains(" onclick"), "{path}");
                }
                403 => {
                    assert!(text.contains("admin") || text.contains("all repositories"), "{path}: {text}");
                    refused.push(path);
                }
                other => panic!("{path}: {other} {text}"),
            }
        }
        refused
    };
    assert_eq!(refused(&all).await, [""; 0]);
    assert_eq!(refused(&reader).await, ["/settings/secrets", "/tokens", "/audit"]);
    assert_eq!(refused(&writer).await, ["/settings/secrets", "/tokens", "/audit"]);
    assert_eq!(refused(&limited).await, ["/settings", "/settings/secrets", "/tokens", "/audit"]);
    let (_, settings) = Browser::of(&server, &reader).await.get("/settings").await;
    assert!(!settings.contains("value=\"PUT\""), "no forms that a reader may not use");
    let (_, settings) = Browser::of(&server, &all).await.get("/settings").await;
    assert!(settings.contains("value=\"PUT\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_logs_in_where_one_wanted_to_go_and_a_wrong_token_is_said_there() {
    let server = Running::start().await;
    let anna = server.token("anna", Role::Reader, &["*"]);
    let browser = Browser::new(&server);
    let (status, page) = browser.get("/tokens?ended=&x=%22").await;
    assert_eq!(status, 401);
    assert!(page.contains("name=\"next\" value=\"/tokens?ended=&amp;x=%22\""), "{page}");
    assert!(!page.contains("role=\"alert\""), "nobody has tried yet: {page}");
    let answer = browser.log_in("pv_wrong", "/tokens?ended=").await;
    assert_eq!(answer.status(), 401);
    assert!(!answer.headers().contains_key("www-authenticate"));
    let page = answer.text().await.unwrap();
    assert!(page.contains("unknown, revoked or expired") && page.contains("value=\"/tokens?ended=\""), "{page}");
    let foreign = browser.post("/login", &[("token", &anna)]).header(ORIGIN, "https://evil.example");
    assert_eq!(foreign.send().await.unwrap().status(), 403, "nobody is logged in by another page");
    for next in ["//evil.example", "/\t/evil.example", "https://evil.example", "/\\evil.example", "/a\r\nx: y", ""] {
        assert_eq!(location(&browser.log_in(&anna, next).await), "/", "{next:?}");
    }
    let (status, page) = browser.get("/login?next=/runs").await;
    assert!(status == 200 && page.contains("value=\"/runs\""), "{page}");
    let (status, page) = browser.get("/login/none").await;
    assert!(status == 401 && page.contains("this login link is unknown") && page.contains("value=\"/\""), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_logs_out_by_a_form() {
    let server = Running::start().await;
    let anna = server.token("anna", Role::Reader, &["*"]);
    let browser = Browser::of(&server, &anna).await;
    let answer = browser.act(&[("-method", "DELETE"), ("-operation", "/api/v1/session"), ("-next", "/login")]).await;
    assert_eq!((answer.status().as_u16(), location(&answer)), (303, "/login"));
    assert!(answer.headers()["set-cookie"].to_str().unwrap().starts_with("__Host-pv=;"));
    assert_eq!(browser.get("/").await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_does_what_its_operation_does_and_the_audit_log_names_that() {
    let server = Running::start().await;
    let anna = server.token("anna", Role::Admin, &["*"]);
    let browser = Browser::of(&server, &anna).await;
    let answer = browser.act(&create_repo("images")).await;
    assert_eq!((answer.status().as_u16(), location(&answer)), (303, "/repos"));
    let line = Audit::of(server.engine.store()).read(AuditFilter::default()).unwrap().next().unwrap().unwrap();
    assert_eq!((line.who.as_str(), line.operation.as_str(), line.outcome), ("anna", "createRepo", 201));
    let again = browser.act(&create_repo("images")).await;
    assert_eq!(again.status(), 409);
    assert!(again.text().await.unwrap().contains("images"), "what failed is a page");
    let token = [
        ("-method", "POST"),
        ("-operation", "/api/v1/tokens"),
        ("-next", "/tokens"),
        ("-shows", "token"),
        ("name", "ci"),
        ("role", "reader"),
        ("repos:list", "*"),
    ];
    let shown = browser.act(&token).await;
    assert_eq!((shown.status().as_u16(), &shown.headers()["cache-control"]), (200, &"no-store".parse().unwrap()));
    assert!(!shown.headers().contains_key("content-encoding"), "a secret is not compressed with what others choose");
    assert!(shown.text().await.unwrap().contains("<code>pv_"));
    let (_, tokens) = browser.get("/tokens").await;
    assert!(tokens.contains(">ci<") && !tokens.contains("pv_"), "{tokens}");
    let gc = [("-method", "POST"), ("-operation", "/api/v1/gc"), ("-next", "/operations/{id}"), ("dry_run:flag", "on")];
    let started = browser.act(&gc).await;
    let (status, page) = browser.get(location(&started)).await;
    assert!(status == 200 && page.contains("Garbage collection"), "{page}");
    let secret = [
        ("-method", "PUT"),
        ("-operation", "/api/v1/secrets/{secret}"),
        ("-next", "/settings/secrets"),
        ("{secret}", "mail"),
        ("values:key", "password"),
        ("values:value", "hunter2"),
    ];
    assert_eq!(browser.act(&secret).await.status(), 303);
    let (_, secrets) = browser.get("/settings/secrets").await;
    assert!(secrets.contains("password") && !secrets.contains("hunter2"), "{secrets}");
    let lines = Audit::of(server.engine.store()).read(AuditFilter::default()).unwrap();
    assert!(lines.map(|line| format!("{:?}", line.unwrap())).all(|line| !line.contains("hunter2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_page_makes_a_browser_act() {
    let server = Running::start().await;
    let anna = server.token("anna", Role::Admin, &["*"]);
    let browser = Browser::of(&server, &anna).await;
    let own = origin(&server);
    let tried = async |headers: &[(&'static str, &str)]| {
        let request = browser.post("/act", &create_repo("a"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap().status().as_u16()
    };
    for headers in [
        &[][..],
        &[(ORIGIN, "https://evil.example")],
        &[(ORIGIN, "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site"), (ORIGIN, &own)],
        &[("sec-fetch-site", "same-origin"), (ORIGIN, "https://evil.example")],
        &[("referer", &own)],
    ] {
        assert_eq!(tried(headers).await, 403, "{headers:?}");
    }
    let line = Audit::of(server.engine.store()).read(AuditFilter::default()).unwrap().next().unwrap().unwrap();
    assert_eq!((line.operation.as_str(), line.outcome), ("createRepo", 403), "refused tries are recorded");
    assert_eq!(tried(&[("sec-fetch-site", "same-origin")]).await, 303);
    let reader = server.token("rita", Role::Reader, &["*"]);
    let refused = Browser::of(&server, &reader).await.act(&create_repo("b")).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("role admin"), "the page says which role");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_calls_changes_of_the_api_alone_and_leads_to_this_server_alone() {
    let server = Running::start().await;
    let anna = server.token("anna", Role::Admin, &["*"]);
    let browser = Browser::of(&server, &anna).await;
    for (method, operation) in [
        ("GET", "/api/v1/audit"),
        ("HEAD", "/api/v1/repos"),
        ("CONNECT", "/api/v1/repos"),
        ("post", "/api/v1/repos"),
        ("POST", "/api/v1/../act"),
        ("POST", "/api/v1/repos/../repos"),
        ("POST", "/api/v1/%2e%2e/repos"),
        ("POST", "/api/v1//repos"),
        ("POST", "//evil.example/api/v1/repos"),
        ("POST", "https://evil.example/api/v1/repos"),
        ("POST", "/api/v1/repos\r\nx: y"),
        ("POST", "/api/v1/repos x"),
        ("POST", "/api/v1repos"),
        ("POST", "/login"),
        ("POST", "/act"),
    ] {
        let answer = browser.act(&[("-method", method), ("-operation", operation), ("name", "a")]).await;
        assert_eq!(answer.status(), 400, "{method} {operation}");
    }
    for operation in ["/api/v1/act", "/api/v1/login", "/api/v1/api/v1/repos", "/api/v1/commands"] {
        let answer = browser.act(&[("-method", "POST"), ("-operation", operation), ("name", "a")]).await;
        assert!([404, 405].contains(&answer.status().as_u16()), "{operation}");
    }
    for (number, next) in
        ["//evil.example", "/\t/evil.example", "/\\evil.example", "https://evil.example/", "/a\r\nx: y"]
            .into_iter()
            .enumerate()
    {
        let name = format!("r{number}");
        let mut fields = create_repo(&name);
        fields[2].1 = next;
        let answer = browser.act(&fields).await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (303, "/"), "{next:?}");
        assert!(!answer.headers().contains_key("x"));
    }
    // Whoever is not logged in any more comes back to the page of the form.
    let gone = Browser::new(&server).act(&create_repo("z")).await;
    assert_eq!(gone.status(), 401);
    assert!(gone.text().await.unwrap().contains("name=\"next\" value=\"/repos\""));
    assert_eq!(browser.get("/act").await.0, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_there_is_not_is_a_page_for_people_and_a_problem_for_programs() {
    let server = Running::start().await;
    let browser = Browser::new(&server);
    for path in ["/none", "/repos/x/y/z/none", "/assets/none.js"] {
        let answer = browser.ask(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 404);
        if !path.starts_with("/assets") {
            assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"), "{path}");
            assert!(answer.headers().contains_key("content-security-policy"));
        }
    }
    for path in ["/none", "/api/v1/none"] {
        let (status, problem) =
            support::json(Client::new().get(format!("{}{path}", server.url)).send().await.unwrap()).await;
        assert_eq!((status, &problem["kind"]), (404, &serde_json::json!("not_found")), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_files_are_compressed_for_those_who_take_them_so() {
    let server = Running::start().await;
    let anna = server.token("anna", Role::Reader, &["*"]);
    let browser = Browser::of(&server, &anna).await;
    let page = browser.get("/").await.1;
    let asset = page.split("src=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for path in ["/", asset.as_str()] {
        let packed = browser.ask(Method::GET, path).header("accept-encoding", "gzip, br").send().await.unwrap();
        assert_eq!((packed.status().as_u16(), &packed.headers()["content-encoding"]), (200, &"gzip".parse().unwrap()));
        assert_eq!(packed.headers()["vary"], "accept-encoding");
        assert_eq!(packed.bytes().await.unwrap()[..2], [0x1f, 0x8b], "{path}");
        let plain = browser.ask(Method::GET, path).send().await.unwrap();
        assert!(plain.status() == 200 && !plain.headers().contains_key("content-encoding"), "{path}");
        let head = browser.ask(Method::HEAD, path).send().await.unwrap();
        assert_eq!(head.status(), 200);
        assert!(head.bytes().await.unwrap().is_empty());
    }
    assert_eq!(browser.get("/?only=store,needs").await.1.matches("<section").count(), 2);
    assert_eq!(browser.get("/?only=none").await, (200, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_stays_below_the_base_path() {
    let options = Options { base_path: "/pv".to_owned(), ..Options::default() };
    let server = Running::with(options).await;
    let anna = server.token("anna", Role::Admin, &["*"]);
    let mut browser = Browser::new(&server);
    let answer = browser.log_in(&anna, "/settings").await;
    assert_eq!(location(&answer), "/pv/settings");
    browser.cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    for path in ["", "/", "/settings"] {
        let (status, page) = browser.get(path).await;
        assert_eq!(status, 200, "{path:?}");
        for attribute in ["href=\"/", "src=\"/", "action=\"/", "data-worker=\"/"] {
            for rest in page.split(attribute).skip(1) {
                assert!(rest.starts_with("pv/") || rest.starts_with("pv\""), "{attribute}{}", &rest[..40]);
            }
        }
        assert!(path == "/settings" || page.contains("aria-current=\"page\">Overview"), "{page}");
    }
    let set = [("-method", "PUT"), ("-operation", "/api/v1/settings/jobs"), ("-next", "/settings"), ("value", "3")];
    let answer = browser.act(&set).await;
    assert_eq!((answer.status().as_u16(), location(&answer)), (303, "/pv/settings"));
    assert_eq!(browser.get("/none").await.0, 404);
}
