//! Pipelines, transactions, runs, trials and long work through the API.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use std::time::Duration;

use base64::Engine as _;
use repos::access::Role;
use reqwest::Method;
use serde_json::{Value, json};
use support::Running;

/// A server that runs jobs, with the repository `notes`, and an admin's token.
async fn served() -> (Running, String) {
    let server = Running::start().await;
    server.run_jobs();
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "notes" })).await;
    server.put(&admin, "/repos/notes/branches/main/files/a", "of a").await;
    (server, admin)
}

fn spec(name: &str, repo: &str, transform: &Value) -> Value {
    json!({
        "pipeline": { "name": name },
        "input": { "pfs": { "repo": repo, "glob": "/*" } },
        "transform": transform,
    })
}

/// Specs as files of a request.
fn files(specs: &[Value]) -> Value {
    let file = |(at, spec): (usize, &Value)| json!({ "name": format!("{at}.json"), "text": spec.to_string() });
    specs.iter().enumerate().map(file).collect()
}

fn copies() -> Value {
    json!({ "cmd": ["cp"] })
}

/// Applies `copy`, which copies `notes`, and waits for its job.
async fn with_copy() -> (Running, String) {
    let (server, admin) = served().await;
    let specs = files(&[spec("copy", "notes", &copies())]);
    let (status, applied) = server.send(&admin, Method::POST, "/pipelines", json!({ "specs": specs })).await;
    assert_eq!((status, &applied["pipelines"][0]["state"]), (200, &json!("created")), "{applied}");
    let (status, ended) = server.get(&admin, "/wait?of=copy&timeout=90s").await;
    assert_eq!((status, &ended["succeeded"]), (200, &json!(true)), "{ended}");
    (server, admin)
}

/// Asks for long work until it has ended.
async fn ended(server: &Running, token: &str, started: (u16, Value)) -> Value {
    let (status, work) = started;
    assert_eq!(status, 202, "{work}");
    let place = format!("/operations/{}", work["id"].as_str().unwrap());
    for _ in 0..9000 {
        let (status, work) = server.get(token, &place).await;
        assert_eq!(status, 200, "{work}");
        if work["state"] != "running" {
            return work;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not end: {place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn specs_are_applied_all_together_or_none() {
    let (server, admin) = served().await;
    let post = |path: &'static str, body| server.send(&admin, Method::POST, path, body);
    let good = [spec("one", "notes", &copies()), spec("two", "one", &copies())];
    let (status, checked) = post("/pipelines/check", json!({ "specs": files(&good) })).await;
    assert_eq!((status, &checked["pipelines"]), (200, &json!(["one", "two"])), "{checked}");
    let (_, dry) = post("/pipelines", json!({ "specs": files(&good), "dry_run": true })).await;
    assert_eq!((&dry["pipelines"][1]["state"], &dry["run"]), (&json!("created"), &Value::Null), "{dry}");
    assert_eq!(server.get(&admin, "/pipelines").await.1["items"], json!([]), "nothing was done");
    let (_, planned) = post("/plan", json!({ "specs": files(&good) })).await;
    assert_eq!((&planned[0]["pipeline"], &planned[0]["run"]), (&json!("one"), &json!(1)), "{planned}");
    let bad = [spec("one", "notes", &copies()), spec("two", "nothing", &copies())];
    let (status, problem) = post("/pipelines", json!({ "specs": files(&bad) })).await;
    assert_eq!((status, &problem["exit_code"]), (400, &json!(2)), "{problem}");
    let wrong = &problem["problems"][0];
    assert_eq!((&wrong["file"], &wrong["is_error"]), (&json!("1.json"), &json!(true)), "{problem}");
    assert_eq!(server.get(&admin, "/pipelines").await.1["items"], json!([]), "nothing was done");
    let (status, applied) = post("/pipelines", json!({ "specs": files(&good) })).await;
    assert_eq!((status, applied["jobs"].as_array().unwrap().len()), (200, 2), "{applied}");
    let (_, again) = post("/pipelines", json!({ "specs": files(&good) })).await;
    assert_eq!((&again["pipelines"][0]["state"], &again["run"]), (&json!("unchanged"), &Value::Null), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn code_of_a_spec_is_what_the_client_sent() {
    let (server, admin) = served().await;
    let code = "print('x')\n";
    let digest = repos::hash::digest_of(code.as_bytes());
    let mut chunk = digest.as_bytes().to_vec();
    chunk.extend(u32::try_from(code.len()).unwrap().to_be_bytes());
    chunk.extend(code.as_bytes());
    let transform = json!({ "cmd": ["cp"], "code": "src" });
    let text = spec("one", "notes", &transform).to_string();
    let file = json!({ "path": "/main.py", "digest": digest, "size_bytes": code.len() });
    let specs = json!({ "specs": [{ "name": "s.json", "text": text, "code": { "src": [file] } }] });
    let (status, problem) = server.send(&admin, Method::POST, "/pipelines", specs.clone()).await;
    assert!(status >= 400, "the content was not sent: {problem}");
    let sent = server.ask(&admin, Method::POST, "/objects").body(chunk).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    let (status, applied) = server.send(&admin, Method::POST, "/pipelines", specs).await;
    assert_eq!(status, 200, "{applied}");
    let (_, shown) = server.get(&admin, "/pipelines/one").await;
    assert!(shown["code"]["tree"].is_string(), "{shown}");
    let without = json!({ "specs": [{ "name": "s.json", "text": text }] });
    let (status, problem) = server.send(&admin, Method::POST, "/pipelines", without).await;
    assert_eq!(status, 400, "no folder of the server is read in its place: {problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_rolled_back_run_again_and_deleted() {
    let (server, admin) = with_copy().await;
    let post = |path: &'static str, body| server.send(&admin, Method::POST, path, body);
    let other = files(&[spec("copy", "notes", &json!({ "cmd": ["cp", "-r"] }))]);
    post("/pipelines", json!({ "specs": other })).await;
    let (status, rolled) = post("/pipelines/copy/rollback", json!({ "version": 1, "message": "it was better" })).await;
    assert_eq!((status, &rolled["version"], &rolled["rolled_back_to"]), (200, &json!(3), &json!(1)), "{rolled}");
    let (status, problem) = post("/pipelines/copy/rollback", json!({ "version": 9 })).await;
    assert_eq!((status, &problem["exit_code"]), (404, &json!(3)), "{problem}");
    let (status, run) = post("/pipelines/copy/rerun", json!({ "input": "/a" })).await;
    assert_eq!(status, 201, "{run}");
    let (status, ended) = server.get(&admin, &format!("/wait?of=@{}&timeout=90s", run["run"].as_str().unwrap())).await;
    assert_eq!((status, &ended["jobs"][0]["datums_processed"]), (200, &json!(1)), "{ended}");
    let (status, problem) = post("/pipelines/copy/tick", json!(null)).await;
    assert!((400..500).contains(&status), "it has no cron input: {problem}");
    let (status, _) = server.send(&admin, Method::DELETE, "/pipelines/copy", json!(null)).await;
    assert_eq!(status, 204);
    assert_eq!(server.get(&admin, "/repos/copy/commits/main/files/a").await.0, 200, "its data stays");
    post("/pipelines", json!({ "specs": files(&[spec("second", "notes", &copies())]) })).await;
    let (status, _) = server.send(&admin, Method::DELETE, "/pipelines/second?with_data=true", json!(null)).await;
    assert_eq!((status, server.get(&admin, "/repos/second").await.0), (204, 404));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_done_whole_or_not_at_all() {
    let (server, admin) = served().await;
    server.send(&admin, Method::POST, "/repos", json!({ "name": "rules" })).await;
    let step = |repo: &str, action: Value| json!({ "repo": repo, "branch": "main", "action": action });
    let copied = step("rules", json!({ "kind": "cp", "from": "notes:/a", "to": "/b" }));
    let missing = step("notes", json!({ "kind": "rm", "paths": ["/nothing"] }));
    let post = |steps: Vec<Value>, dry_run| {
        server.send(
            &admin,
            Method::POST,
            "/transactions",
            json!({ "steps": steps, "dry_run": dry_run, "message": "m" }),
        )
    };
    let (status, problem) = post(vec![copied.clone(), missing], false).await;
    assert_eq!((status, &problem["exit_code"]), (404, &json!(3)), "{problem}");
    assert!(problem["detail"].as_str().unwrap().starts_with("line 2: "), "{problem}");
    let moved = step("notes", json!({ "kind": "mv", "from": "/a", "to": "/c" }));
    let (_, dry) = post(vec![copied.clone(), moved.clone()], true).await;
    assert_eq!((&dry["branches"][0]["changed"], &dry["branches"][0]["run"]), (&json!(true), &Value::Null), "{dry}");
    assert_eq!(server.get(&admin, "/repos/rules/commits/main/files/b").await.0, 404, "nothing was done");
    let (status, done) = post(vec![copied, moved], false).await;
    assert_eq!(status, 200, "{done}");
    let runs = [&done["branches"][0]["run"], &done["branches"][1]["run"]];
    assert!(runs[0].is_string() && runs[0] == runs[1], "one run: {done}");
    assert_eq!(server.get(&admin, "/repos/rules/commits/main/files/b").await.0, 200);
    assert_eq!(server.get(&admin, "/repos/notes/commits/main/files/a").await.0, 404);
    let unsent = json!({ "path": "/x", "digest": "0".repeat(64), "size_bytes": 1 });
    let (status, problem) = post(vec![step("notes", json!({ "kind": "put", "files": [unsent] }))], false).await;
    assert!((400..500).contains(&status), "knowing a digest must not give access to it: {problem}");
    let typo = json!({ "steps": [{ "repo": "notes", "branch": "main", "action": { "kind": "rm", "path": ["/c"] } }] });
    assert_eq!(server.send(&admin, Method::POST, "/transactions", typo).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_moved_copied_removed_and_changes_undone() {
    let (server, admin) = served().await;
    let post = |verb: &str, body| {
        let path = format!("/repos/notes/branches/main/{verb}");
        let server = &server;
        let admin = &admin;
        async move { server.send(admin, Method::POST, &path, body).await }
    };
    let exists = |path: &'static str| {
        let (server, admin) = (&server, &admin);
        async move { server.get(admin, &format!("/repos/notes/commits/main/files{path}")).await.0 == 200 }
    };
    let (status, moved) = post("move", json!({ "from": "/a", "to": "/d/b", "message": "tidy" })).await;
    assert_eq!((status, &moved["added"], &moved["removed"]), (200, &json!(1), &json!(1)), "{moved}");
    assert!(exists("/d/b").await && !exists("/a").await);
    let (status, _) = post("copy", json!({ "from": "notes@main~1:/a", "to": "/e" })).await;
    assert_eq!(status, 200);
    assert!(exists("/e").await);
    let (status, problem) = post("remove", json!({ "paths": ["/d"] })).await;
    assert_eq!(status, 400, "a directory: {problem}");
    let (status, removed) = post("remove", json!({ "paths": ["/"], "match": "/d/*" })).await;
    assert_eq!((status, &removed["removed"]), (200, &json!(1)), "{removed}");
    let (status, reverted) = post("revert", json!({})).await;
    assert_eq!((status, &reverted["added"]), (200, &json!(1)), "{reverted}");
    assert!(exists("/d/b").await);
    let stale = format!("\"{}\"", moved["commit"].as_str().unwrap());
    let late = server.ask(&admin, Method::POST, "/repos/notes/branches/main/revert").header("if-match", stale);
    let late = late.header("content-type", "application/json").body("{}").send().await.unwrap();
    assert_eq!(late.status(), 412);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_run_and_waited_for_within_a_bound() {
    let (server, admin) = with_copy().await;
    let work = ended(&server, &admin, server.send(&admin, Method::POST, "/run", json!({})).await).await;
    assert_eq!((&work["kind"], &work["state"]), (&json!("run"), &json!("done")), "{work}");
    assert_eq!(work["result"]["jobs"][0]["pipeline"], "copy", "{work}");
    let (status, problem) = server.get(&admin, "/wait?of=nothing").await;
    assert_eq!(status, 404, "{problem}");
    let both = json!({ "pipelines": ["copy"], "run": "@0000" });
    assert_eq!(server.send(&admin, Method::POST, "/run", both).await.0, 400);
    server.send(&admin, Method::POST, "/pipelines/copy/stop", json!(null)).await;
    let (status, problem) = server.send(&admin, Method::POST, "/run", json!({ "pipelines": ["copy"] })).await;
    assert_eq!((status, &problem["exit_code"]), (409, &json!(4)), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_is_told_so_and_what_waits_can_be_stopped() {
    // No engine runs jobs.
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "notes" })).await;
    server.put(&admin, "/repos/notes/branches/main/files/a", "of a").await;
    server
        .send(&admin, Method::POST, "/pipelines", json!({ "specs": files(&[spec("copy", "notes", &copies())]) }))
        .await;
    let (status, problem) = server.get(&admin, "/wait?of=copy&timeout=10ms").await;
    assert_eq!((status, &problem["exit_code"]), (504, &json!(8)), "{problem}");
    let started = server.send(&admin, Method::POST, "/run", json!({ "pipelines": ["copy"] })).await;
    let place = format!("/operations/{}", started.1["id"].as_str().unwrap());
    assert_eq!(server.get(&admin, &place).await.1["state"], "running");
    let ben = server.token("ben", Role::Admin, &["*"]);
    assert_eq!(server.get(&ben, &place).await.0, 404, "it is of another");
    assert_eq!(server.send(&ben, Method::DELETE, &place, json!(null)).await.0, 404);
    assert_eq!(server.send(&admin, Method::DELETE, &place, json!(null)).await.0, 204);
    let work = ended(&server, &admin, started).await;
    assert_eq!((&work["state"], &work["progress"]["total"]), (&json!("failed"), &Value::Null), "{work}");
    assert_eq!(server.send(&admin, Method::DELETE, &place, json!(null)).await.0, 409, "it has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_moves_no_branch_and_says_what_would_differ() {
    let (server, admin) = with_copy().await;
    server.send(&admin, Method::PUT, "/repos/notes/branches/new", json!({ "commit": "main" })).await;
    server.put(&admin, "/repos/notes/branches/new/files/b", "of b").await;
    let before = server.get(&admin, "/repos/copy/branches/main").await.1;
    let with = json!({ "with": [{ "commit": "notes@new", "branch": "main" }] });
    let work = ended(&server, &admin, server.send(&admin, Method::POST, "/trials", with).await).await;
    let job = &work["result"]["jobs"][0];
    assert_eq!((&job["pipeline"], &job["compared"]["new"]), (&json!("copy"), &json!(1)), "{work}");
    assert_eq!(server.get(&admin, "/repos/copy/branches/main").await.1, before);
    let writer = server.token("ben", Role::Writer, &["*"]);
    let specs = json!({ "specs": files(&[spec("copy", "notes", &json!({ "cmd": ["other"] }))]) });
    assert_eq!(server.send(&writer, Method::POST, "/trials", specs.clone()).await.0, 403, "specs are any code");
    let work = ended(&server, &admin, server.send(&admin, Method::POST, "/trials", specs).await).await;
    assert_eq!(work["state"], "done", "{work}");
    let several = json!({ "number": 1, "failed": true });
    assert_eq!(server.send(&admin, Method::POST, "/trials", several).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_proven_by_a_bundle_a_checkpoint_and_by_execution() {
    let (server, admin) = with_copy().await;
    let bundle = server.ask(&admin, Method::GET, "/bundle?of=copy:/a").send().await.unwrap();
    assert_eq!(
        (bundle.status().as_u16(), &bundle.headers()["content-type"]),
        (200, &"application/zip".parse().unwrap())
    );
    assert!(bundle.bytes().await.unwrap().starts_with(b"PK"));
    let (status, checkpoint) = server.get(&admin, "/checkpoint?inclusion=notes").await;
    assert!(checkpoint["text"].as_str().unwrap().starts_with("c2sp.org/tlog-proof@v1"), "{status} {checkpoint}");
    assert_eq!(server.get(&admin, "/checkpoint?inclusion=notes&since=1").await.0, 400);
    let started = server.send(&admin, Method::POST, "/reruns", json!({ "of": "copy:/a", "network": true })).await;
    let work = ended(&server, &admin, started).await;
    assert_eq!(work["result"]["outcome"], "identical", "{work}");
    let (_, branch) = server.get(&admin, "/repos/copy/branches/main").await;
    let id = branch["commit"].as_str().unwrap();
    let document = server.ask(&admin, Method::GET, &format!("/document?of={id}")).send().await.unwrap();
    assert_eq!(repos::hash::digest_of(&document.bytes().await.unwrap()).to_string(), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_commits_are_pruned_and_the_newest_deleted() {
    let (server, admin) = served().await;
    server.put(&admin, "/repos/notes/branches/main/files/a", "again").await;
    let (_, third) = server.put(&admin, "/repos/notes/branches/main/files/a", "and again").await;
    let prune = |body| server.send(&admin, Method::POST, "/repos/notes/prune", body);
    let (status, planned) = prune(json!({ "keep": 2, "dry_run": true })).await;
    assert_eq!((status, &planned["pruned"]), (200, &json!(false)), "{planned}");
    assert_eq!(planned["commits"].as_array().unwrap().len(), 1);
    assert_eq!(prune(json!({})).await.0, 400, "all of it is not what somebody means who says nothing");
    assert_eq!(prune(json!({ "keep": 2 })).await.1["pruned"], true);
    let head = third["commit"].as_str().unwrap();
    let (status, deleted) =
        server.send(&admin, Method::DELETE, &format!("/repos/notes/commits/{head}"), json!(null)).await;
    assert_eq!((status, &deleted["branch"], &deleted["commit"]), (200, &json!("main"), &json!(head)), "{deleted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_folder_of_the_server_is_named_by_a_client() {
    let (server, admin) = served().await;
    for to in ["file:///tmp/x", "/tmp/x", "x", "s3://", "../x"] {
        let (status, problem) = server.send(&admin, Method::POST, "/mirror", json!({ "to": to })).await;
        assert_eq!(status, 400, "{to}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_api_runs_nothing_and_needs_no_token() {
    let (server, _) = served().await;
    let page = reqwest::get(format!("{}/api/v1/docs", server.url)).await.unwrap();
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    let html = page.text().await.unwrap();
    assert!(html.contains("<h3 id=\"applyPipelines\">") && !html.contains("<script"));
    // The policy allows exactly the style of the page.
    let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let digest = repos::hash::digest_of(style.as_bytes());
    let digest = base64::engine::general_purpose::STANDARD.encode(digest.as_bytes());
    assert!(policy.contains(&format!("'sha256-{digest}'")), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_parameter_is_refused_not_ignored() {
    let (server, admin) = served().await;
    let (status, problem) = server.get(&admin, "/repos/notes/commits/main/files?recursiv=true").await;
    assert_eq!((status, &problem["hint"]), (400, &json!("did you mean `recursive`?")), "{problem}");
    assert_eq!(server.get(&admin, "/repos/notes/commits/main/files?recursive=true&limit=1").await.0, 200);
    assert_eq!(server.get(&admin, "/repos?x").await.0, 400);
    assert_eq!(server.get("pv_nothing", "/repos?x").await.0, 401, "who may not ask is told nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_an_object_not_a_list_of_its_fields() {
    let (server, admin) = served().await;
    let (status, problem) = server.send(&admin, Method::POST, "/run", json!([])).await;
    assert_eq!(status, 400, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("expected an object"), "{problem}");
}
