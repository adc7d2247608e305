//! Every operation × role × repositories: allowed or refused, as the table says. An operation that is not in the table fails the test.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use repos::access::Role;
use reqwest::Method;
use serde_json::{Value, json};
use support::Running;

/// What an operation is about.
#[derive(Clone, Copy, PartialEq)]
enum About {
    /// A repository, `{r}` in the row: `mine` or `other`.
    Repo,
    /// What a token may see of the store.
    Seen,
    /// The whole store.
    Store,
}

/// An operation, with a request of it.
struct Row {
    id: &'static str,
    /// Method and path.
    request: &'static str,
    body: Value,
    /// What an administrator asks before: request and body.
    before: Option<(&'static str, Value)>,
    least: Role,
    about: About,
    /// A status that also means that it was allowed: the state of the store does not fit.
    also: &'static [u16],
}

fn row(id: &'static str, request: &'static str, least: Role, about: About) -> Row {
    Row { id, request, body: Value::Null, before: None, least, about, also: &[] }
}

impl Row {
    fn with(self, body: Value) -> Self {
        Self { body, ..self }
    }

    fn or(self, also: &'static [u16]) -> Self {
        Self { also, ..self }
    }

    fn after(self, request: &'static str, body: Value) -> Self {
        Self { before: Some((request, body)), ..self }
    }
}

/// Every operation that needs a token.
fn table() -> Vec<Row> {
    let mut rows = data_and_store();
    rows.extend(pipelines_and_work());
    rows
}

#[rustfmt::skip]
fn data_and_store() -> Vec<Row> {
    use About::{Repo, Seen, Store};
    use Role::{Admin, Reader, Worker, Writer};
    vec![
        row("listRepos", "GET /repos", Reader, Seen),
        row("createRepo", "POST /repos", Admin, Repo).with(json!({ "name": "{r}{n}" })),
        row("showRepo", "GET /repos/{r}", Reader, Repo),
        row("deleteRepo", "DELETE /repos/{r}{n}", Admin, Repo).after("POST /repos", json!({ "name": "{r}{n}" })),
        row("listBranches", "GET /repos/{r}/branches", Reader, Repo),
        row("showBranch", "GET /repos/{r}/branches/main", Reader, Repo),
        row("moveBranch", "PUT /repos/{r}/branches/b{n}", Writer, Repo).with(json!({ "commit": "main" })),
        row("deleteBranch", "DELETE /repos/{r}/branches/b{n}", Writer, Repo).after("PUT /repos/{r}/branches/b{n}", json!({ "commit": "main" })),
        row("listBranchMoves", "GET /repos/{r}/branches/main/moves", Reader, Repo),
        row("listTags", "GET /repos/{r}/tags", Reader, Repo),
        row("createTag", "POST /repos/{r}/tags", Writer, Repo).with(json!({ "name": "t{n}" })),
        row("showTag", "GET /repos/{r}/tags/first", Reader, Repo),
        row("deleteTag", "DELETE /repos/{r}/tags/t{n}", Writer, Repo).after("POST /repos/{r}/tags", json!({ "name": "t{n}" })),
        row("listCommits", "GET /repos/{r}/commits", Reader, Repo),
        row("showCommit", "GET /repos/{r}/commits/main", Reader, Repo),
        row("listChanges", "GET /repos/{r}/history/a", Reader, Repo),
        row("listFiles", "GET /repos/{r}/commits/main/files", Reader, Repo),
        row("readFile", "GET /repos/{r}/commits/main/files/a", Reader, Repo),
        row("putFile", "PUT /repos/{r}/branches/main/files/f{n}", Writer, Repo).with(json!("content {n}")),
        row("removeFile", "DELETE /repos/{r}/branches/main/files/f{n}", Writer, Repo).after("PUT /repos/{r}/branches/main/files/f{n}", json!("content {n}")),
        row("commit", "POST /repos/{r}/branches/main/commits", Writer, Repo).with(json!({ "remove": ["/g{n}"] })).after("PUT /repos/{r}/branches/main/files/g{n}", json!("content {n}")),
        row("beginUpload", "POST /repos/{r}/branches/main/uploads", Writer, Repo).with(json!({ "files": [{ "path": "/u{n}", "size_bytes": 1 }] })),
        row("listUploads", "GET /uploads", Writer, Seen),
        // Of one token alone, as `tests/resumable.rs` shows.
        row("showUpload", "GET /uploads/nothing", Writer, Seen).or(&[404]),
        row("sendPart", "PUT /uploads/nothing/parts/0", Writer, Seen).or(&[404]),
        row("commitUpload", "POST /uploads/nothing/commit", Writer, Seen).with(json!({})).or(&[404]),
        row("abortUpload", "DELETE /uploads/nothing", Writer, Seen).or(&[404]),
        row("traceFile", "GET /trace?file={r}:/a", Reader, Repo),
        row("traceForward", "GET /trace/forward?file={r}:/a", Reader, Repo),
        row("diff", "GET /diff?old={r}@main:/a", Reader, Repo),
        row("find", "GET /find?what=only-{r}", Reader, Repo),
        row("findMissingObjects", "POST /objects/missing", Writer, Seen).with(json!({ "digests": [] })),
        row("sendObjects", "POST /objects", Writer, Seen),
        row("listRuns", "GET /runs", Reader, Seen),
        row("listPipelines", "GET /pipelines", Reader, Seen),
        row("listJobs", "GET /jobs", Reader, Seen),
        row("showStatus", "GET /status", Reader, Seen),
        row("plan", "GET /plan", Reader, Seen),
        row("listenToEvents", "GET /events?after=0&limit=1", Reader, Seen),
        row("whoami", "GET /whoami", Worker, Seen),
        row("createLoginLink", "POST /login-links", Reader, Seen),
        row("logOut", "DELETE /session", Reader, Seen),
        row("listOperations", "GET /operations", Reader, Seen),
        row("listSettings", "GET /settings", Reader, Store),
        row("showSetting", "GET /settings/jobs", Reader, Store),
        row("setSetting", "PUT /settings/jobs", Admin, Store).with(json!({ "value": "2" })),
        row("unsetSetting", "DELETE /settings/jobs", Admin, Store),
        row("listSecrets", "GET /secrets", Admin, Store),
        row("keepSecret", "PUT /secrets/s{n}", Admin, Store).with(json!({ "values": { "key": "value" } })),
        row("deleteSecret", "DELETE /secrets/s{n}", Admin, Store).after("PUT /secrets/s{n}", json!({ "values": { "key": "value" } })),
        row("listKeys", "GET /keys", Reader, Store),
        row("listWorkers", "GET /workers", Reader, Store),
        row("listTokens", "GET /tokens", Admin, Store),
        row("createToken", "POST /tokens", Admin, Store).with(json!({ "name": "new{n}", "role": "reader", "repos": ["*"] })),
        row("revokeToken", "DELETE /tokens/old{n}", Admin, Store).after("POST /tokens", json!({ "name": "old{n}", "role": "reader", "repos": ["*"] })),
        row("listWatches", "GET /watches", Reader, Seen),
        row("showWatch", "GET /watches/nothing", Reader, Seen).or(&[404]),
        row("addWatch", "POST /watches", Admin, Store).with(json!({ "name": "w{n}", "folder": "/tmp", "target": "mine" })),
        row("deleteWatch", "DELETE /watches/w{n}", Admin, Store).after("POST /watches", json!({ "name": "w{n}", "folder": "/tmp", "target": "mine" })),
        row("pauseWatch", "POST /watches/w{n}/pause", Admin, Store).after("POST /watches", json!({ "name": "w{n}", "folder": "/tmp", "target": "mine" })),
        row("resumeWatch", "POST /watches/w{n}/resume", Admin, Store).after("POST /watches", json!({ "name": "w{n}", "folder": "/tmp", "target": "mine" })),
        row("readAudit", "GET /audit", Admin, Store),
        row("collectGarbage", "POST /gc", Admin, Store).with(json!({ "dry_run": true })),
        row("check", "POST /fsck", Reader, Store).with(json!({})),
        row("verify", "POST /verify", Reader, Store).with(json!({})),
        row("removeFiles", "POST /repos/{r}/branches/main/remove", Writer, Repo).with(json!({ "paths": ["/h{n}"] })).after("PUT /repos/{r}/branches/main/files/h{n}", json!("content {n}")),
        row("moveFile", "POST /repos/{r}/branches/main/move", Writer, Repo).with(json!({ "from": "/i{n}", "to": "/j{n}" })).after("PUT /repos/{r}/branches/main/files/i{n}", json!("content {n}")),
        row("copyFile", "POST /repos/{r}/branches/main/copy", Writer, Repo).with(json!({ "from": "{r}:/a", "to": "/k{n}" })),
        row("revertCommit", "POST /repos/{r}/branches/main/revert", Writer, Repo).with(json!({})).after("PUT /repos/{r}/branches/main/files/l{n}", json!("content {n}")),
        row("commitTransaction", "POST /transactions", Writer, Repo).with(json!({ "steps": [{ "repo": "{r}", "branch": "main", "action": { "kind": "rm", "paths": ["/m{n}"] } }] })).after("PUT /repos/{r}/branches/main/files/m{n}", json!("content {n}")),
        row("deleteCommit", "DELETE /repos/{r}/commits/main", Admin, Repo).or(&[409]),
        row("pruneCommits", "POST /repos/{r}/prune", Admin, Repo).with(json!({ "keep": 1, "dry_run": true })),
        row("listChunks", "GET /objects/{digest}/chunks", Reader, Repo),
    ]
}

#[rustfmt::skip]
fn pipelines_and_work() -> Vec<Row> {
    use About::{Repo, Seen, Store};
    use Role::{Admin, Reader, Writer};
    vec![
        row("composeFile", "POST /objects/compose", Writer, Seen).with(json!({ "file": "{nothing}", "chunks": [["{nothing}", 1], ["{nothing}", 1]] })).or(&[404, 409]),
        row("showRun", "GET /runs/{run}", Reader, Repo),
        row("stopRun", "POST /runs/{run}/stop", Writer, Repo).with(json!({})).or(&[409]),
        row("runJobs", "POST /run", Writer, Repo).with(json!({ "pipelines": ["{r}-copy"] })),
        row("waitForJobs", "GET /wait?of={r}-copy&timeout=90s", Reader, Repo),
        row("showPipeline", "GET /pipelines/{r}-copy", Reader, Repo),
        row("listVersions", "GET /pipelines/{r}-copy/versions", Reader, Repo),
        row("showVersion", "GET /pipelines/{r}-copy/versions/1", Reader, Repo),
        row("stopPipeline", "POST /pipelines/{r}-copy/stop", Admin, Repo),
        row("startPipeline", "POST /pipelines/{r}-copy/start", Admin, Repo),
        row("applyPipelines", "POST /pipelines", Admin, Repo).with(json!({ "specs": [{ "name": "s", "text": spec("{r}-new{n}", "{r}") }] })),
        row("checkPipelines", "POST /pipelines/check", Reader, Seen).with(json!({ "specs": [{ "name": "s", "text": spec("some", "any") }] })),
        row("planPipelines", "POST /plan", Admin, Repo).with(json!({ "specs": [{ "name": "s", "text": spec("{r}-new{n}", "{r}") }] })),
        row("showSpecSchema", "GET /schema", Reader, Seen),
        row("deletePipeline", "DELETE /pipelines/{r}-old{n}?with_data=true", Admin, Repo).after("POST /pipelines", json!({ "specs": [{ "name": "s", "text": spec("{r}-old{n}", "{r}") }] })),
        row("rollBackPipeline", "POST /pipelines/{r}-copy/rollback", Admin, Repo).with(json!({ "version": 1 })),
        row("rerunPipeline", "POST /pipelines/{r}-copy/rerun", Writer, Repo).with(json!({})),
        row("tickPipeline", "POST /pipelines/{r}-copy/tick", Writer, Repo).or(&[400, 409]),
        row("showJob", "GET /jobs/{r}-copy", Reader, Repo),
        row("listDatums", "GET /jobs/{r}-copy/datums", Reader, Repo),
        row("readLogs", "GET /jobs/{r}-copy/logs", Reader, Repo),
        // Of the job that has the datum: rows before may have begun a newer one.
        row("readLog", "GET /jobs/{r}-copy@{run}/datums/{datum}/log", Reader, Repo),
        row("stopJob", "POST /jobs/{r}-copy/stop", Writer, Repo).with(json!({})).or(&[409]),
        row("retryJob", "POST /jobs/{r}-copy/retry", Writer, Repo).or(&[409]),
        row("tryPipelines", "POST /trials", Writer, Store).with(json!({ "pipelines": ["mine-copy"], "number": 1 })),
        row("diffWhy", "GET /diff/why?old={r}-copy@{run}&new={r}-copy", Reader, Repo),
        row("explainJob", "GET /explain?job={r}-copy", Reader, Repo),
        row("explainPipeline", "GET /pipelines/{r}-copy/explain", Reader, Repo),
        row("showDatum", "GET /datums/{datum}", Reader, Repo),
        row("explainDatum", "GET /datums/{datum}/explain", Reader, Repo),
        row("compareDatums", "GET /datums/{datum}/compare?with={datum}", Reader, Repo),
        row("compareJobs", "GET /jobs/{r}-copy/compare?with={r}-copy", Reader, Repo),
        row("showMetrics", "POST /metrics", Reader, Repo).with(json!({ "places": ["{r}:/n.json"] })),
        row("readDocument", "GET /document?of={r}@main", Reader, Repo),
        row("readBundle", "GET /bundle?of={r}:/a", Reader, Repo),
        row("signCheckpoint", "GET /checkpoint", Reader, Store),
        row("verifyByRerun", "POST /reruns", Writer, Store).with(json!({ "of": "mine-copy:/a" })),
        row("mirror", "POST /mirror", Admin, Store).with(json!({ "to": "s3://nothing/here" })),
        row("rotateKey", "POST /keys/rotate", Admin, Store),
        row("trustKey", "POST /keys/{key}/trust", Admin, Store),
        row("listNotifications", "GET /notifications", Reader, Seen),
        row("createNotification", "POST /notifications", Admin, Seen).with(notification("n{n}")),
        row("showNotification", "GET /notifications/n{n}", Reader, Seen).after("POST /notifications", notification("n{n}")),
        row("deleteNotification", "DELETE /notifications/n{n}", Admin, Seen).after("POST /notifications", notification("n{n}")),
        row("testNotification", "POST /notifications/n{n}/test", Admin, Seen).after("POST /notifications", notification("n{n}")),
        row("pauseNotification", "POST /notifications/n{n}/pause", Admin, Seen).after("POST /notifications", notification("n{n}")),
        row("resumeNotification", "POST /notifications/n{n}/resume", Admin, Seen).after("POST /notifications", notification("n{n}")),
        row("rotateNotificationSecret", "POST /notifications/n{n}/rotate-secret", Admin, Seen).after("POST /notifications", notification("n{n}")),
        row("listDeliveries", "GET /notifications/n{n}/deliveries", Reader, Seen).after("POST /notifications", notification("n{n}")),
        row("redeliver", "POST /deliveries/nothing/redeliver", Admin, Seen).or(&[404]),
        row("listImages", "GET /images", Reader, Seen),
        row("saveImages", "POST /images/save", Admin, Store).with(json!({})),
        row("loadImages", "POST /images/load", Admin, Store).with(json!({})),
        // Long work is seen by who started it alone; `upkeep` tests that.
        row("showOperation", "GET /operations/nothing", Reader, Seen).or(&[404]),
        row("stopOperation", "DELETE /operations/nothing", Reader, Seen).or(&[404]),
    ]
}

/// A notification about what every token of the test sees.
fn notification(name: &str) -> Value {
    json!({ "name": name, "on": ["job failed"], "to": "https://example.com/hook", "repos": ["mine"] })
}

/// A pipeline that copies the files of a repository.
fn spec(name: &str, repo: &str) -> String {
    json!({
        "pipeline": { "name": name },
        "input": { "pfs": { "repo": repo, "glob": "/*" } },
        "transform": { "cmd": ["cp"] },
    })
    .to_string()
}

async fn ask(server: &Running, token: &str, request: &str, body: &Value) -> u16 {
    let (method, path) = request.split_once(' ').unwrap();
    for _ in 0..1000 {
        let request = server.ask(token, method.parse::<Method>().unwrap(), path);
        let request = match body {
            Value::Null => request,
            Value::String(text) => request.body(text.clone()),
            body => request.header("content-type", "application/json").body(body.to_string()),
        };
        let status = request.send().await.unwrap().status().as_u16();
        // Only so much long work runs at a time.
        if status != 503 {
            return status;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    503
}

/// The values of the placeholders in rows, for each of the two repositories.
struct Ids(BTreeMap<String, String>);

impl Ids {
    async fn of(server: &Running, admin: &str, repo: &str) -> Self {
        let (_, job) = server.get(admin, &format!("/jobs/{repo}-copy")).await;
        let (_, datums) = server.get(admin, &format!("/jobs/{repo}-copy/datums")).await;
        let (_, keys) = server.get(admin, "/keys").await;
        let digest = repos::hash::digest_of(format!("of {repo}").as_bytes()).to_string();
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} {job} {datums}")).to_owned();
        Self(BTreeMap::from([
            ("{run}".to_owned(), text(&job["run"])),
            ("{datum}".to_owned(), text(&datums["items"][0]["id"])),
            ("{key}".to_owned(), text(&keys[0]["fingerprint"])),
            ("{digest}".to_owned(), digest),
            ("{nothing}".to_owned(), "0".repeat(64)),
        ]))
    }

    fn filled(&self, text: &str, repo: &str, number: usize) -> String {
        let text = self.0.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id));
        filled(&text, repo, number)
    }
}

fn filled(text: &str, repo: &str, number: usize) -> String {
    text.replace("{r}", repo).replace("{n}", &number.to_string())
}

fn filled_body(body: &Value, repo: &str, number: usize) -> Value {
    serde_json::from_str(&filled(&body.to_string(), repo, number)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_allowed_to_whom_the_table_says() {
    let server = Running::start().await;
    server.run_jobs();
    let admin = server.token("anna", Role::Admin, &["*"]);
    for repo in ["mine", "other"] {
        for (request, body) in [
            ("POST /repos", json!({ "name": "{r}" })),
            ("PUT /repos/{r}/branches/main/files/a", json!("of {r}")),
            ("PUT /repos/{r}/branches/main/files/only-{r}", json!("x")),
            ("PUT /repos/{r}/branches/main/files/n.json", json!("{\"loss\": 1}")),
            ("POST /pipelines", json!({ "specs": [{ "name": "s", "text": spec("{r}-copy", "{r}") }] })),
            ("GET /wait?of={r}-copy&timeout=90s", Value::Null),
            ("POST /repos/{r}/tags", json!({ "name": "first" })),
        ] {
            assert!(
                ask(&server, &admin, &filled(request, repo, 0), &filled_body(&body, repo, 0)).await < 300,
                "{request}"
            );
        }
    }
    let ids = [Ids::of(&server, &admin, "mine").await, Ids::of(&server, &admin, "other").await];
    let (mut number, mut faults) = (0, Vec::new());
    for (role, globs) in Role::ALL.into_iter().flat_map(|role| [(role, "*"), (role, "mine*")]) {
        if role == Role::Worker && globs != "*" {
            continue; // it cannot be limited
        }
        let token = server.token(&format!("{role}-{}", globs.len()), role, &[globs]);
        for row in table() {
            for repo in if row.about == About::Repo { vec!["mine", "other"] } else { vec!["mine"] } {
                number += 1;
                let ids = &ids[usize::from(repo == "other")];
                if let Some((request, body)) = &row.before {
                    let done =
                        ask(&server, &admin, &filled(request, repo, number), &filled_body(body, repo, number)).await;
                    assert!(done < 300, "{request}: {done}");
                }
                let asked = ids.filled(row.request, repo, number);
                let body = serde_json::from_str(&ids.filled(&row.body.to_string(), repo, number)).unwrap();
                let status = ask(&server, &token, &asked, &body).await;
                let expected = expected(&row, role, globs != "*", repo);
                let is_right = expected.contains(&status) || (expected[0] == 200 && row.also.contains(&status));
                if !is_right {
                    faults.push(format!("{} on {repo} by a {role} for {globs}: {status}, not {expected:?}", row.id));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_of_the_store_is_one_of_a_pod() {
    let server = Running::start().await;
    for role in [Role::Admin, Role::Worker] {
        let token = server.token(&role.to_string(), role, &["*"]);
        assert_eq!(ask(&server, &token, "GET /pods/join", &Value::Null).await, 401, "{role}");
    }
}

/// Operations that make something with a new name.
const CREATES: [&str; 3] = ["createRepo", "applyPipelines", "planPipelines"];

/// The statuses that are right.
fn expected(row: &Row, role: Role, is_limited: bool, repo: &str) -> &'static [u16] {
    match row.about {
        _ if role < row.least => &[403],
        About::Store if is_limited => &[403],
        // It may not even know whether the name is taken.
        About::Repo if is_limited && repo == "other" && CREATES.contains(&row.id) => &[403, 404],
        About::Repo if is_limited && repo == "other" => &[404],
        _ => &[200, 201, 202, 204],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_workers_and_admins_of_everything_may_join_and_a_worker_sees_no_page() {
    let server = Running::start().await;
    for (role, globs, status) in [
        (Role::Worker, "*", 426),
        (Role::Admin, "*", 426),
        (Role::Admin, "mine*", 403),
        (Role::Writer, "*", 403),
        (Role::Reader, "*", 403),
    ] {
        let token = server.token(&format!("{role}-{}", globs.len()), role, &[globs]);
        // Who may join is then told that this is no WebSocket.
        let answer = server.ask(&token, Method::GET, "/workers/join").send().await.unwrap();
        assert_eq!(answer.status(), status, "{role} of {globs}");
        if status == 403 {
            assert!(answer.text().await.unwrap().contains("needs a token of role worker"));
        }
    }
    let worker = server.token("edge", Role::Worker, &["*"]);
    for path in ["", "/repos", "/operations", "/tokens", "/metrics", "/api/v1/commands"] {
        let request = server.client().get(format!("{}{path}", server.url)).bearer_auth(&worker);
        assert_eq!(request.send().await.unwrap().status(), 403, "{path}");
    }
    let form = server.client().post(format!("{}/login", server.url)).header("origin", &server.url);
    let form = form.header("content-type", "application/x-www-form-urlencoded").body(format!("token={worker}"));
    let answer = form.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("set-cookie")), (403, false));
    let (status, who) = server.get(&worker, "/whoami").await;
    assert_eq!((status, &who["role"], &who["repos"]), (200, &json!("worker"), &json!([])));
}

#[test]
fn every_operation_is_in_the_table() {
    // Those that need no token give everybody the same.
    let operations = server::operations().into_iter().filter(|operation| operation.needs.is_some());
    let operations: BTreeSet<&str> = operations.map(|operation| operation.id).collect();
    let known: BTreeSet<&str> = table().iter().map(|row| row.id).collect();
    assert_eq!(operations, known, "left: the API; right: the table");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_gets_in_without_a_valid_token() {
    let server = Running::start().await;
    let anna = server.token("anna", Role::Admin, &["*"]);
    let expired = server.expired_token("bob");
    let foreign = Running::start().await.token("anna", Role::Admin, &["*"]);
    repos::tokens::Tokens::of(server.engine.store()).revoke(&"anna".parse().unwrap()).unwrap();
    for operation in server::operations().into_iter().filter(|operation| operation.needs.is_some()) {
        let path = operation.path.replace("{*path}", "a").replace(['{', '}'], "");
        for token in [&anna, &expired, &foreign] {
            let status = ask(&server, token, &format!("{} {path}", operation.method), &Value::Null).await;
            // After some wrong tokens the address has to wait.
            assert!(matches!(status, 401 | 429), "{} {path}: {status}", operation.method);
        }
    }
}
